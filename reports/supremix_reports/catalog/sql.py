"""SQL over the tables of many runs: DuckDB reads the frames, and nothing else of the machine.

with Catalog(collect("runs")) as store:
    store.sql("SELECT dataset, min(error) FROM trials GROUP BY dataset")
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final, cast

import duckdb
import polars as pl
from polars.io.plugins import register_io_source

from supremix_reports.catalog.collection import TABLES, Collection, collect
from supremix_reports.catalog.lazy_tables import narrowed
from supremix_reports.errors import QueryError
from supremix_reports.tables import schema

RUNS: Final = "runs"
PROBLEMS: Final = "problems"
NAMES: Final = (*TABLES, RUNS, PROBLEMS)
"""What can be asked: the tables of the runs, what runs there are, and what is wrong with them."""

_SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {
    # A query names tables by their columns' meaning, never variables of the program around it.
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    # What does not fit in memory fails with a message, and leaves no file behind.
    "temp_directory": "",
}


class Catalog:
    """The tables of a collection, to be asked in SQL.

    The tables are views in a database in memory, which can read no file but those of the tables,
    open no network, load no extension and change no setting.

    Args:
        collection: what was collected.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self._connection = duckdb.connect(":memory:", config=_SETTINGS)
        for name, frame in catalog_frames(collection).items():
            if files := collection.files.get(name):
                self._view(name, list(files))
            else:
                self._connection.register(name, frame)
        allowed = [file for files in collection.files.values() for file in files]
        self._connection.execute("SET allowed_paths = $files", {"files": allowed})
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def _view(self, name: str, files: list[str]) -> None:
        """Let DuckDB read files itself: of a frame it would hold whole columns in memory."""
        columns = ", ".join(f'"{column}"' for column in schema.column_names(name))
        self._connection.read_parquet(files).project(columns).create_view(name)

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the tables; the store can be asked no more."""
        self._connection.close()

    def sql(self, query: str) -> pl.DataFrame:
        """Return the answer to a query.

        Args:
            query: one SELECT (or WITH … SELECT) in DuckDB's SQL, over the tables of `NAMES`.

        Raises:
            QueryError: when it is no such query, or DuckDB refuses it; the message is DuckDB's.
        """
        with _explained():
            statements = self._connection.extract_statements(query)
            # Nothing else may pass: EXPLAIN ANALYZE, too, does what it explains.
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise QueryError(
                    "A query is one SELECT; the store is read, never changed. Found "
                    f"{_kinds(statements)}."
                )
            return _frame(self._connection.sql(query))

    def select(
        self,
        table: str,
        where: str | None = None,
        columns: Sequence[str] | None = None,
        *,
        limit: int | None = None,
    ) -> pl.DataFrame:
        """Return rows and columns of one table.

        Args:
            table: a name of `NAMES`.
            where: a condition in DuckDB's SQL, such as ``dataset = 'hc18' AND error < 5``; None for
                all rows.
            columns: names of columns, or expressions of DuckDB's SQL; None for all columns.
            limit: the largest number of rows wanted, not negative; None for all.

        Raises:
            QueryError: when there is no such table, or DuckDB refuses the condition or a column.
        """
        with _explained():
            relation = self._connection.table(_known(table))
            relation = relation if where is None else relation.filter(where)
            relation = relation if columns is None else relation.project(", ".join(columns))
            return _frame(relation if limit is None else relation.limit(limit))


def results(
    runs: str | Sequence[str] = "runs",
    table: str = "mae",
    where: str | None = None,
    columns: Sequence[str] | None = None,
) -> pl.LazyFrame:
    """Return one table of all runs at some addresses.

    Args:
        runs: path or fsspec address of a folder of runs (or of one run), or several.
        table: "trials", "curves", "predictions", "measures", "mae", "runs" or "problems".
        where: as for `Catalog.select`.
        columns: likewise.

    Returns:
        The rows, read when the frame is collected; a condition or a column that is not understood
        is refused at once.

    Raises:
        QueryError: as of `Catalog.select`.
        TableError: when there is nothing at an address, or it is out of reach.
    """
    collection = collect(runs, predictions=table in ("predictions", PROBLEMS))
    if where is None and columns is None:
        return catalog_frames(collection)[_known(table)]
    with Catalog(collection) as opened:
        fields = opened.select(table, where, columns, limit=0).schema

    def read(
        wanted: list[str] | None, predicate: pl.Expr | None, rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        limit = rows if predicate is None else None
        with Catalog(collection) as opened:
            found = opened.select(table, where, columns, limit=limit)
        chosen = narrowed(found, wanted, predicate)
        yield chosen if rows is None else chosen.head(rows)

    return register_io_source(read, schema=fields)


def catalog_frames(collection: Collection) -> dict[str, pl.LazyFrame]:
    """Return the frames of `NAMES` by their names."""
    text = pl.String()
    columns = (schema.RUN, "kind", schema.DATASET, schema.METHOD, "address", "started")
    runs: list[tuple[Any, ...]] = []
    for run in collection.runs:
        started = (run.environment or {}).get("started")
        started = started if isinstance(started, str) else None
        runs.append((run.name, run.kind, run.dataset, run.method, run.address, started))
    problems = [asdict(problem) for problem in collection.problems]
    return {
        **{name: collection.table(name) for name in TABLES},
        RUNS: pl.LazyFrame(runs, schema=dict.fromkeys(columns, text), orient="row"),
        PROBLEMS: pl.LazyFrame(
            problems,
            schema={**dict.fromkeys(("run", "what", "reason"), text), "remark": pl.Boolean()},
        ),
    }


def _known(table: str) -> str:
    if table not in NAMES:
        raise QueryError(f"There is no table {table!r}. Tables: {', '.join(NAMES)}.")
    return table


def _kinds(statements: Sequence[Any]) -> str:
    return ", ".join(statement.type.name for statement in statements) or "none"


def _frame(relation: Any) -> pl.DataFrame:
    try:
        return cast("pl.DataFrame", relation.pl())
    except pl.exceptions.PolarsError as error:
        raise QueryError(
            f"The answer has a type that tables here do not have ({error}). Turn it into a text in "
            "the query, with CAST(… AS VARCHAR)."
        ) from error


@contextmanager
def _explained() -> Generator[None]:
    """Errors of DuckDB as our own, in its words."""
    try:
        yield
    except duckdb.Error as error:
        raise QueryError(f"The results store cannot answer: {error}") from error
