from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from supremix_datasets import Decoded, DecodeError, LabelTableError, SourceError, get, prepare

READER = get("ukb-t1").reader
MNI = "T1/T1_brain_to_MNI.nii.gz"
Make = Callable[..., Path]


@pytest.fixture
def brain() -> bytes:
    data = np.random.default_rng(0).integers(1, 900, (18, 22, 18)).astype(np.int16)
    affine = np.diag([-10.0, 10.0, 10.0, 1.0])
    return gzip.compress(nib.Nifti1Image(data, affine).to_bytes(), mtime=0)


def test_the_age_is_the_one_at_the_visit(make_ukb: Make, brain: bytes) -> None:
    scans = {"0123456_2": {MNI: brain}, "0123456_3": {MNI: brain}, "2000000_2": {MNI: brain}}
    rows = [("0123456", 1, 50, 58.5, 61.5), ("2000000", 0, 40, 49, "")]
    scan = READER.scan(str(make_ukb(scans, rows=rows)))
    assert [(s.id, s.group, s.target) for s in scan.samples] == [
        ("0123456_2", "0123456", 58.5),
        ("0123456_3", "0123456", 61.5),
        ("2000000_2", "2000000", 49.0),
    ]
    assert scan.samples[0].covariates == {"sex": 1.0}
    assert not scan.rejected


@pytest.mark.parametrize("name", ["p21003_i2", "f.21003.2.0", "21003_2_0"])
def test_other_exports_are_understood(make_ukb: Make, brain: bytes, name: str) -> None:
    folder = make_ukb({"1_2": {MNI: brain}}, header=("eid", name, "p31"), rows=[("1", 60, "Male")])
    sample = READER.scan(str(folder)).samples[0]
    assert (sample.target, sample.covariates) == (60.0, {"sex": 1.0})


