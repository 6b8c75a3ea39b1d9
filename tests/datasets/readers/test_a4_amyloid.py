from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from supremix_datasets import DecodeError, LabelTableError, SourceError
from supremix_datasets.readers.a4_amyloid import A4AmyloidReader

READER = A4AmyloidReader()
HEADER = ("BID", "VISCODE", "substudy", "brain_region", "suvr_cer", "centiloid")
TABLE = "A4_PETSUVR_PRV2_09Jul2024.csv"


def put_image(root: Path, path: str) -> None:
    data = np.random.default_rng(0).integers(1, 900, (9, 10, 11)).astype(np.int16)
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(nib.Nifti1Image(data, np.diag([6.0, 6.0, 6.0, 1.0])).to_bytes())


def put_table(root: Path, rows: Sequence[tuple[str, object, str, object]]) -> None:
    table = [(bid, visit, "A4", region, suvr, "") for bid, visit, region, suvr in rows]
    with (root / TABLE).open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *table])


def summary(bid: str, visit: object = 2, suvr: object = 1.2) -> tuple[str, object, str, object]:
    return bid, visit, "Composite_Summary", suvr


def test_the_label_is_that_of_the_summary_region(tmp_path: Path) -> None:
    put_image(tmp_path, "B10000001.nii")
    rows = [("B10000001", 2, "Precuneus", 1.9), summary("B10000001", suvr=1.234)]
    put_table(tmp_path, [*rows, ("B10000001", 2, "Cerebellum", 1.0)])
    scan = READER.scan(str(tmp_path))
    (sample,) = scan.samples
    assert (sample.id, sample.group, sample.target) == ("B10000001_2", "B10000001", 1.234)
    assert READER.decode(sample.address).spacing == (6.0, 6.0, 6.0)


@pytest.mark.parametrize(
    "path",
    [
        "B10000001.nii",
        "images/A4_PET_FBP_B10000001.nii",
        "B10000001/Florbetapir/2015-01-01/I12345/scan.nii",
        "PET/B10000001_VISCODE_002.nii",
        "A4_MR_and_PET_B10000001_V2.nii",
        "visit-02/B10000001.nii",
        "B10000001/002/FBP/A4_PET_FBP_B10000001_002.nii",
        "B10000001/002/FBP/scan.nii",
    ],
)
def test_many_names_are_understood(tmp_path: Path, path: str) -> None:
    put_image(tmp_path, path)
    put_table(tmp_path, [summary("B10000001", "002")])
    scan = READER.scan(str(tmp_path))
    assert [(s.id, s.target) for s in scan.samples] == [("B10000001_2", 1.2)]


@pytest.mark.parametrize("visit", ["2", "002", "3"])
def test_the_first_scan_is_visit_2_in_names_and_2_or_3_in_tables(
    tmp_path: Path, visit: str
) -> None:
    put_image(tmp_path, "B10000001/002/FBP/A4_PET_FBP_B10000001_002.nii")
    put_table(tmp_path, [summary("B10000001", visit), summary("B10000001", "66", 1.5)])
    assert [(s.id, s.target) for s in READER.scan(str(tmp_path)).samples] == [("B10000001_2", 1.2)]


def test_sessions_tell_visits_apart_and_modalities_what_is_no_amyloid_pet(tmp_path: Path) -> None:
    for bid, session, kind, name in (
        ("B10000001", "002", "FBP", "PET_FBP"),
        ("B10000001", "066", "FBP", "PET_FBP"),
        ("B10000001", "004", "T1", "MR_T1"),
        ("B10000001", "066", "FTP", "PET_FTP"),
    ):
        put_image(tmp_path, f"{bid}/{session}/{kind}/A4_{name}_{bid}_{session}.nii")
    put_table(tmp_path, [summary("B10000001", 2, 1.1), summary("B10000001", 66, 1.3)])
    scan = READER.scan(str(tmp_path))
    assert [(s.id, s.target) for s in scan.samples] == [
        ("B10000001_2", 1.1),
        ("B10000001_66", 1.3),
    ]
    assert {r.reason for r in scan.rejected} == {
        "by its name it is no amyloid PET (T1)",
        "by its name it is no amyloid PET (FTP)",
    }


