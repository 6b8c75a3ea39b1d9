"""Rows of the user's own table: what becomes an image, and what is excluded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from own_pictures import TABLE, draw, reasons

from supremix_datasets import (
    LabelTableError,
    TooFewSamplesError,
    prepare,
)


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


@pytest.mark.parametrize("column", ["img/{ID}.png", "ID"])
def test_each_image_may_be_a_patient_of_its_own(make: Callable[..., Path], column: str) -> None:
    rows = [(f"{n:03d}" if "{" in column else f"img/{n:03d}.png", 30 + n) for n in range(3)]
    toml = f"[columns]\nfile = '{column}'\ngroup = 'file'"
    folder = make(rows, ("ID", "target"), toml)
    scan = TABLE.at(str(folder)).reader.scan(str(folder))
    assert [s.group for s in scan.samples] == [f"img/{n:03d}.png" for n in range(3)]


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
