"""Images of several patients with the same pixels: found where they are decoded, kept together."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supremix_datasets import SplitError, assign, prepare
from supremix_datasets.copies import find_copies, image_hash, united_groups

IMAGES = st.lists(st.tuples(st.sampled_from("ABCDEF"), st.sampled_from("uvwxyz")), max_size=20)


def test_the_hash_is_that_of_the_pixels() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(4, 6)

    assert image_hash(image) == image_hash(image.copy(order="F"))
    assert image_hash(image) != image_hash(image[::-1])


@given(IMAGES)
def test_copies_are_all_images_that_another_patient_has(images: list[tuple[str, str]]) -> None:
    groups, hashes = [g for g, _ in images], [h for _, h in images]
    found = {row for rows in find_copies(groups, hashes) for row in rows}

    assert found == {
        row
        for row, (group, pixels) in enumerate(images)
        if any(pixels == other and group != owner for owner, other in images)
    }


@given(IMAGES)
def test_patients_are_united_where_a_chain_of_copies_joins_them(
    images: list[tuple[str, str]],
) -> None:
    united = united_groups([g for g, _ in images], [h for _, h in images])
    reach = {group: {group} for group, _ in images}
    for _ in images:
        for group, pixels in images:
            for other, same in images:
                if pixels == same:
                    reach[group] |= reach[other]

    assert united == [min(reach[group]) for group, _ in images]


def index(pairs: int) -> pl.DataFrame:
    """Images of as many patients, each a second time under another patient's name."""
    numbers = list(range(pairs))
    return pl.DataFrame(
        {
            "group": [f"p{n}" for n in numbers] + [f"copy-p{n}" for n in numbers],
            "target": [float(n) for n in numbers] * 2,
            "image_hash": [f"{n:032x}" for n in numbers] * 2,
            "split": pl.Series([None] * 2 * pairs, dtype=pl.String),
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_in_one_split_where_that_is_asked_for(seed: int) -> None:
    table = index(30)
    apart = assign(table, seed=seed)
    together = assign(table, seed=seed, keep_copies_together=True)

    assert (apart[:30] != apart[30:]).any()
    assert (together[:30] == together[30:]).all()
    for name, share in zip(("train", "val", "test"), (0.6, 0.2, 0.2), strict=True):
        assert (together == name).mean() == pytest.approx(share, abs=0.05)


def test_without_copies_the_option_changes_no_split() -> None:
    table = index(40)[:40]

    assert (assign(table) == assign(table, keep_copies_together=True)).all()


def test_copies_follow_an_official_split_and_cannot_be_in_two() -> None:
    official = pl.Series([*["test"] * 5, *[None] * 35], dtype=pl.String)
    split = assign(index(20).with_columns(split=official), keep_copies_together=True)
    contradicting = index(20).with_columns(
        split=pl.Series(["test"] * 20 + ["train"] * 20, dtype=pl.String)
    )

    assert set(split[20:25]) == {"test"}
    assert (split[:20] == split[20:]).all()
    with pytest.raises(SplitError, match=r"two official splits.*Leave keep_copies_together out"):
        assign(contradicting, keep_copies_together=True)


def test_a_store_says_which_images_several_patients_have(
    make_hc18: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_hc18([(f"{n:03d}_HC.png", 0.1, 100 + n) for n in range(10)])
    images = folder / "training_set"
    for number in (4, 7):
        shutil.copyfile(images / "001_HC.png", images / f"{number:03d}_HC.png")
    store = prepare("hc18", folder, cache=tmp_path / "cache")

    assert [store.index["id"].gather(rows).to_list() for rows in store.copies] == [
        ["001_HC", "004_HC", "007_HC"]
    ]
    assert store.manifest["copies"] == 3