def test_what_cannot_be_used_is_excluded_with_its_reason(make_ukb: Make, brain: bytes) -> None:
    scans = {
        "1_2": {MNI: brain},
        "2_2": {"T1/T1.nii.gz": brain},
        "3_2": {"T1/unusable/T1.nii.gz": brain},
        "4_2": {MNI: brain},
        "5_2": {MNI: brain},
        "6_2": {MNI: brain},
        "7_2": {MNI: brain},
        "8_2": {MNI: brain},
    }
    ages = {1: 60, 2: 60, 3: 60, 4: 60, 5: "", 6: 7, 8: 60}
    folder = make_ukb(scans, rows=[(eid, 0, 50, age, "") for eid, age in ages.items()])
    (folder / "w12345_20230425.csv").write_text("4\n999\n")
    whole = (folder / "8_20252_2_0.zip").read_bytes()
    (folder / "8_20252_2_0.zip").write_bytes(whole[: len(whole) // 2])
    scan = READER.scan(str(folder))
    assert [s.id for s in scan.samples] == ["1_2"]
    reasons = {r.id: r.reason for r in scan.rejected}
    assert reasons.pop("8_2").startswith("the zip cannot be read")
    assert reasons == {
        "2_2": f"no {MNI} in it",
        "3_2": "the scan is marked unusable (T1/unusable)",
        "4_2": "the patient has withdrawn",
        "5_2": "no label in the table",
        "6_2": "label 7 is outside the possible range 18 to 110 years",
        "7_2": "the table has no row of this eid",
    }


def test_age_at_recruitment_is_never_taken(make_ukb: Make, brain: bytes) -> None:
    folder = make_ukb({"1_2": {MNI: brain}}, header=("eid", "21022-0.0"), rows=[("1", 60)])
    with pytest.raises(LabelTableError, match=r"21003-2\.0.*21022 is the age at recruitment"):
        READER.scan(str(folder))


def test_ages_that_are_not_numbers_are_an_error(make_ukb: Make, brain: bytes) -> None:
    folder = make_ukb({"1_2": {MNI: brain}}, rows=[("1", 0, 50, "sixty", "")])
    with pytest.raises(LabelTableError, match="line 2: 'sixty'"):
        READER.scan(str(folder))


def test_a_wrong_folder_says_what_to_do(make_ukb: Make, brain: bytes) -> None:
    folder = make_ukb({})
    with pytest.raises(SourceError, match=r"1000017_20252_2_0\.zip"):
        READER.scan(str(folder))
    folder = make_ukb({"1_2": {MNI: brain}}, header=("id", "age"), name="other")
    with pytest.raises(SourceError, match="no table with a column 'eid'"):
        READER.scan(str(folder))


def test_zip_and_unpacked_tree_are_the_same_image(
    make_ukb: Make, brain: bytes, tmp_path: Path
) -> None:
    folder = make_ukb({"1_2": {MNI: brain}, "2_2": {MNI: brain}}, rows=[("1", 0, 50, 60, "")])
    tree = tmp_path / "ukb" / "deep" / "3_20252_2_0" / "T1"
    tree.mkdir(parents=True)
    (tree / "T1_brain_to_MNI.nii.gz").write_bytes(brain)
    with (folder / "ukb12345.csv").open("a") as file:
        file.write("3,0,50,70,\n")
    packed, unpacked = (s.address for s in READER.scan(str(folder)).samples)
    assert packed.startswith(f"zip://{MNI}::file://")
    assert "deep" in unpacked
    images = [
        Decoded.of(READER.decode(a)) for a in (packed, unpacked, str(folder / "1_20252_2_0.zip"))
    ]
    for image in images:
        np.testing.assert_array_equal(image.pixels, images[0].pixels)
        assert image.spacing == (10.0, 10.0, 10.0)


def test_a_corrupt_volume_is_refused(make_ukb: Make, brain: bytes) -> None:
    folder = make_ukb({"1_2": {MNI: brain[:200]}, "2_2": {"T1/T1.nii.gz": brain}})
    with pytest.raises(DecodeError, match="not a readable NIfTI"):
        READER.decode(str(folder / "1_20252_2_0.zip"))
    with pytest.raises(DecodeError, match="no T1/T1_brain_to_MNI"):
        READER.decode(str(folder / "2_20252_2_0.zip"))


def test_the_store_has_the_centre_and_both_visits(
    make_ukb: Make, brain: bytes, tmp_path: Path
) -> None:
    header = ("eid", "31-0.0", "21003-2.0", "21003-3.0", "54-2.0", "54-3.0")
    scans = {"1_2": {MNI: brain}, "1_3": {MNI: brain}}
    folder = make_ukb(scans, header=header, rows=[("1", "", 60, 63, 11025, 11027)])
    store = prepare("ukb-t1", folder, cache=tmp_path / "c", shape=(30, 36, 30))
    assert store.index["site"].to_list() == ["11025", "11027"]
    assert store.covariates.tolist() == [[0.5], [0.5]]
    assert store.images.shape == (2, 1, 30, 36, 30)


@pytest.mark.parametrize("name", ["w12345_20230425.csv", "withdrawn.txt", "Withdrawals 2024.csv"])
def test_the_list_of_withdrawn_participants_is_kept_to_the_letter(
    make_ukb: Make, brain: bytes, name: str
) -> None:
    folder = make_ukb(
        {f"{eid}_2": {MNI: brain} for eid in (1, 2, 3)},
        rows=[(eid, 0, 50, 60, "") for eid in (1, 2, 3)],
    )
    (folder / name).write_bytes(b'\xef\xbb\xbf1\r\n"2",note\r\n')
    scan = READER.scan(str(folder))
    assert [s.id for s in scan.samples] == ["3_2"]
    assert {r.reason for r in scan.rejected} == {"the patient has withdrawn"}

    (folder / name).write_bytes("1\n2\n".encode("utf-16"))
    with pytest.raises(LabelTableError, match=r"withdrawn participants .* is not UTF-8"):
        READER.scan(str(folder))
