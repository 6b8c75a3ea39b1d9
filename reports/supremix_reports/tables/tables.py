"""Writing, reading and collecting the result tables of `schema.py`."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, cast

import numpy as np
import polars as pl
from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]

from supremix_reports.errors import SchemaError, TableError
from supremix_reports.tables import schema, storage
from supremix_reports.tables.schema import pa

# pyarrow carries no type information, and what polars takes of it has none either.
_parquet = cast("Any", parquet)
_from_arrow = cast("Callable[[Any], pl.DataFrame]", pl.from_arrow)  # pyright: ignore[reportUnknownMemberType]

_FLOATS = (float, np.float64, np.float32, np.float16)


def write_table(folder: str, name: str, rows: Sequence[Mapping[str, object]]) -> str:
    """Write a whole table, in place of an earlier one.

    Args:
        folder: path or fsspec address of the run folder; made when missing.
        name: a name of `schema.SCHEMAS`.
        rows: a mapping a row. Columns that may be null can be left out; NaN becomes null.

    Returns:
        The address of the file.

    Raises:
        SchemaError: when there is no such table, or a row does not fit its schema.
    """
    address = table_address(folder, name)
    storage.write_atomic(address, to_parquet(name, rows))
    return address


def to_parquet(name: str, rows: Sequence[Mapping[str, object]]) -> bytes:
    """Return the content of a table's Parquet file; arguments and errors as of `write_table`."""
    buffer = io.BytesIO()
    _parquet.write_table(to_arrow(name, rows), buffer, compression="zstd")
    return buffer.getvalue()


def read_table(folder: str, name: str) -> pl.DataFrame:
    """Read a table.

    Args:
        folder: path or fsspec address of the run folder.
        name: a name of `schema.SCHEMAS`.

    Returns:
        The rows, with the columns of the schema in its order.

    Raises:
        TableError: when the file is missing or is no Parquet file.
        SchemaError: when there is no such table, or the file does not fit its schema.
    """
    return read_file(table_address(folder, name), name)


def read_file(address: str, name: str) -> pl.DataFrame:
    """Read a Parquet file with the columns of the table `name`; errors as of `read_table`."""
    expected = _schema(name)
    return _from_arrow(conformed(_read_arrow(address), expected, address))


def _read_arrow(address: str) -> Any:
    """Return a Parquet file as it was written, as a pyarrow table."""
    try:
        content = storage.read_bytes(address)
    except FileNotFoundError as error:
        name = address.rpartition("/")[2].removesuffix(".parquet")
        raise TableError(
            f"There is no table {name!r} at {address!r}. Check that the folder is a run folder."
        ) from error
    try:
        # Not by arrow's dataset reader: its threads may outlive the call and let go of what Python
        # owns while the interpreter ends, which aborts the process.
        return _parquet.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(f"{address!r} is not a Parquet file: {error}") from error


def read_tables(folders: Iterable[str], name: str) -> pl.DataFrame:
    """Read the same table of several run folders, one below the other.

    Raises:
        TableError, SchemaError: as `read_table` does; also when there is no folder.
    """
    frames = [read_table(folder, name) for folder in folders]
    if not frames:
        raise TableError(f"No run folder was given to collect the table {name!r} from.")
    return pl.concat(frames)


def has_table(folder: str, name: str) -> bool:
    """Whether the folder holds the table."""
    return storage.exists(table_address(folder, name))


def table_address(folder: str, name: str) -> str:
    """Return where a table of the folder lies."""
    return storage.join(folder, f"{name}.parquet")


def config_text(config: Mapping[str, object]) -> str:
    """Return the hyperparameters of a trial as they stand in the column `config`."""
    return json.dumps(dict(config), allow_nan=False)


def read_config(number: int, text: str) -> dict[str, Any]:
    """Return the hyperparameters of a trial from the column `config`.

    Raises:
        TableError: when they are no JSON object.
    """
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise TableError(f"The hyperparameters of trial {number} are not JSON: {error}.") from error
    if not isinstance(config, dict):
        raise TableError(
            f"The hyperparameters of trial {number} are no JSON object, but {text[:40]}."
        )
    return cast("dict[str, Any]", config)


def to_arrow(name: str, rows: Sequence[Mapping[str, object]]) -> Any:
    """Return rows as a checked pyarrow table; arguments and errors as of `write_table`."""
    expected = _schema(name)
    for number, row in enumerate(rows):
        _check_names(name, number, row, expected)
    columns = [_column(name, field, rows) for field in expected]
    return pa.Table.from_arrays(columns, schema=expected)


def _schema(name: str) -> Any:
    if name not in schema.SCHEMAS:
        raise SchemaError(f"Unknown table {name!r}. Tables: {', '.join(schema.SCHEMAS)}.")
    return schema.SCHEMAS[name]


def _check_names(name: str, number: int, row: Mapping[str, object], expected: Any) -> None:
    for key in row:
        if key not in expected.names:
            close = get_close_matches(key, cast("list[str]", expected.names), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise SchemaError(
                f"Row {number} of {name!r} has a column {key!r} that the schema lacks.{hint} "
                f"Columns: {', '.join(expected.names)}."
            )


def _column(name: str, field: Any, rows: Sequence[Mapping[str, object]]) -> Any:
    values = [_null_for_nan(row.get(field.name)) for row in rows]
    if not field.nullable and None in values:
        raise SchemaError(
            f"Row {values.index(None)} of {name!r} has no {field.name!r}, which every row needs: "
            f"{field.metadata[schema.MEANING_KEY].decode()}."
        )
    strange = [value for value in values if value not in schema.STATES]
    if field.name == schema.STATE and strange:
        raise SchemaError(
            f"Row {values.index(strange[0])} has the state {strange[0]!r}; legal: "
            f"{', '.join(schema.STATES)}."
        )
    try:
        return pa.array(values, type=field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise SchemaError(
            f"Column {field.name!r} of {name!r} takes values of type {field.type}: {error}"
        ) from error


def _null_for_nan(value: object) -> object:
    number = type(value) in _FLOATS
    return None if number and math.isnan(cast("float", value)) else value


def check_version(metadata: Mapping[bytes, bytes] | None, address: str) -> None:
    """Refuse a table of another version of the schema.

    Args:
        metadata: Metadata of the file's arrow schema.
        address: Path or fsspec address of the file, for the message.

    Raises:
        SchemaError: The file says another version, or none.
    """
    found = (metadata or {}).get(schema.VERSION_KEY, b"none").decode(errors="replace")
    if found != str(schema.SCHEMA_VERSION):
        raise SchemaError(
            f"{address!r} has the schema version {found}, and this supremix reads version "
            f"{schema.SCHEMA_VERSION} alone. Read it with the supremix that wrote it."
        )


def conformed(table: Any, expected: Any, address: str) -> Any:
    """Return a pyarrow table with the columns of the schema, in its order and types.

    Nullable columns that the file lacks are null.

    Raises:
        SchemaError: when the file is of another version of the schema, a column is missing, or
            has values of another type.
    """
    check_version(table.schema.metadata, address)
    for field in expected:
        if field.name not in table.column_names and not field.nullable:
            raise SchemaError(f"{address!r} lacks the column {field.name!r}.")
    try:
        columns = [
            table[field.name].cast(field.type)
            if field.name in table.column_names
            else pa.nulls(table.num_rows, field.type)
            for field in expected
        ]
    except pa.ArrowException as error:
        raise SchemaError(f"{address!r} has values of another type: {error}") from error
    return pa.Table.from_arrays(columns, schema=expected)
