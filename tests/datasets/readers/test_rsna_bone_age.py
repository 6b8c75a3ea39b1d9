from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)
from workbook import workbook

from supremix_datasets import (
    DecodeError,
    LabelTableError,
    SourceError,
    assign,
    prepare,
)
from supremix_datasets.decoding.images import decode_picture
from supremix_datasets.decoding.radiographs import is_inverted, upright_grey
from supremix_datasets.readers.rsna_bone_age import CARD, DATASET
from supremix_datasets.stores.conform import conform

READER = DATASET.reader
TRAIN, TEST = "boneage-training-dataset", "boneage-test-dataset"
VALIDATION = ("boneage-validation-dataset-1", "boneage-validation-dataset-2")
TRAIN_ROWS = [("id", "boneage", "male"), ("0012", 120, "True"), ("13", 60, "False")]
VALIDATION_ROWS = [
    ("Image ID", "male", "Bone Age (months)"),
    ("21", "TRUE", "32.00"),
    ("22", "FALSE", 44),
]
TEST_ROWS = [("Case ID", "Sex"), ("31", "M"), ("32", "F")]
TRUTH_ROWS = [("Case ID", "Ground truth bone age (months)"), ("31", "98.5"), ("32", 150)]
Rows = Sequence[Sequence[object]]
Make = Callable[..., Path]


def radiograph(seed: int = 0, size: tuple[int, int] = (90, 70)) -> np.ndarray:
    """Three bright fingers and a palm on a dark ground, brighter bones in them."""
    down, right = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    across = np.abs((right + 0.66) % 0.44 - 0.22)
    fingers = (down > -0.85) & (down < 0.3) & (np.abs(right) < 0.66) & (across < 0.14)
    palm = ((down - 0.4) / 0.5) ** 2 + (right / 0.6) ** 2 < 1
    bones = (across < 0.06) & (fingers | palm)
    noise = np.random.default_rng(seed).uniform(0, 10, size)
    return (15 + 100 * (fingers | palm) + 80 * bones + noise).astype(np.uint8)


