"""The images of a run, found again in its source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import supremix_datasets
from supremix.runs.folder import RunFolder
from supremix.search.spec import PHANTOM, SearchSpec
from supremix.storage.paths import Address, read_bytes, to_path
from supremix.training.artifacts.format import FOLDS
from supremix_datasets import Dataset, Sample
from supremix_datasets.cache import cache_folder
from supremix_datasets.cards.dataset import Reader
from supremix_datasets.phantoms.folder import phantom_folder


@dataclass(frozen=True, kw_only=True)
class RunData:
    """The samples of a run's source.

    Attributes:
        reader: Reader of the files.
        samples: The samples by id.
    """

    reader: Reader
    samples: Mapping[str, Sample]


def read_run_data(run: Address, dataset: Dataset | None = None) -> RunData:
    """List the images that a run was started with; no pixel is read.

    Args:
        run: The run folder, or that of a cross-validation, whose folds have the same source.
        dataset: The dataset, where it is one of the user's own that cannot be imported.

    Raises:
        USER_ERRORS: Of `supremix.errors`: it is no run folder, or its source is out of reach.
    """
    objects = {} if dataset is None else {"dataset": dataset}
    spec = SearchSpec.from_dict(RunFolder(_one_run(run)).read_spec(), **objects)
    source, chosen = spec.resolve_source(), spec.resolve_dataset()
    if source == PHANTOM:
        known = supremix_datasets.get(spec.dataset)
        source = phantom_folder(known, cache_folder(spec.cache), spec.phantoms, 0, map, None)
    scan = chosen.scan(str(source))
    return RunData(reader=chosen.reader, samples={one.id: one for one in scan.samples})


def _one_run(run: Address) -> Address:
    """The run folder itself, or that of the first fold."""
    folds = to_path(run) / FOLDS
    return to_path(run) / json.loads(read_bytes(folds))["runs"][0] if folds.is_file() else run
