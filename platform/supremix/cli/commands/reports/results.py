"""`supremix results`: the tables of many runs, asked as one."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from supremix.cli.parsing.completion import complete_from, complete_runs, find_runs
from supremix.cli.parsing.values import format_value
from supremix.cli.views.search import fitting, line_table

if TYPE_CHECKING:
    import polars as pl

    from supremix_reports import Problem

ROWS = 50
"""Rows that a table on the screen has at most."""

CELL = 40
"""Characters of a cell of a table on the screen."""

WIDE = 10_000
"""Characters of a line where no screen limits it."""

NAMED = 3
"""Runs that are named where several have the same problem."""


TABLES = ("trials", "curves", "predictions", "measures", "mae", "cohort", "runs", "problems")
"""What can be asked, those of `supremix_reports.catalog.sql`."""


class Format(StrEnum):
    """The formats in which rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def results(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN...",
            autocompletion=complete_runs,
            callback=find_runs,
            help="Runs, or folders or buckets of runs at any fsspec address; by default 'runs'.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_from(TABLES),
            help="trials, curves, predictions, measures, mae or cohort; runs, what runs there are; "
            "problems, what is wrong with any of them. By default mae.",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(metavar="CONDITION", help="Only rows where this holds, in DuckDB's SQL."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Only these columns, or expressions of SQL."),
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option(metavar="SELECT…", help="A whole query, over all the tables."),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="By default what the name of --out ends in, else a table for the screen.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the rows here, at any fsspec address."),
    ] = None,
) -> None:
    """Ask the tables of many runs as one: errors, trials, curves, predictions.

    Every run keeps its own folder; nothing has to be imported or kept up to date. What is wrong
    with any of the runs is said after the rows.

    \b
    Examples:
      supremix results --where "dataset = 'hc18' AND metric = 'mae' AND split = 'test'"
      supremix results s3://bucket/runs --table trials --where "error < 5" --out trials.csv
      supremix results --sql "SELECT method, min(error) FROM trials GROUP BY method"
      supremix results --table problems
    """
    from supremix.reports import open_catalog

    if sql is not None and (table or where or columns):
        raise typer.BadParameter(
            "a whole query names its own table, rows and columns; leave out --table, --where and "
            "--columns",
            param_hint="--sql",
        )
    chosen = _format(form, out)
    with open_catalog(runs or "runs") as catalog:
        if sql is not None:
            rows = catalog.sql(sql)
        else:
            rows = catalog.select(table or "mae", where, None if columns is None else [columns])
        _show(rows, chosen, out)
        if table != "problems":
            _warn(catalog.collection.problems)


def _format(form: Format | None, out: str | None) -> Format:
    ending = PurePosixPath(out or "").suffix.removeprefix(".")
    if form is None:
        known = {member.value for member in Format if member is not Format.TABLE}
        if out is not None and ending not in known:
            raise typer.BadParameter(
                f"{out!r} ends in none of {', '.join(sorted(known))}; name --format as well",
                param_hint="--out",
            )
        form = Format.TABLE if out is None else Format(ending)
    if form is Format.PARQUET and out is None:
        raise typer.BadParameter(
            "Parquet goes to a file; name it with --out", param_hint="--format"
        )
    return form


def _show(rows: pl.DataFrame, form: Format, out: str | None) -> None:
    if form is Format.TABLE and out is None:
        screen = Console()
        _show_table(rows, screen if screen.is_terminal else Console(width=WIDE))
        return
    content = _content(rows, form)
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    from supremix.reports import write_file

    write_file(out, content)
    Console(stderr=True).print(f"{rows.height} rows in {out}", soft_wrap=True)


def _content(rows: pl.DataFrame, form: Format) -> bytes:
    if form is Format.TABLE:
        text = io.StringIO()
        _show_table(rows, Console(file=text, width=WIDE))
        return text.getvalue().encode()
    _check_types(rows, form)
    buffer = io.BytesIO()
    if form is Format.CSV:
        rows.write_csv(buffer)
    elif form is Format.JSON:
        rows.write_json(buffer)
        buffer.write(b"\n")
    else:
        rows.write_parquet(buffer)
    return buffer.getvalue()


def _check_types(rows: pl.DataFrame, form: Format) -> None:
    """Refuse what a file cannot hold: lists in CSV, bytes in any text."""
    from supremix_reports import QueryError

    if form is Format.PARQUET:
        return
    odd = [
        name
        for name, kind in rows.schema.items()
        if "Binary" in str(kind) or (form is Format.CSV and kind.is_nested())
    ]
    if odd:
        raise QueryError(
            f"{form} has no room for the values of {', '.join(odd)}. Write Parquet, or turn them "
            "into texts in the query, with CAST(… AS VARCHAR)."
        )


def _show_table(rows: pl.DataFrame, console: Console) -> None:
    """As many columns as a line has room for; the others are named below."""
    cells = {name: [_cell(v) for v in rows[name].head(ROWS)] for name in rows.columns}
    widths = {name: max(len(name), *map(len, own), 1) for name, own in cells.items()}
    shown = fitting(widths, console.width + 2) or list(widths)[:1]
    table = line_table()
    for name in shown:
        number = rows.schema[name].is_numeric()
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for line in zip(*(cells[name] for name in shown), strict=True):
        table.add_row(*map(Text, line))
    console.print(table)
    hidden = ", ".join(name for name in widths if name not in shown)
    notes = {
        "no rows": not rows.height,
        f"{rows.height - ROWS} more rows: --format csv has them all": rows.height > ROWS,
        f"more columns: {hidden}": hidden,
    }
    for note in (note for note, holds in notes.items() if holds):
        console.print(Text(note, style="dim"), soft_wrap=True)


def _cell(value: object) -> str:
    text = "-" if value is None else format_value(value)
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"


def _warn(problems: Iterable[Problem]) -> None:
    """What is wrong, once for all the runs that share it; never on the way of the rows."""
    runs: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        runs.setdefault((problem.what, problem.reason), []).append(problem.run)
    console = Console(stderr=True, soft_wrap=True)
    for (what, reason), names in runs.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        text = Text(f"{', '.join(names[:NAMED])}{more}: {what}: ", style="yellow")
        console.print(text.append(reason, style="default"))
