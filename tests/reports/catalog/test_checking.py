"""What is said of trials and predictions from which no error follows, or one that means little."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from benchmark_folder import write_cell, write_json
from pyarrow import parquet

from supremix_reports import Collection, collect, read_table, write_table


def told(found: Collection) -> dict[str, str]:
    return {problem.what: problem.reason for problem in found.problems}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cell(tmp_path_factory.mktemp("made") / "cell", seeds=3, patients=12)


@pytest.fixture
def cell(pristine: Path, tmp_path: Path) -> Path:
    """A search with three seeds: a copy to be damaged."""
    return Path(shutil.copytree(pristine, tmp_path / "cell"))


def keep(cell: Path, rows: pl.Expr) -> Path:
    """Keep only some of the predictions."""
    own = read_table(str(cell), "predictions").filter(rows)
    write_table(str(cell), "predictions", own.to_dicts())
    return cell


def change(cell: Path, table: str, **columns: pl.Expr) -> None:
    """Rewrite a table with other values, NaN as it is: as another program might have."""
    file = cell / f"{table}.parquet"
    old = parquet.read_table(file)
    changed = read_table(str(cell), table).with_columns(**columns).to_arrow().cast(old.schema)
    parquet.write_table(pa.Table.from_arrays(changed.columns, schema=old.schema), file)


def on(split: str, value: pl.Expr, seed: int | None = None) -> pl.Expr:
    where = pl.col("split") == split
    where = where if seed is None else where & (pl.col("seed") == seed)
    return pl.when(where).then(value).otherwise(pl.col("prediction"))


def test_three_seeds_of_whole_numbers_are_no_problem(cell: Path) -> None:
    assert collect(str(cell)).problems == ()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_prediction_that_is_no_number_takes_its_split_out(cell: Path, value: float) -> None:
    first = (pl.col("id") == "image-0-test-000-0") & (pl.col("seed") == 1)
    odd = pl.when(first).then(value).otherwise(pl.col("prediction"))
    change(cell, "predictions", prediction=odd)
    before = read_table(str(cell), "predictions")

    found = collect(str(cell))

    (what,) = told(found)
    assert what == "predictions, test"
    count = before.filter(pl.col("split") == "test").height
    assert told(found)[what].startswith(f"1 of {count} rows have a target or prediction")
    left = found.predictions.collect()
    assert left.equals(before.filter(pl.col("split") == "val"))


def test_a_null_prediction_is_told_as_well(cell: Path) -> None:
    file = cell / "predictions.parquet"
    old = parquet.read_table(file)
    index = old.schema.get_field_index("prediction")
    values = [None, *old["prediction"].to_pylist()[1:]]
    field = old.schema.field(index).with_nullable(True)
    parquet.write_table(old.set_column(index, field, [values]), file)

    found = collect(str(cell))

    assert "1 of" in told(found)["predictions, val"]
    assert set(found.predictions.collect()["split"]) == {"test"}


def test_equal_predictions_stay_and_are_told_with_their_seeds(cell: Path) -> None:
    change(cell, "predictions", prediction=on("test", pl.lit(50.0), seed=1))

    found = collect(str(cell))

    assert list(told(found)) == ["predictions, test"]
    assert told(found)["predictions, test"].startswith("All predictions are equal (seed 1): ")
    assert found.predictions.collect().equals(read_table(str(cell), "predictions"))


def test_one_seed_is_told(cell: Path) -> None:
    found = collect(str(keep(cell, pl.col("seed") == 0)))

    assert list(told(found)) == ["seeds"]
    assert told(found)["seeds"].startswith("One seed only: ")


def test_seeds_that_a_benchmark_lacks_are_told(tmp_path: Path, pristine: Path) -> None:
    index = {"datasets": ["brains"], "methods": ["l1"], "test_seeds": 3}
    write_json(tmp_path / "bench" / "benchmark.json", index)
    keep(shutil.copytree(pristine, tmp_path / "bench" / "brains" / "l1"), pl.col("seed") < 2)

    found = collect(str(tmp_path))

    assert told(found) == {"seeds": "2 of the 3 seeds of the benchmark are there: 0, 1."}


def test_other_samples_for_another_seed_are_told(cell: Path) -> None:
    last = (
        (pl.col("seed") == 2) & (pl.col("split") == "test") & (pl.col("group").str.ends_with("9"))
    )
    keep(cell, ~last)

    assert "different samples" in told(collect(str(cell)))["predictions, test"]


def test_a_sample_twice_is_told(cell: Path) -> None:
    rows = read_table(str(cell), "predictions").to_dicts()
    write_table(str(cell), "predictions", [*rows, rows[0]])

    assert "more than once" in told(collect(str(cell)))["predictions, val"]


def test_a_search_that_was_not_judged_is_told(cell: Path) -> None:
    keep(cell, pl.col("split") == "val")

    assert "no predictions on the test split" in told(collect(str(cell)))["predictions"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"state": pl.lit("failed"), "error": pl.lit(None)}, "All 8 trials failed"),
        ({"error": pl.lit(float("nan"))}, "8 of 8 trials have an error that is no finite number"),
        ({"error": pl.lit(None)}, "6 of 8 trials were finished but have no error"),
    ],
)
def test_trials_without_an_error_are_told(cell: Path, columns: dict[str, Any], words: str) -> None:
    change(cell, "trials", **columns)

    found = collect(str(cell))

    assert words in told(found)["trials"]
    assert found.trials.collect().height == 8


def test_without_predictions_they_are_neither_read_nor_checked(cell: Path) -> None:
    (cell / "predictions.parquet").write_bytes(b"damaged")

    found = collect(str(cell), predictions=False)

    assert found.problems == ()
    assert found.predictions.collect().height == 0
    assert found.mae.collect().height > 0
