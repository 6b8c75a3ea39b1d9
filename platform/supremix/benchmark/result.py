"""The results of grids of searches, read from their folders."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Generic, TypeVar

import polars as pl
from upath import UPath

from supremix._display import Displayed
from supremix.errors import RunFolderError
from supremix.runs.folder import read_json
from supremix.runs.grids import (
    BENCHMARK,
    COMPARISON,
    FOLDS,
    JOINT_OBJECTIVE,
    MULTI_DATASET,
    GridKind,
)
from supremix.runs.result import Result, RunTables
from supremix.storage.paths import Address, to_path
from supremix.training import TrainedModel
from supremix.training.artifacts.loading import load
from supremix_reports import (
    Interval,
    best_error,
    comparison_verdict,
    folds_table,
    has_table,
    read_table,
    selection_sentence,
)

Key = TypeVar("Key", str, tuple[str, str])


class GridResult(Displayed, Generic[Key]):
    """The results of a grid's searches, read from its folder.

    Args:
        path: Folder of the grid, or its fsspec address.

    Raises:
        RunFolderError: The folder is not that of such a grid.
    """

    kind: ClassVar[GridKind]
    columns: ClassVar[tuple[str, ...]]
    """Columns of the tables that tell the searches apart."""

    def __init__(self, path: Address) -> None:
        self.path = to_path(path)
        self._index = read_index(self.kind, self.path)
        self.datasets: tuple[str, ...] = tuple(self._index["datasets"])
        self.methods: tuple[str, ...] = tuple(self._index["methods"])

    @functools.cached_property
    def table(self) -> pl.DataFrame:
        """A row a search; the columns are those of `comparison.parquet`."""
        return read_table(str(self.path), "comparison")

    @functools.cached_property
    def mae(self) -> pl.DataFrame:
        """A row a search, split and metric: the table `mae` of all searches."""
        return read_table(str(self.path), "mae")

    def facts(self) -> dict[str, str]:
        """What was searched, and what has no result."""
        return {
            "dataset": ", ".join(self.datasets),
            "method": ", ".join(self.methods),
            "without a result": str(len(self.failures)),
            "folder": str(self.path),
        }

    @property
    def selection(self) -> str:
        """Whether the choice of hyperparameters in folds biases the errors; empty without folds."""
        if "runs" not in self._index:
            return ""
        folder = self.path / self.kind.run(self.datasets[0], self.methods[0])
        return selection_sentence(read_json(folder / "spec.json"))

    @property
    def failures(self) -> dict[Key, str]:
        """The searches without a result, and the reasons."""
        lacking = self.table.filter(pl.col("reason").is_not_null())
        return {self._key(row): row["reason"] for row in lacking.iter_rows(named=True)}

    @property
    def results(self) -> dict[Key, Result | CrossValidationResult]:
        """The results of the searches that have one."""
        failed = self.failures
        names = [{"dataset": d, "method": m} for d in self.datasets for m in self.methods]
        return {
            self._key(name): _read_result(self.path / self.kind.run(**name))
            for name in names
            if self._key(name) not in failed
        }

    def _key(self, row: dict[str, Any]) -> Key:
        key: Any = tuple(row[column] for column in self.columns)
        return key if len(key) > 1 else key[0]


class CrossValidationResult(Displayed, RunTables):
    """The result of a cross-validation, read from its folder.

    Args:
        path: Folder of the cross-validation, or its fsspec address.

    Raises:
        RunFolderError: The folder is not that of one, or not all of its folds are tested.
    """

    def __init__(self, path: Address) -> None:
        self.path = to_path(path)
        self._index = read_index(FOLDS, self.path)
        if not has_table(str(self.path), "mae"):
            raise RunFolderError(
                f"not all folds in {self.path} are tested; resume it with supremix search --resume "
                f"{self.path}"
            )

    @functools.cached_property
    def results(self) -> dict[str, Result]:
        """The results of the folds, by the names of their folders."""
        return {name: Result(self.path / name) for name in self._index["runs"]}

    @functools.cached_property
    def trials(self) -> pl.DataFrame:
        """A row a trial of any fold; the columns are those of `trials.parquet`."""
        return read_table(str(self.path), "trials")

    @functools.cached_property
    def cohort(self) -> pl.DataFrame:
        """Patients, labels and covariates of all together, and what was excluded."""
        return read_table(str(self.path), "cohort")

    @functools.cached_property
    def folds(self) -> pl.DataFrame:
        """A row a fold: patients, images, its error, and hyperparameters that differ."""
        head, rows = folds_table(self.trials, self.predictions)
        return pl.DataFrame(rows, schema=head, orient="row", strict=False)

    @property
    def unit(self) -> str:
        """Unit of the errors."""
        return self.mae["unit"][0]

    @property
    def error(self) -> Interval:
        """MAE of the patients out of fold, with its 95 % interval over patients and models."""
        row = self.mae.row(by_predicate=pl.col("metric") == "mae", named=True)
        ends = (float("nan") if row[end] is None else row[end] for end in ("low", "high"))
        low, high = ends
        return Interval(
            value=row["value"], low=low, high=high, n=row["n"] * row["seeds"], groups=row["groups"]
        )

    @property
    def basis(self) -> str:
        """What `error` was measured on, in words, with its interval."""
        found = best_error(self.mae, new_seeds=False)
        return "" if found is None else found.basis

    @property
    def selection(self) -> str:
        """Whether the choice of hyperparameters biases `error`, in words."""
        return selection_sentence(read_json(self.path / "spec.json"))

    def load(self, **objects: Any) -> TrainedModel:
        """The ensemble of the folds' models, to predict with; `objects` as for `supremix.load`."""
        return load(self.path, **objects)

    def facts(self) -> dict[str, str]:
        """What was searched, and the error out of fold."""
        row = self.mae.row(0, named=True)
        return {
            "dataset": row["dataset"],
            "method": row["method"],
            "folds": str(row["folds"]),
            "error": f"MAE {self.error.value:.4g} {row['unit']} {self.basis}",
            "hyperparameters": self.selection,
            "folder": str(self.path),
        }


