from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from supremix_datasets import Decoded, DecodeError, LabelTableError, SourceError, prepare
from supremix_datasets.phantoms.hcp_aging import write_hcp_phantoms
from supremix_datasets.readers.hcp_aging import DATASET, KINDS

READER = DATASET.reader
MNI, STRIPPED, HEAD = KINDS
NAMES = ("subjectkey", "src_subject_id", "interview_age", "sex", "site")
DESCRIPTIONS = ("The GUID", "Subject ID how it's defined", "Age in months, at the test", "Sex", "-")
Make = Callable[..., Path]


def nifti(seed: int = 0, shape: tuple[int, ...] = (18, 22, 18)) -> bytes:
    data = np.random.default_rng(seed).integers(1, 900, shape).astype(np.int16)
    affine = np.diag([-10.0, 10.0, 10.0, 1.0])
    return gzip.compress(nib.Nifti1Image(data, affine).to_bytes(), mtime=0)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make({"HCA0000001_V1": (files)}, rows)``; a cell is quoted as the archive quotes it."""

    def make(
        scans: dict[str, Sequence[str]],
        rows: Sequence[Sequence[object]] = (),
        *,
        header: Sequence[str] = NAMES,
        descriptions: Sequence[str] | None = DESCRIPTIONS,
        name: str = "hcp",
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for scan, files in scans.items():
            for file in files:
                path = folder / "fmriresults01" / f"{scan}_MR" / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(nifti())
        lines = [header, *([descriptions] if descriptions else []), *rows]
        text = "\n".join("\t".join(f'"{cell}"' for cell in line) for line in lines)
        (folder / "ndar_subject01.txt").write_text(text + "\n")
        return folder

    return make


def patient(number: int, age: object, sex: str = "M", site: str = "MGH") -> tuple[object, ...]:
    return (f"NDAR{number}", f"HCA{number:07d}", age, sex, site)


def test_ages_in_months_become_years_and_the_descriptions_are_no_person(make: Make) -> None:
    scans = {"HCA0000001_V1": [MNI, HEAD], "HCA0000002_V1": [MNI]}
    scan = READER.scan(str(make(scans, [patient(1, 726), patient(2, 432, "F", "UCLA")])))
    assert not scan.rejected
    assert [(s.id, s.group, s.target, s.site) for s in scan.samples] == [
        ("HCA0000001_V1", "HCA0000001", 60.5, "MGH"),
        ("HCA0000002_V1", "HCA0000002", 36.0, "UCLA"),
    ]
    assert [s.covariates for s in scan.samples] == [{"sex": 1.0}, {"sex": 0.0}]
    assert all(s.address.endswith(MNI) for s in scan.samples)


def test_a_table_with_one_header_row_is_read_too(make: Make) -> None:
    folder = make({"HCA0000001_V1": [MNI]}, [patient(1, 726)], descriptions=None)
    assert [s.target for s in READER.scan(str(folder)).samples] == [60.5]


@pytest.mark.parametrize("age", ["90+", ">1080", "90 or older", "≥ 90 years", "1080", "1080.0"])
def test_a_capped_age_is_no_label(make: Make, age: str) -> None:
    scans = {"HCA0000001_V1": [MNI], "HCA0000002_V1": [MNI]}
    scan = READER.scan(str(make(scans, [patient(1, age), patient(2, 720)])))
    assert [s.id for s in scan.samples] == ["HCA0000002_V1"]
    assert scan.rejected[0].reason.startswith("the age is capped")
    assert "all ages from 90 years on" in scan.rejected[0].reason


@pytest.mark.parametrize(
    ("months", "years"),
    [
        ((1080, 720), (None, 60)),
        ((1080, 1081), (90, 1081 / 12)),
        # older tables: 1200 months for all who are older than 90 years
        ((1080, 1200), (90, None)),
        ((720, 1200), (60, None)),
        ((1105, 1200), (1105 / 12, 100)),
    ],
)
def test_what_stands_for_all_ages_from_90_years_on_follows_from_the_ages_above(
    make: Make, months: tuple[int, int], years: tuple[float | None, float | None]
) -> None:
    scans = {"HCA0000001_V1": [MNI], "HCA0000002_V1": [MNI]}
    scan = READER.scan(str(make(scans, [patient(n, m) for n, m in enumerate(months, start=1)])))
    assert [s.target for s in scan.samples] == [y for y in years if y is not None]
    assert all("months stands for all ages from 90 years on" in r.reason for r in scan.rejected)


def test_the_completeness_table_is_read_where_the_other_is_not_there(make: Make) -> None:
    folder = make({"HCA0000001_V1": [MNI]}, [patient(1, 726)])
    (folder / "ndar_subject01.txt").unlink()
    table = folder / "HCA_LS_2.0_subject_completeness.csv"
    table.write_text(
        "subjectkey,src_subject_id,interview_date,interview_age,sex,unrelated_subset\n"
        'The GUID,"Subject ID, in the lab",Date,Age in months,Sex,Whether unrelated\n'
        "NDAR1,HCA0000001,01/01/2019,732,F,TRUE\n"
    )
    scan = READER.scan(str(folder))
    assert [(s.target, dict(s.covariates)) for s in scan.samples] == [(61.0, {"sex": 0.0})]
    assert scan.tables[0].endswith(table.name)


@pytest.mark.parametrize("column", ["visit", "redcap_event"])
def test_rows_of_visits_without_images_are_not_used(make: Make, column: str) -> None:
    scans = {f"HCA0000001_V{n}": [MNI] for n in (1, 2)} | {"HCA0000002_V1": [MNI]}
    visits = {"F1": 732, "V1": 720, "Covid": 740, "CR": 741, "F2": 760, "V2": 750, "V3": 790}
    rows = [(*patient(1, months), word) for word, months in visits.items()]
    rows.append((*patient(2, 600), "F1"))
    folder = make(scans, rows, header=(*NAMES, column), descriptions=(*DESCRIPTIONS, "Visit"))
    scan = READER.scan(str(folder))
    assert [(s.id, s.target) for s in scan.samples] == [
        ("HCA0000001_V1", 60.0),
        ("HCA0000001_V2", 62.5),
    ]
    assert [r.reason for r in scan.rejected] == ["the table has no row of this patient at visit V1"]


def test_both_visits_are_one_person(make: Make) -> None:
    scans = {f"HCA0000001_V{v}": [MNI] for v in (1, 2)} | {"HCA0000002_V2": [MNI]}
    rows = [(*patient(1, 720), "V1"), (*patient(1, 744), "V2"), (*patient(2, 600), "")]
    folder = make(scans, rows, header=(*NAMES, "visit"), descriptions=(*DESCRIPTIONS, "Visit"))
    scan = READER.scan(str(folder))
    assert [(s.group, s.target) for s in scan.samples] == [("HCA0000001", 60), ("HCA0000001", 62)]
    assert scan.rejected[0].reason == "the table has no row of this patient at visit V2"


def test_the_visit_may_stand_behind_the_id(make: Make) -> None:
    rows = [("a", "HCA0000001_V1_MR", 720, "M", ""), ("a", "HCA0000001_V2", 744, "M", "")]
    folder = make({"HCA0000001_V1": [MNI], "HCA0000001_V2": [MNI]}, rows)
    samples = READER.scan(str(folder)).samples
    assert [(s.target, s.site) for s in samples] == [(60.0, None), (62.0, None)]


def test_one_kind_of_image_for_all(make: Make) -> None:
    scans = {
        "HCA0000001_V1": [MNI, STRIPPED, HEAD],
        "HCA0000002_V1": [HEAD],
        "HCA0000003_V1": ["readme.txt"],
    }
    folder = make(scans, [patient(n, 720) for n in (1, 2, 3)])
    scan = READER.scan(str(folder))
    assert [s.id for s in scan.samples] == ["HCA0000001_V1"]
    assert [r.reason for r in scan.rejected] == [
        f"no {MNI} in the package; it has {HEAD}, which may not be mixed with it",
        f"no {MNI} in the package",
    ]
    shutil.rmtree(folder / "fmriresults01/HCA0000001_V1_MR/MNINonLinear")
    assert [s.address.endswith(STRIPPED) for s in READER.scan(str(folder)).samples] == [True]
    shutil.rmtree(folder / "fmriresults01/HCA0000001_V1_MR")
    assert [s.address.endswith(HEAD) for s in READER.scan(str(folder)).samples] == [True]


def test_what_cannot_be_used_is_excluded_with_its_reason(make: Make) -> None:
    scans = {f"HCA000000{n}_V1": [MNI] for n in range(1, 8)}
    rows = [patient(1, 720), patient(2, ""), patient(3, 60), patient(4, 720), patient(4, 732)]
    rows += [patient(6, 720), patient(7, 720, "NR"), patient(7, 720, "NR"), patient(99, 720)]
    folder = make(scans, rows)
    package = folder / "fmriresults01" / "HCA0000006_V1_MR"
    shutil.copytree(package, folder / "again" / package.name)
    scan = READER.scan(str(folder))
    assert [(s.id, dict(s.covariates)) for s in scan.samples] == [
        ("HCA0000001_V1", {"sex": 1.0}),
        ("HCA0000007_V1", {}),
    ]
    assert {r.id: r.reason for r in scan.rejected} == {
        "HCA0000002_V1": "no label in the table",
        "HCA0000003_V1": "label 5 is outside the possible range 18 to 110 years",
        "HCA0000004_V1": "the table has rows of this scan that contradict each other",
        "HCA0000005_V1": "the table has no row of this patient at visit V1",
        "HCA0000006_V1": "the folder holds 2 packages of this scan",
    }


def test_ages_that_are_not_numbers_are_an_error(make: Make) -> None:
    rows = [patient(1, 720), patient(2, "sixty")]
    with pytest.raises(LabelTableError, match=r"'interview_age'.*line 4: 'sixty'"):
        READER.scan(str(make({"HCA0000001_V1": [MNI]}, rows)))


def test_a_wrong_folder_or_table_says_what_to_do(make: Make, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="HCA6002236_V1_MR with MNINonLinear/T1w_restore_brain"):
        READER.scan(str(make({}, name="empty")))
    folder = make({"HCA0000001_V1": [MNI]}, header=("subjectkey", "age"), descriptions=None)
    with pytest.raises(LabelTableError, match="no column 'src_subject_id'"):
        READER.scan(str(folder))
    (folder / "ndar_subject01.txt").unlink()
    with pytest.raises(SourceError, match=r"no ndar_subject01\.txt and no HCA_LS_2"):
        READER.scan(str(folder))


def test_volumes_are_turned_and_broken_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "T1w_restore_brain.nii.gz"
    path.write_bytes(nifti())
    image = Decoded.of(READER.decode(str(path)))
    stored = np.asarray(nib.load(path).dataobj)
    np.testing.assert_array_equal(image.pixels, stored[::-1])  # left to right became right
    assert image.spacing == (10.0, 10.0, 10.0)
    for data, reason in (
        (nifti()[:500], "not a readable NIfTI"),
        (b"", "the file is empty"),
        (nifti(shape=(18, 22, 18, 2)), "3 axes"),
        (nifti(shape=(18, 22)), "3 axes"),
    ):
        path.write_bytes(data)
        with pytest.raises(DecodeError, match=reason):
            READER.decode(str(path))


def test_a_truncated_volume_is_excluded_by_preparing(make: Make, tmp_path: Path) -> None:
    scans = {f"HCA000000{n}_V1": [MNI] for n in (1, 2, 3)}
    folder = make(scans, [patient(n, 600 + 12 * n, "") for n in (1, 2, 3)])
    (folder / "fmriresults01/HCA0000002_V1_MR" / MNI).write_bytes(nifti()[:3000])
    store = prepare(DATASET, folder, cache=tmp_path / "c", shape=(30, 36, 30))
    assert store.targets.tolist() == [51.0, 53.0]
    assert store.covariates.tolist() == [[0.5], [0.5]]
    assert store.quarantine["id"].to_list() == ["HCA0000002_V1"]
    assert "not a readable NIfTI" in store.quarantine["reason"][0]


def test_the_phantom_is_read_whole(tmp_path: Path) -> None:
    store = prepare(DATASET, cache=tmp_path, phantoms=24)
    assert len(store) == 24
    assert store.quarantine.height == 0
    assert store.card.shape == (30, 36, 30)
    assert store.targets.min() >= 36
    assert store.targets.max() <= 100
    assert set(store.index["site"]) <= {"MGH", "UCLA", "UMinn", "WashU"}
    assert store.index["group"].n_unique() < 24  # some came twice


def test_a_seed_gives_the_same_bytes_in_any_number_of_parts(tmp_path: Path) -> None:
    digests: list[dict[str, str]] = []
    for name, count, seed, parts in (
        ("a", 4, 0, 1),
        ("b", 4, 0, 3),
        ("c", 2, 0, 1),
        ("d", 4, 1, 1),
    ):
        (tmp_path / name).mkdir()
        for part in range(parts):
            write_hcp_phantoms(tmp_path / name, count, seed, (part, parts))
        files = sorted(f for f in (tmp_path / name).rglob("*") if f.is_file())
        relative = {str(f.relative_to(tmp_path / name)): f.read_bytes() for f in files}
        digests.append({f: hashlib.sha256(data).hexdigest() for f, data in relative.items()})
    whole, parted, short, other = digests
    assert whole == parted != other
    volumes = {k: v for k, v in short.items() if k.endswith(".nii.gz")}
    assert len(volumes) == 4
    assert volumes.items() <= whole.items()


def test_the_phantoms_head_wears_a_skull(tmp_path: Path) -> None:
    write_hcp_phantoms(tmp_path, 1, 0, (0, 1))
    package = next(tmp_path.glob("HCA*_V1_MR"))
    brain, head = (Decoded.of(READER.decode(str(package / kind))).pixels for kind in (MNI, HEAD))
    np.testing.assert_array_equal(head[brain > 0], brain[brain > 0])
    assert (head > 0).sum() > 1.1 * (brain > 0).sum()
    lines = (tmp_path / "ndar_subject01.txt").read_text().splitlines()
    assert len(lines) == 4
    assert lines[3].endswith('"F1"')
    assert '"interview_age"' in lines[0]
    assert "Age in months" in lines[1]
