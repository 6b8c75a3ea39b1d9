"""`supremix export`: hand a trained model on."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from supremix.cli.commands.models.predict import Ensemble
from supremix.cli.parsing.completion import RunOrModel
from supremix.cli.views.search import print_plain


def export(
    model: RunOrModel,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="onnx|bundle|torch",
            help="A graph of ONNX (pip install 'supremix\\[export]'), a MONAI bundle, or weights "
            "with a program of torch.export.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(metavar="FOLDER", help="A new folder, on disk or at any fsspec address."),
    ],
    licence: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Terms under which the model is given away."),
    ] = None,
    intended_use: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What the model is meant for; by default research, and no clinical use.",
        ),
    ] = None,
    authors: Annotated[str | None, typer.Option(metavar="TEXT", help="Who made it.")] = None,
    ensemble: Ensemble = False,
) -> None:
    """Export a trained model for other software, with a model card made from its run.

    The export is compared with the model on images of the run's data, and refused where one
    prediction differs by more than 0.0001 standard deviations of the labels.

    \b
    Examples:
      supremix export runs/brains --format onnx --out brains-onnx
      supremix export runs/brains --format bundle --out brains-bundle --licence CC-BY-4.0
    """
    import supremix

    given = {"licence": licence, "intended_use": intended_use, "authors": authors}
    words = {name: text for name, text in given.items() if text is not None}
    found = supremix.export(model, out, format=form, ensemble=ensemble, **words)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    print_plain(console, f"checked {found.facts()['checked']}")
    print_plain(console, f"the model is in {found.path}: {', '.join(found.files)}")
