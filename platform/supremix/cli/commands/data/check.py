"""`supremix check`: checks the folder of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from supremix.cli.parsing.dispatch import request_values
from supremix.cli.parsing.signature import takes_options_of
from supremix.cli.views.copies import show_copies
from supremix.cli.views.progress import Display, ProgressConsole
from supremix.cli.views.search import print_plain
from supremix.search.request.option import CHECK

if TYPE_CHECKING:
    from supremix_datasets import CheckReport

BAR = 40
"""Width of the longest bar of the histogram."""

MOST = 12
"""Lines that one list takes at most."""


@takes_options_of(CHECK)
def check(**given: Any) -> None:
    """Check that a folder is what the dataset's reader expects, and show some of its images.

    Counts images, labels, patients and splits, draws the histogram of the labels, lists what is
    missing, duplicated or damaged, and writes a contact sheet of each split. Nothing is written
    into the folder. Ends with code 1 where the folder cannot be used.

    \b
    Examples:
      supremix check hc18 --source path/to/hc18
      supremix check hc18 --source path/to/hc18 --full --out sheets
    """
    import supremix
    from supremix_datasets import CardError, LabelTableError, SourceError

    title = f"checking {given['dataset']}"
    try:
        with Display(ProgressConsole(), title, quiet=given["quiet"]) as display:
            report = supremix.check(**request_values(given), progress=display)
    except (SourceError, LabelTableError, CardError) as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]not usable[/]: {escape(str(error))}")
        raise typer.Exit(1) from error
    show_report(report, Console())
    if not report.usable:
        raise typer.Exit(1)


def show_report(report: CheckReport, console: Console) -> None:
    """Show the report of a check."""
    from supremix_datasets.copies import describe_copies

    card = report.card
    print_plain(console, f"{card.title}: {report.source}")
    print_plain(
        console,
        f"{report.images} of {report.listed} images usable, of {report.groups} patients (groups); "
        f"{report.decoded} decoded{'' if report.full else ' (--full decodes all)'}",
    )
    if report.splits:
        console.print(_splits(report))
    if report.label_counts:
        console.print(_histogram(report))
    for text in _facts(report):
        print_plain(console, text)
    if report.problems:
        console.print(_problems(report))
    if report.copies:
        show_copies(describe_copies(report.copies), console)
    for split in report.splits:
        if split.sheet is not None:
            print_plain(console, f"contact sheet of {split.name}: {split.sheet}")
    for fault in report.faults:
        console.print(f"[bold red]not usable[/]: {escape(fault)}", soft_wrap=True, highlight=False)
    if report.usable:
        looked = "every image was decoded" if report.full else "a few images were decoded"
        console.print(f"[bold green]usable[/], {looked}", highlight=False)


def _splits(report: CheckReport) -> Table:
    unit = report.card.unit
    table = Table("split", "images", "patients", f"lowest ({unit})", "median", "highest", box=None)
    for split in report.splits:
        name = f"{split.name} (official)" if split.official else split.name
        labels = (f"{value:.4g}" for value in (split.low, split.median, split.high))
        table.add_row(name, str(split.images), str(split.groups), *labels)
    return table


def _histogram(report: CheckReport) -> Table:
    table = Table.grid(padding=(0, 2))
    most, edges = max(report.label_counts), report.label_edges
    for count, low, high in zip(report.label_counts, edges, edges[1:], strict=False):
        bar = "█" * round(count / most * BAR) or ("▏" if count else "")
        table.add_row(f"{low:.4g} to {high:.4g} {report.card.unit}", f"[cyan]{bar}[/] {count}")
    return table


def _facts(report: CheckReport) -> list[str]:
    lines: list[str] = []
    for covariate in report.covariates:
        extent = "no value"
        if covariate.words:
            extent = ", ".join(f"{word} ({count})" for word, count in covariate.words.items())
        elif covariate.low is not None and covariate.high is not None:
            extent = f"{covariate.low:.4g} to {covariate.high:.4g}"
        lines.append(
            f"covariate {covariate.name}: {extent}, known of {covariate.known} of "
            f"{covariate.images} images"
        )
    for what, counts in (("sites", report.sites), ("sizes of the files", report.sizes)):
        if counts:
            shown = [f"{name} ({count})" for name, count in list(counts.items())[:MOST]]
            more = f" and {len(counts) - MOST} more" if len(counts) > MOST else ""
            lines.append(f"{what}: {', '.join(shown)}{more}")
    if report.unused:
        lines.append(f"other files in the folder, not used: {report.unused}")
    return [*lines, *(f"warning: {warning}" for warning in report.warnings)]


def _problems(report: CheckReport) -> Table:
    table = Table("images", "why", "for instance", title=f"{report.excluded} excluded", box=None)
    for problem in report.problems[:MOST]:
        table.add_row(str(problem.count), escape(problem.reason), escape(problem.example))
    rest = report.problems[MOST:]
    if rest:
        left = sum(problem.count for problem in rest)
        table.add_row(str(left), f"{len(rest)} other reasons; supremix prepare lists all", "")
    return table
