"""Methods on several datasets: the tables that follow from all their runs together."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from supremix_reports.errors import ReportError
from supremix_reports.statistics.comparing.comparisons import compare_methods
from supremix_reports.summaries.comparison import MethodRun, comparison_rows
from supremix_reports.summaries.error_rows import interval_columns
from supremix_reports.tables import schema
from supremix_reports.tables.tables import write_table


def write_benchmark(folder: str, runs: Sequence[MethodRun], *, reference: str) -> None:
    """Write `mae.parquet`, `comparison.parquet` and `gains.parquet` into a benchmark's folder.

    Args:
        folder: path or fsspec address.
        runs: what was found with each method on each dataset, as far as it has come.
        reference: name of the method that the others are compared with.

    Methods that were tested on different samples of a dataset (its images were others when one was
    added) have no difference, and a note that says so.
    """
    datasets = dict.fromkeys(run.dataset for run in runs)
    parts = [[run for run in runs if run.dataset == dataset] for dataset in datasets]
    measures = [run.measures for run in runs if run.measures is not None]
    write_table(folder, "mae", [row for table in measures for row in table.to_dicts()])
    write_table(folder, "comparison", [row for part in parts for row in _rows(part)])
    write_table(folder, "gains", _gains(runs, reference))


def _rows(part: Sequence[MethodRun]) -> list[dict[str, object]]:
    """The methods on one dataset; each by itself where they were tested on different samples."""
    try:
        return comparison_rows(part)
    except ReportError:
        alone = [row for run in part for row in comparison_rows([run])]
        names = interval_columns(schema.DIFFERENCE)
        return [{**row, **dict.fromkeys(names)} for row in alone]


def _gains(runs: Sequence[MethodRun], reference: str) -> list[dict[str, object]]:
    units = {run.dataset: run.unit for run in runs}
    tested = {run.method: run.predictions for run in runs if run.predictions is not None}
    if reference not in tested:
        source = (schema.DATASET, schema.METHOD, schema.UNIT, schema.REFERENCE, schema.NOTE)
        note = "the reference has no result"
        return [
            dict(zip(source, (run.dataset, run.method, run.unit, reference, note), strict=True))
            for run in runs
            if run.method != reference
        ]
    every = [run.predictions for run in runs if run.predictions is not None]
    return compare_methods(pl.concat(every), reference=reference, units=units).to_dicts()
