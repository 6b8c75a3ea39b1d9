"""`supremix datasets`: what can be searched on; `supremix phantom`: synthetic images of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from supremix.cli.parsing.completion import complete_datasets
from supremix.cli.views.progress import Display, ProgressConsole
from supremix.cli.views.search import print_plain

if TYPE_CHECKING:
    from supremix_datasets import Card


def datasets(
    name: Annotated[
        str | None,
        typer.Argument(
            autocompletion=complete_datasets,
            help="Show this dataset's card in full.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Folder or table of your own images: shows the card that `table` makes of it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the datasets known by name, or show one dataset's card.

    \b
    Examples:
      supremix datasets
      supremix datasets hc18
      supremix datasets table --source path/to/folder
    """
    import supremix
    from supremix_datasets import get

    console = Console()
    if name is None and source is None:
        console.print(_overview(supremix.datasets()))
        return
    dataset = get(name or "table")
    if source is not None and dataset.locate is None:
        raise typer.BadParameter(
            f"the card of {name} is the same for every folder; leave it out.",
            param_hint="--source",
        )
    console.print(_facts(dataset.at(source).card))


def _overview(cards: list[Card]) -> Table:
    from supremix_datasets import get, names

    heads = ("name", "what", "modality", "target", "prepared images", "phantom")
    table = Table(*heads, box=None, pad_edge=False)
    for card in cards:
        shape = " x ".join(map(str, card.shape))
        phantom = card.name in names() and get(card.name).phantom is not None
        target = f"{card.target} ({card.unit})"
        table.add_row(
            card.name, card.title, card.modality, target, shape, "yes" if phantom else "no"
        )
    return table


def _facts(card: Card) -> Table:
    """Every fact of a card, a line each."""
    table = Table.grid(padding=(0, 2))
    for key, value in card.to_dict().items():
        table.add_row(key.replace("_", " "), _plain(value))
    return table


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    return str(value)


def phantom(
    dataset: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_datasets,
            help="Name of a dataset with phantoms; see `supremix datasets`.",
        ),
    ],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="A new or an empty folder.")],
    n: Annotated[
        int | None,
        typer.Option("--n", min=1, help="How many; by default the dataset's own number."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and number, same files.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result.")] = False,
) -> None:
    """Write phantoms, synthetic images with known labels, in a dataset's official layout.

    A search without --source generates its own and keeps them in the cache; these are for viewing,
    for trying commands, and as an example of the official folder.

    \b
    Examples:
      supremix phantom ukb-t1 --out phantoms --n 64
      supremix check ukb-t1 --source phantoms
    """
    import supremix

    with Display(ProgressConsole(), f"phantoms of {dataset}", quiet=quiet) as display:
        written = supremix.phantom(dataset, out, n=n, seed=seed, progress=display)
    print_plain(Console(), f"{written} phantoms of {dataset} in {out}")
