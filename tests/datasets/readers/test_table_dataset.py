from __future__ import annotations

import os
import pickle
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
from PIL import Image

from supremix_datasets import (
    CardError,
    Covariate,
    LabelTableError,
    SourceError,
    TooFewSamplesError,
    assign,
    get,
    prepare,
)
from supremix_datasets.readers.own_table.spec import CARD_KEYS, parse_spec

TABLE = get("table")
Rows = Sequence[Sequence[object]]


def draw(path: Path, seed: int, channels: int = 1) -> None:
    shape = (40, 50) if channels == 1 else (40, 50, channels)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """``make(rows, header, toml)``: a folder of ten pictures ``img/<n>.png`` with a table."""

    def build(
        rows: Rows = (),
        header: Sequence[str] = ("file", "target", "group"),
        toml: str | None = None,
        name: str = "my knees",
    ) -> Path:
        folder = tmp_path / name
        for number in range(10):
            draw(folder / f"img/{number:03d}.png", number)
        rows = rows or [(f"img/{n:03d}.png", 30 + 5 * n, f"p{n}") for n in range(10)]
        lines = [",".join(map(str, row)) for row in (header, *rows)]
        (folder / "labels.csv").write_text("\n".join(lines) + "\n")
        if toml is not None:
            (folder / "dataset.toml").write_text(toml)
        return folder

    return build


def reasons(folder: Path) -> dict[str, str]:
    return {r.id: r.reason for r in TABLE.reader.scan(str(folder)).rejected}


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


def test_whatever_is_said_is_not_overruled(make: Callable[..., Path]) -> None:
    toml = """
name = "knees"
title = "Knees"
modality = "X-ray"
target = "age"
unit = "years"
table = "labels.csv"
shape = [64, 96]
spacing = [0.5, 0.5]
label_bin = 0.5
label_scale = 2
window = 7
label_range = [10, 90]
intensity = "range"
dtype = "float16"
gain = 3
offset = 0.5
target_transform = "log"
licence = "ours"
[columns]
target = "target"
[covariates.sex]
values = { F = 0, M = 1 }
default = 0.5
[covariates.pixel_size]
column = "mm"
log = true
per_pixel = true
doc = "mm per pixel"
[augmentation]
flip_axes = [1]
gain = 0.3
"""
    rows = [(f"img/{n:03d}.png", 30 + n, n, "FM"[n % 2], 0.1) for n in range(10)]
    rows[3] = ("img/003.png", 33, 3, "", 0.1)
    rows[4] = ("img/004.png", 34, 4, "f", "")
    rows[5] = ("img/005.png", 35, 5, "F", -1)
    rows[6] = ("img/006.png", 5, 6, "F", 0.1)
    folder = make(rows, ("file", "target", "group", "sex", "mm"), toml)
    dataset = TABLE.at(str(folder))
    card = dataset.card
    assert (card.shape, card.spacing, card.gain, card.offset) == ((64, 96), (0.5, 0.5), 3, 0.5)
    assert (card.label_bin, card.label_scale, card.window) == (0.5, 2, 7)
    assert (card.label_range, card.target_transform) == ((10.0, 90.0), "log")
    assert (card.augmentation.flip_axes, card.augmentation.rotation_deg) == ((1,), 0.0)
    assert card.covariates == (
        Covariate(name="sex", default=0.5, words=(("F", 0.0), ("M", 1.0))),
        Covariate(name="pixel_size", log=True, per_pixel=True, doc="mm per pixel"),
    )
    scan = dataset.reader.scan(dataset.root or "")
    known = {sample.id: sample.covariates for sample in scan.samples}
    assert known["img/000"] == {"sex": 0.0, "pixel_size": 0.1}
    assert known["img/001"] == {"sex": 1.0, "pixel_size": 0.1}
    assert known["img/003"] == {"pixel_size": 0.1}
    assert reasons(folder) == {
        "img/004": "no pixel_size in the table",
        "img/005": "pixel_size must be a positive number, found -1",
        "img/006": "label 5 is outside the possible range 10 to 90 years",
    }


