from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from supremix_datasets import LabelTableError, SourceError, assign, get, prepare, to_float

READER = get("hc18").reader
TABLE = "training_set_pixel_size_and_HC.csv"
Make = Callable[..., Path]


def test_images_of_one_woman_are_one_group(make_hc18: Make) -> None:
    names = ("007_HC.png", "007_2HC.png", "008_HC.png")
    scan = READER.scan(str(make_hc18([(n, 0.1, 100) for n in names])))
    assert [s.id for s in scan.samples] == ["007_HC", "007_2HC", "008_HC"]
    assert [s.group for s in scan.samples] == ["007", "007", "008"]
    assert scan.samples[0].covariates == {"pixel_size": 0.1}
    assert scan.samples[0].split is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("a_HC.png", 0.1, ""), "no label"),
        (("a_HC.png", 0.1, "NA"), "no label"),
        (("a_HC.png", 0.1, 5000), "label 5000 is outside the possible range 20 to 500 mm"),
        (("a_HC.png", 0.1, "inf"), "outside the possible range"),
        (("a_HC.png", "", 100), "pixel size must be a positive number"),
        (("a_HC.png", 0, 100), "pixel size must be a positive number"),
        (("b_HC.png", 0.1, 100), "the file is missing"),
    ],
)
def test_a_bad_row_is_excluded(make_hc18: Make, row: tuple[str, float, float], reason: str):
    good = ("001_HC.png", 0.1, 100)
    scan = READER.scan(str(make_hc18([good, row], skip=["b_HC.png"])))
    assert [s.id for s in scan.samples] == ["001_HC"]
    assert len(scan.rejected) == 1
    assert reason in scan.rejected[0].reason


def test_a_picture_without_a_row_and_a_repeated_row_are_named(make_hc18: Make) -> None:
    folder = make_hc18([("001_HC.png", 0.1, 100), ("001_HC.png", 0.1, 110)])
    original = (folder / "training_set/001_HC.png").read_bytes()
    for name in ("002_HC.png", "001_HC_Annotation.png"):
        (folder / "training_set" / name).write_bytes(original)
    scan = READER.scan(str(folder))
    assert {(r.id, r.reason) for r in scan.rejected} == {
        ("002_HC", "no row in the table"),
        ("001_HC", "the table lists it more than once, with different values"),
    }


def test_labels_that_are_not_numbers_are_an_error(make_hc18: Make) -> None:
    rows = [("1_HC.png", 0.1, "12,5"), ("2_HC.png", 0.1, "tall"), ("3_HC.png", 0.1, 100)]
    with pytest.raises(LabelTableError, match=r"2 of 3 values .*line 2: '12,5'; line 3: 'tall'"):
        READER.scan(str(make_hc18(rows)))


def test_a_missing_column_is_an_error(make_hc18: Make) -> None:
    folder = make_hc18(header=("filename", "pixel size(mm)", "HC"))
    with pytest.raises(LabelTableError, match=r"no column 'head circumference \(mm\)'.*'HC'"):
        READER.scan(str(folder))


def test_an_empty_table_is_an_error(make_hc18: Make) -> None:
    folder = make_hc18()
    (folder / "training_set_pixel_size_and_HC.csv").write_text("")
    with pytest.raises(LabelTableError, match="the file is empty"):
        READER.scan(str(folder))


def test_a_wrong_folder_says_what_to_do(tmp_path: Path, make_hc18: Make) -> None:
    with pytest.raises(SourceError, match="no folder at"):
        READER.scan(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="is empty"):
        READER.scan(str(tmp_path / "empty"))
    folder = make_hc18()
    with pytest.raises(SourceError, match="next to the folder training_set"):
        READER.scan(str(folder / "training_set"))
    with pytest.raises(SourceError, match="is a file"):
        READER.scan(str(folder / "training_set" / "000_HC.png"))


def test_a_part_of_the_real_folder(hc18_folder: Path, tmp_path: Path) -> None:
    scan = READER.scan(str(hc18_folder))
    assert len(scan.samples) == 999
    assert len({sample.group for sample in scan.samples}) == 806
    assert not scan.rejected
    part = tmp_path / "hc18"
    (part / "training_set").mkdir(parents=True)
    head, *rows = (hc18_folder / TABLE).read_text().splitlines()
    (part / TABLE).write_text("\n".join([head, *rows[::25]]))
    for row in rows[::25]:
        name = row.split(",")[0]
        (part / "training_set" / name).symlink_to(hc18_folder / "training_set" / name)
    store = prepare("hc18", part, cache=tmp_path / "cache")
    assert len(store) == 40
    assert store.quarantine.height == 0
    assert 0.5 < to_float(store.images[:], store.card).std() < 1.5


@pytest.mark.long
def test_the_real_folder(hc18_folder: Path, cache: Path) -> None:
    store = prepare("hc18", hc18_folder, cache=cache)
    assert len(store) == 999
    assert store.index["group"].n_unique() == 806
    assert store.quarantine.height == 0
    pixels = to_float(store.images[::20], store.card)
    assert 0.5 < pixels.std() < 1.5
    split = assign(store.index)
    for group in ("train", "val", "test"):
        assert abs(store.targets[split == group].mean() - store.targets.mean()) < 5
