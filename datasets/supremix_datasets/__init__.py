"""Datasets for medical-image regression: cards, readers, phantoms, stores, splits, augmentation."""

from __future__ import annotations

from .augment import Augmenter as Augmenter
from .card import Card as Card
from .card import Covariate as Covariate
from .check import check as check
from .check_report import CheckReport as CheckReport
from .conform import Presented as Presented
from .conform import conform as conform
from .conform import present as present
from .conform import to_float as to_float
from .decoding import decode_file as decode_file
from .errors import CardError as CardError
from .errors import CovariateError as CovariateError
from .errors import DatasetError as DatasetError
from .errors import DecodeError as DecodeError
from .errors import LabelTableError as LabelTableError
from .errors import SourceError as SourceError
from .errors import SplitError as SplitError
from .errors import StoreError as StoreError
from .errors import TooFewSamplesError as TooFewSamplesError
from .errors import UnknownDatasetError as UnknownDatasetError
from .phantom import check_phantoms as check_phantoms
from .phantom import write_phantoms as write_phantoms
from .policy import Augmentation as Augmentation
from .prepare import prepare as prepare
from .reader import Dataset as Dataset
from .reader import Decoded as Decoded
from .reader import Phantom as Phantom
from .reader import Reader as Reader
from .registry import get as get
from .registry import names as names
from .sample import Rejected as Rejected
from .sample import Sample as Sample
from .sample import Scan as Scan
from .shared import open_shared as open_shared
from .shared import publish as publish
from .shared import shared_address as shared_address
from .splits import assign as assign
from .store import Store as Store
from .store import default_cache as default_cache
