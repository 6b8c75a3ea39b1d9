"""`supremix joint`: one encoder on several datasets at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from supremix.cli.parsing import options
from supremix.cli.parsing.options import BUDGET, DATA, MACHINE, MODEL, RUN, SPACE
from supremix.cli.parsing.values import parse_shape
from supremix.cli.views.progress import Display

if TYPE_CHECKING:
    from supremix import JointResult
    from supremix_reports import Interval

WIDTH = 110
"""Characters that a row of the result may need."""


def joint(
    datasets: Annotated[
        str,
        typer.Option(
            "--dataset",
            metavar="NAME,NAME,…",
            help="Names of the datasets, with commas between them; see `supremix datasets`.",
            rich_help_panel=DATA,
        ),
    ],
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="NAME=FOLDER",
            help="Where the images of a dataset are, on disk or at any fsspec address; by default "
            "phantoms, where it has some. Repeat for more.",
            rich_help_panel=DATA,
        ),
    ] = None,
    shapes: Annotated[
        list[str] | None,
        typer.Option(
            "--shape",
            metavar="NAME=N,N,…",
            help="Grid the images of a dataset are resampled to. Repeat for more.",
            rich_help_panel=DATA,
        ),
    ] = None,
    phantoms: Annotated[
        int | None,
        typer.Option(help="Number of phantoms to make up of each dataset.", rich_help_panel=DATA),
    ] = None,
    split_seed: Annotated[
        int,
        typer.Option(
            help="Of the splits into training, validation and test, where there is no official "
            "one.",
            rich_help_panel=DATA,
        ),
    ] = 0,
    method: Annotated[
        str, typer.Option(help="How to train; see docs/methods.md.", rich_help_panel=SPACE)
    ] = "supremix",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the method: NAME=0.1 for all datasets, DATASET.NAME=0.1 for one. "
            "Repeat for more.",
            rich_help_panel=SPACE,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Same seed and machine, same numbers.", rich_help_panel=SPACE)
    ] = 0,
    epochs: Annotated[
        int, typer.Option(help="Epochs of each training, both stages.", rich_help_panel=BUDGET)
    ] = 60,
    alone: Annotated[
        bool,
        typer.Option(
            help="Train each dataset alone as well, with the same settings and epochs.",
            rich_help_panel=BUDGET,
        ),
    ] = True,
    encoder: Annotated[
        str,
        typer.Option(help="Network, from MONAI, e.g. resnet or densenet.", rich_help_panel=MODEL),
    ] = "resnet",
    width: Annotated[
        int | None,
        typer.Option(help="Channels after the encoder's first layer.", rich_help_panel=MODEL),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            help="Encoder depth, as a multiple of the family's smallest.", rich_help_panel=MODEL
        ),
    ] = None,
    norm: Annotated[
        str | None,
        typer.Option(
            help="Normalisation of the encoder: batch, group or instance.", rich_help_panel=MODEL
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="auto, fp32, bf16 or fp16; auto is bf16 on a GPU, fp32 on a CPU.",
            rich_help_panel=MODEL,
        ),
    ] = "auto",
    workers: Annotated[
        int, typer.Option(help="Workers that share a batch.", rich_help_panel=MACHINE)
    ] = 1,
    cpus_per_worker: Annotated[
        float | None, typer.Option(help="CPUs of one worker.", rich_help_panel=MACHINE)
    ] = None,
    gpus_per_worker: Annotated[
        float | None, typer.Option(help="GPUs of one worker.", rich_help_panel=MACHINE)
    ] = None,
    address: options.Address = None,
    cache: options.Cache = None,
    stores: options.Stores = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Run folder to write, by default runs/DATASETS-joint-METHOD-TIME. The same "
            "command with the folder of an interrupted run goes on with it.",
            rich_help_panel=RUN,
        ),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Train one encoder on several datasets at once, and on each alone for comparison.

    Datasets of as many image dimensions share all of the encoder but its first layer, and that as
    well where they have as many channels. Each has a regression head of its own, and images are
    contrasted with those of the same dataset only.

    \b
    Examples:
      supremix joint --dataset ukb-t1,adni-amyloid --epochs 15
      supremix joint --dataset ukb-t1,hcp-aging --method l1 \\
          --source ukb-t1=path/to/ukb --source hcp-aging=path/to/hcp
      supremix joint --dataset ukb-t1,adni-amyloid --set lr=0.002 --set ukb-t1.window=3
    """
    import supremix

    names = [name.strip() for name in datasets.split(",")]
    if not all(names):
        raise typer.BadParameter(
            f"{datasets!r} has a comma too many; write it like ukb-t1,adni-amyloid.",
            param_hint="--dataset",
        )
    with Display(Console(stderr=True), f"{method} on {' and '.join(names)}", quiet=quiet) as show:
        result = supremix.joint(
            datasets=names,
            sources=_pairs(sources, "--source"),
            method=method,
            config=read_settings(settings or ()),
            epochs=epochs,
            seed=seed,
            alone=alone,
            encoder=encoder,
            width=width,
            depth=depth,
            norm=norm,
            shapes=_shapes(shapes),
            phantoms=phantoms,
            split_seed=split_seed,
            workers=workers,
            cpus_per_worker=cpus_per_worker,
            gpus_per_worker=gpus_per_worker,
            precision=precision,
            cache=cache,
            stores=stores,
            address=address,
            out=out,
            progress=show,
        )
    show_joint(result, Console())


def read_settings(texts: Sequence[str]) -> dict[str, Any]:
    """The settings of `--set`, by name; a value is read as for a search, and is one value.

    Raises:
        typer.BadParameter: A text says no single value.
    """
    from supremix.errors import SpaceError
    from supremix_spaces import Fixed, parse_overrides

    settings: dict[str, Any] = {}
    for text in texts:
        name, _, _ = text.partition("=")
        owner, dot, _ = name.rpartition(".")
        try:
            found = parse_overrides([text.removeprefix(owner + dot)])
        except SpaceError as error:
            raise typer.BadParameter(str(error), param_hint="--set") from None
        for parameter, value in found.items():
            if not isinstance(value, Fixed):
                raise typer.BadParameter(
                    f"{text!r} is to be searched; a joint training takes one value: NAME=0.1.",
                    param_hint="--set",
                )
            settings[f"{owner}{dot}{parameter}"] = value.value
    return settings


def _pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (equals and name and value):
            raise typer.BadParameter(
                f"{text!r} does not say of which dataset; write NAME=VALUE.", param_hint=option
            )
        pairs[name.strip()] = value.strip()
    return pairs


def _shapes(texts: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    try:
        return {name: parse_shape(text) for name, text in _pairs(texts, "--shape").items()}
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shape") from None


def show_joint(result: JointResult, console: Console) -> None:
    """Show each dataset's errors, trained jointly and alone, and where everything is."""
    head = ("dataset", "split", "joint", "alone", "joint minus alone", "unit")
    table = Table(*head, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in result.rows:
        cells = [_text(row.joint), _text(row.alone), _text(row.difference, "+")]
        table.add_row(row.dataset, row.split, *cells, row.unit)
    # A line a row, also where the terminal is narrower: numbers torn apart cannot be compared.
    console.print(table, width=max(WIDTH, console.width), crop=False)
    console.print(Text(f"\neverything is in {result.path}"), soft_wrap=True)


def _text(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return "-"
    value, low, high = (
        format(number, f"{sign}.3g") for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} ({low} to {high})"
