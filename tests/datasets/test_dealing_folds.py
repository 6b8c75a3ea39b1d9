"""Folds: each patient is tested once, folds are alike, and a dataset's own folds are kept."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from patient_tables import table

from supremix_datasets import Fold, SplitError, TooFewSamplesError, assign, fold_of_samples


def folds(
    index: pl.DataFrame, count: int = 5, *, by_site: bool = False, seed: int = 0
) -> pl.Series:
    fold = Fold(number=0, count=count, by_site=by_site)
    return pl.Series(fold_of_samples(index, fold, seed=seed))


@pytest.mark.parametrize("count", [2, 5, 10])
def test_every_image_is_tested_once_and_no_patient_is_in_two_splits(count: int) -> None:
    index = table()
    splits = [assign(index, fold=Fold(number=n, count=count)) for n in range(count)]

    assert (np.sum([split == "test" for split in splits], axis=0) == 1).all()
    for split in splits:
        parts = index.with_columns(split=split).group_by("group").agg(pl.col("split").n_unique())
        assert parts["split"].max() == 1
        assert (split == "val").sum() / (split != "test").sum() == pytest.approx(0.25, abs=0.02)
        assert (split == "test").mean() == pytest.approx(1 / count, abs=0.02)


def test_folds_are_stratified_by_label() -> None:
    index = table(600)

    def spread(fold: np.ndarray) -> float:
        means = (
            index.with_columns(fold=pl.Series(fold)).group_by("fold").agg(pl.col("target").mean())
        )
        return float(np.ptp(means["target"].to_numpy()))

    found = folds(index).to_numpy()
    by_chance = [spread(np.random.default_rng(seed).permutation(found)) for seed in range(20)]
    assert spread(found) < min(3, np.median(by_chance))


def test_folds_are_stratified_by_site_where_asked() -> None:
    rng = np.random.default_rng(0)
    index = pl.DataFrame({
        "group": [f"{n:03d}" for n in range(200)],
        "target": rng.normal(size=200),
        "site": rng.choice(["a", "b", "c"], 200, p=[0.7, 0.2, 0.1]),
    })  # fmt: skip
    counts = (
        index.with_columns(fold=folds(index, by_site=True)).group_by("site", "fold").len()["len"]
    )
    spread = (
        index.with_columns(fold=folds(index, by_site=True))
        .group_by("site", "fold")
        .len()
        .group_by("site")
        .agg(pl.col("len").max() - pl.col("len").min())
    )
    assert len(counts) == 15
    assert spread["len"].max() <= 1
    with pytest.raises(SplitError, match="no image has one"):
        folds(index.with_columns(site=pl.lit(None, dtype=pl.String)), by_site=True)


def test_folds_follow_from_names_labels_and_seed_alone() -> None:
    index = table()
    order = np.random.default_rng(1).permutation(index.height)
    np.testing.assert_array_equal(folds(index).to_numpy()[order], folds(index[order]).to_numpy())
    assert (folds(index, seed=3) != folds(index, seed=4)).mean() > 0.5


def test_official_splits_do_not_count() -> None:
    index = table()
    official = index.with_columns(split=pl.lit("train"))
    fold = Fold(number=1, count=4)
    np.testing.assert_array_equal(assign(index, fold=fold), assign(official, fold=fold))


def test_copies_stay_in_one_fold_and_split() -> None:
    pairs = np.arange(60) // 2
    index = pl.DataFrame({
        "group": [f"{n:02d}" for n in range(60)],
        "target": np.arange(60.0),
        "image_hash": [str(pair) for pair in pairs],
    })  # fmt: skip
    split = assign(index, fold=Fold(number=0, count=3), keep_copies_together=True)
    assert (split[::2] == split[1::2]).all()
    apart = assign(index, fold=Fold(number=0, count=3))
    assert not (apart[::2] == apart[1::2]).all()


def own(words: list[str | None]) -> pl.DataFrame:
    names = [f"p{n}" for n in range(len(words))]
    return pl.DataFrame({"group": names, "target": np.arange(len(words)) * 1.0, "fold": words})


def test_the_folds_of_a_table_are_taken_in_the_order_of_their_numbers() -> None:
    words = ["fold 10", "fold 2", "fold 1"] * 4
    assert folds(own([*words]), 3).to_list() == [2, 1, 0] * 4
    split = assign(own([*words]), fold=Fold(number=2, count=3))
    assert (split == "test").tolist() == [True, False, False] * 4


@pytest.mark.parametrize(
    ("index", "count", "named"),
    [
        (own(["a", None, "b", None]), 2, "empty for 2 of 4 images"),
        (own(["a", "b", "c", "a"]), 2, r"3 folds \(a, b, c\), but 2 .* --folds 3"),
        (own(["a", "b"]).with_columns(group=pl.lit("p")), 2, "several folds of the table.*'p'"),
    ],
)
def test_folds_of_a_table_that_cannot_be_used(index: pl.DataFrame, count: int, named: str) -> None:
    with pytest.raises(SplitError, match=named):
        folds(index, count)


def test_more_folds_than_patients_are_refused() -> None:
    index = table(30)
    patients = index["group"].n_unique()
    assert sorted(set(folds(index, patients))) == list(range(patients))
    with pytest.raises(TooFewSamplesError, match=f"found {patients}"):
        folds(index, patients + 1)
    with pytest.raises(TooFewSamplesError, match="without fold 0 of 2 there are 1 groups"):
        assign(own([None, None]).drop("fold"), fold=Fold(number=0, count=2))
    with pytest.raises(SplitError, match="at least 2 folds"):
        Fold(number=0, count=1)
