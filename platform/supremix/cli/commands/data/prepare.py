"""`supremix prepare`: decode a dataset once, before the searches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from supremix.cli.parsing.dispatch import request_values
from supremix.cli.parsing.signature import takes_options_of
from supremix.cli.views.copies import show_copies
from supremix.cli.views.progress import Display, ProgressConsole
from supremix.cli.views.search import print_plain
from supremix.search.request.option import PREPARE

if TYPE_CHECKING:
    from supremix_datasets import Store


@takes_options_of(PREPARE)
def prepare(**given: Any) -> None:
    """Decode a dataset once into a memory-mapped store, and report the files that are excluded.

    A search does this by itself; preparing before shows what is wrong with the files before any
    training. The second time it finds the store and does nothing.

    \b
    Examples:
      supremix prepare --dataset ukb-t1
      supremix prepare --dataset hc18 --source path/to/hc18
    """
    import supremix

    title = f"preparing {given['dataset']}"
    with Display(ProgressConsole(), title, quiet=given["quiet"]) as display:
        store = supremix.prepare(**request_values(given), progress=display)
    show_store(store, Console())


def show_store(store: Store, console: Console) -> None:
    """Show what a store holds, and which files were excluded and why."""
    card = store.card
    print_plain(
        console,
        f"{card.title}: {len(store)} samples of {store.index['group'].n_unique()} groups, "
        f"images {' x '.join(map(str, card.shape))}, "
        f"{card.target} {store.targets.min():.4g} to {store.targets.max():.4g} {card.unit}",
    )
    if store.copies:
        show_copies(store.describe_copies(), console)
    if store.quarantine.height:
        table = Table("file", "reason", title=f"{store.quarantine.height} excluded", box=None)
        for row in store.quarantine.iter_rows(named=True):
            table.add_row(str(row["id"]), str(row["reason"]))
        console.print(table)
    print_plain(console, f"store: {store.path}")
