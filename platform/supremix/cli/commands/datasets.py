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
) -> None:
    """List the datasets known by name, or show one dataset's card.

    \b
    Examples:
      supremix datasets
      supremix datasets hc18
    """
    import supremix

    cards = supremix.datasets()
    console = Console()
    if name is None:
        console.print(_overview(cards))
        return
    chosen = {card.name: card for card in cards}
    if name not in chosen:
        from supremix.errors import UnknownNameError

        raise UnknownNameError("dataset", name, chosen)
    console.print(_facts(chosen[name]))


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
