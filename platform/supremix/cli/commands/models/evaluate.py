"""`supremix evaluate`: measure a trained model on a labelled dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from supremix.cli.commands.models.predict import (
    Batch,
    CorrectBias,
    Device,
    Ensemble,
    Interval,
    IntervalKind,
    Quiet,
    Workers,
    chosen_device,
)
from supremix.cli.parsing.completion import RunOrModel, complete_datasets
from supremix.cli.views.progress import Display, ProgressConsole
from supremix.cli.views.search import (
    errors_table,
    print_plain,
    print_whole,
    show_skill,
)

if TYPE_CHECKING:
    from supremix import Evaluation


def evaluate(
    model: RunOrModel,
    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_datasets,
            help="Name of the dataset, `table` for your own; see supremix datasets.",
        ),
    ],
    source: Annotated[
        str,
        typer.Option(metavar="FOLDER", help="Its folder or table, on disk or at any address."),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="Where it goes; by default evaluations/NAME in the run folder."
        ),
    ] = None,
    ids: Annotated[
        bool,
        typer.Option("--ids", help="Name images on the pages; by default none is named there."),
    ] = False,
    interval: Interval = None,
    interval_method: IntervalKind = "split",
    correct_bias: CorrectBias = None,
    ensemble: Ensemble = False,
    batch: Batch = 16,
    workers: Workers = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Measure a trained model on a labelled dataset, such as the patients of another hospital.

    Writes predictions, errors with their intervals next to those of models without an image, the
    calibration, errors by site, sex and age, and how the cohort differs from the training data,
    with a warning where it lies outside of it.

    \b
    Examples:
      supremix evaluate runs/brains --dataset ixi --source path/to/ixi
      supremix evaluate runs/brains --dataset table --source other-hospital --out external
    """
    import supremix
    from supremix.progress.progress import Steps

    with Display(ProgressConsole(), f"evaluating {model} on {dataset}", quiet=quiet) as display:
        found = supremix.evaluate(
            model,
            dataset,
            source,
            out,
            interval=interval,
            interval_method=interval_method,
            correct_bias=correct_bias,
            batch=batch,
            workers=workers,
            device=chosen_device(device),
            ensemble=ensemble,
            ids=ids,
            progress=Steps("predicting images", display),
        )
    show_evaluation(found, Console())


def show_evaluation(found: Evaluation, console: Console) -> None:
    """Show the errors, the calibration, what must not be overlooked, and where everything is."""
    from supremix_reports import CALIBRATION, TRAP, interval_text, interval_words

    print_whole(console, errors_table(found.mae, found.unit))
    words: list[str] = []
    for row in found.mae.filter(found.mae["metric"].is_in(list(CALIBRATION))).to_dicts():
        name = row["metric"]
        ends = {name: row["value"], f"{name}_low": row["low"], f"{name}_high": row["high"]}
        words.append(f"{CALIBRATION[name]} {interval_text(ends, name)}")
    print_plain(console, f"\n{'; '.join(words)}")
    show_skill(console, found.mae)
    if found.intervals is not None:
        for row in found.intervals.to_dicts():
            print_plain(console, f"\n{interval_words(row)}")
    if found.bias is not None:
        before, after = found.bias.to_dicts()
        print_plain(
            console,
            f"\nbias correction by {after['correction']}: MAE {before['mae']:.4g} uncorrected, "
            f"{after['mae']:.4g} corrected ({found.unit}); slope of the bias "
            f"{before['bias_slope']:+.2f} and {after['bias_slope']:+.2f}",
        )
        if after["correction"] == "beheshti":
            console.print(Text(f"\nwarning: {TRAP}", style="bold yellow"), soft_wrap=True)
    for warning in found.warnings:
        console.print(Text(f"\nwarning: {warning}", style="bold yellow"), soft_wrap=True)
    if found.excluded.height:
        print_plain(console, f"\nexcluded: {found.excluded.height} images, see excluded.parquet")
    print_plain(console, f"\neverything is in {found.path}: report.html, summary.md, tables")