@pytest.mark.parametrize("name", ["labels.csv", "dataset.toml", ""])
def test_folder_description_and_table_are_the_same_source(
    make: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    folder = make(toml='name = "k"\n' if name == "dataset.toml" else None)
    whole = prepare("table", folder, cache=tmp_path / "c")
    assert prepare("table", folder / name, cache=tmp_path / "c").path == whole.path
    assert TABLE.reader.scan(str(folder / name)) == TABLE.reader.scan(str(folder))


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


def test_splits_and_sites_are_taken_from_the_table(make: Callable[..., Path]) -> None:
    words = ["Training", "train", "val", "VALID", "dev", "test", "testing", "", "train", "test"]
    rows = [(f"img/{n:03d}.png", n, n, words[n], "A") for n in range(10)]
    header = ("file", "target", "group", "split", "site")
    scan = TABLE.reader.scan(str(make(rows, header)))
    assert [s.split for s in scan.samples] == [
        "train", "train", "val", "val", "val", "test", "test", None, "train", "test",
    ]  # fmt: skip
    assert {s.site for s in scan.samples} == {"A"}
    rows[0] = ("img/000.png", 0, 0, "fold1", "A")
    with pytest.raises(LabelTableError, match=r"split in .* holds \['fold1'\]; expected train"):
        TABLE.reader.scan(str(make(rows, header)))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("../secret.png", 40, "p"), "the table names a file outside the dataset's folder"),
        (("img/../../secret.png", 40, "p"), "outside the dataset's folder"),
        (("/etc/passwd", 40, "p"), "outside the dataset's folder"),
        (("C:\\secret.png", 40, "p"), "outside the dataset's folder"),
        (("s3://bucket/secret.png", 40, "p"), "outside the dataset's folder"),
        (("link.png", 40, "p"), "a link that leads out of the dataset's folder"),
        (("linked/secret.png", 40, "p"), "a link that leads out of the dataset's folder"),
        (("img/nowhere.png", 40, "p"), "the file is missing"),
        (("", 40, "p"), "no file in the table"),
        (("img/001.png", "NA", "p"), "no label in the table"),
        (("img/001.png", "inf", "p"), "outside the possible range"),
        (("img/001.png", 40, ""), "no group in the table"),
    ],
)
def test_a_bad_row_is_excluded(
    make: Callable[..., Path], tmp_path: Path, row: tuple[object, ...], reason: str
) -> None:
    good = [("img/000.png", 30, "a"), ("img/002.png", 50, "b"), ("img/003.png", 60, "c")]
    folder = make([*good, row])
    draw(tmp_path / "outside/secret.png", 1)
    (folder / "link.png").symlink_to(tmp_path / "outside/secret.png")
    (folder / "linked").symlink_to(tmp_path / "outside")
    scan = TABLE.reader.scan(str(folder))
    assert [s.id for s in scan.samples] == ["img/000", "img/002", "img/003"]
    assert [reason in r.reason for r in scan.rejected] == [True]


def test_backslashes_and_a_leading_dot_are_paths_too(make: Callable[..., Path]) -> None:
    folder = make([("img\\000.png", 1, "a"), ("./img/001.png", 2, "b"), ("img//002.png", 3, "c")])
    scan = TABLE.reader.scan(str(folder))
    assert [Path(s.address).name for s in scan.samples] == ["000.png", "001.png", "002.png"]


def test_of_equal_rows_one_stays_and_contradictions_are_all_excluded(
    make: Callable[..., Path],
) -> None:
    rows = [
        ("img/000.png", 30, "a"),
        ("img/000.png", 30, "a"),
        ("img/001.png", 40, "b"),
        ("img/001.png", 41, "b"),
        ("img/002.png", 50, "c"),
    ]
    folder = make(rows)
    scan = TABLE.reader.scan(str(folder))
    assert [s.id for s in scan.samples] == ["img/000", "img/002"]
    assert [(r.id, r.reason) for r in scan.rejected] == [
        ("img/000", "the table lists it more than once"),
        ("img/001", "the table lists this file 2 times with different values"),
        ("img/001", "the table lists this file 2 times with different values"),
    ]
    assert len(scan.samples) + len(scan.rejected) == len(rows)


