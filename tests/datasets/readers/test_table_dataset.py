"""The dataset `table`: stores, cards and readers of the user's own images."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

from own_pictures import TABLE

from supremix_datasets import (
    assign,
    get,
    prepare,
)


def test_a_table_of_three_columns_is_enough(make: Callable[..., Path], tmp_path: Path) -> None:
    store = prepare("table", make(), cache=tmp_path / "c")
    card = store.card
    assert (card.name, card.shape, card.dtype, card.intensity) == (
        "my-knees", (128, 128), "uint8", "stored",
    )  # fmt: skip
    assert card.label_range == (30.0, 75.0)
    # the standard deviation of the labels is 14.4
    assert (card.label_bin, card.label_scale, card.window) == (1.0, 1.0, 5.0)
    assert store.index["id"].to_list() == [f"img/{n:03d}" for n in range(10)]
    assert store.index["group"].to_list() == [f"p{n}" for n in range(10)]
    assert store.manifest["dataset"] == "table"


def test_six_lines_describe_a_dataset(make: Callable[..., Path], tmp_path: Path) -> None:
    toml = """
name = "knees"
target = "thickness"
unit = "mm"
images = "img"
[columns]
group = "who"
"""
    rows = [(f"{n:03d}.png", 1 + 0.1 * n, f"00{n // 2}") for n in range(10)]
    folder = make(rows, ("file", "thickness", "who"), toml)
    store = prepare("table", folder, cache=tmp_path / "c")
    assert (store.card.name, store.card.target, store.card.unit) == ("knees", "thickness", "mm")
    assert store.index["id"].to_list()[:2] == ["000", "001"]
    assert store.index["group"].to_list()[:3] == ["000", "000", "001"]
    assert len(set(assign(store.index)[:2])) == 1


def test_the_store_does_not_depend_on_the_folders_place(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    one = prepare("table", make(name="a/k"), cache=tmp_path / "c")
    two = prepare("table", make(name="b/k"), cache=tmp_path / "d")
    assert one.key == two.key


def test_a_located_reader_travels_to_other_processes(make: Callable[..., Path]) -> None:
    folder = make()
    dataset = TABLE.at(str(folder))
    reader = pickle.loads(pickle.dumps(dataset.reader))  # noqa: S301
    assert reader == dataset.reader
    assert str(folder) not in repr(reader)
    assert reader.scan(os.fspath(folder)) == dataset.reader.scan(str(dataset.root))


def test_other_datasets_are_where_they_are() -> None:
    hc18 = get("hc18")
    assert hc18.at("anywhere") is hc18
    assert TABLE.at(None) is TABLE
    assert hc18.reading(hc18.card) is hc18.reader