def save(path: Path, pixels: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(radiograph() if pixels is None else pixels).save(path)


def table(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def dicom(path: Path, pixels: np.ndarray, photometric: str) -> None:
    image = Dataset()
    image.SOPClassUID = ComputedRadiographyImageStorage
    image.SOPInstanceUID = generate_uid()
    image.PhotometricInterpretation = photometric
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PixelRepresentation = 1, 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelData = pixels.astype("<u2").tobytes()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make({path: table rows, or None for a picture})``."""

    def build(entries: dict[str, Rows | None]) -> Path:
        for name, rows in entries.items():
            if rows is None:
                save(tmp_path / name)
            else:
                table(tmp_path / name, rows)
        return tmp_path

    return build


@pytest.fixture
def official(make: Make) -> Path:
    return make(
        {
            f"{TRAIN}.csv": TRAIN_ROWS,
            f"{TRAIN}/0012.png": None,
            f"{TRAIN}/13.png": None,
            "Validation Dataset.csv": VALIDATION_ROWS,
            f"{VALIDATION[0]}/21.png": None,
            f"{VALIDATION[1]}/22.png": None,
            f"{TEST}.csv": TEST_ROWS,
            f"{TEST}/31.png": None,
            f"{TEST}/32.png": None,
        }
    )


@pytest.fixture
def mirror(make: Make) -> Path:
    """Folders nested in folders of the same name; no validation set, no labels of the test set."""
    rows: Rows = [TRAIN_ROWS[0], *((str(n), 10 * n, n % 2 == 0) for n in range(1, 21))]
    pictures = {f"{TRAIN}/{TRAIN}/{n}.png": None for n in range(1, 21)}
    tests = {f"{TEST}.csv": TEST_ROWS, f"{TEST}/{TEST}/31.png": None, f"{TEST}/{TEST}/32.png": None}
    return make({f"{TRAIN}.csv": rows, **pictures, **tests})


def test_the_official_folders_are_the_splits(official: Path) -> None:
    table(official / "Bone age ground truth.csv", TRUTH_ROWS)
    scan = READER.scan(str(official))
    found = {s.id: (s.split, s.target, s.covariates["sex"], s.group) for s in scan.samples}
    assert found == {
        "0012": ("train", 120, 1, "0012"),
        "13": ("train", 60, 0, "13"),
        "21": ("val", 32, 1, "21"),
        "22": ("val", 44, 0, "22"),
        "31": ("test", 98.5, 1, "31"),
        "32": ("test", 150, 0, "32"),
    }
    assert scan.rejected == ()
    assert len(scan.tables) == 4


def test_a_test_set_without_its_sheet_is_excluded(official: Path) -> None:
    scan = READER.scan(str(official))
    assert {s.split for s in scan.samples} == {"train", "val"}
    assert [(r.id, r.reason) for r in scan.rejected] == [
        ("31", "no label in the table"),
        ("32", "no label in the table"),
    ]


def test_the_sheet_of_the_test_labels_may_be_a_workbook(official: Path) -> None:
    workbook(official / "Bone age ground truth.xlsx", TRUTH_ROWS)
    scan = READER.scan(str(official))
    assert {s.id: s.target for s in scan.samples if s.split == "test"} == {"31": 98.5, "32": 150}


def test_the_mirror_lacks_splits_which_come_out_of_its_training_set(mirror: Path) -> None:
    store = prepare(DATASET, mirror, cache=mirror.parent / "cache", shape=(32, 32))
    assert len(store) == 20
    assert store.quarantine["id"].sort().to_list() == ["31", "32"]
    split = assign(store.index)
    assert dict(zip(*np.unique(split, return_counts=True), strict=True)) == {
        "train": 12,
        "val": 4,
        "test": 4,
    }


@pytest.mark.parametrize(
    ("text", "male"),
    [
        *((text, 1.0) for text in ("True", "TRUE", "true", "M", "m", "Male", "1", "1.0")),
        *((text, 0.0) for text in ("False", "FALSE", "false", "F", "f", "Female", "0")),
    ],
)
def test_sex_comes_in_many_spellings(make: Make, text: str, male: float) -> None:
    folder = make({f"{TRAIN}.csv": [TRAIN_ROWS[0], ("1", 60, text)], f"{TRAIN}/1.png": None})
    assert READER.scan(str(folder)).samples[0].covariates == {"sex": male}


@pytest.mark.parametrize("text", ["", "NA", "U"])
def test_unknown_sex_is_left_to_the_cards_default(make: Make, text: str) -> None:
    folder = make({f"{TRAIN}.csv": [TRAIN_ROWS[0], ("1", 60, text)], f"{TRAIN}/1.png": None})
    assert READER.scan(str(folder)).samples[0].covariates == {}
    assert CARD.covariates[0].default == 0.5


def test_what_is_no_sex_is_an_error(make: Make) -> None:
    folder = make({f"{TRAIN}.csv": [TRAIN_ROWS[0], ("1", 60, "2")], f"{TRAIN}/1.png": None})
    with pytest.raises(LabelTableError, match=r"1 of 1 values of the column 'male'.*line 2: '2'"):
        READER.scan(str(folder))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("99", 60, "True"), "the file is missing"),
        (("../1", 60, "True"), "the file is missing"),
        (("/etc/passwd", 60, "True"), "the file is missing"),
        (("1", 600, "True"), "label 600 is outside the possible range 0 to 240 months"),
        (("1", "", "True"), "no label in the table"),
        (("1", "-3", "True"), "outside the possible range"),
        (("1", "nan", "True"), "no label in the table"),
    ],
)
def test_a_bad_row_is_excluded(make: Make, row: tuple[object, ...], reason: str) -> None:
    rows = [TRAIN_ROWS[0], row, ("2", 80, "False")]
    folder = make({f"{TRAIN}.csv": rows, f"{TRAIN}/2.png": None})
    if row[0] == "1":
        save(folder / TRAIN / "1.png")
    scan = READER.scan(str(folder))
    assert [s.id for s in scan.samples] == ["2"]
    assert [(r.id, reason in r.reason) for r in scan.rejected] == [(row[0], True)]


def test_a_row_whose_picture_lies_in_another_set_is_missing(official: Path) -> None:
    table(official / f"{TRAIN}.csv", [*TRAIN_ROWS, ("21", 99, "True")])
    scan = READER.scan(str(official))
    assert ("21", "the file is missing") in {(r.id, r.reason) for r in scan.rejected}
    assert next(s for s in scan.samples if s.id == "21").target == 32


def test_a_picture_without_a_row_is_named(make: Make) -> None:
    folder = make({f"{TRAIN}.csv": TRAIN_ROWS, f"{TRAIN}/12.png": None, f"{TRAIN}/13.png": None})
    scan = READER.scan(str(folder))
    assert [s.id for s in scan.samples] == ["13"]
    assert {(r.id, r.reason) for r in scan.rejected} == {
        ("12", "no row in the table of its set"),  # 12 is not 0012
        ("0012", "the file is missing"),
    }


def test_rows_that_contradict_each_other_are_excluded_and_those_that_agree_are_one(
    make: Make,
) -> None:
    rows = [*TRAIN_ROWS, ("13", 61, "False"), ("0012", "120.0", "M")]
    folder = make({f"{TRAIN}.csv": rows, f"{TRAIN}/0012.png": None, f"{TRAIN}/13.png": None})
    scan = READER.scan(str(folder))
    assert [s.id for s in scan.samples] == ["0012"]
    assert [(r.id, r.reason) for r in scan.rejected] == [
        ("13", "the tables list it more than once, with different values")
    ]


def test_a_second_file_of_an_id_is_excluded(official: Path) -> None:
    save(official / TRAIN / TRAIN / "13.png")
    save(official / TRAIN / "21.png")
    scan = READER.scan(str(official))
    reasons = {(r.id, r.reason) for r in scan.rejected}
    assert ("13", "another file of this id is in the folder") in reasons
    assert ("21", "another file of this id is in the val set") in reasons
    assert next(s for s in scan.samples if s.id == "21").split == "val"


def test_a_picture_is_read_rather_than_its_dicom_twin(official: Path) -> None:
    (official / TRAIN / "13.dcm").write_bytes(b"twin")
    (official / TRAIN / "14.dcm").write_bytes(b"alone")
    table(official / f"{TRAIN}.csv", [*TRAIN_ROWS, ("14", 70, "True")])
    scan = READER.scan(str(official))
    addresses = {s.id: s.address.rsplit("/", 1)[-1] for s in scan.samples if s.split == "train"}
    assert addresses == {"0012": "0012.png", "13": "13.png", "14": "14.dcm"}
    assert {r.id for r in scan.rejected} == {"31", "32"}


def test_what_is_no_radiograph_is_left_alone(official: Path) -> None:
    save(official / "__MACOSX" / TRAIN / "._13.png")
    save(official / "plots" / "13.png")
    table(official / "scores.csv", [("team", "mad"), ("a", 4.2)])
    before = READER.scan(str(official))
    assert len(before.samples) == 4
    assert len(before.tables) == 3


def test_a_table_without_a_telling_name_is_told_by_its_column_of_ids(make: Make) -> None:
    folder = make(
        {
            "a.csv": TRAIN_ROWS,
            "b.csv": [TRUTH_ROWS[0], ("31.png", 98.5)],
            f"Bone Age Training Set/{TRAIN}/13.png": None,
            f"Bone Age Test Set/{TEST}/31.png": None,
        }
    )
    samples = READER.scan(str(folder)).samples
    assert {s.id: (s.split, s.target) for s in samples} == {
        "13": ("train", 60),
        "31": ("test", 98.5),
    }


def test_the_folders_in_the_zips_may_be_given_alone(make: Make) -> None:
    folder = make(
        {
            "Test Set Images/31.png": None,
            "Bone age ground truth.csv": [
                ("Case ID", "Sex", "Ground truth bone age (months)"),
                ("31", "M", "98.5"),
            ],
            f"{TRAIN}/13.png": None,
            "train.csv": TRAIN_ROWS[:1] + TRAIN_ROWS[2:],
        }
    )
    scan = READER.scan(str(folder))
    found = {s.id: (s.split, s.target, s.covariates["sex"]) for s in scan.samples}
    assert found == {"31": ("test", 98.5, 1.0), "13": ("train", 60.0, 0.0)}
    assert not scan.rejected


def test_a_training_table_without_labels_is_an_error(make: Make) -> None:
    folder = make({f"{TRAIN}.csv": [("id", "male"), ("1", "True")], f"{TRAIN}/1.png": None})
    with pytest.raises(LabelTableError, match=r"no column 'boneage' or .*'id', 'male'"):
        READER.scan(str(folder))


def test_two_columns_of_bone_ages_are_an_error(make: Make) -> None:
    header = ("Case ID", "Bone age reader 1", "Bone age reader 2")
    folder = make({f"{TEST}.csv": [header, ("1", 3, 4)], f"{TEST}/1.png": None})
    with pytest.raises(LabelTableError, match="several columns of bone ages"):
        READER.scan(str(folder))


def test_labels_that_are_not_numbers_are_an_error(make: Make) -> None:
    folder = make({f"{TRAIN}.csv": [TRAIN_ROWS[0], ("1", "ten", "M")], f"{TRAIN}/1.png": None})
    with pytest.raises(LabelTableError, match=r"1 of 1 values of the column 'boneage'.*'ten'"):
        READER.scan(str(folder))


def test_a_wrong_folder_says_what_to_do(official: Path, tmp_path_factory: pytest.TempPathFactory):
    with pytest.raises(SourceError, match="in folders of other names"):
        READER.scan(str(official / TRAIN))
    other = tmp_path_factory.mktemp("other")
    (other / f"{TRAIN}.zip").write_bytes(b"zip")
    with pytest.raises(SourceError, match=r"expected folders boneage-training.*Unpack"):
        READER.scan(str(other))
    for path in official.glob("*.csv"):
        path.unlink()
    with pytest.raises(SourceError, match="no table with bone ages"):
        READER.scan(str(official))


def test_grey_and_colour_files_of_any_size_are_prepared_alike(tmp_path: Path) -> None:
    grey, colour = tmp_path / "a.png", tmp_path / "b.png"
    save(grey, radiograph())
    save(colour, np.repeat(radiograph()[..., None], 3, axis=2))
    one, two = (READER.decode(path.as_uri()) for path in (grey, colour))
    np.testing.assert_array_equal(one.pixels, two.pixels)
    for size in ((180, 140), (90, 70), (60, 110)):
        small = CARD.with_shape((64, 64))
        assert conform(radiograph(size=size), small).shape == (1, 64, 64)


def test_an_inverted_picture_is_turned_back(tmp_path: Path) -> None:
    save(tmp_path / "a.png", radiograph())
    save(tmp_path / "b.png", 255 - radiograph())
    one, two = (READER.decode((tmp_path / name).as_uri()) for name in ("a.png", "b.png"))
    card = CARD.with_shape((70, 70))
    np.testing.assert_allclose(
        conform(one, card).astype(int), conform(two, card).astype(int), atol=1
    )


@pytest.mark.parametrize("frame", [0, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_collimator_or_a_white_frame_does_not_mislead(frame: int, dtype: type) -> None:
    pixels = radiograph(size=(200, 160))
    for picture, inverted in ((pixels, False), (255 - pixels, True)):
        framed = picture.copy()
        for edge in (np.s_[:9], np.s_[-9:], np.s_[:, :8], np.s_[:, -8:]):
            framed[edge] = frame
        assert is_inverted(framed.astype(dtype)) is inverted
        upright = upright_grey(framed.astype(dtype))
        assert upright.dtype == dtype
        assert upright[100, 80] > upright[100, 20]


@pytest.mark.parametrize("surround", [0, 120, 255])
@pytest.mark.parametrize("corner", [(40, 0), (60, 65), (90, 130), (120, 60)])
def test_a_small_field_in_a_wide_surround_does_not_mislead(
    surround: int, corner: tuple[int, int]
) -> None:
    hand = radiograph(size=(180, 140))
    film = np.full((300, 270), surround, np.uint8)
    film[corner[0] : corner[0] + 180, corner[1] : corner[1] + 140] = hand
    assert not is_inverted(film)
    assert is_inverted(255 - film)


WIDE_SURROUND = (1886, 2316, 2461, 2484, 2882, 3229, 3339, 3556, 4085, 4116, 15050)
"""Films with bright bone in a small field, most of whose edge is brighter than their middle."""


@pytest.mark.needs_data
def test_no_film_of_the_real_folder_is_inverted(real_data: Path) -> None:
    films = {
        int(path.stem): decode_picture(path.read_bytes()).pixels
        for path in sorted((real_data / "rsna" / TRAIN).glob("*.png"))
    }
    assert len(films) == 1200
    assert set(WIDE_SURROUND) <= set(films)
    # by eye, all 1,200 show bright bone
    assert [name for name, film in films.items() if is_inverted(film)] == []
    assert [name for name, film in films.items() if not is_inverted(255 - film)] == []


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("mislabelled", [False, True])
def test_dicom_files_come_out_bone_bright_on_black(
    tmp_path: Path, photometric: str, mislabelled: bool
) -> None:
    bright = 500 + 8 * radiograph().astype(np.uint16)
    turn = (photometric == "MONOCHROME1") is not mislabelled
    dicom(tmp_path / "1.dcm", 4095 - bright if turn else bright, photometric)
    pixels = READER.decode((tmp_path / "1.dcm").as_uri()).pixels
    assert pixels.min() == 0  # what the card pads with has to be the darkest
    np.testing.assert_allclose(pixels, bright - float(bright.min()))


@pytest.mark.parametrize("cut", [0, 20, 400])
def test_a_truncated_picture_is_refused(tmp_path: Path, cut: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(radiograph()).save(buffer, format="PNG")
    (tmp_path / "1.png").write_bytes(buffer.getvalue()[:cut])
    with pytest.raises(DecodeError, match=r"the file is empty|not a readable picture"):
        READER.decode((tmp_path / "1.png").as_uri())
