from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from supremix_datasets import DecodeError, LabelTableError, SourceError
from supremix_datasets.readers.oasis3_amyloid import Oasis3AmyloidReader

READER = Oasis3AmyloidReader()
TABLE = "OASIS3_amyloid_centiloid.csv"
HEADER = ("subject_id", "oasis_session_id", "tracer", "Centiloid_fSUVR_TOT_CORTMEAN")
FRAMES = np.random.default_rng(0).integers(1, 900, (9, 10, 11, 3)).astype(np.float32)


def put_image(root: Path, path: str, frames: NDArray[Any] = FRAMES) -> Path:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    data = nib.Nifti1Image(frames, np.diag([-2.0, 3.0, 4.0, 1.0])).to_bytes()
    place.write_bytes(gzip.compress(data) if path.endswith(".gz") else data)
    return place


def put_table(root: Path, rows: Sequence[tuple[str, int, str, object]]) -> None:
    lines = [
        (subject, f"{subject}_{tracer}_PUPTIMECOURSE_d{day:04d}", tracer, label)
        for subject, day, tracer, label in rows
    ]
    with (root / TABLE).open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *lines])


def usual(subject: str, day: int, tracer: str) -> str:
    inner = f"sub-{subject}_ses-d{day:04d}_acq-{tracer}_pet.nii.gz"
    return f"{subject}_{tracer}_d{day:04d}/pet1/{inner}"


def test_sessions_are_found_by_subject_day_and_tracer(tmp_path: Path) -> None:
    rows = [
        ("OAS30001", 423, "PIB", -3.5),
        ("OAS30001", 423, "AV45", 5.5),
        ("OAS30001", 2430, "AV45", 40),
        ("OAS30002", 423, "AV45", 80),
    ]
    put_table(tmp_path, rows)
    for subject, day, tracer, _ in rows:
        put_image(tmp_path, usual(subject, day, tracer))
    scan = READER.scan(str(tmp_path))
    assert [(s.id, s.group, s.target, s.covariates["tracer"]) for s in scan.samples] == [
        ("OAS30001_AV45_d423", "OAS30001", 5.5, 0),
        ("OAS30001_AV45_d2430", "OAS30001", 40, 0),
        ("OAS30001_PIB_d423", "OAS30001", -3.5, 1),
        ("OAS30002_AV45_d423", "OAS30002", 80, 0),
    ]
    assert not scan.rejected


def test_the_image_is_the_mean_over_time(tmp_path: Path) -> None:
    for name in ("a.nii", "a.nii.gz"):
        image = READER.decode(str(put_image(tmp_path, name)))
        # x runs from right to left in the file
        np.testing.assert_allclose(image.pixels, FRAMES.mean(-1)[::-1], rtol=1e-5)
        assert image.spacing == (2.0, 3.0, 4.0)


def test_frames_are_weighted_by_the_durations_of_the_sidecar(tmp_path: Path) -> None:
    place = put_image(tmp_path, "a.nii.gz")
    (tmp_path / "a.json").write_text(json.dumps({"FrameDuration": [10, 20, 70]}))
    mean = np.average(FRAMES, axis=-1, weights=[1, 2, 7])
    np.testing.assert_allclose(READER.decode(str(place)).pixels, mean[::-1], rtol=1e-5)
    (tmp_path / "a.json").write_text(json.dumps({"FrameDuration": [10, 20]}))
    with pytest.raises(DecodeError, match="2 durations for the image's 3 time frames"):
        READER.decode(str(place))
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DecodeError, match="no JSON object"):
        READER.decode(str(place))
    (tmp_path / "a.json").write_text(json.dumps({"Manufacturer": "x"}))
    np.testing.assert_allclose(READER.decode(str(place)).pixels, FRAMES.mean(-1)[::-1], rtol=1e-5)


def test_a_single_frame_is_taken_as_it_is(tmp_path: Path) -> None:
    one, three = put_image(tmp_path, "a.nii", FRAMES[..., :1]), put_image(tmp_path, "b.nii")
    np.testing.assert_array_equal(READER.decode(str(one)).pixels, FRAMES[::-1, ..., 0])
    assert READER.decode(str(three)).pixels.ndim == 3
    flat = put_image(tmp_path, "c.nii", FRAMES[..., 0])
    np.testing.assert_array_equal(READER.decode(str(flat)).pixels, FRAMES[::-1, ..., 0])


@pytest.mark.parametrize("size", [0, 100, 400, 2000])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, size: int) -> None:
    place = put_image(tmp_path, name)
    place.write_bytes(place.read_bytes()[:size])
    with pytest.raises(DecodeError, match=r"the file is empty|not a readable NIfTI"):
        READER.decode(str(place))


def test_what_cannot_be_used_is_excluded_with_its_reason(tmp_path: Path) -> None:
    put_table(
        tmp_path,
        [
            ("OAS30001", 1, "AV45", 1),
            ("OAS30002", 1, "AV45", ""),
            ("OAS30003", 1, "AV45", 900),
            ("OAS30004", 1, "XYZ", 1),
            ("OAS30005", 1, "PIB", 1),
            ("OAS30005", 1, "PIB", 2),
            ("OAS30006", 1, "PIB", 1),
            ("OAS30006", 1, "AV45", 2),
        ],
    )
    for path in (
        *(usual("OAS30001", 1, "AV45"), "x/OAS30001_AV45_d0001.nii", usual("OAS30002", 1, "AV45")),
        *(usual("OAS30003", 1, "AV45"), "OAS30004_d0001.nii", usual("OAS30005", 1, "PIB")),
        *("OAS30006_d0001.nii", usual("OAS30001", 9, "AV45"), usual("OAS30001", 1, "AV1451")),
        "scan.nii",
    ):
        put_image(tmp_path, path)
    scan = READER.scan(str(tmp_path))
    assert [s.id for s in scan.samples] == ["OAS30001_AV45_d1"]
    used = usual("OAS30001", 1, "AV45")
    assert {r.id: r.reason for r in scan.rejected} == {
        "OAS30001_AV45_d1": f"another image of the same session is used: {used}",
        "OAS30002_AV45_d1": "no label in the table",
        "OAS30003_AV45_d1": "label 900 is outside the possible range -100 to 300 CL",
        "OAS30004_XYZ_d1": "unknown tracer 'XYZ'; known are AV45 and PIB",
        usual("OAS30005", 1, "PIB"): "2 rows of the table fit its subject, day and tracer",
        "OAS30006_d0001.nii": "2 rows of the table fit its subject, day and tracer",
        usual("OAS30001", 9, "AV45"): "0 rows of the table fit its subject, day and tracer",
        usual("OAS30001", 1, "AV1451"): "by its name it is no amyloid PET (AV1451)",
        "scan.nii": "expected one subject, one day and one tracer in its path",
    }


def test_wrong_folders_and_tables_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(SourceError, match=r"expected files like OAS30001_AV45_d2430"):
        READER.scan(str(tmp_path))
    put_image(tmp_path, usual("OAS30001", 1, "AV45"))
    with pytest.raises(SourceError, match=r"no OASIS3_amyloid_centiloid\.csv"):
        READER.scan(str(tmp_path))
    (tmp_path / TABLE).write_text(",".join(HEADER) + "\nOAS30001,first,AV45,3\n")
    with pytest.raises(LabelTableError, match=r"no oasis_session_id in .* names a day"):
        READER.scan(str(tmp_path))
    put_table(tmp_path, [("OAS30001", 1, "AV45", "low")])
    with pytest.raises(LabelTableError, match="line 2: 'low'"):
        READER.scan(str(tmp_path))
