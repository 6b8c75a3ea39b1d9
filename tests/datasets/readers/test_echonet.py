from __future__ import annotations

import csv
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from supremix_datasets import DecodeError, LabelTableError, SourceError
from supremix_datasets.cards.dataset import Reader
from supremix_datasets.decoding.video import encode_mjpg_avi
from supremix_datasets.readers.echonet import CARD, DATASET, EchonetReader

READER = EchonetReader()
HEADER = ("FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS", "NumberOfFrames")
Row = tuple[object, object, object]


@pytest.fixture(scope="module")
def avi() -> bytes:
    rng = np.random.default_rng(0)
    return encode_mjpg_avi(rng.integers(0, 255, (3, 16, 16), dtype=np.uint8), 50)


@pytest.fixture
def make(tmp_path: Path, avi: bytes):
    """``make(rows, files)``; rows are (name, EF, split), files the names in ``Videos``."""

    def make(
        rows: Sequence[Row],
        files: Sequence[str] = (),
        *,
        header: Sequence[str] = (*HEADER, "Split"),
        name: str = "EchoNet-Dynamic",
    ) -> Path:
        folder = tmp_path / name
        (folder / "Videos").mkdir(parents=True)
        for file in files:
            (folder / "Videos" / file).write_bytes(avi)
        with (folder / "FileList.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows([(n, ef, 40, 90, 112, 112, 50, 3, split) for n, ef, split in rows])
        return folder

    return make


def reasons(folder: Path) -> dict[str, str]:
    return {item.id: item.reason for item in READER.scan(str(folder)).rejected}


def test_rows_become_samples_with_their_official_split(make) -> None:
    rows = [("0XA", 55.5, "TRAIN"), ("0XB", 30, "VAL"), ("0XC", 70.25, "TEST")]
    folder = make(rows, ["0XA.avi", "0XB.avi", "0XC.avi"])
    scan = READER.scan(str(folder))
    assert [(s.id, s.group, s.target, s.split) for s in scan.samples] == [
        ("0XA", "0XA", 55.5, "train"),
        ("0XB", "0XB", 30.0, "val"),
        ("0XC", "0XC", 70.25, "test"),
    ]
    assert scan.rejected == ()
    assert scan.tables[0].endswith("EchoNet-Dynamic/FileList.csv")
    assert READER.decode(scan.samples[0].address).pixels.shape == (3, 16, 16)


@pytest.mark.parametrize("ending", ["", ".avi", ".AVI"])
def test_names_in_the_table_may_lack_the_ending(make, ending: str) -> None:
    folder = make([(f"0012{ending}", 50, "TRAIN")], ["0012.avi"])
    (sample,) = READER.scan(str(folder)).samples
    assert sample.id == sample.group == "0012"  # leading zeros stay
    assert sample.address.endswith("Videos/0012.avi")


def test_the_folder_or_the_one_above_it_is_the_source(make, tmp_path: Path) -> None:
    folder = make([("a", 50, "TRAIN")], ["a.avi"])
    (tmp_path / "other.txt").write_text("x")
    assert READER.scan(str(folder)).samples == READER.scan(str(tmp_path)).samples


def test_videos_without_tracings_are_kept(make) -> None:
    folder = make([("a", 50, "TRAIN"), ("b", 51, "TRAIN")], ["a.avi", "b.avi"])
    (folder / "VolumeTracings.csv").write_text("FileName,X1,Y1,X2,Y2,Frame\na.avi,1,2,3,4,0\n")
    assert [s.id for s in READER.scan(str(folder)).samples] == ["a", "b"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("bad", 101, "TRAIN"), "label 101 is outside the possible range 0 to 100 points"),
        (("bad", -1, "TRAIN"), "outside the possible range"),
        (("bad", "inf", "TRAIN"), "outside the possible range"),
        (("bad", "", "TRAIN"), "no label in the table"),
        (("bad", 50, "HOLDOUT"), "the split must be TRAIN, VAL or TEST, found 'HOLDOUT'"),
        (("bad", 50, ""), "the split must be TRAIN, VAL or TEST, found None"),
        (("gone", 50, "TRAIN"), "the file is missing"),
        (("../bad", 50, "TRAIN"), "expected the name of a file in Videos, found '../bad'"),
        (("/etc/bad.avi", 50, "TRAIN"), "expected the name of a file in Videos"),
        (("..\\bad", 50, "TRAIN"), "expected the name of a file in Videos"),
        (("..", 50, "TRAIN"), "expected the name of a file in Videos"),
        (("", 50, "TRAIN"), "expected the name of a file in Videos, found None"),
    ],
)
def test_a_bad_row_is_excluded(make, row: Row, reason: str) -> None:
    folder = make([("good", 50, "TRAIN"), row], ["good.avi", "bad.avi"])
    (folder / "bad.avi").write_bytes(b"outside")
    scan = READER.scan(str(folder))
    assert [s.id for s in scan.samples] == ["good"]
    assert any(reason in item.reason for item in scan.rejected)
    assert not any(item.address.endswith("Dynamic/bad.avi") for item in scan.rejected)


