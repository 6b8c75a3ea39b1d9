"""The result of a cross-validation on a terminal: a row a fold, the pooled error, files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from supremix.cli.parsing.values import format_value
from supremix.cli.views.search import (
    errors_table,
    line_table,
    print_plain,
    print_whole,
    show_files,
    show_skill,
)

if TYPE_CHECKING:
    from supremix.benchmark.result import CrossValidationResult

FILES = {
    "summary.md": "the result on a page",
    "predictions.parquet": "a row an image, predicted out of fold",
    "mae.parquet": "a row a metric, pooled over all folds",
    "intervals.parquet": "coverage of prediction intervals, over all patients",
    "trials.parquet": "a row a trial of any fold",
    "cohort.parquet": "patients, labels and covariates, and what was excluded",
}
"""What to look at in the folder of a cross-validation, and why; each fold's run lies there too."""


def show_cross_validation(result: CrossValidationResult, console: Console) -> None:
    """Show the result of a cross-validation: folds, the pooled error and files."""
    folds = result.folds
    table = line_table()
    for name in folds.columns:
        table.add_column(name, justify="right", no_wrap=True)
    for row in folds.iter_rows():
        table.add_row(*("–" if cell is None else format_value(cell) for cell in row))
    print_whole(console, table)
    counts = f"{result.mae['n'][0]} images of {result.error.groups} groups"
    text = f"\nerror out of fold: {result.error.value:.4g} {result.unit} ({result.basis}; {counts})"
    console.print(Text(text, style="bold"), soft_wrap=True)
    print_plain(console, result.selection)
    console.print()
    print_whole(console, errors_table(result.mae, result.unit))
    show_skill(console, result.mae)
    ensemble = dict.fromkeys(result.results, "the run of the fold")
    show_files(console, result.path, FILES | ensemble)
    print_plain(console, f"\nthe ensemble of all folds predicts: supremix predict {result.path}")
