"""`supremix predict`: use the model that a search left behind."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from supremix.cli.commands.models.explain import show_explanations
from supremix.cli.parsing.completion import RunOrModel
from supremix.cli.parsing.values import parse_assignment
from supremix.cli.views.progress import Display, ProgressConsole
from supremix.cli.views.search import print_plain
from supremix_reports.statistics.conformal.choices import BiasCorrection, IntervalMethod

if TYPE_CHECKING:
    import polars as pl

    from supremix.training import TrainedModel

SHOWN = 20
"""Images without a prediction that are shown at most; the table has all."""

Device = Annotated[
    str | None,
    typer.Option(help="Where to compute: cpu or cuda; by default cuda where there is a GPU."),
]
Batch = Annotated[
    int, typer.Option(metavar="N", min=1, help="Images of a forward pass; fewer take less memory.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Threads that decode images; by default one for each CPU, at most 8.",
    ),
]
Interval = Annotated[
    float | None,
    typer.Option(
        metavar="LEVEL",
        help="Give each image an interval that covers with this probability, such as 0.9, in the "
        "columns `lower` and `upper`; see docs/predict.md for what it guarantees.",
    ),
]
IntervalKind = Annotated[
    IntervalMethod,
    typer.Option(
        help="split: as wide for all images; normalised: in proportion to the spread of an "
        "ensemble's networks, where these are the ones that were calibrated; mondrian: calibrated "
        "by the region of labels that the prediction is in.",
    ),
]
CorrectBias = Annotated[
    BiasCorrection | None,
    typer.Option(
        help="Correct predictions that are drawn towards the mean, in the column "
        "`corrected_prediction`: cole inverts the line of the prediction on the label; beheshti "
        "takes the true label and so is for evaluate alone. The uncorrected ones stay.",
    ),
]
Ensemble = Annotated[
    bool,
    typer.Option(
        "--ensemble",
        help="Take the mean of the networks of all test seeds, in place of the first one.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result.")]


def predict(
    model: RunOrModel,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOLDER|TABLE|IMAGE...",
            help="A folder of images, a table (csv, tsv, xlsx, parquet) with a row an image, or "
            "image files; without any, what the model expects is shown.",
        ),
    ] = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(metavar="MM", help="Short for --with pixel_size=MM.", show_default=False),
    ] = None,
    covariates: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME=VALUE",
            help="A covariate that the model needs, a number or a word of its dataset; repeat for "
            "more. Holds for all images of whose row a table has none.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write the predictions here, as .csv or .parquet, at any fsspec address.",
        ),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="grad-cam|occlusion",
            help="Draw instead which parts of each image its prediction comes from; without any "
            "image, of the best, median and worst case of the run's test split.",
        ),
    ] = None,
    maps: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="With --explain: where the maps go; by default explanations/METHOD in the run "
            "folder.",
        ),
    ] = None,
    interval: Interval = None,
    interval_method: IntervalKind = "split",
    correct_bias: CorrectBias = None,
    ensemble: Ensemble = False,
    batch: Batch = 16,
    workers: Workers = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Predict images with the model of a run folder.

    Each image gets a prediction, and a flag where it is unlike the training images. Ends with code
    1 where an image has no prediction; the others have theirs.

    \b
    Examples:
      supremix predict runs/hc18-supremix image.png --pixel-size 0.14
      supremix predict runs/brains scans --with sex=female --out predictions.csv
      supremix predict runs/brains new/patients.xlsx --out predictions.parquet --interval 0.9
      supremix predict runs/brains scans --out predictions.csv --ensemble
      supremix predict runs/brains
      supremix predict runs/brains --explain occlusion
    """
    import supremix
    from supremix.progress.progress import Steps
    from supremix.reports import write_file

    given = _covariates(covariates or [], pixel_size)
    if explain is not None:
        if interval is not None or correct_bias is not None:
            raise typer.BadParameter(
                "no predictions are made with --explain; leave out --interval and --correct-bias",
                param_hint="--explain",
            )
        failed = show_explanations(
            model, images, explain, maps, given, ensemble=ensemble, quiet=quiet
        )
        show_problems(failed)
        raise typer.Exit(1 if failed else 0)
    trained = supremix.load(model, device=chosen_device(device), ensemble=ensemble)
    if not images:
        _show_expected(trained)
        return
    if out is not None:
        check_target(out)
    with Display(ProgressConsole(), f"predicting with {model}", quiet=quiet) as display:
        steps = Steps("predicting images", display)
        table = trained.predict_table(
            images,
            given,
            interval=interval,
            interval_method=interval_method,
            correct_bias=correct_bias,
            batch=batch,
            workers=workers,
            progress=steps,
        )
    if out is None:
        _show_predictions(table, trained.card.unit, interval)
    else:
        write_file(out, _content(table, out))
    failed = _show_summary(table, out, bool(out) and not quiet)
    if failed:
        raise typer.Exit(1)


