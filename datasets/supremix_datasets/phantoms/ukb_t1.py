"""Ageing brains in the UK Biobank layout: the folder that the ukb-t1 reader reads.

Zips ``<eid>_20252_2_0.zip`` with ``T1/T1_brain_to_MNI.nii.gz`` at 4 mm, a table with the official
column names; one patient in eight has a second visit some years later with the same anatomy.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from supremix_datasets.phantoms.anatomy.brain import (
    Patient,
    draw_mri_scanner,
    draw_patient,
    nifti,
    render,
)
from supremix_datasets.phantoms.folder import write_csv

CENTRES = ("11025", "11026", "11027")
"""Codes of field 54: Cheadle, Reading, Newcastle."""

AGES = (45.0, 85.0)
COLUMNS = ("eid", "31-0.0", "34-0.0", "21022-0.0", "21003-2.0", "21003-3.0", "54-2.0", "54-3.0")


@dataclass(frozen=True)
class _PhantomVisit:
    patient: int
    visit: int
    age: float


def write_brain_phantoms(folder: Path, samples: int, seed: int, part: tuple[int, int]) -> None:
    """Write a part of a folder of ``samples`` scans; part 0 writes the table.

    The arguments are those of :data:`~supremix_datasets.cards.dataset.PhantomWriter`.
    """
    visits, ages = _plan(samples, seed)
    if part[0] == 0:
        _write_table(folder / "ukb_phantom.csv", visits, ages, seed)
    for scan in range(part[0], len(visits), part[1]):
        _write_scan(folder, visits[scan], seed, scan)


def _plan(samples: int, seed: int) -> tuple[list[_PhantomVisit], list[float]]:
    """All visits, and each patient's age at the first one."""
    rng = np.random.default_rng([seed, 1])
    visits: list[_PhantomVisit] = []
    ages: list[float] = []
    while len(visits) < samples:
        age, again, gap = rng.uniform(*AGES), rng.random() < 0.125, rng.uniform(2.0, 4.0)
        visits.append(_PhantomVisit(len(ages), 2, round(float(age), 2)))
        if again and len(visits) < samples:
            visits.append(_PhantomVisit(len(ages), 3, round(float(age + gap), 2)))
        ages.append(round(float(age), 2))
    return visits, ages


def _eid(patient: int) -> str:
    return str(1_000_000 + 17 * (patient + 1))


def _patient(patient: int, seed: int) -> Patient:
    return draw_patient(np.random.default_rng([seed, 2, patient]))


def _site(patient: int, seed: int) -> int:
    return int(np.random.default_rng([seed, 3, patient]).integers(len(CENTRES)))


def _write_scan(folder: Path, visit: _PhantomVisit, seed: int, scan: int) -> None:
    rng = np.random.default_rng([seed, 4, scan])
    scanner = draw_mri_scanner(rng, _site(visit.patient, seed))
    volume = render(_patient(visit.patient, seed), visit.age, scanner, rng)
    name = f"{_eid(visit.patient)}_20252_{visit.visit}_0.zip"
    with zipfile.ZipFile(folder / name, "w") as archive:
        # a fixed date, so that the same seed gives the same bytes
        member = zipfile.ZipInfo("T1/T1_brain_to_MNI.nii.gz", date_time=(2020, 1, 1, 0, 0, 0))
        archive.writestr(member, nifti(volume))


def _write_table(path: Path, visits: list[_PhantomVisit], ages: list[float], seed: int) -> None:
    seen = {(visit.patient, visit.visit): visit.age for visit in visits}
    rows: list[list[object]] = []
    for patient, age in enumerate(ages):
        sex, site = int(_patient(patient, seed).male), CENTRES[_site(patient, seed)]
        head = [_eid(patient), sex, int(2018 - age), int(age) - 8, age]
        again = seen.get((patient, 3), "")
        rows.append([*head, again, site, site if again else ""])
    write_csv(path, COLUMNS, rows)
