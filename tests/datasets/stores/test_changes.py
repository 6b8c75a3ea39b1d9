"""Data that have changed since a run began are refused before anything is decoded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from counting_reader import DECODED, Counting

from supremix_datasets import DataChangedError, Dataset, Store, prepare

Make = Callable[..., Path]
TABLE = "training_set_pixel_size_and_HC.csv"


def relabel(folder: Path) -> None:
    table = folder / TABLE
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:-4], *(f"{line}.5" for line in lines[-4:])]) + "\n")


def replace_image(folder: Path) -> None:
    images = folder / "training_set"
    shutil.copyfile(images / "000_HC.png", images / "001_HC.png")


def drop_row(folder: Path) -> None:
    table = folder / TABLE
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")


def drop_image(folder: Path) -> None:
    drop_row(folder)
    (folder / "training_set" / "009_HC.png").unlink()


def change_pixel_size(folder: Path) -> None:
    table = folder / TABLE
    table.write_text(table.read_text().replace(",0.1,", ",0.2,"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            relabel,
            r"4 of 10 images, of 4 patients, have other labels \(006_HC, 007_HC, 008_HC, …\)",
        ),
        (replace_image, r"image files differ"),
        (drop_row, r"1 images are excluded now \(009_HC\)"),
        (drop_image, r"1 images are missing \(009_HC\)"),
        (
            change_pixel_size,
            r"1 of 10 images, of 1 patients, have other values of pixel_size \(000_HC\)",
        ),
    ],
)
@pytest.mark.parametrize("kept", [True, False], ids=["old store kept", "old store gone"])
def test_changed_files_and_tables_are_refused_by_name(
    counted: Dataset,
    make_hc18: Make,
    tmp_path: Path,
    change: Callable[[Path], None],
    said: str,
    kept: bool,
) -> None:
    folder, cache = make_hc18(), tmp_path / "cache"
    before = prepare(counted, folder, cache=cache)
    DECODED.clear()
    change(folder)
    if not kept:
        shutil.rmtree(before.path)
        said = "image files differ" if change is replace_image else "labels and patients differs"

    with pytest.raises(DataChangedError, match=said):
        prepare(counted, folder, cache=cache, expected=before.identity)
    assert DECODED == []


def test_changed_readers_and_cards_are_refused_by_name(
    counted: Dataset, make_hc18: Make, tmp_path: Path
) -> None:
    folder, cache = make_hc18(), tmp_path / "cache"
    before = prepare(counted, folder, cache=cache).identity
    newer = replace(counted, reader=Counting(version=2))

    with pytest.raises(DataChangedError, match=r"the reader's version is 2, not 1"):
        prepare(newer, folder, cache=cache, expected=before)
    with pytest.raises(DataChangedError, match=r"shape is \[64, 96\], not \[128, 192\]\."):
        prepare(counted, folder, cache=cache, expected=before, shape=(64, 96))


def test_changes_are_refused_also_where_the_store_of_the_new_data_is_there(
    counted: Dataset, make_hc18: Make, tmp_path: Path
) -> None:
    folder, cache = make_hc18(), tmp_path / "cache"
    before = prepare(counted, folder, cache=cache).identity
    relabel(folder)
    prepare(counted, folder, cache=cache)

    with pytest.raises(DataChangedError, match="4 of 10 images"):
        prepare(counted, folder, cache=cache, expected=before)


def test_the_same_data_are_the_same_after_they_were_moved_and_the_cache_was_cleared(
    counted: Dataset, make_hc18: Make, tmp_path: Path
) -> None:
    folder, cache = make_hc18(), tmp_path / "cache"
    before = prepare(counted, folder, cache=cache).identity
    shutil.rmtree(cache)
    moved = folder.rename(tmp_path / "moved")

    assert prepare(counted, moved, cache=cache, expected=before).identity == before


@pytest.mark.parametrize("file", ["manifest.json", "images.bin", "index.parquet"])
def test_a_store_that_has_lost_a_file_is_made_again(
    counted: Dataset, make_hc18: Make, tmp_path: Path, file: str
) -> None:
    folder, cache = make_hc18(), tmp_path / "cache"
    before = prepare(counted, folder, cache=cache)
    (Path(before.path) / file).unlink()
    again = prepare(counted, folder, cache=cache)

    assert again.identity == before.identity
    assert Store.open(before.path).manifest["files"] == before.manifest["files"]
