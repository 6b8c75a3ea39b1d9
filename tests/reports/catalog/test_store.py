"""A folder of runs, asked as one: the answers are polars' own, and nothing else is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from benchmark_folder import write_cell
from pyarrow import parquet
from store_writers import check_written, write_at_once

from supremix_reports import Catalog, QueryError, collect, results, to_pandas, write_table
from supremix_reports.catalog.collection import TABLES


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets with two methods each."""
    folder = tmp_path_factory.mktemp("made") / "runs"
    for dataset in ("brains", "hearts"):
        for method in ("l1", "rnc"):
            name = f"{dataset}-{method}"
            write_cell(
                folder / name, dataset=dataset, method=method, seeds=2, patients=6, cohort=True
            )
    return folder


def test_results_are_the_collected_table(runs: Path) -> None:
    found = collect(str(runs))

    for table in TABLES:
        assert results(str(runs), table).collect().equals(found.table(table).collect())


def test_a_condition_and_columns_are_those_of_polars(runs: Path) -> None:
    chosen = results(
        str(runs), "trials", "dataset = 'hearts' AND error < 8", ["run", "error * 2 AS twice"]
    )

    rows = collect(str(runs)).trials.filter(pl.col("dataset") == "hearts", pl.col("error") < 8)
    expected = rows.select("run", (2 * pl.col("error")).alias("twice")).collect()
    assert chosen.collect().equals(expected)
    assert chosen.collect_schema() == expected.schema
    assert 0 < expected.height < 16


def test_results_go_on_lazily(runs: Path) -> None:
    chosen = results(str(runs), "trials", "state = 'finished'")

    whole = chosen.collect()
    assert chosen.head(3).collect().equals(whole.head(3))
    part = chosen.filter(pl.col("trial") > 4).select("trial", "run")
    assert part.collect().equals(whole.filter(pl.col("trial") > 4).select("trial", "run"))
    limited = chosen.filter(pl.col("trial") > 4).head(2)
    assert limited.collect().equals(whole.filter(pl.col("trial") > 4).head(2))
    assert to_pandas(chosen)["trial"].tolist() == whole["trial"].to_list()


def test_a_query_joins_tables_and_reads_settings(runs: Path) -> None:
    with Catalog(collect(str(runs))) as store:
        answer = store.sql(
            "SELECT t.dataset, count(*) AS n, min(CAST(t.config->>'lr' AS DOUBLE)) AS lr "
            "FROM trials t JOIN runs r ON t.run = r.run WHERE r.method = 'l1' "
            "GROUP BY t.dataset ORDER BY t.dataset"
        )
        trials = store.select("trials", "method = 'l1'")

    lr = pl.col("config").str.json_path_match("$.lr").cast(pl.Float64)
    least = trials.group_by("dataset").agg(pl.len().alias("n"), lr.min().alias("lr"))
    # DuckDB and polars read a number's last digit from text each in their own way.
    assert answer.drop("lr").rows() == least.sort("dataset").drop("lr").rows()
    assert answer["lr"].to_list() == pytest.approx(least.sort("dataset")["lr"].to_list())


def test_files_of_different_age_are_one_table(runs: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(runs, tmp_path / "runs"))
    old = store / "brains-rnc" / "trials.parquet"
    parquet.write_table(parquet.read_table(old).drop_columns(["replicate_of", "mae"]), old)

    young, mixed = collect(str(runs)), collect(str(store))

    # DuckDB reads the files itself where all have all columns, else what polars makes of them.
    assert {"trials", "curves"} <= set(young.files)
    assert "trials" not in mixed.files
    with Catalog(young) as first, Catalog(mixed) as second:
        left, right = first.select("trials"), second.select("trials")
    assert left.equals(young.trials.collect())
    assert right.equals(mixed.trials.collect())
    assert right["mae"].null_count() == 8
    assert left.drop("mae").equals(right.drop("mae"))


def test_runs_and_problems_can_be_asked(runs: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(runs, tmp_path / "runs"))
    (store / "brains-l1" / "mae.parquet").write_bytes(b"damaged")

    names = results(str(store), "runs", columns=["run", "dataset", "started"]).collect()
    problems = results(str(store), "problems", "what = 'mae.parquet'").collect()

    assert names.rows()[0] == ("brains-l1", "brains", "2026-01-31T12:00:00+00:00")
    assert names.height == 4
    assert problems["run"].to_list() == ["brains-l1"]
    assert "damaged" in problems["reason"].item()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nothing FROM trials", 'column "nothing" not found'),
        ("SELECT * FROM nowhere", "nowhere does not exist"),
        ("SELEC 1", "syntax error"),
        ("SELECT CAST(run AS INTEGER) FROM trials", "Could not convert string"),
        ("", "one SELECT.*Found none"),
        ("SELECT 1; SELECT 2", "one SELECT.*Found SELECT, SELECT"),
        ("DROP VIEW trials", "one SELECT; the store is read, never changed. Found DROP"),
        ("CREATE TABLE x AS SELECT 1", "Found CREATE"),
        ("SET enable_external_access = true", "Found"),
        ("PRAGMA database_list", "Found PRAGMA"),
    ],
)
def test_what_is_no_answerable_question_is_refused(runs: Path, query: str, message: str) -> None:
    with Catalog(collect(str(runs))) as store, pytest.raises(QueryError, match=message):
        store.sql(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_parquet('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('{file}')",
        "SELECT * FROM secret",
        "COPY trials TO '{file}'",
        "EXPLAIN ANALYZE COPY trials TO '{file}'",
        "ATTACH '{file}' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
    ],
)
def test_nothing_but_the_tables_can_be_read_or_written(
    runs: Path, tmp_path: Path, query: str
) -> None:
    file = tmp_path / "file.parquet"
    file.write_bytes((runs / "brains-l1" / "trials.parquet").read_bytes())
    secret = pl.DataFrame({"word": ["secret"]})  # a variable of the program is no table either
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    with Catalog(collect(str(runs))) as store, pytest.raises(QueryError):
        store.sql(query.format(file=file))

    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert secret.height == 1


@pytest.mark.parametrize(
    ("table", "where", "columns", "message"),
    [
        ("trails", None, None, "no table 'trails'. Tables: trials, curves"),
        ("trials", "datset = 'brains'", None, 'column "datset" not found'),
        ("trials", None, ["eror"], 'column "eror" not found'),
        ("trials", "error <", None, "syntax error"),
        ("trials", "1 = 1); DROP VIEW trials; --", None, "syntax error"),
    ],
)
def test_a_wrong_name_or_condition_is_refused_at_once(
    runs: Path, table: str, where: str | None, columns: list[str] | None, message: str
) -> None:
    with pytest.raises(QueryError, match=message):
        results(str(runs), table, where, columns)


def test_the_patients_of_runs_can_be_asked_for(tmp_path: Path) -> None:
    for name, n in (("a", 3), ("b", 5)):
        write_cell(tmp_path / name, seeds=1, patients=6, cohort=True)
        row = {"run": name, "dataset": "brains", "split": "test", "kind": "label", "name": "age"}
        write_table(str(tmp_path / name), "cohort", [{**row, "n": n, "groups": n}])
    found = results(str(tmp_path), "cohort", "kind = 'label'", ["run", "n"]).collect()
    assert found.rows() == [("a", 3), ("b", 5)]


def test_two_writers_and_a_reader_at_once_lose_nothing(runs: Path, tmp_path: Path) -> None:
    source = runs / "brains-l1"

    found = write_at_once(str(tmp_path), source)

    assert found == sorted(found)
    check_written(str(tmp_path), source)
