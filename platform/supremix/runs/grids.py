"""Grids of runs: folders with several runs in them, and an index that says which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from upath import UPath

from supremix._choices import JOINT_OBJECTIVE as JOINT_OBJECTIVE
from supremix.storage.paths import Address, to_path
from supremix.storage.retry import storage_errors
from supremix_reports import run_layout

RATIO = "× the median's error"
"""Unit of a joint objective: errors as ratios to those of always predicting the median."""

GridName = Literal["comparison", "multi_dataset", "benchmark", "folds"]


@dataclass(frozen=True, kw_only=True)
class GridKind:
    """A kind of grid, of specifications × runs.

    Args:
        name: Name of the kind, as a status shows it.
        title: Name of the kind in a sentence, with its article.
        index: Name of the file that says which datasets and methods have their runs in the folder.
        runs: Path of a run inside the folder, with fields for dataset and method.
        interface: Class of `supremix` that runs and resumes such a grid.
        command: Command of `supremix` that does.
    """

    name: GridName
    title: str
    index: str
    runs: str
    interface: str
    command: str = "search"

    @property
    def depth(self) -> int:
        """Number of folders from the grid's down to a run's."""
        return self.runs.count("/") + 1

    def is_in(self, folder: Address) -> bool:
        """Whether a folder holds a grid of this kind.

        Raises:
            RunFolderError: Its storage cannot be read.
        """
        path = to_path(folder)
        with storage_errors(str(path)):
            return (path / self.index).is_file()

    def run(self, dataset: str, method: str) -> str:
        """Path of a run inside the folder."""
        return self.runs.format(dataset=dataset, method=method)

    def run_names(self, content: Mapping[str, Any]) -> list[str]:
        """Paths of all runs inside the folder, as its index has them; of folds, those of each."""
        if "runs" in content:
            return list(content["runs"])
        datasets, methods = (
            content[f"{axis}s"] if f"{{{axis}}}" in self.runs else [""]
            for axis in ("dataset", "method")
        )
        return [self.run(dataset, method) for dataset in datasets for method in methods]


COMPARISON = GridKind(
    name="comparison",
    title="a comparison",
    index=run_layout.COMPARISON,
    runs="{method}",
    interface="Comparison",
)

MULTI_DATASET = GridKind(
    name="multi_dataset",
    title="a search over several datasets",
    index=run_layout.MULTI_DATASET,
    runs="{dataset}",
    interface="MultiDatasetSearch",
)

BENCHMARK = GridKind(
    name="benchmark",
    title="a benchmark",
    index=run_layout.BENCHMARK,
    runs="{dataset}/{method}",
    interface="Benchmark",
    command="benchmark",
)

FOLDS = GridKind(
    name="folds",
    title="a cross-validation",
    index=run_layout.FOLDS,
    runs="",
    interface="CrossValidation",
)
"""The folds of one method on one dataset; it may be part of another grid."""

KINDS = (FOLDS, COMPARISON, MULTI_DATASET, BENCHMARK)


def grid_kind(folder: Address) -> GridKind | None:
    """The kind of grid that a folder holds; None where it holds none.

    Raises:
        RunFolderError: Its storage cannot be read.
    """
    return next((kind for kind in KINDS if kind.is_in(folder)), None)


def run_name(path: UPath) -> str:
    """Name of a run in the tables: that of its folder, after that of the grid it is part of.

    Raises:
        RunFolderError: Its storage cannot be read.
    """
    names, folder = (path.name,), path.parent
    for depth in (1, 2):
        if any(kind.depth == depth and kind.is_in(folder) for kind in KINDS):
            return "/".join((run_name(folder), *names))
        names, folder = (folder.name, *names), folder.parent
    return path.name
