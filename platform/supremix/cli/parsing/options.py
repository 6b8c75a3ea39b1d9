"""Options that several commands share, and the reading of the ones that are no plain numbers."""

from __future__ import annotations

from typing import Annotated

import typer

from supremix.cli.parsing.values import parse_duration, parse_shape

DATA, BUDGET, SPACE, MODEL, MACHINE, RUN = (
    "Data",
    "Budget",
    "Method and space of settings",
    "Model",
    "Machine",
    "Run",
)
"""Panels that the help sorts options into."""


def read_shape(text: str | None) -> tuple[int, ...] | None:
    """Read `--shape`; without it None, for the dataset card's own.

    Raises:
        typer.BadParameter: It is no shape.
    """
    try:
        return None if text is None else parse_shape(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shape") from None


def read_time(text: str) -> float:
    """Read a time such as `30m` into seconds.

    Raises:
        typer.BadParameter: It is none.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--time") from None


Source = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="The dataset's official folder, on disk or at any fsspec address (s3://…); "
        "'phantom' makes one up, and is the default where the dataset has a phantom.",
        rich_help_panel=DATA,
    ),
]
Shape = Annotated[
    str | None,  # read_shape reads it: of a tuple's type typer would make as many arguments
    typer.Option(
        metavar="N,N,…",
        help="Grid the images are resampled to; by default the dataset card's. Smaller is faster.",
        rich_help_panel=DATA,
    ),
]
Time = Annotated[
    float | None,
    typer.Option(
        parser=read_time,
        metavar="TIME",
        help="Wall time (of each method), e.g. 30m, 1h, 90s; with --trials, whichever ends first.",
        rich_help_panel=BUDGET,
    ),
]
Cache = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="Where decoded datasets are kept; by default $SUPREMIX_CACHE, else ~/.cache/supremix.",
        rich_help_panel=MACHINE,
    ),
]
Stores = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Where prepared datasets are shared between nodes (s3://bucket/stores): each node "
        "fetches one to its own cache, once. Not needed where all nodes see the same cache.",
        rich_help_panel=MACHINE,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Ray cluster, e.g. 'auto' or ray://host:10001; by default this machine alone.",
        rich_help_panel=MACHINE,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show only the result.", rich_help_panel=RUN)
]
