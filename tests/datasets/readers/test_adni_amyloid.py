from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from supremix_datasets import DecodeError, LabelTableError, SourceError, prepare
from supremix_datasets.phantoms.amyloid import write_adni_phantoms
from supremix_datasets.readers.adni_amyloid import DATASET, AdniAmyloidReader

READER = AdniAmyloidReader()
HEADER = ("RID", "PTID", "VISCODE", "SCANDATE", "LONIUID", "TRACER", "qc_flag", "SUMMARY_SUVR")
TABLE = "UCBERKELEY_AMY_6MM_12Aug2024.csv"
Row = Sequence[object]


def put_image(
    root: Path, ptid: str, day: str, number: str, *, series: str = "AV45_Coreg_Avg"
) -> None:
    folder = root / "ADNI" / ptid / series / f"{day}_10_30_00.0" / number
    folder.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(0).integers(1, 900, (9, 10, 11)).astype(np.int16)
    image = nib.Nifti1Image(data, np.diag([-6.0, 6.0, 6.0, 1.0]))
    (folder / "a.nii").write_bytes(image.to_bytes())


def put_table(root: Path, rows: Sequence[Row], name: str = TABLE, header: Row = HEADER) -> None:
    root.mkdir(exist_ok=True)
    with (root / name).open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def row(ptid: str, day: str, image: str, **other: object) -> list[object]:
    facts = {"tracer": "FBP", "qc": 2, "suvr": 1.2, "rid": ptid[-4:], **other}
    return [facts["rid"], ptid, "init", day, image, facts["tracer"], facts["qc"], facts["suvr"]]


def test_scans_of_a_person_are_one_group(tmp_path: Path) -> None:
    put_image(tmp_path, "002_S_0413", "2012-05-15", "I304512")
    put_image(tmp_path, "002_S_0413", "2014-06-01", "I404512")
    # enrolled again elsewhere: the site changes, the RID stays
    put_image(tmp_path, "099_S_0413", "2019-06-01", "I504512")
    days = {"304512": "2012-05-15", "404512": "2014-06-01"}
    rows = [row("002_S_0413", day, image) for image, day in days.items()]
    put_table(tmp_path, [*rows, row("099_S_0413", "2019-06-01", "504512", rid=413)])
    scan = READER.scan(str(tmp_path))
    assert [s.id for s in scan.samples] == [
        "002_S_0413_I304512",
        "002_S_0413_I404512",
        "099_S_0413_I504512",
    ]
    assert {s.group for s in scan.samples} == {"413"}
    assert [s.site for s in scan.samples] == ["002", "002", "099"]
    assert not scan.rejected


def test_the_image_id_finds_the_row_else_person_and_day(tmp_path: Path) -> None:
    put_image(tmp_path, "002_S_0001", "2012-05-15", "I11")  # a day off, but named by the table
    put_image(tmp_path, "002_S_0002", "2012-05-15", "I22")  # another processing of the same scan
    put_image(tmp_path, "002_S_0002", "2013-05-15", "I23")
    put_table(
        tmp_path,
        [
            row("002_S_0001", "2012-05-14", "I11", suvr=1.1),
            row("002_S_0002", "5/15/2012", "999", suvr=1.2),
            row("002_S_0002", "2014-05-15", "998", suvr=1.3),
        ],
    )
    scan = READER.scan(str(tmp_path))
    assert [(s.id, s.target) for s in scan.samples] == [
        ("002_S_0001_I11", 1.1),
        ("002_S_0002_I22", 1.2),
    ]
    (left,) = scan.rejected
    assert left.id == "002_S_0002_I23"
    assert left.reason == "no row in the table has its image id, or its PTID and day"


def test_the_image_that_the_table_names_wins_over_its_copies(tmp_path: Path) -> None:
    for image in ("I10", "I20", "I30"):
        put_image(tmp_path, "002_S_0001", "2012-05-15", image)
    put_table(tmp_path, [row("002_S_0001", "2012-05-15", "20")])
    scan = READER.scan(str(tmp_path))
    assert [s.id for s in scan.samples] == ["002_S_0001_I20"]
    assert {r.id: r.reason for r in scan.rejected} == {
        "002_S_0001_I10": "another image of the same scan is used: I20",
        "002_S_0001_I30": "another image of the same scan is used: I20",
    }


def test_another_image_of_the_same_day_is_not_taken_for_pet(tmp_path: Path) -> None:
    others = {"I1": "MPRAGE", "I2": "FDG_PET", "I3": "AV1451_Coreg_Avg", "I4": "AV45_6mm_Avg"}
    for image, series in others.items():
        put_image(tmp_path, "002_S_0001", "2012-05-15", image, series=series)
    (tmp_path / "template.nii").write_bytes(b"x")
    put_table(tmp_path, [row("002_S_0001", "2012-05-15", "9")])
    scan = READER.scan(str(tmp_path))
    assert [s.id for s in scan.samples] == ["002_S_0001_I4"]
    unnamed = "the table does not name it, and by its path it is no amyloid PET"
    assert {r.id: r.reason for r in scan.rejected} == {
        "002_S_0001_I1": f"{unnamed} (MPRAGE)",
        "002_S_0001_I2": f"{unnamed} (FDG)",
        "002_S_0001_I3": f"{unnamed} (AV1451)",
        "template.nii": "no PTID and image id in its path",
    }


