"""What is wrong with a folder is said, or excluded with its reason; nothing is lost or changed."""

from __future__ import annotations

import gzip
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from official_layouts import LAYOUTS, SPOILED, Row, contents, head, spoil

from supremix_datasets import (
    LabelTableError,
    Scan,
    SourceError,
    Store,
    get,
    names,
    prepare,
)
from supremix_datasets.sources.files import container

Folder = Callable[[str], Path]
EVERY = pytest.mark.parametrize("name", sorted(LAYOUTS))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """``sound(name)``: the whole folder of a dataset, made once; not to be changed."""
    root = tmp_path_factory.mktemp("sound")

    def folder(name: str) -> Path:
        if not (root / name).is_dir():
            LAYOUTS[name].make(name, root / name)
        return root / name

    return folder


@pytest.fixture
def copy(sound: Folder, tmp_path: Path) -> Folder:
    """``copy(name)``: a folder of one's own to spoil."""

    def folder(name: str) -> Path:
        return Path(shutil.copytree(sound(name), tmp_path / "source"))

    return folder


def scan_of(name: str, folder: Path) -> Scan:
    dataset = get(name).at(str(folder))
    return dataset.reader.scan(dataset.root or str(folder))


def prepared(name: str, folder: Path, cache: Path) -> Store:
    return prepare(name, folder, cache=cache, min_fraction=0, **LAYOUTS[name].grid(name))


def by_id(store: Store) -> dict[str, np.ndarray]:
    images = store.read(np.arange(len(store)))
    return dict(zip(store.index["id"].to_list(), images, strict=True))


def excluded(whole: Scan, scan: Scan) -> dict[str, list[str]]:
    """Reasons by the file's address; every image of the whole folder is kept once or excluded."""
    reasons: dict[str, list[str]] = {}
    for item in scan.rejected:
        assert item.reason
        reasons.setdefault(container(item.address), []).append(item.reason)
    kept = [container(sample.address) for sample in scan.samples]
    assert len(set(kept)) == len({sample.id for sample in scan.samples}) == len(kept)
    assert {container(sample.address) for sample in whole.samples} == {*kept, *reasons} - {""}
    return reasons


def test_every_dataset_is_tried() -> None:
    assert set(names()) == set(LAYOUTS)


@EVERY
def test_a_missing_and_an_empty_folder_are_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no folder.*Give the folder that holds"):
        prepare(name, tmp_path / "nowhere", cache=tmp_path / "c")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"Give the folder|expected one file"):
        prepare(name, tmp_path / "empty", cache=tmp_path / "c")


@EVERY
def test_the_folder_of_another_dataset_is_refused(name: str, sound: Folder) -> None:
    for other in sorted(set(LAYOUTS) - {name}):
        with pytest.raises((SourceError, LabelTableError), match=LAYOUTS[name].expects):
            scan_of(name, sound(other))


@EVERY
def test_spoiled_files_are_excluded_and_the_rest_is_kept(
    name: str, sound: Folder, copy: Folder, tmp_path: Path
) -> None:
    folder = copy(name)
    scan = scan_of(name, folder)
    victims = dict(zip(SPOILED, scan.samples[1::2], strict=False))
    for kind, sample in victims.items():
        spoil(sample.address, SPOILED[kind])
    before = contents(folder)
    store = prepared(name, folder, tmp_path / "cache")
    assert contents(folder) == before
    assert {path.name for path in tmp_path.iterdir()} == {"source", "cache"}
    reasons = dict(store.quarantine.select("id", "reason").iter_rows())
    assert set(reasons) == {sample.id for sample in victims.values()}
    assert all(reasons.values())
    assert len(store) + store.quarantine.height == len(scan.samples)
    whole, kept = by_id(prepared(name, sound(name), tmp_path / "whole")), by_id(store)
    assert set(kept) == set(whole) - set(reasons)
    for image, pixels in kept.items():
        np.testing.assert_array_equal(pixels, whole[image])


@EVERY
def test_impossible_labels_are_excluded(name: str, copy: Folder) -> None:
    layout, folder = LAYOUTS[name], copy(name)
    whole = scan_of(name, folder)

    def change(rows: list[Row]) -> list[Row]:
        for row, text in zip(rows, ("-1000000", "inf", ""), strict=False):
            row[layout.label] = text
        return rows

    layout.edit(folder, change)
    scan = scan_of(name, folder)
    said = " ".join(reason for several in excluded(whole, scan).values() for reason in several)
    assert len(scan.samples) == len(whole.samples) - 3
    assert said.count("outside the possible range") == 2
    assert "no label in the table" in said


@EVERY
def test_an_id_that_has_two_labels_is_excluded(name: str, copy: Folder) -> None:
    layout, folder = LAYOUTS[name], copy(name)
    whole = scan_of(name, folder)
    layout.edit(folder, lambda rows: [*rows, {**rows[0], layout.label: rows[-1][layout.label]}])
    scan = scan_of(name, folder)
    duplicated = set(excluded(whole, scan)) - {""}
    assert len(duplicated) == 1
    assert duplicated.isdisjoint(container(sample.address) for sample in scan.samples)
    assert len(scan.samples) == len(whole.samples) - 1


