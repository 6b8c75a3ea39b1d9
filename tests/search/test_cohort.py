"""The table of a run's cohort: counts of patients, numbers as the data have them, exclusions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from supremix.search.cohort import cohort_rows
from supremix_datasets.cards.covariate import SEX, Covariate
from supremix_reports import read_table, write_table

SPLITS = np.array(["train", "train", "train", "val", "test"])
HEIGHT = Covariate(name="height", log=True)


def store(**columns: Any) -> Any:
    images = {
        "group": ["a", "a", "b", "c", "d"],
        "target": [50.0, 51.0, 70.0, 60.0, 65.0],
        "site": ["north", "north", "south", None, "north"],
        "sex as read": ["female", "female", "male", None, "male"],
        "height as read": ["1.5", "1.6", None, "1.7", "1.8"],
    } | columns  # fmt: skip
    reasons = ["no label in the table", "it is empty", "it is empty"]
    return SimpleNamespace(
        card=SimpleNamespace(name="brains", target="age", covariates=(SEX, HEIGHT)),
        index=pl.DataFrame(images, schema_overrides={"site": pl.String}),
        quarantine=pl.DataFrame({"reason": reasons}),
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The rows as they come back from a file, which has the schema's columns alone."""
    folder = str(tmp_path_factory.mktemp("run"))
    write_table(folder, "cohort", cohort_rows(store(), SPLITS, run="first"))
    return read_table(folder, "cohort")


def of(table: pl.DataFrame, kind: str, *columns: str, split: str | None = "train") -> list[Any]:
    same = pl.col("split").eq_missing(pl.lit(split, dtype=pl.String)) & (pl.col("kind") == kind)
    return table.filter(same).select(columns).rows()


def test_the_label_is_described_in_each_split_and_in_all(table: pl.DataFrame) -> None:
    (row,) = of(table, "label", "name", "n", "groups", "mean", "sd", "median", "low", "high")
    labels = [50.0, 51.0, 70.0]
    numbers = (np.mean(labels), np.std(labels, ddof=1), 51.0, 50.0, 70.0)
    assert row[:3] == ("age", 3, 2)
    assert row[3:] == pytest.approx(numbers)
    assert of(table, "label", "n", "groups", split=None) == [(5, 4)]
    assert of(table, "label", "n", "sd", split="test") == [(1, None)]


def test_a_category_is_counted_by_word_and_by_patient(table: pl.DataFrame) -> None:
    words = of(table, "covariate", "name", "category", "n", "groups", "mean")
    assert words[:2] == [("sex", "female", 2, 1, None), ("sex", "male", 1, 1, None)]
    assert of(table, "covariate", "category", "n", split="val")[0] == (None, 1)


def test_a_number_is_as_the_data_have_it_where_it_is_known(table: pl.DataFrame) -> None:
    row = of(table, "covariate", "name", "n", "groups", "mean", "low", "high")[-1]
    assert row[:3] == ("height", 2, 1)
    assert row[3:] == pytest.approx((1.55, 1.5, 1.6))


def test_sites_are_counted_where_any_is_known(table: pl.DataFrame) -> None:
    assert of(table, "site", "category", "groups") == [("north", 1), ("south", 1)]
    assert of(table, "site", "category", "groups", split=None)[-1] == (None, 1)
    bare = cohort_rows(store(site=[None] * 5), SPLITS, run="first")
    assert not any(row["kind"] == "site" for row in bare)


def test_what_was_excluded_is_counted_by_reason(table: pl.DataFrame) -> None:
    assert of(table, "excluded", "category", "n", "groups", split=None) == [
        ("it is empty", 2, None),
        ("no label in the table", 1, None),
    ]
