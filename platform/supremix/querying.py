"""The tables of all runs in a folder or bucket, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import supremix_reports
from supremix.training.files import Address, place
from supremix.training.persistence import explained
from supremix_reports import Store, collect, write_atomic

if TYPE_CHECKING:
    import polars as pl


def results(
    store: Address | Sequence[Address] = "runs",
    table: str = "mae",
    where: str | None = None,
    columns: Sequence[str] | None = None,
) -> pl.LazyFrame:
    """Return one table of all runs at some addresses.

    Args:
        store: A run, the folder of several, or a folder or bucket with any number of them, at most
            four deep, on disk or at any fsspec address; or several of these.
        table: ``"trials"``, ``"curves"``, ``"predictions"``, ``"measures"``, ``"mae"``, or
            ``"runs"`` (which runs there are) or ``"problems"`` (what is wrong with any of them).
        where: A condition in DuckDB's SQL, such as ``"dataset = 'hc18' AND metric = 'mae'"``; None
            for all rows.
        columns: Names of columns, or expressions of DuckDB's SQL; None for all columns.

    Returns:
        The rows, read when the frame is collected. What cannot be used of a run is not among them,
        but in the table "problems".

    Raises:
        QueryError: There is no such table, or the condition or a column is not understood.
        TableError: There is nothing at an address.
        RunFolderError: An address is out of reach.
    """
    addresses = addresses_of(store)
    with explained(", ".join(addresses)):
        return supremix_reports.results(addresses, table, where, columns)


def addresses_of(store: Address | Sequence[Address]) -> list[str]:
    """One address, or several, as texts: local ones absolute.

    Raises:
        RunFolderError: Nothing here can open such an address.
    """
    if isinstance(store, Sequence) and not isinstance(store, str):
        return [str(place(address)) for address in store]
    return [str(place(store))]


def open_store(store: Address | Sequence[Address]) -> Store:
    """Collect all runs at some addresses, to be asked in SQL; close it after use.

    Args:
        store: As for `results`.

    Raises:
        TableError: There is nothing at an address.
        RunFolderError: An address is out of reach.
    """
    addresses = addresses_of(store)
    with explained(", ".join(addresses)):
        return Store(collect(addresses))


def write_file(address: Address, content: bytes) -> None:
    """Write a file whole, at any address.

    Raises:
        RunFolderError: The place is out of reach, or refuses.
    """
    with explained(str(address)):
        write_atomic(str(place(address)), content)
