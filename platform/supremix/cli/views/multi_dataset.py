"""The result of a search over several datasets on a terminal: a row a dataset, and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from supremix.cli.views.comparison import runs_table
from supremix.cli.views.search import print_whole, show_files, show_notes, show_skill

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
    errors = {"test": "test", "skill": "skill", "validation": "val"}
    rows = result.table.to_dicts()
    print_whole(console, runs_table(rows, result.mae, ["dataset", "unit"], errors))
    show_notes(
        console,
        "mean absolute errors with 95 % intervals over patients; test: the best "
        "hyperparameters, retrained on training and validation data and measured once",
        result.failures,
    )
    show_skill(console, result.mae)
    show_files(console, result.path, FILES | {d: f"the run on {d}" for d in result.datasets})