def test_the_newer_table_is_read_before_the_older_one(tmp_path: Path) -> None:
    put_image(tmp_path, "B10000001.nii")
    put_table(tmp_path, [summary("B10000001", 3, 1.1)])
    header = (
        *("SUBSTUDY", "BID", "scan_number", "VISCODE", "scan_date_DAYS_CONSENT"),
        *("scan_date_DAYS_T0", "ligand", "scan_analyzed", "brain_region"),
        *("suvr_cer", "suvr_persi", "suvr_crus"),
    )
    known = ("A4", "B10000001", 1, 2, 12, -70, "Florbetapir")
    with (tmp_path / "imaging_SUVR_amyloid.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                header,
                (*known, "No", "", "", "", ""),
                (*known, "Yes", "Composite_Summary", 1.2, 0.7, 1.3),
            ]
        )
    scan = READER.scan(str(tmp_path))
    assert [(s.id, s.target) for s in scan.samples] == [("B10000001_2", 1.2)]
    assert [table.rsplit("/", 1)[-1] for table in scan.tables] == ["imaging_SUVR_amyloid.csv"]


@pytest.mark.parametrize("column", ["PREVBID", "PREBID"])
def test_both_bids_of_a_patient_who_was_screened_again_are_one_group(
    tmp_path: Path, column: str
) -> None:
    bids = [f"B1000000{n}" for n in range(1, 5)]
    for bid in bids:
        put_image(tmp_path, f"{bid}.nii")
    put_table(tmp_path, [summary(bid) for bid in bids])
    alone = READER.scan(str(tmp_path))
    assert {s.group for s in alone.samples} == set(bids)
    assert "SUBJINFO.csv" in alone.warnings[0]
    with (tmp_path / "SUBJINFO.csv").open("w", newline="") as file:
        earlier = {bids[0]: bids[2], bids[2]: bids[1]}
        rows = [(bid, earlier.get(bid, "")) for bid in bids]
        csv.writer(file).writerows([("BID", column), *rows])
    scan = READER.scan(str(tmp_path))
    assert {s.id[:9]: s.group for s in scan.samples} == {
        **dict.fromkeys(bids[:3], bids[0]),
        bids[3]: bids[3],
    }
    assert scan.tables[-1].endswith("SUBJINFO.csv")
    assert not scan.warnings


