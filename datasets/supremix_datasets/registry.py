"""The datasets by name."""

from __future__ import annotations

import difflib

from . import hc18, ukb_t1
from .errors import UnknownDatasetError
from .reader import Dataset

_DATASETS = {dataset.name: dataset for dataset in (hc18.DATASET, ukb_t1.DATASET)}


def names() -> tuple[str, ...]:
    """Names of all datasets, sorted."""
    return tuple(sorted(_DATASETS))


def get(name: str | Dataset) -> Dataset:
    """The dataset of that name; a dataset of the user's own is handed back as it is.

    Raises:
        UnknownDatasetError: there is none of that name.
    """
    if isinstance(name, Dataset):
        return name
    if name in _DATASETS:
        return _DATASETS[name]
    close = difflib.get_close_matches(str(name), names(), n=1, cutoff=0.4)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UnknownDatasetError(
        f"no dataset {name!r}.{hint} Known: {', '.join(names())}; "
        "or pass a supremix_datasets.Dataset of your own."
    )