def chosen_device(device: str | None) -> str:
    """The device that is named; by default a GPU where there is one."""
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def check_target(out: str) -> None:
    """Find out before the work whether a file of predictions can be written."""
    from supremix.storage.paths import is_local, to_path
    from supremix.storage.retry import storage_errors

    if not out.lower().endswith((".csv", ".parquet")):
        raise typer.BadParameter(f"{out!r} ends in neither .csv nor .parquet", param_hint="--out")
    with storage_errors(out):
        path = to_path(out)
        if is_local(path):
            there = path.exists()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a", encoding="utf-8").close()
            if not there:
                path.unlink()


def _content(table: pl.DataFrame, out: str) -> bytes:
    buffer = io.BytesIO()
    if out.lower().endswith(".csv"):
        table.write_csv(buffer)
    else:
        table.write_parquet(buffer)
    return buffer.getvalue()


def _show_expected(trained: TrainedModel) -> None:
    card = trained.card
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"{card.target} ({card.unit}) from images of {card.name}: {card.imaging}")
    for name, values in trained.expected.items():
        console.print(f"  --with {name}=…  {values}")


def _covariates(assignments: list[str], pixel_size: float | None) -> dict[str, float | str]:
    try:
        given: dict[str, float | str] = dict(parse_assignment(text) for text in assignments)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--with") from None
    return given if pixel_size is None else {**given, "pixel_size": pixel_size}


def _show_predictions(table: pl.DataFrame, unit: str, level: float | None) -> None:
    corrected, spread = (name in table.columns for name in ("corrected_prediction", "spread"))
    shown = Table("image", f"prediction ({unit})", box=None, pad_edge=False)
    if spread:
        shown.add_column("spread")
    if level is not None:
        shown.add_column(f"{level:.4g} interval")
    if corrected:
        shown.add_column("corrected")
    shown.add_column("")
    for row in table.iter_rows(named=True):
        if row["problem"] is None:
            remarks = [
                text
                for column, text in (
                    ("out_of_distribution", "unlike the training images"),
                    ("in_training", "one of the training images"),
                )
                if row[column]
            ]
            cells = [row["file"], f"{row['prediction']:.2f}"]
            cells += [f"{row['spread']:.2f}"] if spread else []
            if level is not None:
                known = row["lower"] is not None
                cells.append(
                    f"{row['lower']:.2f} to {row['upper']:.2f}"
                    if known
                    else f"none: {row['interval_note']}"
                )
            cells += [f"{row['corrected_prediction']:.2f}"] if corrected else []
            shown.add_row(*cells, ", ".join(remarks))
    if shown.rows:
        Console().print(shown)


def _show_summary(table: pl.DataFrame, out: str | None, summed: bool) -> int:
    """Show what was predicted and what was not; returns the number of images that were not."""
    failed = table.filter(table["problem"].is_not_null())
    if summed:
        words = f"{table.height - failed.height} of {table.height} images predicted, in {out}"
        unlike, trained = (
            int(table[name].sum() or 0) for name in ("out_of_distribution", "in_training")
        )
        words += f"; {unlike} are unlike the training images" if unlike else ""
        words += f"; the model was trained on {trained} of them" if trained else ""
        print_plain(Console(stderr=True), words)
    show_problems(failed.select("file", "problem").rows())
    return failed.height


def show_problems(problems: Sequence[tuple[str, str]]) -> None:
    """Show images without a prediction, by name with the reason; of many only the first."""
    errors = Console(stderr=True)
    for image, reason in problems[:SHOWN]:
        errors.print(f"{image}: {reason}", style="red", soft_wrap=True, markup=False)
    if len(problems) > SHOWN:
        print_plain(errors, f"and {len(problems) - SHOWN} more without a prediction")
