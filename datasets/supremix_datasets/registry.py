"""The datasets by name. The module of each, with the libraries it needs, is loaded on demand."""

from __future__ import annotations

import dataclasses
import importlib
import shlex
from pathlib import Path

from supremix_datasets.cards.dataset import Dataset
from supremix_datasets.errors import UnknownDatasetError, did_you_mean
from supremix_datasets.own_objects import import_object, is_import_path

_MODULES = {
    "a4-amyloid": "a4_amyloid",
    "adni-amyloid": "adni_amyloid",
    "echonet-dynamic": "echonet",
    "hc18": "hc18",
    "hcp-aging": "hcp_aging",
    "ixi": "ixi",
    "oasis3-amyloid": "oasis3_amyloid",
    "openbhb": "openbhb",
    "rsna-bone-age": "rsna_bone_age",
    "table": "own_table.dataset",
    "ukb-t1": "ukb_t1",
}
"""Name of the dataset's card to the module in `readers` with its ``DATASET``."""


def names() -> tuple[str, ...]:
    """Names of all datasets, sorted."""
    return tuple(sorted(_MODULES))


def get(name: str | Dataset) -> Dataset:
    """The dataset of that name; a dataset of the user's own is returned as it is.

    Args:
        name: Name of a dataset, the import path of one's own (``my_package.knees:DATASET``), or a
            dataset.

    Raises:
        UnknownDatasetError: there is none of that name, or none at that import path.
    """
    if isinstance(name, Dataset):
        return name
    if is_import_path(name):
        return _own(name)
    if name in names():
        module = importlib.import_module(f"supremix_datasets.readers.{_MODULES[name]}")
        return module.DATASET
    if Path(str(name)).expanduser().exists():
        raise UnknownDatasetError(
            f"{str(name)!r} is a path and no dataset. Name the dataset, and give the path as its "
            f"source. For your own images with a table or in BIDS, that is `table`: supremix "
            f"check table --source {shlex.quote(str(name))}; in Python "
            f"dataset='table', source={str(name)!r}."
        )
    hint = did_you_mean(str(name), names(), cutoff=0.4)
    raise UnknownDatasetError(
        f"no dataset {name!r}.{hint} Known: {', '.join(names())}; "
        "or give a supremix_datasets.Dataset of your own, by its import path MODULE:NAME or, in "
        "Python, itself."
    )


def _own(path: str) -> Dataset:
    try:
        found = import_object(path)
    except ImportError as error:
        raise UnknownDatasetError(f"no dataset {path!r}: {error}.") from error
    if not isinstance(found, Dataset):
        raise UnknownDatasetError(
            f"expected a supremix_datasets.Dataset (a card and a reader) at {path}, found "
            f"{type(found).__name__}."
        )
    return dataclasses.replace(found, family=found.family or path)
