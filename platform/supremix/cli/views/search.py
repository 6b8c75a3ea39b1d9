"""The result of a search on a terminal: trials by rank, the best hyperparameters, errors, files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from upath import UPath

from supremix.cli.parsing.values import format_value

if TYPE_CHECKING:
    import polars as pl

    from supremix.runs.result import Result

KEY_HYPERPARAMETERS = (
    "temperature",
    "batch_size",
    "lr",
    "window",
    "alpha",
    "beta",
    "head",
    "pretrain_share",
    "weight_decay",
)
"""Hyperparameters that are shown first where there is no room for all that vary."""

FIXED_WIDTH = 48
"""Characters of a line that rank, trial, state, error and epochs take."""

CELL_WIDTH = 9
"""Characters of a hyperparameter's value; its heading may take more."""

FILES = {
    "summary.md": "the result on a page",
    "trials.parquet": "a row a trial, with all its hyperparameters",
    "curves.parquet": "a row a trial and epoch",
    "predictions.parquet": "a row an image: validation and test",
    "mae.parquet": "a row a split and metric, also by label density",
    "defaults.parquet": "a row: what the search found against the defaults",
    "measures.parquet": "a row a trial, epoch and measure of its representation",
    "cohort.parquet": "patients, labels and covariates by split, and what was excluded",
    "embedding.png": "the best trial's features on validation, coloured by label",
    "best": "the model, for: supremix predict {run} IMAGE",
    "logs": "a log a trial",
    "spec.json": "what was asked for",
    "environment.json": "versions and hardware it ran on",
}
"""Files of a run folder, and what each is for."""


def show_result(result: Result, console: Console) -> None:
    """Show the result of a search: trials, the best hyperparameters, errors and files."""
    # Imported here so that `--help` need not wait for it.
    from supremix_reports import ranked

    trials = ranked(result.trials)
    unit = str(trials["unit"][0])
    console.print(_trials_table(trials, unit, width=console.width, best=result.best.trial))
    note = "error: of a single training on validation; the least of them is optimistically biased"
    print_plain(console, note)
    console.print(f"\nbest hyperparameters (trial {result.best.trial})", style="bold")
    console.print(hyperparameters_table(result.best.config))
    console.print(Text(f"\n{errors_text(result, unit)}", style="bold"), soft_wrap=True)
    console.print()
    print_whole(console, errors_table(result.mae, unit))
    show_skill(console, result.mae)
    show_files(console, result.path, FILES)


def show_notes(console: Console, note: str, failures: Mapping[str, str] | None = None) -> None:
    """Show what the numbers above mean, and what has no result and why."""
    console.print(f"\n{note}", soft_wrap=True, highlight=False)
    for name, reason in (failures or {}).items():
        console.print(Text(f"\n{name} has no result: {reason}"), soft_wrap=True)


def show_skill(console: Console, mae: pl.DataFrame) -> None:
    """Say what skill is, which models show none, and which predictions no label can have.

    Args:
        console: Where it is said.
        mae: Rows of the table `mae`.
    """
    from supremix_reports import SKILL_NOTE, skill_sentences

    console.print(f"\nskill: {SKILL_NOTE}", soft_wrap=True, highlight=False)
    for sentence in skill_sentences(mae):
        console.print(Text(f"\n{sentence}", style="bold yellow"), soft_wrap=True)


def errors_table(mae: pl.DataFrame, unit: str) -> Table:
    """The errors of a search's method, and below it of models that look at no image.

    Args:
        mae: The table `mae` of the search.
        unit: Unit of the errors.
    """
    from supremix_reports import error_rows, interval_text

    table = line_table()
    for heading in ("model", f"validation ({unit})", f"test ({unit})", "skill"):
        table.add_column(heading, no_wrap=True)
    for row in error_rows(mae):
        table.add_row(row["method"], *(interval_text(row, n) for n in ("val", "test", "skill")))
    return table


def show_files(console: Console, folder: UPath, files: Mapping[str, str]) -> None:
    """Show where everything is, and what each of its files is for."""
    console.print(Text(f"\neverything is in {folder}"), soft_wrap=True)
    console.print(files_table(folder, files))


def line_table(*headings: str) -> Table:
    """An empty table without borders, its columns at least as wide as their headings."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, min_width=len(heading))
    return table


def print_whole(console: Console, table: Table) -> None:
    """Print a table with a line for each row, however narrow the terminal: numbers stay whole."""
    # The console caps the width that it is asked for, but not the table's own.
    table.width = console.measure(table, options=console.options.update(width=1000)).maximum
    console.print(table, crop=False)


def print_plain(console: Console, text: str) -> None:
    """Print a line as it is, however long: no markup, no colours, no wrapping."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _trials_table(trials: pl.DataFrame, unit: str, *, width: int, best: int) -> Table:
    """Trials by rank, with as many of the hyperparameters that differ as a line has room for.

    The line of trial `best`, whose hyperparameters are named best, is bold.
    """
    rows = trials.to_dicts()
    names = {name: name.removeprefix(_prefix()) for name in varying(rows)}
    widths = {name: max(CELL_WIDTH, len(heading)) for name, heading in names.items()}
    shown = fitting(widths, width - FIXED_WIDTH)
    table = line_table()
    for heading in ("rank", "trial", "state", f"error ({unit})", "epochs"):
        table.add_column(heading, justify="left" if heading == "state" else "right", no_wrap=True)
    for name in shown:
        table.add_column(names[name], justify="right", no_wrap=True)
    for rank, row in enumerate(rows, start=1):
        error = "-" if row["error"] is None else f"{row['error']:.3f}"
        values = ["-" if row[name] is None else format_value(row[name]) for name in shown]
        cells = (str(rank), str(row["trial"]), row["state"], error, str(row["epochs"]))
        table.add_row(*cells, *values, style="bold" if row["trial"] == best else None)
    return table


def varying(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Columns of the hyperparameters that differ between trials, the most important ones first."""
    names = [name for name in (rows[0] if rows else ()) if name.startswith(_prefix())]
    differ = [name for name in names if len({str(row[name]) for row in rows}) > 1]
    first = [name for key in KEY_HYPERPARAMETERS if (name := _prefix() + key) in differ]
    return first + [name for name in differ if name not in first]


def fitting(widths: Mapping[str, int], room: int) -> list[str]:
    """The first of the columns, by their widths, that fit into so many characters of a line."""
    shown: list[str] = []
    for name, width in widths.items():
        room -= width + 2
        if room < 0:
            break
        shown.append(name)
    return shown


def _prefix() -> str:
    from supremix_reports import CONFIG_PREFIX

    return CONFIG_PREFIX


def hyperparameters_table(config: Mapping[str, Any]) -> Table:
    """All hyperparameters of one trial, a line each."""
    return _pairs((name, format_value(value)) for name, value in config.items())


def files_table(run: UPath, files: Mapping[str, str] = FILES) -> Table:
    """Those of `files` that a run folder holds, and what each is for."""
    return _pairs(
        (name, why.format(run=run)) for name, why in files.items() if (run / name).exists()
    )


def _pairs(pairs: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, value)
    return table


def errors_text(result: Result, unit: str) -> str:
    """The error of the best hyperparameters, the defaults against them, and their convergence."""
    best = result.best
    counts = f"{best.interval.n} images of {best.interval.groups} groups"
    first = f"error of the best hyperparameters: {best.error:.4g} {unit} ({best.basis}; {counts})"
    tested = () if result.test is not None else ("test error: not measured",)
    return "\n".join(filter(None, (first, *tested, best.against_defaults, best.convergence)))
