# scipy carries few types
# pyright: reportMissingTypeStubs=false
"""Ageing brains in the HCP-Aging layout: the folder that the hcp-aging reader reads.

The brains of :mod:`brain_model` at 36 to 100 years, at four sites with scanners of one maker, in
packages ``HCA<7 digits>_V<visit>_MR`` with the brain in MNI space and the whole head in the
patient's own, at 4 mm; a table with two header rows, ages in months, and rows of the calls between
the visits (F1, F2). One patient in eight has
a second visit with the same anatomy.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from supremix_datasets.phantoms.anatomy.brain import (
    Patient,
    Volume,
    draw_mri_scanner,
    draw_patient,
    nifti,
    render,
)

SITES = {"MGH": 0, "UCLA": 1, "UMinn": 1, "WashU": 2}
"""Sites, and which of the model's three scanners stands there."""

MONTHS = (432, 1199)
CAP = 1080
"""The age that stands for 90 and more in real tables, as 1200 does in others: no phantom has it."""

HEADER = {
    "collection_id": "Data collection",
    "subjectkey": "The NDAR Global Unique Identifier (GUID) for research subject",
    "src_subject_id": "Subject ID how it's defined in lab/project",
    "interview_age": "Age in months at the time of the interview, test, sampling or imaging.",
    "sex": "Sex of subject at birth",
    "site": "Site",
    "visit": "Visit name",
}


@dataclass(frozen=True)
class _PhantomVisit:
    patient: int
    visit: int
    months: int


def write_hcp_phantoms(folder: Path, samples: int, seed: int, part: tuple[int, int]) -> None:
    """Write a part of a folder of ``samples`` scans; part 0 writes the table.

    The arguments are those of :data:`~supremix_datasets.cards.dataset.PhantomWriter`.
    """
    visits = _plan(samples, seed)
    if part[0] == 0:
        _write_table(folder / "ndar_subject01.txt", visits, seed)
    for scan in range(part[0], len(visits), part[1]):
        _write_scan(folder, visits[scan], seed, scan)


def _plan(samples: int, seed: int) -> list[_PhantomVisit]:
    """All visits; the first n are the same however many follow."""
    rng = np.random.default_rng([seed, 21])
    visits: list[_PhantomVisit] = []
    patient = 0
    while len(visits) < samples:
        months, gap = int(rng.integers(MONTHS[0], MONTHS[1] + 1)), int(rng.integers(18, 31))
        again = bool(rng.random() < 0.125) and months + gap <= MONTHS[1]
        visits.append(_PhantomVisit(patient, 1, _uncapped(months)))
        if again:
            visits.append(_PhantomVisit(patient, 2, _uncapped(months + gap)))
        patient += 1
    return visits[:samples]


def _uncapped(months: int) -> int:
    return months + 1 if months == CAP else months


def _name(patient: int) -> str:
    return f"HCA{6_000_000 + 37 * (patient + 1):07d}"


def _patient(patient: int, seed: int) -> Patient:
    return draw_patient(np.random.default_rng([seed, 22, patient]))


def _site(patient: int, seed: int) -> str:
    rng = np.random.default_rng([seed, 23, patient])
    return tuple(SITES)[int(rng.integers(len(SITES)))]


def _write_scan(folder: Path, visit: _PhantomVisit, seed: int, scan: int) -> None:
    rng = np.random.default_rng([seed, 24, scan])
    scanner = draw_mri_scanner(rng, SITES[_site(visit.patient, seed)])
    brain = render(_patient(visit.patient, seed), visit.months / 12, scanner, rng)
    package = folder / f"{_name(visit.patient)}_V{visit.visit}_MR"
    for name, volume in (
        ("MNINonLinear/T1w_restore_brain.nii.gz", brain),
        ("T1w/T1w_acpc_dc_restore.nii.gz", _head(brain)),
    ):
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(nifti(volume))


def _head(brain: Volume) -> Volume:
    """The brain within a skull, dark, and a scalp, bright: the image before the extraction."""
    distance: Any = ndimage.distance_transform_edt(brain <= 0)
    scalp = (distance > 2) & (distance <= 4)
    return np.where(scalp, np.float32(np.percentile(brain[brain > 0], 99)), brain)


def _write_table(path: Path, visits: list[_PhantomVisit], seed: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([HEADER, HEADER.values()])
        for visit in visits:
            sex = "M" if _patient(visit.patient, seed).male else "F"
            name, site = _name(visit.patient), _site(visit.patient, seed)
            key = f"NDAR_PHANTOM{visit.patient:05d}"
            writer.writerow(["2847", key, name, visit.months, sex, site, f"V{visit.visit}"])
            # a call a year later, of which there is no image
            writer.writerow(["2847", key, name, visit.months + 12, sex, site, f"F{visit.visit}"])