def test_videos_without_a_row_are_named(make) -> None:
    folder = make([("a", 50, "TRAIN")], ["a.avi", "b.avi", "._a.avi"])
    (folder / "Videos" / "notes.txt").write_text("x")
    assert reasons(folder) == {"b": "no row in the table"}


def test_rows_that_say_the_same_twice_count_once(make) -> None:
    scan = READER.scan(str(make([("a", 50, "TRAIN"), ("a.avi", 50.0, "TRAIN")], ["a.avi"])))
    assert [(s.id, s.target) for s in scan.samples] == [("a", 50.0)]
    assert [(r.id, r.reason) for r in scan.rejected] == [("a", "the table lists it more than once")]


def test_rows_that_contradict_each_other_are_excluded(make) -> None:
    rows = [("a", 50, "TRAIN"), ("a", 60, "TRAIN"), ("b", 50, "TRAIN"), ("b", 50, "TEST")]
    scan = READER.scan(str(make([*rows, ("c", 50, "VAL")], ["a.avi", "b.avi", "c.avi"])))
    assert [s.id for s in scan.samples] == ["c"]
    assert [r.id for r in scan.rejected] == ["a", "a", "b", "b"]
    assert {r.reason for r in scan.rejected} == {
        "the table lists it more than once, with different labels or splits"
    }


def test_two_videos_of_one_name_are_excluded(make) -> None:
    scan = READER.scan(str(make([("a", 50, "TRAIN")], ["a.avi", "a.AVI"])))
    assert scan.samples == ()
    assert [r.reason for r in scan.rejected] == ["2 videos have this name"] * 2
    assert len({r.address for r in scan.rejected}) == 2


def test_labels_that_are_not_numbers_are_an_error(make) -> None:
    with pytest.raises(LabelTableError, match=r"1 of 2 values of the column 'EF'.*'normal'"):
        READER.scan(str(make([("a", 50, "TRAIN"), ("b", "normal", "TRAIN")], ["a.avi"])))


def test_a_missing_column_is_an_error(make) -> None:
    with pytest.raises(LabelTableError, match="no column 'Split'"):
        READER.scan(str(make([("a", 50, "TRAIN")], ["a.avi"], header=(*HEADER, "Fold"))))


def test_a_wrong_folder_says_what_to_do(make, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no folder at"):
        READER.scan(str(tmp_path / "nowhere"))
    folder = make([("a", 50, "TRAIN")], ["a.avi"])
    with pytest.raises(SourceError, match="next to the folder Videos: give the folder that holds"):
        READER.scan(str(folder / "Videos"))
    with pytest.raises(SourceError, match="is a file"):
        READER.scan(str(folder / "FileList.csv"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").write_text("x")
    with pytest.raises(SourceError, match=r"Expected EchoNet-Dynamic/FileList\.csv"):
        READER.scan(str(tmp_path / "other"))
    make([("a", 50, "TRAIN")], ["a.avi"], name="Copy")
    with pytest.raises(SourceError, match=r"2 tables FileList\.csv.*Give the folder of one"):
        READER.scan(str(tmp_path))


def test_broken_videos_are_refused_with_the_reason(make, avi: bytes) -> None:
    folder = make([("a", 50, "TRAIN")], ["a.avi"])
    path = folder / "Videos" / "a.avi"
    address = READER.scan(str(folder)).samples[0].address
    for data, reason in (
        (b"", "the file is empty"),
        (avi[: len(avi) // 2], "truncated|claims|not a readable"),
        (b"<html>log in first</html>" * 9, "not a readable video"),
    ):
        path.write_bytes(data)
        with pytest.raises(DecodeError, match=reason):
            READER.decode(address)
    path.unlink()
    with pytest.raises(DecodeError, match="the file is missing"):
        READER.decode(address)


def test_the_card_is_that_of_a_video_and_never_mirrors() -> None:
    assert (CARD.shape, CARD.period, CARD.channels) == ((32, 112, 112), 2, 1)
    assert CARD.augmentation.flip_axes == ()
    assert CARD.spacing is None
    assert isinstance(pickle.loads(pickle.dumps(READER)), Reader)  # noqa: S301
    assert DATASET.card_for(phantom=True).shape == (16, 56, 56)