def test_one_file_under_two_ids_is_excluded(make: Callable[..., Path]) -> None:
    rows = [("img/000.png", 1, "a", 7), ("img/000.png", 1, "a", 8), ("img/001.png", 2, "b", "09")]
    folder = make(rows, ("file", "target", "group", "image_id"))
    scan = TABLE.reader.scan(str(folder))
    assert [s.id for s in scan.samples] == ["09"]
    assert set(reasons(folder)) == {"7", "8"}
    assert "lists this file 2 times" in reasons(folder)["7"]


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


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("shapes = [1, 2]", r"no key 'shapes'. Did you mean 'shape'\? There are: name, title"),
        ("shape = 64", "shape must be list, found 64"),
        ("shape = [4, 4]", "each axis of shape must be >= 8"),
        ("channels = true", "channels must be int, found True"),
        ("[columns]\nfiles = 'x'", r"\[columns\]: no key 'files'. Did you mean 'file'"),
        ("[columns]\nfile = 1", "columns.file must be a name"),
        ("[columns]\nfile = '{ID.jpg'", r"columns.file is the pattern '\{ID.jpg' with a brace"),
        ("[columns]\nfile = '{}.jpg'", "a brace too many"),
        ("[columns]\nfile = '{{ID}}.jpg'", "a brace too many"),
        ("[covariates.sex]\nlogs = true", r"no key 'logs'. Did you mean 'log'"),
        ("[covariates.sex]\nlog = 1", "log must be true or false, found 1"),
        ("[covariates.sex]\ndefault = 'x'", "default must be a number"),
        ("[covariates]\nsex = 1", "expected a table of options, found 1"),
        ("covariates = ['a b']", "must be a Python identifier"),
        ("[augmentation]\nrotate = 3", "no key 'rotate'"),
        ("[augmentation]\nrotation_deg = 'much'", "Expected numbers"),
        ("[augmentation]\nrotation_deg = 500", r"rotation_deg must be in \[0, 180\]"),
        ("table = '../labels.csv'", "table must be a path below the folder"),
        ("images = '/data'", "images must be a path below the folder"),
        ("target_transform = 'log'\nlabel_range = [0, 99]", "needs labels above 0"),
        ("label_range = [1]", "does not make a card"),
    ],
)
def test_a_wrong_description_says_what_is_expected(
    make: Callable[..., Path], toml: str, message: str
) -> None:
    with pytest.raises(CardError, match=message):
        TABLE.at(str(make(toml=toml)))


def test_a_source_that_describes_nothing_is_refused(make: Callable[..., Path]) -> None:
    folder = make()
    with pytest.raises(SourceError, match="no folder or file at"):
        TABLE.at(str(folder / "nowhere"))
    with pytest.raises(SourceError, match=r"neither a folder, nor a \.toml"):
        TABLE.at(str(folder / "img/000.png"))
    with pytest.raises(SourceError, match=r"no table in .* with the columns 'file' or 'filename'"):
        TABLE.at(str(folder / "img"))
    (folder / "more.csv").write_text((folder / "labels.csv").read_text())
    with pytest.raises(SourceError, match=r"2 of the tables .* Name the table"):
        TABLE.at(str(folder))
    (folder / "dataset.toml").write_text("table = 'most.csv'")
    with pytest.raises(SourceError, match=r"names the table 'most\.csv', which is not in"):
        TABLE.at(str(folder))
    (folder / "dataset.toml").write_text("table = ")
    with pytest.raises(SourceError, match="cannot be read: Invalid value"):
        TABLE.at(str(folder))


def test_labels_have_to_be_numbers_that_differ(make: Callable[..., Path]) -> None:
    rows = [(f"img/{n:03d}.png", "tall", n) for n in range(3)]
    with pytest.raises(LabelTableError, match="3 of 3 values of the column 'target"):
        TABLE.at(str(make(rows)))
    with pytest.raises(LabelTableError, match=r"do not differ \(3 of them can be used\)"):
        TABLE.at(str(make([(f"img/{n:03d}.png", 7, n) for n in range(3)])))
    rows = [(f"img/{n:03d}.png", n, n, "x") for n in range(3)]
    folder = make(rows, ("file", "target", "group", "sex"), "covariates = ['sex']")
    with pytest.raises(
        LabelTableError, match=r"'sex' .* not a finite number .*values = \{F = 0, M = 1\}"
    ):
        TABLE.reader.scan(str(folder))
    folder = make(toml="[columns]\ngroup = 'who'")
    with pytest.raises(LabelTableError, match="no column 'who'"):
        TABLE.at(str(folder))


