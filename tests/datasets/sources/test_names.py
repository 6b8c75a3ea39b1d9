"""Names of files are names: what an address would make of them does not matter."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supremix_datasets import prepare
from supremix_datasets.sources.files import list_files, listing_signature

NAMES = ["scan::{}.png", "a:{}.png", "n#{}.png", "n%20{}.png", "zip::b{}.png", "B\u00e4r {}.png"]


def write(folder: Path, name: str, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (24, 24))
    Image.fromarray(pixels.astype(np.uint8)).save(folder / name)


def table(folder: Path, names: list[str]) -> None:
    rows = [f"{name},{k / 2 + 1},p{k}" for k, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(["file,target,group", *rows]) + "\n")


@pytest.mark.parametrize("pattern", NAMES)
@pytest.mark.parametrize("folder", ["data", "da::ta"])
def test_files_of_any_name_are_read(pattern: str, folder: str, tmp_path: Path) -> None:
    names = [pattern.format(k) for k in range(12)]
    for number, name in enumerate(names):
        write(tmp_path / folder, unicodedata.normalize("NFD", name), number)
    table(tmp_path / folder, names)
    store = prepare("table", str(tmp_path / folder), cache=tmp_path / "cache")
    assert (len(store), store.quarantine.height) == (12, 0)


def test_a_folder_that_is_a_link_within_the_source_is_followed(tmp_path: Path) -> None:
    names = [f"{k}.png" for k in range(12)]
    for number, name in enumerate(names):
        write(tmp_path / "data" / "v2", name, number)
    (tmp_path / "data" / "images").symlink_to("v2")
    table(tmp_path / "data", names)
    (tmp_path / "data" / "dataset.toml").write_bytes(b'\xef\xbb\xbfimages = "images"\n')
    assert len(prepare("table", str(tmp_path / "data"), cache=tmp_path / "cache")) == 12


def test_official_readers_find_files_in_linked_folders(
    make_hc18: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_hc18()
    (folder / "training_set").rename(tmp_path / "disk")
    (folder / "training_set").symlink_to(tmp_path / "disk")
    assert len(prepare("hc18", folder, cache=tmp_path / "cache")) == 10


def test_links_that_lead_round_or_nowhere_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "nowhere").symlink_to("missing")
    (tmp_path / "self").symlink_to("self")
    found = list_files(str(tmp_path))
    assert set(found) == {"a/file", "a/nowhere", "b/file", "b/nowhere", "self"}


def test_a_change_behind_a_link_is_a_change_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "link").symlink_to(tmp_path / "file")
    before = listing_signature(list_files(str(tmp_path / "source")))
    os.utime(tmp_path / "file", (1, 1))
    assert listing_signature(list_files(str(tmp_path / "source"))) != before
