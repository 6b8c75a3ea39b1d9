"""Tables of labels: columns by name, as text (ids keep their zeros), checked and made numbers.

The ending names the kind: ``.csv`` has commas, every other text tabs. Of a workbook (``.xls``,
``.xlsx``) the first visible sheet is read. Parquet (``.parquet``, ``.pq``) becomes text as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import polars as pl

from supremix_datasets.errors import LabelTableError
from supremix_datasets.sources.cells import UTF8, Cells, read_cells, separator_hint
from supremix_datasets.sources.numbers import to_number

LINE = "line of the file"
"""Column of the line on which a row stands."""

MISSING = frozenset({"", "na", "nan", "n/a", "null", "none", "."})


def header(address: str, encoding: str = UTF8) -> list[str]:
    """Column names of a table.

    Raises:
        LabelTableError: the file is missing, empty or no table.
    """
    return read_cells(address, encoding).header


def _export(_: str) -> str:
    return "Export the table with that column, or rename the one that holds it."


def read_columns(
    address: str,
    columns: Mapping[str, Sequence[str]],
    *,
    encoding: str = UTF8,
    remedy: Callable[[str], str] = _export,
) -> pl.DataFrame:
    """Some columns of a table as trimmed text; what counts as missing is null.

    Args:
        address: fsspec address of a ``.csv``, ``.tsv``, ``.tab``, ``.txt``, ``.xls``, ``.xlsx``
            or ``.parquet`` file.
        columns: New name to the names it may have in the file, the best first. A new name that
            ends in ``?`` may be absent and is then a column of nulls.
        encoding: Encoding of a text table.
        remedy: Gives, for the new name of a column that is absent, what to do about it.

    Returns:
        The columns by their new names, and :data:`LINE`, the line of each row in the file. Rows
        in which the whole file is empty are left out.

    Raises:
        LabelTableError: a column is absent or stands twice, a row has more cells than the header,
            or the file is no table.
    """
    return select_columns(read_cells(address, encoding), columns, address, remedy=remedy)


def select_columns(
    cells: Cells,
    columns: Mapping[str, Sequence[str]],
    shown_as: str,
    *,
    remedy: Callable[[str], str] = _export,
) -> pl.DataFrame:
    """Some columns of a table that was read, see :func:`read_columns`.

    Args:
        cells: The table.
        columns: New name to the names it may have.
        shown_as: The table's address or name, for messages.
        remedy: Gives, for the new name of a column that is absent, what to do about it.

    Raises:
        LabelTableError: a column is absent or stands twice.
    """
    chosen: dict[str, int] = {}
    for new, names in columns.items():
        match = next((name for name in names if name in cells.header), None)
        if match is None and not new.endswith("?"):
            raise LabelTableError(
                f"the table {shown_as} has no column {' or '.join(map(repr, names))}. "
                f"Its columns are {_shown(cells.header)}."
                f"{separator_hint(cells.header, cells.separator)} {remedy(new)}"
            )
        if match is not None and cells.header.count(match) > 1:
            raise LabelTableError(
                f"the table {shown_as} has {cells.header.count(match)} columns {match!r}, and only "
                "one can be meant. Rename or remove the others."
            )
        if match is not None:
            chosen[new.rstrip("?")] = cells.header.index(match)
    rows = [
        (line, *(row[k] if is_known(row[k]) else None for k in chosen.values()))
        for line, row in cells.rows
    ]
    schema = {LINE: pl.Int64, **dict.fromkeys(chosen, pl.String)}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    absent = [new.rstrip("?") for new in columns if new.rstrip("?") not in chosen]
    return frame.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in absent)


def is_known(cell: str | None) -> bool:
    """Whether a cell holds something."""
    return cell is not None and cell.lower() not in MISSING


def lines(frame: pl.DataFrame) -> list[int]:
    """The line of the file on which each row of a table stands."""
    return frame[LINE].to_list() if LINE in frame.columns else list(range(2, frame.height + 2))


def check_numbers(frame: pl.DataFrame, column: str, shown_as: str, address: str) -> None:
    """Make sure that a column of text holds numbers or nothing.

    Args:
        frame: Table whose cells are text.
        column: Column of the frame.
        shown_as: Name of the column in the file.
        address: Address of the file, for the message.

    Raises:
        LabelTableError: some values are not numbers; the message lists the first few.
    """
    bad: list[str] = []
    for line, value in zip(lines(frame), frame[column].to_list(), strict=True):
        try:
            to_number(value)
        except ValueError:
            bad.append(f"line {line}: {value!r}")
    if bad:
        raise LabelTableError(
            f"{len(bad)} of {frame.height} values of the column {shown_as!r} in {address} are not "
            f"numbers ({'; '.join(bad[:3])}). Write them as numbers with a decimal point, or leave "
            "them empty to exclude those images."
        )


def label_problem(target: float | None, label_range: tuple[float, float], unit: str) -> str | None:
    """Why a label cannot be used, or None when it can."""
    if target is None:
        return "no label in the table"
    low, high = label_range
    if not (math.isfinite(target) and low <= target <= high):
        return f"label {target:g} is outside the possible range {low:g} to {high:g} {unit}"
    return None


def merge_rows(
    frame: pl.DataFrame, key: str
) -> tuple[dict[str, dict[str, str | None]], frozenset[str]]:
    """One row per id, and the ids whose rows contradict each other.

    Rows of one id that agree wherever both say something are one row: what one leaves open the
    other fills in. Rows that differ in any column are a contradiction that nobody here can settle.

    Args:
        frame: Table of text, as :func:`read_columns` gives it. Rows without an id are left out.
        key: Column of the ids.

    Returns:
        Id to row, and the contradictory ids (whose row is the first one).
    """
    rows: dict[str, dict[str, str | None]] = {}
    doubtful: set[str] = set()
    for row in frame.filter(pl.col(key).is_not_null()).iter_rows(named=True):
        name = str(row[key])
        known = rows.setdefault(name, dict(row))
        for column, value in row.items():
            if column == LINE:
                continue
            if known[column] is None:
                known[column] = value
            elif value is not None and value != known[column]:
                doubtful.add(name)
    return rows, frozenset(doubtful)


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(map(repr, names[:8])) + more
