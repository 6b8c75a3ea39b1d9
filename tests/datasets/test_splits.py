from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from patient_tables import table

from supremix_datasets import SplitError, TooFewSamplesError, assign


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_in_one_split_and_shares_are_kept(seed: int) -> None:
    index = table(seed=seed)
    split = assign(index, seed=seed)
    per_group = index.with_columns(chosen=split).group_by("group").agg(pl.col("chosen").n_unique())
    assert per_group["chosen"].max() == 1
    for name, share in zip(("train", "val", "test"), (0.6, 0.2, 0.2), strict=True):
        assert (split == name).mean() == pytest.approx(share, abs=0.02)


def test_labels_are_stratified() -> None:
    index = table(600)
    target, split = index["target"].to_numpy(), assign(index)
    for name in ("val", "test"):
        gap = np.quantile(target[split == name], [0.1, 0.5, 0.9]) - np.quantile(
            target, [0.1, 0.5, 0.9]
        )
        assert np.abs(gap).max() < 6


def test_the_order_of_the_rows_does_not_matter() -> None:
    index = table()
    order = np.random.default_rng(1).permutation(index.height)
    np.testing.assert_array_equal(assign(index)[order], assign(index[order]))


def test_seeds_differ_and_repeat() -> None:
    index = table()
    np.testing.assert_array_equal(assign(index, seed=3), assign(index, seed=3))
    assert (assign(index, seed=3) != assign(index, seed=4)).mean() > 0.3


def test_the_split_of_a_seed_is_frozen() -> None:
    index = pl.DataFrame({"group": list("abcdefghij"), "target": [float(n) for n in range(10)]})
    assert "".join(name[1] for name in assign(index)) == "erarrarrer"


def test_official_splits_are_kept() -> None:
    official = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    index = pl.DataFrame(
        {"group": list("abcdefghij"), "target": np.arange(10.0), "split": official}
    )
    assert assign(index).tolist() == official


def test_a_missing_official_split_is_taken_out_of_training() -> None:
    index = table()
    official = ["test" if g < "0050" else "train" for g in index["group"]]
    split = assign(index.with_columns(split=pl.Series(official)))
    assert ((split == "test") == (np.array(official) == "test")).all()
    rest = split[split != "test"]
    assert (rest == "val").mean() == pytest.approx(0.25, abs=0.02)


def test_unassigned_images_follow_their_group() -> None:
    index = pl.DataFrame(
        {
            "group": ["a", "a", *"bcdefghijk"],
            "target": np.arange(12.0),
            "split": ["test", *[None] * 11],
        }
    )
    split = assign(index)
    assert split[:2].tolist() == ["test", "test"]
    assert set(split) == {"train", "val", "test"}


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5), (0.6, 0.2, 0.3), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1)]
)
def test_fractions_are_checked(fractions: tuple[float, ...]) -> None:
    with pytest.raises(SplitError, match="summing to 1"):
        assign(table(), fractions=fractions)


def test_a_share_of_zero_gets_nothing() -> None:
    assert set(assign(table(), fractions=(0.8, 0.2, 0.0))) == {"train", "val"}


@pytest.mark.parametrize("seed", range(5))
def test_three_patients_have_a_split_each(seed: int) -> None:
    index = pl.DataFrame({"group": [*"a" * 20, *"b" * 10, *"c" * 10], "target": range(40)})
    found = dict(zip(index["group"], assign(index, seed=seed), strict=True))
    assert sorted(found.values()) == ["test", "train", "val"]


def test_a_split_that_official_ones_fill_takes_nobody() -> None:
    index = pl.DataFrame(
        {
            "group": ["a", "b", "c", "d"],
            "target": [1.0, 2.0, 3.0, 4.0],
            "split": ["test", None, None, None],
        }
    )
    found = assign(index)
    assert found[0] == "test"
    assert set(found) == {"train", "val", "test"}


def test_contradictions_are_refused() -> None:
    index = pl.DataFrame({"group": ["a", "a"], "target": [1.0, 2.0], "split": ["train", "test"]})
    with pytest.raises(SplitError, match="two official splits"):
        assign(index)
    with pytest.raises(SplitError, match="must be one of"):
        assign(index.with_columns(split=pl.lit("valid")))
    with pytest.raises(TooFewSamplesError, match="too few to fill"):
        assign(index.with_columns(split=pl.lit(None, dtype=pl.String)))
