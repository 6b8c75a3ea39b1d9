"""`supremix prepare`: decode a dataset once, ahead of the searches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from supremix.cli.parsing import options
from supremix.cli.views.progress import Display

if TYPE_CHECKING:
    from supremix_datasets import Store


def prepare(
    dataset: Annotated[
        str,
        typer.Option(
            help="Name of the dataset; see `supremix datasets`.", rich_help_panel=options.DATA
        ),
    ],
    source: options.Source = None,
    shape: options.Shape = None,
    cache: options.Cache = None,
    stores: options.Stores = None,
    address: options.Address = None,
    quiet: options.Quiet = False,
) -> None:
    """Decode a dataset once into a memory-mapped store, and report the files that are excluded.

    A search does this by itself; preparing ahead shows what is wrong with the files before any
    training. The second time it finds the store and does nothing.

    \b
    Examples:
      supremix prepare --dataset ukb-t1
      supremix prepare --dataset hc18 --source path/to/hc18
    """
    import supremix

    with Display(Console(stderr=True), f"preparing {dataset}", quiet=quiet) as display:
        store = supremix.prepare(
            dataset,
            source,
            cache=cache,
            stores=stores,
            shape=options.read_shape(shape),
            address=address,
            progress=display,
        )
    show_store(store, Console())


def show_store(store: Store, console: Console) -> None:
    """Say what a store holds and what was left out of it, and why.

    Args:
        store: As prepared.
        console: Where to say it.
    """
    card = store.card
    console.print(
        f"{card.title}: {len(store)} samples of {store.index['group'].n_unique()} groups, "
        f"images {' x '.join(map(str, card.shape))}, "
        f"{card.target} {store.targets.min():.4g} to {store.targets.max():.4g} {card.unit}",
        highlight=False,
        soft_wrap=True,
    )
    if store.quarantine.height:
        table = Table("file", "why", title=f"{store.quarantine.height} excluded", box=None)
        for row in store.quarantine.iter_rows(named=True):
            table.add_row(str(row["id"]), str(row["reason"]))
        console.print(table)
    console.print(f"store: {store.path}", highlight=False, soft_wrap=True)
