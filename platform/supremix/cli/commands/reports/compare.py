"""`supremix compare`: what runs differ in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from supremix.cli.commands.reports.report import Paths, Runs, Split, show_problems
from supremix.cli.views.search import line_table

if TYPE_CHECKING:
    from supremix_reports.document.parts import Table as Content
    from supremix_reports.report.differences import Differences

FORMATS = ("table", "md", "json")
_WIDTH = 120


def _read_format(text: str) -> str:
    """The value of `--format`, checked."""
    if text not in FORMATS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(FORMATS)}.")
    return text


def compare(
    runs: Runs,
    split: Split = None,
    output: Annotated[
        str,
        typer.Option(
            "--format",
            parser=_read_format,
            metavar="table|md|json",
            help="How it is shown: as tables, as Markdown, or as JSON for scripts.",
        ),
    ] = "table",
    paths: Paths = False,
) -> None:
    """Show what runs differ in: the request, versions, best hyperparameters and errors.

    Errors are compared with those of the first run on the same dataset, patient by patient, where
    both were measured on the same samples. No difference of single seeds is called significant.

    \b
    Examples:
      supremix compare runs/first runs/second
      supremix compare runs/bench --format md > differences.md
    """
    import supremix
    from supremix_reports.document.text import section_markdown

    found = supremix.compare(*runs, split=split, paths=paths)
    if output == "json":
        typer.echo(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    elif output == "md":
        typer.echo("\n\n".join(section_markdown(section) for section in found.sections()))
    else:
        console = Console()
        # A file or a pipe has no width of its own that tables would have to keep to.
        _show(found, console if console.is_terminal else Console(width=_WIDTH))


def _show(found: Differences, console: Console) -> None:
    from supremix_reports.document.parts import Paragraph
    from supremix_reports.document.parts import Table as Content

    for section in found.sections():
        for part in section.parts:
            if isinstance(part, Content):
                console.print(Text(f"\n{part.caption}", style="bold"), soft_wrap=True)
                console.print(_table(part))
                if part.note:
                    console.print(Text(part.note), soft_wrap=True)
            elif isinstance(part, Paragraph) and section.key != "problems":
                text = part.text if part.tone == "warning" else part.text.lower()
                console.print(Text(f"\n{section.title}: {text}"), soft_wrap=True)
    if found.problems:
        console.print()
    show_problems(found.problems, console)


def _table(content: Content) -> Table:
    table = line_table()
    for column in content.columns:
        justify = "right" if column.number else "left"
        table.add_column(column.name, justify=justify, overflow="fold", no_wrap=column.number)
    for row in content.rows:
        table.add_row(*(Text(f"{cell.text}\n{cell.detail}".strip()) for cell in row))
    return table
