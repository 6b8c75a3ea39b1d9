"""Names of files are names: what an address would make of them does not matter."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supremix_datasets import prepare

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
