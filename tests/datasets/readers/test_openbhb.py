from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from supremix_datasets import Decoded, DecodeError, LabelTableError, SourceError, assign, prepare
from supremix_datasets.decoding.arrays import decode_npy
from supremix_datasets.readers.openbhb import DATASET

READER = DATASET.reader
VBM, QUASI = "preproc-cat12vbm_desc-gm_T1w.npy", "preproc-quasiraw_T1w.npy"
HEADER = ("participant_id", "sex", "age", "site", "split")
Make = Callable[..., Path]


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make({"train/derivatives": {"1": [VBM]}}, rows)``: empty files under official names."""

    def make(
        images: dict[str, dict[str, Sequence[str]]],
        rows: Sequence[Sequence[object]] = (),
        *,
        header: Sequence[str] = HEADER,
        table: str = "participants.tsv",
        name: str = "openbhb",
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for place, patients in images.items():
            for patient, files in patients.items():
                session = folder / place / f"sub-{patient}" / "ses-1"
                session.mkdir(parents=True)
                for file in files:
                    (session / f"sub-{patient}_{file}").write_bytes(b"-")
        (folder / table).parent.mkdir(parents=True, exist_ok=True)
        lines = ["\t".join(map(str, line)) for line in (header, *rows)]
        (folder / table).write_text("\n".join(lines) + "\n")
        return folder

    return make


def test_official_splits_and_sites(make: Make) -> None:
    images = {
        "train/derivatives": {"100053248969": [VBM, QUASI], "0200": [VBM]},
        "val/derivatives": {"300": [VBM, "preproc-cat12vbm_desc-gm_ROI.npy"], "400": [VBM]},
    }
    rows = [
        ("100053248969", "female", 13.9, "8.0", "train"),
        ("0200", "male", 21, "9.0", "train"),
        ("300", "male", 30, "9.0", "internal_test"),
        ("400", "", 40, "", "external_test"),
    ]
    scan = READER.scan(str(make(images, rows)))
    assert not scan.rejected
    assert [(s.id, s.group, s.target, s.split, s.site) for s in scan.samples] == [
        ("0200", "0200", 21.0, "train", "9.0"),
        ("100053248969", "100053248969", 13.9, "train", "8.0"),
        ("300", "300", 30.0, "val", "9.0"),
        ("400", "400", 40.0, "test", None),
    ]
    assert [s.covariates for s in scan.samples] == [{"sex": 1.0}, {"sex": 0.0}, {"sex": 1.0}, {}]
    assert all(s.address.endswith(VBM) for s in scan.samples)


def test_one_kind_of_image_for_all(make: Make) -> None:
    images = {"train": {"1": [VBM, QUASI], "2": [QUASI]}}
    rows = [(n, "male", 20, 1, "train") for n in (1, 2)]
    scan = READER.scan(str(make(images, rows)))
    assert [s.address.endswith(VBM) for s in scan.samples] == [True]
    assert scan.rejected[0].reason == "expected one cat12vbm_desc-gm image of this id, found 0"
    images = {"train": {"1": [QUASI], "2": [QUASI]}}
    scan = READER.scan(str(make(images, rows, name="raw")))
    assert [s.address.endswith(QUASI) for s in scan.samples] == [True, True]


def test_tables_beside_each_split_and_splits_of_the_folders(make: Make, tmp_path: Path) -> None:
    header = ("participant_id", "sex", "age", "site")
    make(
        {"train": {"1": [VBM]}},
        [("sub-1", "M", 20, 3)],
        header=header,
        table="train/participants.tsv",
    )
    folder = make(
        {"val": {"2": [VBM]}}, [("2.0", "F", 30, "")], header=header, table="val/participants.tsv"
    )
    scan = READER.scan(str(folder))
    assert [(s.id, s.target, s.split, s.site) for s in scan.samples] == [
        ("1", 20.0, "train", "3"),
        ("2", 30.0, "val", None),
    ]
    assert len(scan.tables) == 2


@pytest.mark.parametrize("written", ["1.00053248969E11", "100053248969.0", "sub-100053248969"])
def test_an_id_that_a_spreadsheet_rewrote_is_recognised(make: Make, written: str) -> None:
    folder = make({"train": {"100053248969": [VBM]}}, [(written, "male", 20, 1, "train")])
    assert [s.id for s in READER.scan(str(folder)).samples] == ["100053248969"]


def test_what_cannot_be_used_is_excluded_with_its_reason(make: Make) -> None:
    images = {
        "train": {str(n): [VBM] for n in range(1, 8)},
        "train/copy": {"6": [VBM]},
    }
    rows = [
        (1, "male", 20, 1, "train"),
        (2, "male", "", 1, "train"),
        (3, "male", 240, 1, "train"),
        (4, "male", 20, 1, "external_test"),
        (5, "male", 20, 1, "train"),
        (5, "male", 21, 1, "train"),
        (6, "male", 20, 1, "train"),
        (8, "male", 20, 1, "train"),
        (9, "male", 20, 1, "internal_test"),
    ]
    scan = READER.scan(str(make(images, rows)))
    assert [s.id for s in scan.samples] == ["1"]
    assert {r.id: r.reason for r in scan.rejected} == {
        "2": "no label in the table",
        "3": "label 240 is outside the possible range 3 to 100 years",
        "4": "the table gives the split 'external_test', but the image is in that of train",
        "5": "the table has rows of this id that contradict each other",
        "6": "expected one cat12vbm_desc-gm image of this id, found 2",
        "7": "the table has no row of this id",
        "8": "no image of this id",  # 9 is of a part that was not downloaded
    }


def test_a_split_that_nobody_knows_is_excluded(make: Make) -> None:
    scan = READER.scan(str(make({"x": {"1": [VBM]}}, [(1, "male", 20, 1, "fold3")])))
    assert "the table gives the split 'fold3'; known: train" in scan.rejected[0].reason


def test_a_wrong_folder_or_table_says_what_to_do(make: Make) -> None:
    folder = make({"train": {"1": ["preproc-cat12vbm_desc-gm_ROI.npy"]}})
    with pytest.raises(SourceError, match="sub-100053248969_preproc-cat12vbm"):
        READER.scan(str(folder))
    folder = make({"train": {"1": [VBM]}}, [("1", "m", "old", 1, "train")], name="text")
    with pytest.raises(LabelTableError, match="line 2: 'old'"):
        READER.scan(str(folder))
    (folder / "participants.tsv").unlink()
    with pytest.raises(SourceError, match=r"no participants\.tsv"):
        READER.scan(str(folder))


@pytest.mark.parametrize(
    ("name", "shape", "spacing"),
    [(VBM, (121, 145, 121), 1.5), (QUASI, (182, 218, 182), 1.0)],
)
def test_each_kind_has_its_grid(
    tmp_path: Path, name: str, shape: tuple[int, int, int], spacing: float
) -> None:
    path = tmp_path / f"sub-1_{name}"
    array = np.zeros(shape, np.float16)
    array[3, 4, 5] = 1
    path.write_bytes(npy(array[None, None]))
    image = Decoded.of(READER.decode(str(path)))
    np.testing.assert_array_equal(image.pixels, array[::-1])  # left to right became right
    assert image.spacing == (spacing,) * 3
    path.write_bytes(npy(array[None, None, 1:]))
    with pytest.raises(DecodeError, match=r"expected shape \(1"):
        READER.decode(str(path))


def test_preparing_keeps_splits_and_sets_broken_arrays_aside(make: Make, tmp_path: Path) -> None:
    images = {"train": {str(n): [VBM] for n in range(1, 8)}, "val": {"8": [VBM], "9": [VBM]}}
    rows = [(n, "male", 20 + n, 1, "train") for n in range(1, 8)]
    rows += [(8, "female", 28, 1, "internal_test"), (9, "female", 29, "", "external_test")]
    folder = make(images, rows)
    whole = npy(np.random.default_rng(0).random((1, 1, 121, 145, 121)).astype(np.float16))
    for path in folder.rglob("*.npy"):
        path.write_bytes(whole[: len(whole) // 2] if "sub-3_" in path.name else whole)
    store = prepare(DATASET, folder, cache=tmp_path / "c", shape=(30, 36, 30))
    assert store.quarantine["id"].to_list() == ["3"]
    assert "truncated" in store.quarantine["reason"][0]
    assert dict(zip(store.index["id"], assign(store.index), strict=True)) == {
        **dict.fromkeys("124567", "train"),
        "8": "val",
        "9": "test",
    }


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (npy(np.ones((8, 8, 8)))[:-1], "truncated or padded"),
        (npy(np.ones((8, 8, 8))) + b"-", "truncated or padded"),
        (npy(np.ones((8, 8, 8)))[:40], "not a readable NumPy array"),
        (b"PK\x03\x04 an .npz", "does not start like one"),
        (npy(np.array([{"a": 1}], dtype=object)), "expected an array of numbers"),
        (npy(np.ones((8, 8, 8), complex)), "expected an array of numbers"),
        (npy(np.full((8, 8, 8), "a")), "expected an array of numbers"),
        (npy(np.ones((8, 8))), r"3 axes, found shape \(8, 8\)"),
        (npy(np.ones((2, 8, 8, 8))), r"3 axes, found shape \(2, 8, 8, 8\)"),
    ],
)
def test_an_array_that_is_not_what_it_says_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode_npy(data, (1.0, 1.0, 1.0))


def test_a_header_that_claims_terabytes_allocates_nothing() -> None:
    honest = npy(np.ones((1111, 8, 8), np.uint8))
    with pytest.raises(DecodeError, match=r"truncated or padded: shape .9999999999,. of uint8"):
        decode_npy(honest.replace(b"(1111, 8, 8)", b"(9999999999,)", 1), None)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<i2", "|u1", "|b1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_of_any_kind_come_back_as_they_were(dtype: str, order: str) -> None:
    array = np.random.default_rng(0).integers(0, 2, (1, 1, 8, 9, 10)).astype(dtype, order=order)
    image = decode_npy(npy(array), (2.0, 2.0, 3.0))
    np.testing.assert_array_equal(image.pixels, array[0, 0])
    assert image.spacing == (2.0, 2.0, 3.0)


def test_without_a_spacing_there_are_two_or_three_axes() -> None:
    for shape in ((8, 9), (7, 8, 9), (1, 8, 9)):
        assert decode_npy(npy(np.ones(shape)), None).pixels.shape == shape
    assert decode_npy(npy(np.ones((1, 7, 8, 9))), None).pixels.shape == (7, 8, 9)
    for shape in ((8,), (2, 7, 8, 9)):
        with pytest.raises(DecodeError, match="expected an array with 3 axes"):
            decode_npy(npy(np.ones(shape)), None)