def test_what_cannot_be_used_is_excluded_with_its_reason(tmp_path: Path) -> None:
    for number in range(1, 9):
        put_image(tmp_path, f"002_S_000{number}", "2012-05-15", f"I{number}")
    put_table(
        tmp_path,
        [
            row("002_S_0001", "2012-05-15", "1", qc=1),
            row("002_S_0002", "2012-05-15", "2", qc=""),
            row("002_S_0003", "2012-05-15", "3", suvr=""),
            row("002_S_0004", "2012-05-15", "4", suvr=11),
            row("002_S_0005", "2012-05-15", "5", tracer="XYZ"),
            row("002_S_0006", "2012-05-15", "6"),
            row("002_S_0006", "2012-05-15", "6", suvr=1.3),
            row("002_S_0001", "2012-05-15", "7"),
            row("002_S_0008", "2012-05-15", "8"),
        ],
    )
    scan = READER.scan(str(tmp_path))
    assert [s.id for s in scan.samples] == ["002_S_0008_I8"]
    assert [r.reason for r in sorted(scan.rejected, key=lambda r: r.id)] == [
        "qc_flag is 1; only scans with 2 are used",
        "qc_flag is none; only scans with 2 are used",
        "no label in the table",
        "label 11 is outside the possible range 0.3 to 3.5 SUVR",
        "unknown tracer 'XYZ'; known are FBP, FBB, NAV",
        "the table lists it more than once (lines 7 and 8)",
        "the table gives its image id to another PTID",
    ]


@pytest.mark.parametrize("flag", [-2, -1, 0, 1, "", "2.5"])
def test_only_scans_with_qc_flag_2_are_used(tmp_path: Path, flag: object) -> None:
    for number in (1, 2):
        put_image(tmp_path, f"002_S_000{number}", "2012-05-15", f"I{number}")
    rows = [row("002_S_0001", "2012-05-15", "1", qc=flag), row("002_S_0002", "2012-05-15", "2")]
    put_table(tmp_path, rows)
    scan = READER.scan(str(tmp_path))
    assert [s.id for s in scan.samples] == ["002_S_0002_I2"]
    shown = "none" if flag == "" else flag
    assert scan.rejected[0].reason == f"qc_flag is {shown}; only scans with 2 are used"


@pytest.mark.parametrize(("six", "eight"), [("6MM", "8MM"), ("6", "8"), ("6.0 mm", "8 MM")])
def test_of_two_resolutions_in_one_table_6_mm_is_read(tmp_path: Path, six: str, eight: str) -> None:
    for number in (1, 2, 3):
        put_image(tmp_path, f"002_S_000{number}", "2012-05-15", f"I{number}")
    put_image(tmp_path, "002_S_0004", "2012-05-15", "I44")
    put_table(
        tmp_path,
        [
            [*row("002_S_0001", "2012-05-15", "1", suvr=1.1), eight],
            [*row("002_S_0001", "2012-05-15", "1", suvr=1.2), six],
            [*row("002_S_0002", "2012-05-15", "2", suvr=1.3), ""],
            [*row("002_S_0003", "2012-05-15", "3", suvr=1.4), eight],
            [*row("002_S_0004", "2012-05-15", "4", suvr=1.5), eight],
            [*row("002_S_0004", "2012-05-15", "5", suvr=1.6), six],
        ],
        header=(*HEADER, "IMAGE_RESOLUTION"),
    )
    scan = READER.scan(str(tmp_path))
    assert [s.target for s in scan.samples] == [1.2, 1.3, 1.6]
    assert [(r.id, r.reason) for r in scan.rejected] == [
        ("002_S_0003_I3", "its row is of 8 mm resolution; only 6 mm is read")
    ]
    eights = AdniAmyloidReader(resolutions=(8,)).scan(str(tmp_path))
    assert [s.target for s in eights.samples] == [1.1, 1.3, 1.4, 1.5]


def test_what_is_no_resolution_is_an_error(tmp_path: Path) -> None:
    put_image(tmp_path, "002_S_0001", "2012-05-15", "I1")
    rows = [[*row("002_S_0001", "2012-05-15", "1"), "high"]]
    put_table(tmp_path, rows, header=(*HEADER, "IMAGE_RESOLUTION"))
    with pytest.raises(LabelTableError, match="line 2: IMAGE_RESOLUTION 'high' is no resolution"):
        READER.scan(str(tmp_path))


def test_an_image_id_is_the_same_with_i_d_or_neither(tmp_path: Path) -> None:
    ids = {"I11": "D11", "I12": "I12", "I13": "13", "D14": "I14"}
    for number, (folder, _) in enumerate(ids.items(), start=1):
        put_image(tmp_path, f"002_S_000{number}", "2012-05-15", folder)
    rows = [
        row(f"002_S_000{number}", "2010-01-01", listed)
        for number, listed in enumerate(ids.values(), start=1)
    ]
    put_table(tmp_path, rows)
    assert [s.id[-3:] for s in READER.scan(str(tmp_path)).samples] == ["I11", "I12", "I13", "I14"]


