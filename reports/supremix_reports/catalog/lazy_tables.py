"""The same table of many runs as one lazy frame, read when it is asked for.

A look reads the end of a file alone, where Parquet keeps the schema, the number of rows and the
least and greatest value of each column. Files on this machine's disks that fit the schema are
scanned by polars; those at remote addresses, and those
with columns of another type, are read one by one when the frame is collected, and cast then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, cast

import polars as pl
from polars.io.plugins import register_io_source
from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]

from supremix_reports.errors import TableError
from supremix_reports.tables import schema, storage
from supremix_reports.tables.schema import pa
from supremix_reports.tables.tables import check_version, conformed, read_file, table_address

# pyarrow carries no type information, and what polars takes of it has none either.
_parquet = cast("Any", parquet)
_from_arrow = cast("Callable[[Any], pl.DataFrame]", pl.from_arrow)  # pyright: ignore[reportUnknownMemberType]
_empty_table = cast("Callable[[Any], Any]", lambda fields: fields.empty_table())

PATH: Final = "_file"
"""Column that says which file a row is from, where it is asked for."""

_AT_ONCE: Final = 8
"""Remote files that are fetched at the same time."""


@dataclass(frozen=True, slots=True)
class Source:
    """A table of one run, which fits the schema or can be made to.

    Args:
        address: of the file.
        table: its name in `schema.SCHEMAS`.
        size: bytes of the file.
        rows: how many.
        plain: whether polars can scan it as it is.
        complete: whether it has every column of the schema as well.
        constants: of the columns run, dataset and method those that have one value in all rows.
    """

    address: str
    table: str
    size: int
    rows: int
    plain: bool
    complete: bool
    constants: Mapping[str, str]


def look(folder: str, table: str, size: int) -> Source:
    """Look at the end of a table's file.

    Args:
        folder: path or fsspec address of the run folder.
        table: a name of `schema.SCHEMAS`.
        size: bytes of the file.

    Returns:
        What is known of it without reading its rows.

    Raises:
        TableError: when it cannot be read, or is no Parquet file.
        SchemaError: when it does not fit the schema, or is of a version that is not known.
    """
    address = table_address(folder, table)
    try:
        with storage.open_read(address) as file:
            footer = _parquet.read_metadata(file)
    except (pa.ArrowException, OSError) as error:
        raise TableError(damage(error, address)) from error
    found, expected = footer.schema.to_arrow_schema(), schema.SCHEMAS[table]
    check_version(found.metadata, address)
    same = _fits(found, expected)
    if not same:
        conformed(_empty_table(found), expected, address)
    plain = same and storage.is_local(address)
    return Source(
        address=address,
        table=table,
        size=size,
        rows=footer.num_rows,
        plain=plain,
        complete=plain and set(expected.names) <= set(found.names),
        constants=_constants(footer),
    )


def scan(
    table: str,
    sources: Sequence[Source],
    names: Mapping[str, str] | None = None,
    *,
    paths: bool = False,
) -> pl.LazyFrame:
    """Return a table of many runs, to be read when the frame is collected.

    Args:
        table: a name of `schema.SCHEMAS`.
        sources: where it lies; none for an empty frame.
        names: by address of a file the name that its rows are to have as `run`; files that are
            not in there keep theirs.
        paths: whether to add the column `PATH`.

    Returns:
        The rows, source by source, with the columns of the schema in its order.
    """
    parts = [
        _scan_plain(table, list(some)) if plain else _scan_others(table, list(some))
        for plain, some in groupby(sources, key=lambda source: source.plain)
    ]
    frame = pl.concat(parts or [_scan_others(table, [])])
    if names:
        known = {address: names[address] for address in sorted(names)}
        run = pl.col(PATH).replace_strict(known, default=pl.col(schema.RUN), return_dtype=pl.String)
        frame = frame.with_columns(run.alias(schema.RUN))
    return frame if paths else frame.drop(PATH)


def damage(error: BaseException, address: str) -> str:
    """Say that a file cannot be read, without where on a disk it lies."""
    name = address.rsplit("/", 1)[-1]
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    text = text.replace(address, name).replace(address.rpartition("/")[0], "…")
    return f"{name!r} cannot be read as Parquet: it is damaged or half written ({text})."


def frame_schema(table: str) -> dict[str, pl.DataType]:
    """Return the columns of a table with their types as polars has them."""
    return dict(_from_arrow(_empty_table(schema.SCHEMAS[table])).schema)


def _fits(found: Any, expected: Any) -> bool:
    """Whether the columns are those of the schema, of exactly its types, but for null ones."""
    types = dict(zip(found.names, found.types, strict=True))
    return all(
        types[field.name] == field.type if field.name in types else field.nullable
        for field in expected
    )


def _constants(footer: Any) -> dict[str, str]:
    """Of the columns that say where rows come from, those with one value in all of them."""
    names = enumerate(footer.schema.names)
    own = {n: index for index, n in names if n in (schema.RUN, schema.DATASET, schema.METHOD)}
    values = {name: _only_value(footer, index) for name, index in own.items()}
    return {name: value for name, value in values.items() if value is not None}


def _only_value(footer: Any, column: int) -> str | None:
    """The value of which the file says that it is the least and the greatest; None for several."""
    values: set[str] = set()
    for group in range(footer.num_row_groups):
        statistics = footer.row_group(group).column(column).statistics
        if statistics is None or not statistics.has_min_max:
            return None
        values |= {str(statistics.min), str(statistics.max)}
    return values.pop() if len(values) == 1 else None


def _scan_plain(table: str, sources: Sequence[Source]) -> pl.LazyFrame:
    columns = frame_schema(table)
    frame = pl.scan_parquet(
        [storage.local_path(source.address) for source in sources],
        schema=columns,
        glob=False,
        missing_columns="insert",
        extra_columns="ignore",
        include_file_paths=PATH,
    )
    return frame.select(*columns, PATH)


def _scan_others(table: str, sources: Sequence[Source]) -> pl.LazyFrame:
    """One by one, those at remote addresses a few at the same time."""

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for start in range(0, len(sources), _AT_ONCE):
                for frame in pool.map(
                    lambda source: narrowed(read_source(source), columns, predicate),
                    sources[start : start + _AT_ONCE],
                ):
                    yield frame.head(frame.height if rows is None else rows)
                    rows = None if rows is None else rows - frame.height
                    if rows is not None and rows <= 0:
                        return

    return register_io_source(read, schema={**frame_schema(table), PATH: pl.String()})


def read_source(source: Source) -> pl.DataFrame:
    """Read one file whole, with the column `PATH`.

    Raises:
        TableError, SchemaError: as `supremix_reports.read_table` does.
    """
    frame = read_file(source.address, source.table)
    return frame.with_columns(pl.lit(source.address).alias(PATH))


def narrowed(
    frame: pl.DataFrame, columns: list[str] | None, predicate: pl.Expr | None
) -> pl.DataFrame:
    """Return the columns of the rows that polars asks a source for."""
    chosen = frame if predicate is None else frame.filter(predicate)
    return chosen if columns is None else chosen.select(columns)
