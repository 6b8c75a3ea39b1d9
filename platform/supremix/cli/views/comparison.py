"""The result of a comparison on a terminal: a row a method, whether a winner is shown, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from supremix.cli.views.search import (
    line_table,
    print_plain,
    print_whole,
    show_files,
    show_notes,
)
from supremix.progress.words import format_duration

if TYPE_CHECKING:
    import polars as pl

    from supremix.benchmark.result import ComparisonResult

FILES = {
    "comparison.md": "the result on a page",
    "comparison.parquet": "a row a method",
    "mae.parquet": "a row a method, split and metric",
}
"""What to look at in the folder of a comparison, and why; each method's run lies there as well."""


def show_comparison(result: ComparisonResult, console: Console) -> None:
    """Show the result of a comparison: errors, failures, whether a winner is shown, and files."""
    # Imported here so that `--help` need not wait for it.
    from supremix_reports import SKILL_NOTE

    rows = result.table.to_dicts()
    errors = {
        f"test ({rows[0]['unit']})": "test", "skill": "skill", "difference": "difference",
        "validation": "val",
    }  # fmt: skip
    print_whole(console, runs_table(rows, result.mae, ["method"], errors))
    show_notes(
        console,
        "mean absolute errors with 95 % intervals; difference: test error minus the least one, "
        f"on the same test images; skill: {SKILL_NOTE}",
        result.failures,
    )
    if result.selection:
        print_plain(console, f"\n{result.selection}")
    console.print(Text(f"\n{result.verdict}", style="bold"), soft_wrap=True)
    show_files(console, result.path, FILES | {m: f"the run of {m}" for m in result.methods})


def runs_table(
    rows: list[dict[str, Any]], mae: pl.DataFrame, names: Sequence[str], errors: Mapping[str, str]
) -> Table:
    """A line a run: what names it, its errors with their intervals, and what it took.

    Below the runs on a dataset are lines for models that look at no image.

    Args:
        rows: Those of the table `comparison`.
        mae: The table `mae` of all runs.
        names: Columns that name a run.
        errors: By heading, the column of an error.
    """
    # Imported here so that `--help` need not wait for it.
    from supremix_reports import interval_text, null_rows, training_cells

    table = line_table()
    for heading in names:
        table.add_column(heading, no_wrap=True)
    for heading in errors:
        table.add_column(heading, min_width=len(heading))
    for heading in ("trials", "epochs", "time", "images seen", "training time"):
        table.add_column(heading, justify="right")
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        own = [row for row in rows if row["dataset"] == dataset]
        for row in own:
            table.add_row(
                *(row[name] for name in names),
                *(interval_text(row, column) for column in errors.values()),
                trials_text(row),
                str(row["epochs"]),
                format_duration(row["seconds"]),
                *(text or "–" for text in training_cells(row)),
            )
        for null in null_rows(mae.filter(mae["dataset"] == dataset)):
            cells = (interval_text(null, c) if c in null else "–" for c in errors.values())
            table.add_row(null["method"], *(own[0][name] for name in names[1:]), *cells)
    return table


def trials_text(row: Mapping[str, Any]) -> str:
    """The number of a method's trials, and of those that ended before their last epoch."""
    early = row["pruned"] + row["stopped"]
    ends = {"early": early, "failed": row["failed"]}
    shown = ", ".join(f"{number} {how}" for how, number in ends.items() if number)
    total = row["finished"] + early + row["failed"]
    return f"{total} ({shown})" if shown else str(total)
