"""Formats of the user's own images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
from own_pictures import TABLE, draw
from PIL import Image

from supremix_datasets import (
    CardError,
    prepare,
)


def test_parquet_and_tabs_hold_the_same_table(make: Callable[..., Path]) -> None:
    folder = make()
    frame = pl.read_csv(folder / "labels.csv")
    expected = TABLE.reader.scan(str(folder)).samples
    (folder / "labels.csv").unlink()
    frame.write_parquet(folder / "labels.parquet")
    assert TABLE.reader.scan(str(folder)).samples == expected
    (folder / "labels.parquet").unlink()
    frame.write_csv(folder / "labels.tsv", separator="\t")
    assert TABLE.reader.scan(str(folder)).samples == expected


def test_nifti_volumes_are_brought_to_millimetres(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        volume = rng.integers(1, 900, (20, 24, 10)).astype(np.int16)
        nib.Nifti1Image(volume, np.diag([2.0, 2, 4, 1])).to_filename(tmp_path / f"{number}.nii.gz")
    rows = "\n".join(f"{n}.nii.gz,{n},{n}" for n in range(4))
    (tmp_path / "t.csv").write_text(f"file,target,group\n{rows}\n")
    (tmp_path / "dataset.toml").write_text("shape = [16, 16, 16]\n")
    store = prepare("table", tmp_path, cache=tmp_path / "c")
    assert (store.card.spacing, store.card.intensity) == ((12.0, 12.0, 12.0), "foreground")
    assert store.index["id"].to_list() == ["0", "1", "2", "3"]
    assert store.images.shape == (4, 1, 16, 16, 16)


def test_arrays_need_a_shape(tmp_path: Path) -> None:
    for number in range(4):
        np.save(tmp_path / f"{number}.npy", np.random.default_rng(number).random((20, 30)))
    rows = "\n".join(f"{n}.npy,{n},{n}" for n in range(4))
    (tmp_path / "t.csv").write_text(f"file,target,group\n{rows}\n")
    with pytest.raises(CardError, match=r"no default shape for files ending in '\.npy'.*shape ="):
        TABLE.at(str(tmp_path))
    (tmp_path / "dataset.toml").write_text("shape = [24, 24]\n")
    assert prepare("table", tmp_path, cache=tmp_path / "c").images.shape == (4, 1, 24, 24)


def test_colour_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    for number in range(4):
        draw(tmp_path / f"{number}.png", number, channels=3)
    rows = "\n".join(f"{n}.png,{n},{n}" for n in range(4))
    (tmp_path / "t.csv").write_text(f"file,target,group\n{rows}\n")
    (tmp_path / "dataset.toml").write_text("shape = [40, 50]\nchannels = 3\n")
    store = prepare("table", tmp_path, cache=tmp_path / "c")
    colours = np.asarray(Image.open(tmp_path / "0.png"))
    np.testing.assert_array_equal(store.images[0], np.moveaxis(colours, -1, 0))
    again = TABLE.reading(store.card).decode(str(tmp_path / "0.png"))
    np.testing.assert_array_equal(again.pixels, store.images[0])


def test_sixteen_bits_are_not_cut_off(make: Callable[..., Path], tmp_path: Path) -> None:
    folder = make()
    deep = np.random.default_rng(0).integers(0, 4096, (40, 50), dtype=np.uint16)
    Image.fromarray(deep).save(folder / "img/003.png")
    store = prepare("table", folder, cache=tmp_path / "c")
    assert store.quarantine["id"].to_list() == ["img/003"]
    assert "do not fit into 8 bits" in store.quarantine["reason"][0]
    (folder / "dataset.toml").write_text("intensity = 'range'")
    assert len(prepare("table", folder, cache=tmp_path / "c")) == 10


def test_a_video_is_described_by_its_ending(make: Callable[..., Path]) -> None:
    folder = make([(f"{n}.avi", n, n) for n in range(4)])
    for number in range(4):
        (folder / f"{number}.avi").write_bytes(b"x")
    card = TABLE.at(str(folder)).card
    assert (card.shape, card.period, card.modality) == ((16, 112, 112), 2, "videos")


def test_a_path_to_a_folder_is_a_series(make: Callable[..., Path]) -> None:
    folder = make([("scans/a", 1, 1), ("scans/b/", 2, 2), ("scans/c", 3, 3)])
    for name in "ab":
        (folder / "scans" / name).mkdir(parents=True)
        (folder / "scans" / name / "1.dcm").write_bytes(b"x")
    scan = TABLE.reader.scan(str(folder))
    assert [s.id for s in scan.samples] == ["scans/a", "scans/b"]
    assert all(s.address.endswith(f"/scans/{n}/") for s, n in zip(scan.samples, "ab", strict=True))
    assert TABLE.at(str(folder)).card.spacing == (3.0, 3.0, 3.0)


def test_a_remote_folder_is_read_alike(make: Callable[..., Path], tmp_path: Path) -> None:
    import fsspec

    folder = make(toml='name = "far"\n')
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/bucket/knees", recursive=True)
    far = prepare("table", "memory://bucket/knees", cache=tmp_path / "c")
    near = prepare("table", folder, cache=tmp_path / "d")
    assert far.key == near.key
    memory.rm("/bucket", recursive=True)