def test_rows_without_a_region_are_nothing_and_rows_that_agree_are_one(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        put_image(tmp_path, f"B1000000{number}.nii")
    put_table(
        tmp_path,
        [
            ("B10000001", 2, "", ""),
            summary("B10000001", suvr="1.20"),
            summary("B10000001", suvr=1.2),
            summary("B10000001", suvr=""),
            ("B10000002", 2, "", ""),
            summary("B10000003", suvr=1.2),
            summary("B10000003", suvr=1.3),
        ],
    )
    scan = READER.scan(str(tmp_path))
    assert [(s.id, s.target) for s in scan.samples] == [("B10000001_2", 1.2)]
    assert [r.reason for r in scan.rejected] == [
        "the table has no summary row of this BID",
        "the table lists visit 2 more than once, with different values",
    ]


def test_a_folder_of_slices_is_one_image(tmp_path: Path) -> None:
    for name in ("a.dcm", "b.dcm"):
        put_image(tmp_path, f"B10000001/I5/{name}")
    put_table(tmp_path, [summary("B10000001")])
    (sample,) = READER.scan(str(tmp_path)).samples
    assert sample.address.endswith("/B10000001/I5/")
    with pytest.raises(DecodeError, match="file 1 of 2: not a"):
        READER.decode(sample.address)


def test_several_visits_need_a_visit_in_the_path(tmp_path: Path) -> None:
    for name in ("B10000001_V2", "B10000001_V66", "B10000001_V9", "B10000001"):
        put_image(tmp_path, f"{name}.nii")
    put_table(tmp_path, [summary("B10000001", 2, 1.1), summary("B10000001", "066", 1.3)])
    scan = READER.scan(str(tmp_path))
    assert [(s.id, s.group, s.target) for s in scan.samples] == [
        ("B10000001_2", "B10000001", 1.1),
        ("B10000001_66", "B10000001", 1.3),
    ]
    assert {r.id: r.reason for r in scan.rejected} == {
        "B10000001_9": "the table has no visit 9 of this BID",
        "B10000001.nii": "the table has 2 visits of this BID, and its path names none",
    }


def test_what_cannot_be_used_is_excluded_with_its_reason(tmp_path: Path) -> None:
    for name in (
        *("scan.nii", "B10000001/B10000002.nii", "B10000003.nii", "A4_MR_T1_B10000004.nii"),
        *("A4_PET_FTP_B10000004.nii", "B10000005.nii", "B10000006.nii", "B10000007.nii"),
        *("a/B10000008.nii", "b/B10000008.nii"),
    ):
        put_image(tmp_path, name)
    put_table(
        tmp_path,
        [
            summary("B10000004"),
            summary("B10000005", suvr=""),
            summary("B10000006", suvr=9),
            summary("B10000007"),
            summary("B10000007", suvr=1.3),
            summary("B10000008"),
        ],
    )
    scan = READER.scan(str(tmp_path))
    assert [s.id for s in scan.samples] == ["B10000008_2"]
    assert scan.samples[0].address.endswith("/a/B10000008.nii")
    reasons = {r.address.removeprefix(f"file://{tmp_path}/"): r.reason for r in scan.rejected}
    assert reasons == {
        "scan.nii": "expected one BID in its path, found 0",
        "B10000001/B10000002.nii": "expected one BID in its path, found 2",
        "B10000003.nii": "the table has no summary row of this BID",
        "A4_MR_T1_B10000004.nii": "by its name it is no amyloid PET (MR)",
        "A4_PET_FTP_B10000004.nii": "by its name it is no amyloid PET (FTP)",
        "B10000005.nii": "no label in the table",
        "B10000006.nii": "label 9 is outside the possible range 0.3 to 3.5 SUVR",
        "B10000007.nii": "the table lists visit 2 more than once, with different values",
        "b/B10000008.nii": "another image of the same visit is used: a/B10000008.nii",
    }


def test_wrong_folders_and_tables_say_what_to_do(tmp_path: Path) -> None:
    put_table(tmp_path, [summary("B10000001")])
    with pytest.raises(SourceError, match=r"with the BID in their path, such as B10012345"):
        READER.scan(str(tmp_path))
    put_image(tmp_path, "B10000001.nii")
    put_table(tmp_path, [("B10000001", 2, "Precuneus", 1.0)])
    with pytest.raises(LabelTableError, match="no row with brain_region 'Composite_Summary'"):
        READER.scan(str(tmp_path))
    put_table(tmp_path, [summary("B10000001", suvr="1,2")])
    with pytest.raises(LabelTableError, match=r"'suvr_cer'.*line 2: '1,2'"):
        READER.scan(str(tmp_path))
    (tmp_path / "A4_PETSUVR_PRV2_01Jan2020.csv").write_bytes((tmp_path / TABLE).read_bytes())
    with pytest.raises(SourceError, match=r"expected one table imaging_SUVR.*found 2\."):
        READER.scan(str(tmp_path))
    for table in tmp_path.glob("*.csv"):
        table.unlink()
    with pytest.raises(SourceError, match=r"A4_PETSUVR_PRV2_<date>\.csv.*found 0\."):
        READER.scan(str(tmp_path))
