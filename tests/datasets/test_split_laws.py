"""Laws of the splits that hold for any table, and for every dataset's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from supremix_datasets import TooFewSamplesError, assign, get, names
from supremix_datasets.cards.sample import SPLITS

LAWS = settings(deadline=None, derandomize=True, max_examples=60)
SHARES = (0.6, 0.2, 0.2)
WITH_PHANTOMS = [name for name in names() if get(name).phantom is not None]

FROZEN = (
    "001101200000010201000000210110001002000010022202102201202220"
    "010000200100011012000000102010000002101100010020000100222021"
)


@st.composite
def tables(draw: st.DrawFn) -> pl.DataFrame:
    """Patients with one to five visits, labels of any spread, official splits for some."""
    ids = draw(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=60, unique=True))
    label = st.floats(-1e6, 1e6, allow_nan=False)
    rows: list[tuple[str, float, str | None]] = []
    share = draw(st.sampled_from([0.0, 0.3, 1.0]))
    for name in ids:
        split = draw(st.sampled_from(SPLITS)) if draw(st.floats(0, 1)) < share else None
        for _ in range(draw(st.integers(1, 5))):
            # one visit that names the split is enough
            said = split if draw(st.booleans()) else None
            rows.append((name, draw(label), said))
    return pl.DataFrame(
        {
            "group": [row[0] for row in rows],
            "target": [row[1] for row in rows],
            "split": pl.Series([row[2] for row in rows], dtype=pl.String),
        }
    )


def frozen_table() -> pl.DataFrame:
    """120 visits of 70 patients whose labels repeat, the same everywhere."""
    patients = [(7 * visit * visit + 3 * visit) % 71 for visit in range(120)]
    return pl.DataFrame(
        {
            "group": [f"P{patient:03d}é" for patient in patients],
            "target": [
                20 + (13 * patient) % 50 + visit % 3 / 7 for visit, patient in enumerate(patients)
            ],
            "split": pl.Series([None] * 120, dtype=pl.String),
        }
    )


def digits(split: np.ndarray) -> str:
    return "".join(str(SPLITS.index(name)) for name in split)


def split_or_none(index: pl.DataFrame, **options: object) -> np.ndarray | None:
    try:
        return assign(index, **options)
    except TooFewSamplesError:
        return None


def splits_of_groups(groups: list[str], split: np.ndarray) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for group, name in zip(groups, split.tolist(), strict=True):
        found[group].add(name)
    return found


@LAWS
@given(tables(), st.integers(0, 2**31))
def test_no_patient_is_in_two_splits(index: pl.DataFrame, seed: int) -> None:
    split = split_or_none(index, seed=seed)
    assume(split is not None)
    found = splits_of_groups(index["group"].to_list(), split)
    assert all(len(names) == 1 for names in found.values())


@LAWS
@given(tables(), st.integers(0, 2**31))
def test_an_official_split_is_never_traded_for_val_or_test(index: pl.DataFrame, seed: int) -> None:
    split = split_or_none(index, seed=seed)
    assume(split is not None)
    found = splits_of_groups(index["group"].to_list(), split)
    official = index.filter(pl.col("split").is_not_null())
    for group, name in official.select("group", "split").iter_rows():
        if name != "train":  # training groups may be taken for a split that lacks
            assert found[group] == {name}


@LAWS
@given(tables(), st.integers(0, 2**31), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(
    index: pl.DataFrame, seed: int, random: object
) -> None:
    order = list(range(index.height))
    random.shuffle(order)
    split, other = split_or_none(index, seed=seed), split_or_none(index[order], seed=seed)
    assert (split is None) == (other is None)
    if split is not None:
        np.testing.assert_array_equal(split[order], other)


@LAWS
@given(tables(), st.integers(0, 2**31))
def test_the_same_seed_and_table_give_the_same_split(index: pl.DataFrame, seed: int) -> None:
    split, again = split_or_none(index, seed=seed), split_or_none(index.clone(), seed=seed)
    assert (split is None) == (again is None)
    if split is not None:
        np.testing.assert_array_equal(split, again)


@LAWS
@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(1, 20)), min_size=3, max_size=60),
    st.integers(0, 2**31),
)
def test_three_patients_or_more_fill_every_split(
    patients: list[tuple[float, int]], seed: int
) -> None:
    groups = [f"s{number}" for number, (_, images) in enumerate(patients) for _ in range(images)]
    labels = [label for label, images in patients for _ in range(images)]
    assert set(assign(pl.DataFrame({"group": groups, "target": labels}), seed=seed)) == set(SPLITS)


@LAWS
@given(
    st.integers(150, 400),
    st.integers(1, 4),
    st.integers(0, 2**31),
    st.sampled_from([SHARES, (0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.7, 0.3, 0.0)]),
)
def test_the_shares_are_kept_when_groups_are_many(
    patients: int, visits: int, seed: int, shares: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, visits + 1, patients)
    groups = np.repeat([f"s{number}" for number in range(patients)], sizes)
    index = pl.DataFrame({"group": groups, "target": rng.normal(50, 10, len(groups))})
    split = assign(index, seed=seed, fractions=shares)
    for name, share in zip(SPLITS, shares, strict=True):
        # what is dealt never strays from its share by more than a few groups
        assert abs((split == name).sum() - share * len(groups)) <= 3 * visits


def test_a_split_is_the_same_on_every_machine() -> None:
    assert digits(assign(frozen_table(), seed=7)) == FROZEN


def test_a_split_is_the_same_in_another_process() -> None:
    index = frozen_table()
    code = (
        "import json, sys, polars as pl; from supremix_datasets.splits import assign;"
        "data = json.load(sys.stdin); print(*assign(pl.DataFrame(data), seed=11))"
    )
    data = json.dumps({name: index[name].to_list() for name in ("group", "target")})
    environment = {**os.environ, "PYTHONHASHSEED": "4242"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=data,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == assign(index, seed=11).tolist()


@pytest.mark.parametrize("name", WITH_PHANTOMS)
def test_no_group_of_a_dataset_is_in_two_splits(name: str, tmp_path: Path) -> None:
    dataset = get(name)
    assert dataset.phantom is not None
    dataset.phantom.write(tmp_path, 24, 0, (0, 1))
    samples = dataset.reader.scan(str(tmp_path)).samples
    assert len({sample.id for sample in samples}) == len(samples)
    columns = {key: [getattr(sample, key) for sample in samples] for key in ("group", "target")}
    official = pl.Series([sample.split for sample in samples], dtype=pl.String)
    index = pl.DataFrame(columns).with_columns(split=official)
    split = assign(index, seed=3)
    found = splits_of_groups(index["group"].to_list(), split)
    assert set(split) == set(SPLITS)
    assert all(len(names) == 1 for names in found.values())
