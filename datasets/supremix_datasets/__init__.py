"""Datasets for medical-image regression: cards, readers, phantoms, stores, splits, augmentation."""

from __future__ import annotations

from supremix_datasets.augment import Augmenter as Augmenter
from supremix_datasets.cache import default_cache as default_cache
from supremix_datasets.cards.augmentation import Augmentation as Augmentation
from supremix_datasets.cards.card import Card as Card
from supremix_datasets.cards.covariate import Covariate as Covariate
from supremix_datasets.cards.dataset import Dataset as Dataset
from supremix_datasets.cards.dataset import Decoded as Decoded
from supremix_datasets.cards.dataset import Phantom as Phantom
from supremix_datasets.cards.dataset import Reader as Reader
from supremix_datasets.cards.sample import Rejected as Rejected
from supremix_datasets.cards.sample import Sample as Sample
from supremix_datasets.cards.sample import Scan as Scan
from supremix_datasets.checks.check import check as check
from supremix_datasets.checks.report import CheckReport as CheckReport
from supremix_datasets.decoding.images import decode_file as decode_file
from supremix_datasets.errors import CardError as CardError
from supremix_datasets.errors import CovariateError as CovariateError
from supremix_datasets.errors import DataChangedError as DataChangedError
from supremix_datasets.errors import DatasetError as DatasetError
from supremix_datasets.errors import DecodeError as DecodeError
from supremix_datasets.errors import LabelTableError as LabelTableError
from supremix_datasets.errors import SourceError as SourceError
from supremix_datasets.errors import SplitError as SplitError
from supremix_datasets.errors import StoreError as StoreError
from supremix_datasets.errors import TooFewSamplesError as TooFewSamplesError
from supremix_datasets.errors import UnknownDatasetError as UnknownDatasetError
from supremix_datasets.folds import Fold as Fold
from supremix_datasets.folds import fold_of_samples as fold_of_samples
from supremix_datasets.folds import has_own_folds as has_own_folds
from supremix_datasets.phantoms.folder import check_phantoms as check_phantoms
from supremix_datasets.phantoms.folder import write_phantoms as write_phantoms
from supremix_datasets.registry import get as get
from supremix_datasets.registry import names as names
from supremix_datasets.splits import assign as assign
from supremix_datasets.stores.conform import Presented as Presented
from supremix_datasets.stores.conform import conform as conform
from supremix_datasets.stores.conform import present as present
from supremix_datasets.stores.conform import to_float as to_float
from supremix_datasets.stores.prepare import prepare as prepare
from supremix_datasets.stores.shared import open_shared as open_shared
from supremix_datasets.stores.shared import publish as publish
from supremix_datasets.stores.shared import shared_address as shared_address
from supremix_datasets.stores.store import Store as Store
