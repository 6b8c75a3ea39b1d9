# fastexcel carries few types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""Files of tables to their cells: text in one Unicode form, each row with its line.

A text table is UTF-8, or the encoding that its user declares, or refused: a replacement character
would make one patient of several.
"""

from __future__ import annotations

import csv
import functools
import io
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fastexcel
import polars as pl

from supremix_datasets.errors import DecodeError, LabelTableError
from supremix_datasets.sources.files import read_bytes

WORKBOOKS = (".xls", ".xlsx")
PARQUET = (".parquet", ".pq")
UTF8 = "utf-8-sig"
"""UTF-8 with or without a byte-order mark."""

SEPARATORS = {";": "semicolon", "\t": "tab", ",": "comma", "|": "vertical bar"}

Row = tuple[int, Sequence[str | None]]
"""Line of the file and cells."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The content of a table.

    Args:
        header: Names of the columns, trimmed.
        rows: Rows below the header, in the file's order, without those that are empty.
        separator: Character between the cells; empty for files that are no text.
    """

    header: list[str]
    rows: Iterator[Row]
    separator: str = ""


def read_cells(address: str, encoding: str = UTF8) -> Cells:
    """Open a table.

    Args:
        address: fsspec address of a text table, a workbook or a Parquet file.
        encoding: Encoding of a text table.

    Raises:
        LabelTableError: the file is missing, empty or no table, or its text is of another encoding.
    """
    ending = address.lower()
    read = _workbook if ending.endswith(WORKBOOKS) else _text
    if ending.endswith(PARQUET):
        read = _parquet
    try:
        return read(address, read_bytes(address), encoding)
    except DecodeError as error:
        raise LabelTableError(f"the table {address} cannot be used: {error}.") from error


def separator_hint(header: Sequence[str], separator: str) -> str:
    """What to say of a table with one column whose name holds another separator."""
    if len(header) != 1 or not separator:
        return ""
    found = max(SEPARATORS, key=header[0].count)
    if not header[0].count(found):
        return ""
    return (
        f" The separator is probably a {SEPARATORS[found]}, where a {SEPARATORS[separator]} is "
        f"expected: save the table with {SEPARATORS[separator]}s."
    )


def _text(address: str, data: bytes, encoding: str) -> Cells:
    separator = "," if address.lower().endswith(".csv") else "\t"
    rows = _lines(address, data, encoding, separator)
    line, header = next(rows, (0, []))
    if not line:
        raise LabelTableError(f"{address} cannot be read as a table: it has no header line.")
    return Cells(
        [_plain(name) or "" for name in header], _checked(address, header, rows), separator
    )


def _lines(address: str, data: bytes, encoding: str, separator: str) -> Iterator[Row]:
    """Rows that hold something, with the line on which each begins."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding=_known(encoding), newline="")
    reader = csv.reader(text, delimiter=separator, strict=True)
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield start, cells
            start = reader.line_num + 1
    except UnicodeError as error:
        raise LabelTableError(
            f"{address} is not written in {encoding.removesuffix('-sig')} (near line {start}): "
            f"{error}. Save it as UTF-8, or, for a table of your own, declare its encoding in "
            'dataset.toml, e.g. encoding = "latin-1".'
        ) from error
    except csv.Error as error:
        raise LabelTableError(
            f"{address} cannot be read as a table: line {start}: {error}. Expected a header line "
            f"and values separated by {separator!r}."
        ) from error


def _known(encoding: str) -> str:
    try:
        "".encode(encoding)
    except LookupError as error:
        raise LabelTableError(
            f"there is no encoding {encoding!r}; expected a name such as utf-8 or latin-1."
        ) from error
    return encoding


def _checked(address: str, header: Sequence[str | None], rows: Iterator[Row]) -> Iterator[Row]:
    for line, cells in rows:
        if len(cells) > len(header):
            raise LabelTableError(
                f"{address}, line {line}: the row has {len(cells)} cells, the header "
                f"{len(header)}. A decimal comma or an unquoted separator splits a cell in two: "
                "write numbers with a point, and texts with the separator in quotes."
            )
        yield line, [*map(_plain, cells), *[None] * (len(header) - len(cells))]


def _plain(cell: str | None) -> str | None:
    """Text trimmed and in one Unicode form: names that look alike are the same name."""
    return None if cell is None else unicodedata.normalize("NFC", cell).strip()


def _workbook(address: str, data: bytes, _: str) -> Cells:
    """The first sheet that is not hidden; every cell as text, whole numbers without a point."""
    try:
        book = fastexcel.read_excel(data)
        load = functools.partial(book.load_sheet, header_row=None, dtypes="string", skip_rows=0)
        sheets: Iterator[Any] = map(load, book.sheet_names)
        sheet = next((one for one in sheets if one.visible == "visible"), None)
        frame = None if sheet is None else pl.DataFrame(sheet)
    except (fastexcel.FastExcelError, pl.exceptions.PolarsError) as error:
        raise LabelTableError(
            f"{address} cannot be read as a workbook: {str(error).splitlines()[0]}. Expected an "
            "Excel file whose first visible sheet has the column names in its first row."
        ) from error
    if frame is None or not frame.height:
        raise LabelTableError(f"{address} has no visible sheet with anything in it.")
    rows: Iterator[Row] = ((n, r) for n, r in enumerate(frame.iter_rows(), start=1) if any(r))
    header = next(rows)[1]
    width = max(k + 1 for k, title in enumerate(header) if title)
    return Cells(
        [_plain(name) or "" for name in header[:width]],
        _checked(address, header[:width], (_cut(row, width) for row in rows)),
    )


def _cut(row: Row, width: int) -> Row:
    """A row of a sheet without the empty cells beyond the header."""
    line, cells = row
    last = max((k + 1 for k, cell in enumerate(cells) if cell), default=0)
    return line, cells[: max(width, last)]


def _parquet(address: str, data: bytes, _: str) -> Cells:
    try:
        # a boolean reads true or false
        frame = pl.read_parquet(io.BytesIO(data)).select(pl.all().cast(pl.String))
    except pl.exceptions.PolarsError as error:
        raise LabelTableError(
            f"{address} cannot be read as Parquet: {str(error).splitlines()[0]}. Expected columns "
            "of text and numbers."
        ) from error
    rows = ((n, row) for n, row in enumerate(frame.iter_rows(), start=2) if any(row))
    return Cells(frame.columns, _checked(address, frame.columns, rows))
