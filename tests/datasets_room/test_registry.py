from __future__ import annotations

import pytest

from supremix_datasets import UnknownDatasetError, get, names


def test_every_name_gives_its_dataset() -> None:
    assert {"hc18", "ukb-t1"} <= set(names())
    assert all(get(name).name == name for name in names())


def test_a_dataset_is_handed_back() -> None:
    dataset = get("hc18")
    assert get(dataset) is dataset


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UnknownDatasetError, match=r"Did you mean 'hc18'\? Known: hc18, ukb-t1"):
        get("hc-18")