def test_the_tracer_is_a_covariate_or_the_only_one_read(tmp_path: Path) -> None:
    rows = []
    for number, tracer in enumerate(("FBP", "FBB", "NAV"), start=1):
        put_image(tmp_path, f"002_S_000{number}", "2012-05-15", f"I{number}")
        rows.append(row(f"002_S_000{number}", "2012-05-15", str(number), tracer=tracer))
    put_table(tmp_path, rows)
    scan = READER.scan(str(tmp_path))
    assert [(s.covariates["florbetaben"], s.covariates["nav4694"]) for s in scan.samples] == [
        (0, 0),
        (1, 0),
        (0, 1),
    ]
    assert "TRACER_SUVR_WARNING" in scan.warnings[0]
    one = AdniAmyloidReader(tracers=("FBP",)).scan(str(tmp_path))
    assert not one.warnings
    assert [s.id for s in one.samples] == ["002_S_0001_I1"]
    assert [r.reason for r in one.rejected] == [
        "tracer FBB; only FBP is read",
        "tracer NAV; only FBP is read",
    ]


@pytest.mark.parametrize(
    ("older", "newer"),
    [("12Aug2023", "02Jan2024"), ("12_31_22", "01_02_23"), ("2023-12-31", "2024-01-01")],
)
def test_the_newest_table_is_read(tmp_path: Path, older: str, newer: str) -> None:
    put_image(tmp_path, "002_S_0001", "2012-05-15", "I1")
    for day, suvr in ((newer, 1.5), (older, 1.1)):
        rows = [row("002_S_0001", "2012-05-15", "1", suvr=suvr)]
        put_table(tmp_path, rows, name=f"UCBERKELEY_AMY_6MM_{day}.csv")
    scan = READER.scan(str(tmp_path))
    assert scan.samples[0].target == 1.5
    assert scan.tables[0].endswith(f"{newer}.csv")
    put_table(tmp_path, [], name="UCBERKELEY_AMY_6MM_final.csv")
    with pytest.raises(SourceError, match="no date that says which is the newest"):
        READER.scan(str(tmp_path))


def test_wrong_folders_and_tables_say_what_to_do(tmp_path: Path) -> None:
    put_table(tmp_path, [])
    (tmp_path / "scan.nii").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"expected folders like 002_S_0413/<series>"):
        READER.scan(str(tmp_path))
    put_image(tmp_path, "002_S_0001", "2012-05-15", "I1")
    (tmp_path / TABLE).unlink()
    with pytest.raises(SourceError, match=r"no UCBERKELEY_AMY_6MM_<date>\.csv"):
        READER.scan(str(tmp_path))
    put_table(tmp_path, [], header=("RID", "PTID"))
    with pytest.raises(LabelTableError, match="no column 'SCANDATE'"):
        READER.scan(str(tmp_path))
    put_table(tmp_path, [row("002_S_0001", "2012-05-15", "1", suvr="high")])
    with pytest.raises(LabelTableError, match=r"'SUMMARY_SUVR'.*line 2: 'high'"):
        READER.scan(str(tmp_path))
    put_table(tmp_path, [row("002_S_0001", "soon", "1")])
    with pytest.raises(LabelTableError, match="line 2: SCANDATE 'soon' is no date"):
        READER.scan(str(tmp_path))


def test_a_series_is_one_sample_and_its_folder_the_address(tmp_path: Path) -> None:
    write_adni_phantoms(tmp_path, 1, 0, (0, 1))
    (sample,) = READER.scan(str(tmp_path)).samples
    assert sample.address.endswith(f"/{sample.id.rsplit('_', 1)[-1]}/")
    image = READER.decode(sample.address)
    assert image.pixels.shape == (30, 36, 30)
    assert image.spacing == (6.0, 6.0, 6.0)


def test_a_series_that_lacks_a_slice_or_has_a_broken_one_is_refused(tmp_path: Path) -> None:
    write_adni_phantoms(tmp_path, 1, 0, (0, 1))
    (sample,) = READER.scan(str(tmp_path)).samples
    slices = sorted(tmp_path.rglob("*.dcm"))
    whole = slices[7].read_bytes()
    slices[7].write_bytes(whole[:900])
    with pytest.raises(DecodeError, match="file 8 of 30: not a"):
        READER.decode(sample.address)
    slices[7].unlink()
    with pytest.raises(DecodeError, match="slices are missing"):
        READER.decode(sample.address)


def test_an_empty_file_is_excluded_and_the_rest_prepared(tmp_path: Path) -> None:
    source = tmp_path / "adni"
    source.mkdir()
    write_adni_phantoms(source, 4, 0, (0, 1))
    next(iter(sorted(source.rglob("*.dcm")))).write_bytes(b"")
    store = prepare(DATASET, source, cache=tmp_path / "c", shape=(30, 36, 30))
    assert len(store) == 3
    assert store.quarantine["reason"].to_list() == ["the file is empty"]