@pytest.mark.parametrize("extra", ["", "group = 'ID'"])
def test_a_pattern_makes_files_of_the_cells_of_a_row(make: Callable[..., Path], extra: str) -> None:
    rows = [(f"{n:03d}", "png", 30 + n, f"p{n}") for n in range(4)]
    rows += [("../../secret", "png", 40, "x"), ("", "png", 41, "y")]
    toml = f"[columns]\nfile = 'img/{{ID}}.{{kind of file}}'\n{extra}"
    folder = make(rows, ("ID", "kind of file", "target", "group"), toml)
    scan = TABLE.at(str(folder)).reader.scan(str(folder))
    assert [s.id for s in scan.samples] == [f"img/{n:03d}" for n in range(4)]
    assert [s.group for s in scan.samples] == [f"{'' if extra else 'p'}{s}" for s in (
        ("000", "001", "002", "003") if extra else range(4)
    )]  # fmt: skip
    assert [r.reason for r in scan.rejected] == [
        "the table names a file outside the dataset's folder",
        "no file in the table",
    ]


def test_a_pattern_finds_the_table_that_has_its_columns(make: Callable[..., Path]) -> None:
    rows = [(f"{n:03d}", 30 + n, f"p{n}") for n in range(4)]
    folder = make(rows, ("ID", "target", "group"), "[columns]\nfile = 'img/{ID}.png'")
    (folder / "other.csv").write_text("file,target,group\n")
    assert len(TABLE.reader.scan(str(folder)).samples) == 4


def test_a_pattern_with_an_unknown_column_is_refused_by_name(make: Callable[..., Path]) -> None:
    folder = make(toml="[columns]\nfile = '{ID}_a.jpg'")
    with pytest.raises(LabelTableError, match=r"no column 'ID'. .*'group'.* The pattern of"):
        TABLE.at(str(folder))


def test_a_missing_column_shows_the_lines_to_write(make: Callable[..., Path]) -> None:
    rows = [(f"img/{n:03d}.png", 30 + n, f"p{n}", "F") for n in range(4)]
    folder = make(rows, ("file", "age", "group", "gender"))
    with pytest.raises(LabelTableError, match=r"'age'.*dataset\.toml") as error:
        TABLE.at(str(folder))
    lines = str(error.value).partition("\n\n")[2]
    assert set(parse_spec(tomllib.loads(lines)).columns) == {"file", "target", "group"}
    (folder / "dataset.toml").write_text("covariates = ['sex']\ncolumns = {target = 'age'}")
    with pytest.raises(LabelTableError, match=r"no column 'sex'") as error:
        TABLE.at(str(folder))
    lines = str(error.value).partition("\n\n")[2]
    (covariate,) = parse_spec(tomllib.loads(lines)).covariates
    assert covariate.covariate.name == "sex"


def test_a_table_without_rows_is_refused(make: Callable[..., Path]) -> None:
    folder = make()
    (folder / "labels.csv").write_text("file,target,group\n")
    with pytest.raises(LabelTableError, match=r"labels\.csv has a header and no rows"):
        TABLE.at(str(folder))


def test_missing_files_are_looked_for_in_places_that_are_named(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [(f"{n:03d}.png", 30 + n, f"p{n}") for n in range(5)]
    folder = make(rows)
    scan = TABLE.reader.scan(str(folder))
    (warning,) = scan.warnings
    address = f"file://{folder}"
    assert f"Looked for {address}/000.png, {address}/001.png, {address}/002.png, …" in warning
    assert "The folder has 'img/000.png'" in warning
    assert "missing files of the table: 5." in warning
    assert scan.rejected[0].address == f"{address}/000.png"
    with pytest.raises(TooFewSamplesError, match=r"missing \(5×\); for instance 000\.png"):
        prepare("table", folder, cache=tmp_path / "c")
    (folder / "dataset.toml").write_text("images = 'img'")
    assert TABLE.at(str(folder)).reader.scan(str(folder)).warnings == ()


def test_broken_files_are_excluded_and_nothing_is_lost(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make()
    (folder / "img/001.png").write_bytes(b"")
    (folder / "img/002.png").write_bytes((folder / "img/003.png").read_bytes()[:200])
    store = prepare("table", folder, cache=tmp_path / "c")
    assert len(store) + store.quarantine.height == 10
    assert store.quarantine["id"].to_list() == ["img/001", "img/002"]


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


def test_the_examples_of_the_page_are_accepted() -> None:
    page = Path(__file__).parents[3] / "docs" / "datasets" / "own-data.md"
    blocks = re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    short, whole = (parse_spec(tomllib.loads(block)) for block in blocks)
    assert short.columns == {"target": "thickness_mm", "group": "patient"}
    assert set(whole.card) == set(CARD_KEYS)
    assert [column.covariate.name for column in whole.covariates] == ["sex", "pixel_size"]
