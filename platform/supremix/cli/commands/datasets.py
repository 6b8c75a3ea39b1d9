"""`supremix datasets`: what can be searched on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from supremix_datasets import Card


def datasets(
    name: Annotated[
        str | None, typer.Argument(help="Show this dataset's card in full.", show_default=False)
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
