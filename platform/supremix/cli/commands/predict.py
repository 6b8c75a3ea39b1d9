"""`supremix predict`: use the model that a search left behind."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from supremix.cli.parsing.values import parse_assignment

if TYPE_CHECKING:
    from supremix.training import TrainedModel


def predict(
    model: Annotated[
        str, typer.Argument(metavar="RUN_OR_MODEL", help="A run folder, or a model's folder.")
    ],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE...", help="Image files; without any, what the model expects is shown."
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
            "more. Holds for all the images.",
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the predictions to this CSV file as well."),
    ] = None,
) -> None:
    """Predict from image files with the model of a run folder.

    \b
    Examples:
      supremix predict runs/hc18-supremix image.png --pixel-size 0.14
      supremix predict runs/brains scans/*.nii.gz --with sex=female --table ages.csv
      supremix predict runs/brains
    """
    import supremix
    from supremix.storage.retry import storage_errors

    given = _covariates(covariates or [], pixel_size)
    trained = supremix.load(model)
    if not images:
        _show_expected(trained)
        return
    if table is not None:
        with storage_errors(str(table)):
            table.open("a", encoding="utf-8").close()  # found out before the predictions
    predictions, failures = _predict_each(trained, images, given)
    if predictions:
        shown = Table("image", f"prediction ({trained.card.unit})", box=None, pad_edge=False)
        for image, value in predictions.items():
            shown.add_row(image, f"{value:.2f}")
        Console().print(shown)
    if table is not None:
        rows = [(image, value, trained.card.unit) for image, value in predictions.items()]
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("image", "prediction", "unit"), *rows])
    for image, reason in failures.items():
        Console(stderr=True).print(f"{image}: {reason}", style="red", soft_wrap=True)
    if failures:
        raise typer.Exit(1)


def _show_expected(trained: TrainedModel) -> None:
    card = trained.card
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"{card.target} ({card.unit}) from images of {card.name}: {card.modality}")
    for name, values in trained.expected.items():
        console.print(f"  --with {name}=…  {values}")


def _covariates(assignments: list[str], pixel_size: float | None) -> dict[str, float | str]:
    try:
        given: dict[str, float | str] = dict(parse_assignment(text) for text in assignments)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--with") from None
    return given if pixel_size is None else {**given, "pixel_size": pixel_size}


def _predict_each(
    trained: TrainedModel, images: list[str], covariates: dict[str, float | str]
) -> tuple[dict[str, float], dict[str, str]]:
    """One file at a time: a broken one is named and does not cost the others their prediction."""
    from supremix.errors import DatasetError

    predictions: dict[str, float] = {}
    failures: dict[str, str] = {}
    for image in images:
        try:
            predictions[image] = float(trained.predict(image, **covariates))
        except DatasetError as error:
            failures[image] = str(error)
    return predictions, failures
