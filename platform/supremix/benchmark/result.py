"""What a benchmark found, read from its folder: `BenchmarkResult`."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
from upath import UPath

from supremix.errors import RunFolderError
from supremix.runs.folder import read_json
from supremix.runs.grids import BENCHMARK
from supremix.runs.result import Result
from supremix.storage.paths import Address, to_path
from supremix_reports import read_table


class BenchmarkResult:
    """What a benchmark found, read from its folder.

    Args:
        path: Folder of the benchmark, or its fsspec address.

    Raises:
        RunFolderError: The folder is not that of a benchmark.
    """

    def __init__(self, path: Address) -> None:
        self.path = to_path(path)
        content = read_index(self.path)
        self.datasets: tuple[str, ...] = tuple(content["datasets"])
        self.methods: tuple[str, ...] = tuple(content["methods"])
        self.test_seeds: int = content["test_seeds"]
        self.reference: str = content["reference"]
        self._cells = tuple(cells_of(content))

    @functools.cached_property
    def table(self) -> pl.DataFrame:
        """A row a dataset and method; the columns are those of `comparison.parquet`."""
        return read_table(str(self.path), "comparison")

    @functools.cached_property
    def mae(self) -> pl.DataFrame:
        """A row a dataset, method, split and metric: the table `mae` of all searches."""
        return read_table(str(self.path), "mae")

    @functools.cached_property
    def gains(self) -> pl.DataFrame:
        """A row a dataset and method: its test error against that of the reference method."""
        return read_table(str(self.path), "gains")

    @property
    def failures(self) -> dict[tuple[str, str], str]:
        """The datasets and methods that came to no result, and why."""
        lacking = self.table.filter(pl.col("reason").is_not_null())
        rows = lacking.select("dataset", "method", "reason").iter_rows()
        return {(dataset, method): reason for dataset, method, reason in rows}

    @property
    def results(self) -> dict[tuple[str, str], Result]:
        """What each search found, by dataset and method, of those that came to a result."""
        return {
            cell: Result(cell_folder(self.path, *cell))
            for cell in self._cells
            if cell not in self.failures
        }


def cell_folder(folder: UPath, dataset: str, method: str) -> UPath:
    """The run of a method on a dataset, in the folder of a benchmark."""
    return folder / dataset / method


def cells_of(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every dataset with every method, as a benchmark's index names them."""
    for dataset in content["datasets"]:
        for method in content["methods"]:
            yield dataset, method


def read_index(folder: UPath) -> dict[str, Any]:
    """The file that says what a benchmark consists of.

    Raises:
        RunFolderError: The folder is not that of a benchmark.
    """
    if not BENCHMARK.is_in(folder):
        raise RunFolderError(
            f"{folder} has no {BENCHMARK.index}, so it is not the folder of a benchmark. Name the "
            "folder that 'supremix benchmark' printed."
        )
    return read_json(folder / BENCHMARK.index)
