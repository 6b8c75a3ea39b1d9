# nibabel and pydicom carry few types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""Amyloid PET phantoms in the layouts of ADNI (DICOM series) and of A4 (NIfTI).

The images are those of :mod:`supremix_datasets.phantoms.anatomy.amyloid_pet`. Labels are drawn
from two groups that
overlap, as in life: without amyloid about 1.0, with amyloid about 1.45. One patient in six is
scanned again two years later, with the same head. In ADNI's layout two patients in five have
florbetaben instead of florbetapir, slices are 16-bit with a slope of their own and names that give
no order, and one image in eight is a NIfTI file.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage

from supremix_datasets.phantoms.anatomy.amyloid_pet import (
    LOBES,
    SHAPE,
    VOXEL,
    Head,
    draw_camera,
    draw_head,
    render,
)
from supremix_datasets.phantoms.folder import write_csv

AMYLOID = 0.45
"""Share of the patients with amyloid."""

CENTILOID = {"FBP": (188.22, -189.16), "FBB": (157.15, -151.87)}
"""Slope and intercept from SUVR (whole cerebellum) to Centiloid, as UC Berkeley publishes them."""

ADNI_COLUMNS = (
    *("LONIUID", "RID", "PTID", "VISCODE", "SITEID", "SCANDATE", "PROCESSDATE"),
    *("IMAGE_RESOLUTION", "qc_flag", "TRACER", "TRACER_SUVR_WARNING"),
    *("AMYLOID_STATUS", "CENTILOIDS", "SUMMARY_SUVR"),
)
WARNING = "Use CENTILOIDS (not SUVRs) to compare across tracers"
A4_COLUMNS = (
    *("SUBSTUDY", "BID", "scan_number", "VISCODE", "scan_date_DAYS_CONSENT", "scan_date_DAYS_T0"),
    *("ligand", "scan_analyzed", "brain_region", "suvr_cer", "suvr_persi", "suvr_crus"),
)
REGIONS = ("lfrontal", "lanterior_cingulate", "ltemporal", "lparietal")
"""Names of the lobes' rows in A4's table; they are there because the real table has such rows."""


@dataclass(frozen=True)
class _PhantomScan:
    number: int
    patient: int
    visit: int
    tracer: str
    suvr: float


def write_adni_phantoms(folder: Path, samples: int, seed: int, part: tuple[int, int]) -> None:
    """Write a part of a folder of ``samples`` images in ADNI's layout; part 0 writes the table.

    The arguments are those of :data:`~supremix_datasets.cards.dataset.PhantomWriter`.
    """
    scans = _plan(samples, seed, ("FBP", "FBP", "FBP", "FBB", "FBB"))
    if part[0] == 0:
        write_csv(folder / "UCBERKELEY_AMY_6MM_01Jun2024.csv", ADNI_COLUMNS, _adni_rows(scans))
    for scan in scans[part[0] :: part[1]]:
        day = f"{_day(scan)}_10_{scan.number % 60:02d}_00.0"
        target = folder / _ptid(scan.patient) / "Amyloid_PET" / day / f"I{_image_id(scan)}"
        target.mkdir(parents=True)
        volume = _render(scan, seed)
        if scan.number % 8 == 7:
            (target / f"ADNI_{_ptid(scan.patient)}_I{_image_id(scan)}.nii").write_bytes(
                _nifti(volume)
            )
        else:
            _write_series(target, volume, scan, seed)


def write_a4_phantoms(folder: Path, samples: int, seed: int, part: tuple[int, int]) -> None:
    """Write a part of a folder of ``samples`` images in A4's layout; part 0 writes the table.

    The arguments are those of :data:`~supremix_datasets.cards.dataset.PhantomWriter`.
    """
    scans = _plan(samples, seed, ("FBP",))
    if part[0] == 0:
        rows = [row for scan in scans for row in _a4_rows(scan, seed)]
        write_csv(folder / "imaging_SUVR_amyloid.csv", A4_COLUMNS, rows)
        patients = [("A4", _bid(s), _bid(replace(s, visit=0)) if _again(s) else "") for s in scans]
        write_csv(folder / "SUBJINFO.csv", ("SUBSTUDY", "BID", "PREVBID"), patients)
    for scan in scans[part[0] :: part[1]]:
        bid, session = _bid(scan), f"{_visit_code(scan):03d}"
        target = folder / bid / session / "FBP"
        target.mkdir(parents=True)
        data = gzip.compress(_nifti(_render(scan, seed)), compresslevel=1, mtime=0)
        (target / f"A4_PET_FBP_{bid}_{session}.nii.gz").write_bytes(data)


