"""Tables of labels: read as text (ids keep their zeros), checked, and turned into numbers.

The ending names the separator: ``.csv`` has commas, every other text tabs. Of a workbook
(``.xls``, ``.xlsx``) the first sheet is read. Parquet (``.parquet``, ``.pq``) becomes text as well.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import fastexcel
import polars as pl

from supremix_datasets.errors import DecodeError, LabelTableError
from supremix_datasets.sources.files import read_bytes

WORKBOOKS = (".xls", ".xlsx")
PARQUET = (".parquet", ".pq")
MISSING = frozenset({"", "na", "nan", "n/a", "null", "none", "."})


def header(address: str) -> list[str]:
    """Column names of a CSV or tab-separated file.

    Raises:
        LabelTableError: the file is missing, empty or no table.
    """
    return _read(address, columns=None, rows=0).columns


def read_columns(address: str, columns: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Some columns of a table as trimmed text; what counts as missing is null.

    Args:
        address: fsspec address of a ``.csv``, ``.tsv``, ``.tab``, ``.txt``, ``.xls``, ``.xlsx``
            or ``.parquet`` file.
        columns: New name to the names it may have in the file, the best first. A new name that
            ends in ``?`` may be absent and is then a column of nulls.

    Raises:
        LabelTableError: a column is absent, or the file is no table.
    """
    present = header(address)
    chosen: dict[str, str] = {}
    for new, names in columns.items():
        match = next((name for name in names if name in present), None)
        if match is None and not new.endswith("?"):
            raise LabelTableError(
                f"the table {address} has no column {' or '.join(map(repr, names))}. "
                f"Its columns are {_shown(present)}. Export the table with that column, "
                "or rename the one that holds it."
            )
        if match is not None:
            chosen[new.rstrip("?")] = match
    frame = _read(address, columns=list(dict.fromkeys(chosen.values())))
    text = {new: pl.col(old).str.strip_chars() for new, old in chosen.items()}
    frame = frame.select(**{new: _without_missing(column) for new, column in text.items()})
    absent = [new.rstrip("?") for new in columns if new.rstrip("?") not in chosen]
    return frame.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in absent)


def _without_missing(column: pl.Expr) -> pl.Expr:
    missing = column.str.to_lowercase().is_in(sorted(MISSING))
    return pl.when(missing).then(None).otherwise(column)


def to_number(value: str | None) -> float | None:
    """A number written as text; None where there is none.

    Raises:
        ValueError: there is something, but it is not a number.
    """
    return None if value is None else float(value)


def check_numbers(
    frame: pl.DataFrame, column: str, shown_as: str, address: str, *, first_line: int = 2
) -> None:
    """Make sure that a column of text holds numbers or nothing.

    Args:
        frame: Table whose cells are text.
        column: Column of the frame.
        shown_as: Name of the column in the file.
        address: Address of the file, for the message.
        first_line: Line of the file that the first row stands on.

    Raises:
        LabelTableError: some values are not numbers; the message lists the first few.
    """
    bad: list[str] = []
    for line, value in enumerate(frame[column].to_list(), start=first_line):
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
            if known[column] is None:
                known[column] = value
            elif value is not None and value != known[column]:
                doubtful.add(name)
    return rows, frozenset(doubtful)


def _read(address: str, columns: list[str] | None, rows: int | None = None) -> pl.DataFrame:
    if address.lower().endswith(WORKBOOKS):
        return _read_workbook(address, columns, rows)
    if address.lower().endswith(PARQUET):
        return _read_parquet(address, columns, rows)
    separator = "," if address.lower().endswith(".csv") else "\t"
    try:
        return pl.read_csv(
            io.BytesIO(read_bytes(address)),
            columns=columns,
            n_rows=rows,
            separator=separator,
            infer_schema=False,
            encoding="utf8-lossy",
        )
    except DecodeError as error:
        raise LabelTableError(f"the table {address} cannot be used: {error}.") from error
    except (pl.exceptions.PolarsError, UnicodeError) as error:
        raise LabelTableError(
            f"{address} cannot be read as a table: {error}. Expected a header line and values "
            f"separated by {separator!r}."
        ) from error


def _read_workbook(address: str, columns: list[str] | None, rows: int | None) -> pl.DataFrame:
    try:
        book = fastexcel.read_excel(read_bytes(address))
        # every cell as text, like the other tables; whole numbers then read 12, not 12.0
        sheet: Any = book.load_sheet(0, dtypes="string", n_rows=rows, use_columns=columns)
        frame = pl.DataFrame(sheet)
    except DecodeError as error:
        raise LabelTableError(f"the table {address} cannot be used: {error}.") from error
    except (fastexcel.FastExcelError, pl.exceptions.PolarsError) as error:
        raise LabelTableError(
            f"{address} cannot be read as a workbook: {str(error).splitlines()[0]}. Expected an "
            "Excel file whose first sheet has the column names in its first row."
        ) from error
    return frame


def _read_parquet(address: str, columns: list[str] | None, rows: int | None) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(io.BytesIO(read_bytes(address)), columns=columns, n_rows=rows)
        # every cell as text, like the other tables; a boolean reads true or false
        return frame.select(pl.all().cast(pl.String))
    except DecodeError as error:
        raise LabelTableError(f"the table {address} cannot be used: {error}.") from error
    except pl.exceptions.PolarsError as error:
        raise LabelTableError(
            f"{address} cannot be read as Parquet: {str(error).splitlines()[0]}. Expected columns "
            "of text and numbers."
        ) from error


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(map(repr, names[:8])) + more
