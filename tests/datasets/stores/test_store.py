from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from supremix_datasets import Store, StoreError, prepare
from supremix_datasets.cache import new_folder

Make = Callable[..., Path]


@pytest.fixture
def store(make_hc18: Make, tmp_path: Path) -> Store:
    return prepare("hc18", make_hc18(), cache=tmp_path / "c")


def test_what_it_holds(store: Store) -> None:
    assert len(store) == 10
    assert store.images.shape == (10, 1, 128, 192)
    assert store.images.dtype == np.uint8
    assert store.targets.tolist() == [100 + 10 * n for n in range(10)]
    assert store.index.columns == [
        "row", "frames", "id", "group", "split", "target", "site", "fold", "image_hash",
        "pixel_size", "pixel_size as read",
    ]  # fmt: skip
    assert store.index["pixel_size as read"].to_list()[:2] == ["0.1", "0.11"]
    assert store.rows.tolist() == list(range(10))
    ratio = 54 / 128
    wanted = np.log([(0.1 + 0.01 * n) * ratio for n in range(10)])
    np.testing.assert_allclose(store.covariates[:, 0], wanted, rtol=1e-5)
    assert store.key[:16] in store.path


def test_it_cannot_be_written(store: Store) -> None:
    assert isinstance(store.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        store.images[0] = 0


def test_it_travels_by_path(store: Store) -> None:
    data = pickle.dumps(store)
    assert len(data) < 1000
    again = pickle.loads(data)  # noqa: S301
    np.testing.assert_array_equal(again.images, store.images)


def test_it_is_found_by_its_key(store: Store) -> None:
    cache = Path(store.path).parents[1]
    found = Store.find(cache, store.key)
    assert found is not None
    assert found.path == store.path
    assert Store.find(cache, "0" * 32) is None


def test_a_missing_or_damaged_store_says_so(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Prepare the dataset first"):
        Store.open(tmp_path / "nowhere")
    images = Path(store.path) / "images.bin"
    with images.open("ab") as file:
        file.write(b"x")
    with pytest.raises(StoreError, match=r"images.bin has .* Remove the folder"):
        Store.open(store.path)
    images.unlink()
    with pytest.raises(StoreError, match="Remove the folder"):
        Store.open(store.path)
    manifest = Path(store.path) / "manifest.json"
    manifest.write_text(json.dumps({"format": 0}))
    with pytest.raises(StoreError, match="its format is 0"):
        Store.open(store.path)
    manifest.write_text("{")
    with pytest.raises(StoreError, match="not JSON"):
        Store.open(store.path)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "a" / "b") as draft:
        draft.joinpath("file").write_text(draft.joinpath("missing").read_text())
    assert list((tmp_path / "a").iterdir()) == []


def test_the_first_of_two_wins(tmp_path: Path) -> None:
    target = tmp_path / "b"
    with new_folder(target) as late:
        (late / "who").write_text("late")
        with new_folder(target) as early:
            (early / "who").write_text("early")
    assert (target / "who").read_text() == "early"
    assert list(tmp_path.iterdir()) == [target]


def test_what_was_killed_long_ago_is_removed(tmp_path: Path) -> None:
    old, young = tmp_path / ".draft-old", tmp_path / ".draft-young"
    old.mkdir()
    young.mkdir()
    os.utime(old, (0, 0))
    with new_folder(tmp_path / "b"):
        pass
    assert {p.name for p in tmp_path.iterdir()} == {"b", ".draft-young"}