def _plan(samples: int, seed: int, tracers: Sequence[str]) -> list[_PhantomScan]:
    """All scans in order; a longer plan begins with the shorter one."""
    rng = np.random.default_rng([seed, 1])
    scans: list[_PhantomScan] = []
    patient = 0
    while len(scans) < samples:
        positive, again = rng.random() < AMYLOID, rng.random() < 1 / 6
        first = float(np.clip(rng.normal(*((1.45, 0.22) if positive else (1.02, 0.1))), 0.72, 2.3))
        growth = float(rng.uniform(0.02, 0.1) if positive else rng.normal(0, 0.01))
        tracer = tracers[int(rng.integers(len(tracers)))]
        for visit in range(2 if again else 1):
            suvr = round(first + visit * growth, 4)
            scans.append(_PhantomScan(len(scans), patient, visit, tracer, suvr))
        patient += 1
    return scans[:samples]


def _head(scan: _PhantomScan, seed: int) -> Head:
    return draw_head(np.random.default_rng([seed, 2, scan.patient]))


def _render(scan: _PhantomScan, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng([seed, 3, scan.number])
    camera = draw_camera(rng)
    return render(_head(scan, seed), scan.suvr, scan.tracer, camera, rng)


def _ptid(patient: int) -> str:
    return f"{2 + patient % 5:03d}_S_{4000 + patient:04d}"


def _again(scan: _PhantomScan) -> bool:
    """Whether an A4 patient was screened again, with a new BID, instead of followed up."""
    return scan.visit == 1 and scan.patient % 2 == 1


def _bid(scan: _PhantomScan) -> str:
    return f"B{(20_000_000 if _again(scan) else 10_000_000) + 37 * (scan.patient + 1)}"


def _visit_code(scan: _PhantomScan) -> int:
    return 66 if scan.visit and not _again(scan) else 2


def _image_id(scan: _PhantomScan) -> int:
    return 300_000 + 11 * scan.number


def _day(scan: _PhantomScan) -> str:
    first = date(2012, 1, 9) + timedelta(days=7 * (scan.patient % 150))
    return (first + timedelta(days=731 * scan.visit)).isoformat()


def _adni_rows(scans: Sequence[_PhantomScan]) -> list[list[object]]:
    """A row in 6 mm of each scan, and of every fourth in 8 mm, where the ratio is nearer to 1."""
    rows: list[list[object]] = []
    for scan in scans:
        rid = 4000 + scan.patient
        day, visit = _day(scan), "y2" if scan.visit else "init"
        head = [_image_id(scan), rid, _ptid(scan.patient), visit, 2 + scan.patient % 5, day, day]
        for resolution, contrast in (("6MM", 1.0), ("8MM", 0.9))[
            : 2 if scan.number % 4 == 3 else 1
        ]:
            suvr = round(1 + contrast * (scan.suvr - 1), 4)
            slope, intercept = CENTILOID[scan.tracer]
            centiloid = round(slope * suvr + intercept, 1)
            result = [int(centiloid > 20), centiloid, suvr]
            rows.append([*head, resolution, 2, scan.tracer, WARNING, *result])
    return rows


def _a4_rows(scan: _PhantomScan, seed: int) -> list[list[object]]:
    """The summary among the single regions, which scatter about it.

    As in the real table some rows stand twice, and scans that were not analysed have no region.
    """
    lobes = _head(scan, seed).lobes
    head: list[object] = ["A4", _bid(scan), 1, _visit_code(scan), 30, -60, "Florbetapir"]
    rows: list[list[object]] = [[*head, "Yes", "Composite_Summary", scan.suvr, "", ""]]
    for k, name in enumerate(REGIONS[: len(LOBES)]):
        suvr = round(scan.suvr * (0.8 + 0.25 * float(lobes[k])), 4)
        rows.append([*head, "Yes", name, suvr, "", ""])
    twice = rows[:1] if scan.number % 10 == 9 else []
    empty = [[*head[:2], 2, *head[3:], "No", "", "", "", ""]] if scan.number % 10 == 4 else []
    return [*rows[1:3], rows[0], *rows[3:], *twice, *empty]


def _nifti(volume: NDArray[np.float32]) -> bytes:
    """A NIfTI file with x from right to left, as converters of DICOM write it."""
    affine = np.diag([-VOXEL, VOXEL, VOXEL, 1.0])
    affine[:3, 3] = [VOXEL * (SHAPE[0] - 1) / 2, *(-VOXEL * (n - 1) / 2 for n in SHAPE[1:])]
    scaled = np.rint(volume[::-1] * np.float32(32000 / volume.max())).astype(np.int16)
    image: Any = nib.Nifti1Image(scaled, affine)
    return bytes(image.to_bytes())


def _uid(*parts: object) -> UID:
    """An identifier under the root for numbers that nobody assigns (2.25), always the same."""
    text = "/".join(map(str, parts)).encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=15).digest())
    return UID(f"2.25.{number}")


