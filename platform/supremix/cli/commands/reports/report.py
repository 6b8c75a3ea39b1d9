"""`supremix report`: what came of runs, for readers who were not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from supremix.cli.parsing.completion import complete_methods, complete_runs, find_runs
from supremix_reports.statistics.conformal.choices import BiasCorrection

if TYPE_CHECKING:
    from supremix_reports.catalog.discovery import Problem

Runs = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN…",
        autocompletion=complete_runs,
        callback=find_runs,
        help="Folders of searches, comparisons, benchmarks or searches on several datasets, or "
        "folders that hold such; on disk or at any fsspec address.",
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="test|val",
        help="Split whose errors are shown and compared; by default test, or val where every run "
        "was asked for without a test.",
    ),
]
Paths = Annotated[
    bool,
    typer.Option("--paths", help="Show paths and addresses whole, not by their last name."),
]


def report(
    runs: Runs,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Where it goes; by default 'report' in the folder of the run, and for several "
            "runs in the working directory.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            autocompletion=complete_methods,
            help="Method that the others are compared with; by default that of the benchmark "
            "(l1, else its last method, unless it was given another), else l1, else the first.",
        ),
    ] = None,
    split: Split = None,
    title: Annotated[str | None, typer.Option(help="Title of the report.")] = None,
    ids: Annotated[
        bool,
        typer.Option(
            "--ids",
            help="Name the samples with the largest errors, with exact numbers, site and sex; "
            "by default none is named, and the numbers are rounded.",
        ),
    ] = False,
    paths: Paths = False,
    with_images: Annotated[
        bool,
        typer.Option(
            "--with-images",
            help="Show the explanation maps that 'supremix predict RUN --explain' has made of the "
            "best, median and worst case: pictures of patients.",
        ),
    ] = False,
    correct_bias: Annotated[
        BiasCorrection | None,
        typer.Option(
            help="Show the errors on test after this correction of the bias towards the mean as "
            "well, fitted on validation; see docs/predict.md.",
        ),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME,…",
            help="What is written: html, md, tex, and the figures as png and pdf.",
        ),
    ] = "html,md,tex,png,pdf",
) -> None:
    """Write a report on runs: one page of HTML, Markdown, LaTeX tables, and figures.

    It has the errors with their intervals, how the methods differ and whether that is significant,
    evidence about the searches and the models, everything that is wrong with a run, and what it
    takes to repeat it all. The page needs no network and no other file.

    \b
    Examples:
      supremix report runs/hc18-supremix-20260131-120000
      supremix report runs/bench --reference l1 --out report
      supremix report runs/first runs/second --formats html,tex
    """
    import supremix
    from supremix_reports.report.files import PAGES

    written = supremix.report(
        runs,
        out,
        reference=reference,
        split=split,
        title=title,
        ids=ids,
        paths=paths,
        with_images=with_images,
        correct_bias=correct_bias,
        formats=[word.strip() for word in formats.split(",") if word.strip()],
    )
    console = Console()
    show_problems(written.problems, console)
    pages = [name for name in written.files if name in PAGES.values()]
    others = sum(name.startswith("figures/") for name in written.files)
    listed = ", ".join([*pages, f"{others} figures"] if others else pages)
    console.print(Text(f"the report is in {written.path}: {listed}"), soft_wrap=True)


def show_problems(problems: tuple[Problem, ...], console: Console) -> None:
    """Show what is wrong with runs, and then the remarks on them, a line each."""
    for problem in sorted(problems, key=lambda one: one.remark):
        kind, style = ("remark", "dim") if problem.remark else ("problem", "bold yellow")
        line = Text(f"{kind}: ", style=style)
        line.append(f"{problem.run}, {problem.what}: {problem.reason}", style="not bold default")
        console.print(line, soft_wrap=True)