def _read_result(path: UPath) -> Result | CrossValidationResult:
    return CrossValidationResult(path) if FOLDS.is_in(path) else Result(path)


class ComparisonResult(GridResult[str]):
    """The results of a comparison, by method, read from its folder.

    Args:
        path: Folder of the comparison, or its fsspec address.

    Raises:
        RunFolderError: The folder is not that of a comparison.
    """

    kind = COMPARISON
    columns = ("method",)

    @property
    def verdict(self) -> str:
        """Which methods show no skill, and whether a winner is shown, in plain sentences."""
        return comparison_verdict(self.table.to_dicts(), self.mae)


class MultiDatasetResult(GridResult[str]):
    """The results of a search over several datasets, by dataset, read from its folder.

    Args:
        path: Folder of the search, or its fsspec address.

    Raises:
        RunFolderError: The folder is not that of such a search.
    """

    kind = MULTI_DATASET
    columns = ("dataset",)

    @property
    def objective(self) -> str:
        """The objective, ``"per-dataset"`` or ``"joint"``."""
        return self._index["objective"]

    @functools.cached_property
    def trials(self) -> pl.DataFrame | None:
        """With a joint objective a row a trial, its error the geometric mean; else None."""
        joint = self.objective == JOINT_OBJECTIVE
        return read_table(str(self.path), "trials") if joint else None


class BenchmarkResult(GridResult[tuple[str, str]]):
    """The results of a benchmark, by dataset and method, read from its folder.

    Args:
        path: Folder of the benchmark, or its fsspec address.

    Raises:
        RunFolderError: The folder is not that of a benchmark.
    """

    kind = BENCHMARK
    columns = ("dataset", "method")

    @property
    def test_seeds(self) -> int:
        """Number of test seeds."""
        return self._index["test_seeds"]

    @property
    def reference(self) -> str:
        """Name of the method that the others are compared with."""
        return self._index["reference"]

    @functools.cached_property
    def gains(self) -> pl.DataFrame:
        """A row a dataset and method: its test error against that of the reference method."""
        return read_table(str(self.path), "gains")

    @functools.cached_property
    def external(self) -> pl.DataFrame | None:
        """A row an outside cohort, dataset and method, see `external.parquet`; None without any."""
        there = has_table(str(self.path), "external")
        return read_table(str(self.path), "external") if there else None

    @property
    def external_failures(self) -> dict[tuple[str, str, str], str]:
        """By cohort, dataset and method the reason why models were not measured there."""
        if self.external is None:
            return {}
        names = ("cohort", "dataset", "method", "reason")
        rows = self.external.filter(pl.col("reason").is_not_null()).select(names).rows()
        return {(cohort, dataset, method): reason for cohort, dataset, method, reason in rows}


def read_index(kind: GridKind, folder: UPath) -> dict[str, Any]:
    """The file that says which datasets and methods a grid has.

    Raises:
        RunFolderError: The folder is not that of a grid of this kind.
    """
    if not kind.is_in(folder):
        raise RunFolderError(
            f"{folder} has no {kind.index}, so it is not the folder of {kind.title}. Name the "
            f"folder that 'supremix {kind.command}' printed."
        )
    return read_json(folder / kind.index)