def _write_series(target: Path, volume: NDArray[np.float32], scan: _PhantomScan, seed: int) -> None:
    """One file per slice; names are in no order, and half of the series go from top to bottom."""
    rng = np.random.default_rng([seed, 4, scan.number])
    names = rng.permutation(SHAPE[2] * 97)[: SHAPE[2]]
    downwards = bool(rng.random() < 0.5)
    head = _head_of_series(scan, seed)
    for number in range(SHAPE[2]):
        z = SHAPE[2] - 1 - number if downwards else number
        head.InstanceNumber = head.ImageIndex = number + 1
        instance = _uid(seed, scan.number, z)
        head.SOPInstanceUID = head.file_meta.MediaStorageSOPInstanceUID = instance
        left, back, _ = (-VOXEL * (n - 1) / 2 for n in SHAPE)
        up = VOXEL * (z - (SHAPE[2] - 1) / 2)
        head.ImagePositionPatient = [left, back, up]
        # DICOM's columns run to the left and its rows to the back
        plane = volume[::-1, ::-1, z].T
        slope = max(float(plane.max()), 1.0) / 32767
        head.RescaleSlope = float(f"{slope:.8g}")
        head.PixelData = np.rint(plane / head.RescaleSlope).astype("<u2").tobytes()
        head.save_as(
            target / f"ADNI_{_ptid(scan.patient)}_PT_{names[z]:05d}.dcm", enforce_file_format=True
        )


def _head_of_series(scan: _PhantomScan, seed: int) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    head = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    elements: dict[str, Any] = {
        "SOPClassUID": PositronEmissionTomographyImageStorage,
        "Modality": "PT",
        "PatientName": "Phantom",
        "PatientID": _ptid(scan.patient),
        "StudyInstanceUID": _uid(seed, scan.number, "study"),
        "SeriesInstanceUID": _uid(seed, scan.number, "series"),
        "SeriesDescription": "Amyloid PET",
        "SeriesType": ["STATIC", "IMAGE"],
        "Units": "BQML",
        "AcquisitionDate": _day(scan).replace("-", ""),
        "AcquisitionTime": "100000",
        "FrameReferenceTime": 600000.0,
        "ActualFrameDuration": 1200000,
        "NumberOfSlices": SHAPE[2],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "PixelSpacing": [VOXEL, VOXEL],
        "SliceThickness": VOXEL,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": SHAPE[1],
        "Columns": SHAPE[0],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "RescaleIntercept": 0,
        "RescaleType": "BQML",
    }
    for name, value in elements.items():
        setattr(head, name, value)
    return head
