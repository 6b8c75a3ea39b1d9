"""The result of a search over several datasets on a terminal: a row a dataset, and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from supremix.cli.parsing.values import format_duration
from supremix.cli.views.comparison import trials_text
from supremix.cli.views.search import line_table, show_files, show_notes

if TYPE_CHECKING:
    from supremix.benchmark.result import MultiDatasetResult

FILES = {
    "multi_dataset.md": "the result on a page",
    "comparison.parquet": "a row a dataset",
    "mae.parquet": "a row a dataset, split and metric",
    "trials.parquet": "a row a trial on all datasets",
}
"""What to look at in the folder of the search, and why; each dataset's run lies there as well."""


def show_multi_dataset(result: MultiDatasetResult, console: Console) -> None:
    """Show the result of a search over several datasets: errors, failures and files."""
    console.print(_table(result.table.to_dicts()))
    show_notes(
        console,
        "mean absolute errors with 95 % intervals over patients; test: the best "
        "hyperparameters, retrained on training and validation data and measured once",
        result.failures,
    )
    show_files(console, result.path, FILES | {d: f"the run on {d}" for d in result.datasets})


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    # Imported here so that `--help` need not wait for it.
    from supremix_reports import interval_text

    table = line_table()
    table.add_column("dataset", no_wrap=True)
    for heading in ("unit", "test", "validation"):
        table.add_column(heading, min_width=len(heading))
    for heading in ("trials", "epochs", "time"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["dataset"],
            row["unit"],
            *(interval_text(row, name) for name in ("test", "val")),
            trials_text(row),
            str(row["epochs"]),
            format_duration(row["seconds"]),
        )
    return table