@EVERY
def test_a_label_that_is_no_number_is_shown(name: str, copy: Folder) -> None:
    layout, folder = LAYOUTS[name], copy(name)

    def change(rows: list[Row]) -> list[Row]:
        rows[1][layout.label] = "fifty"
        return rows

    layout.edit(folder, change)
    with pytest.raises(LabelTableError, match=r"not numbers \(line \d+: 'fifty'"):
        scan_of(name, folder)


@EVERY
def test_a_table_without_labels_is_refused(name: str, copy: Folder) -> None:
    layout, folder = LAYOUTS[name], copy(name)
    field = layout.label.split("-")[0]  # of UK Biobank's table the ages of all visits
    layout.edit(
        folder,
        lambda rows: [{k: v for k, v in rows[0].items() if k.split("-")[0] != field}],
    )
    with pytest.raises((SourceError, LabelTableError), match=re.escape(layout.label)):
        scan_of(name, folder)


@EVERY
def test_an_empty_table_is_refused(name: str, copy: Folder) -> None:
    folder = copy(name)
    next(folder.glob(LAYOUTS[name].table)).write_bytes(b"")
    with pytest.raises((SourceError, LabelTableError), match=r"the file is empty|no table"):
        scan_of(name, folder)


def test_broken_and_hostile_zips_are_excluded(copy: Folder, tmp_path: Path) -> None:
    folder = copy("ukb-t1")
    first, second, third, bomb = sorted(folder.glob("*.zip"))[:4]
    first.write_bytes(b"")
    second.write_bytes(second.read_bytes()[:2000])
    with zipfile.ZipFile(third, "a") as archive:
        archive.writestr("../../leaves.txt", b"outside")
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("T1/T1_brain_to_MNI.nii.gz", bytes(80 << 20))
    total = len(list(folder.glob("*.zip")))
    store = prepared("ukb-t1", folder, tmp_path / "cache")
    reasons = dict(store.quarantine.select("id", "reason").iter_rows())
    said = [reasons["_".join(p.stem.split("_")[::2])] for p in (first, second, third, bomb)]
    assert ["zip cannot be read" in said[0], "zip cannot be read" in said[1]] == [True, True]
    assert "leaves its folder" in said[2]
    assert "times: no image does" in said[3]
    assert len(store) == total - 4
    assert not (tmp_path / "leaves.txt").exists()


def huge_header() -> bytes:
    header = nib.Nifti1Header()
    header.set_data_shape((20000, 20000, 20000))
    header["magic"], header["vox_offset"] = b"n+1", 352
    return gzip.compress(header.binaryblock + bytes(4), mtime=0)


def endless_header() -> bytes:
    return gzip.compress(gzip.decompress(head()) + bytes(1 << 23), mtime=0)


def huge_picture() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("hcp-aging", endless_header(), "unpacks to more"),
        ("ixi", huge_header(), "the header claims 20000 x 20000 x 20000"),
        ("hc18", huge_picture(), "not a readable picture"),
        ("rsna-bone-age", huge_picture(), "not a readable picture"),
    ],
)
def test_files_that_would_fill_the_memory_are_excluded(
    name: str, data: bytes, reason: str, copy: Folder, tmp_path: Path
) -> None:
    folder = copy(name)
    samples = scan_of(name, folder).samples
    spoil(samples[0].address, lambda name, old: data)
    store = prepared(name, folder, tmp_path / "cache")
    assert reason in str(store.quarantine["reason"].item())
    assert len(store) == len(samples) - 1


@pytest.mark.parametrize(
    ("name", "column"), [("table", "file"), ("echonet-dynamic", "FileName"), ("hc18", "filename")]
)
def test_a_table_that_names_files_outside_its_folder_is_not_followed(
    name: str, column: str, copy: Folder, tmp_path: Path
) -> None:
    folder = copy(name)
    ending = ".avi" if name == "echonet-dynamic" else "_HC.png"
    (tmp_path / f"secret{ending}").write_bytes(b"not for the model")
    paths = (f"../secret{ending}", str(tmp_path / f"secret{ending}"))

    def change(rows: list[Row]) -> list[Row]:
        return [*rows, *({**row, column: path} for row, path in zip(rows, paths, strict=False))]

    whole = scan_of(name, folder)
    LAYOUTS[name].edit(folder, change)
    scan = scan_of(name, folder)
    assert {s.id for s in scan.samples} == {s.id for s in whole.samples}
    assert len(scan.rejected) == len(whole.rejected) + 2
    assert all("secret" not in item.address for item in (*scan.samples, *scan.rejected))


def test_a_link_out_of_the_folder_is_not_followed_from_a_table(
    copy: Folder, tmp_path: Path
) -> None:
    folder = copy("table")
    secret = tmp_path / "secret.png"
    shutil.move(folder / "images" / "3.png", secret)
    (folder / "images" / "3.png").symlink_to(secret)
    store = prepared("table", folder, tmp_path / "cache")
    assert "leads out of the dataset's folder" in store.quarantine["reason"].item()
    assert len(store) == 11
