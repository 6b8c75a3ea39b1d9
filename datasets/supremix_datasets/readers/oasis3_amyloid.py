"""OASIS-3 amyloid PET: Centiloid of the summary region, florbetapir and Pittsburgh compound B.

Accepted layout: a folder with, at any depth,

    OASIS3_amyloid_centiloid.csv    subject_id, oasis_session_id, tracer,
                                    Centiloid_fSUVR_TOT_CORTMEAN
    images, as NIfTI files (4 axes: time frames) or folders of DICOM slices

An image belongs to a row by the subject (``OAS3`` and digits), the day (``d`` and digits, days from
entry) and the tracer (AV45 or PIB), all of which its path has to name:
``OAS30001_AV45_d2430/pet1/sub-OAS30001_ses-d2430_acq-AV45_pet.nii.gz``. The row's day is taken from
``oasis_session_id``, such as ``OAS30001_AV45_PUPTIMECOURSE_d2430``. A path that names no tracer is
taken where the table has one scan of that subject and day. The image is the mean over the time
frames, weighted by their duration where the BIDS sidecar (``.json``) has the same name.

The label is in Centiloid, which is one scale for both tracers: 0 young controls, 100 typical
Alzheimer's disease. The images are not on one scale (white matter shines brighter with
florbetapir), so the tracer is a covariate. All sessions of a subject are one group. There is no
official split.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from supremix_datasets.cards.covariate import Covariate
from supremix_datasets.cards.dataset import Dataset
from supremix_datasets.cards.sample import Rejected, Sample, Scan, sample_or_rejected
from supremix_datasets.errors import LabelTableError, SourceError
from supremix_datasets.readers.pet_files import (
    PetImage,
    PetReader,
    amyloid_card,
    other_kind,
    pet_images,
)
from supremix_datasets.sources.files import find_named, list_files
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import LINE, check_numbers, label_problem, read_columns

TABLE = re.compile(r"OASIS3_amyloid_centiloid\.csv$")
SUBJECT = re.compile(r"OAS3\d+")
DAY = re.compile(r"(?<![A-Za-z0-9])(?:ses-|sess-)?d(\d{1,6})(?![0-9A-Za-z])")
TRACER = re.compile(r"(?<![A-Za-z0-9])(AV45|PIB)(?![A-Za-z0-9])", re.IGNORECASE)
COLUMNS = {
    "subject": ["subject_id", "OASISID"],
    "session": ["oasis_session_id"],
    "tracer": ["tracer"],
    "target": ["Centiloid_fSUVR_TOT_CORTMEAN"],
}

CARD = amyloid_card(
    name="oasis3-amyloid",
    title="Amyloid PET, Centiloid (OASIS-3)",
    target="Centiloid",
    unit="CL",
    label_bin=5.0,
    label_scale=5.0,
    window=25.0,
    label_range=(-100.0, 300.0),
    covariates=(Covariate(name="tracer", words=(("AV45", 0.0), ("PIB", 1.0))),),
    licence="OASIS-3 data use agreement; free, on application",
    home="https://sites.wustl.edu/oasisbrains/",
)


@dataclass(frozen=True)
class Oasis3AmyloidReader(PetReader):
    """Reads the downloaded folder; see the module's text for what it accepts."""

    version: int = 2

    def scan(self, source: str) -> Scan:
        """Pair images with rows; touches no pixel.

        Images whose path does not name the row, whose row cannot be used, or that are a second
        image of the same session, are excluded. Rows without an image are nothing.

        Raises:
            SourceError: no such folder, no image in it, or no table.
            LabelTableError: a column is missing, or holds something that is not a number.
        """
        listing = list_files(source)
        images = pet_images(listing)
        if not images:
            raise SourceError(
                f"no PET image in {source!r}: expected files like OAS30001_AV45_d2430/pet1/"
                "sub-OAS30001_ses-d2430_acq-AV45_pet.nii.gz."
            )
        tables = find_named(listing, TABLE)
        if not tables:
            raise SourceError(
                f"no OASIS3_amyloid_centiloid.csv in {source!r}. Download it with the OASIS-3 data "
                "files and put it into that folder."
            )
        rows = _rows(tables[0])
        used: dict[_CentiloidRow, str] = {}
        return Scan.of((_sample(image, rows, used) for image in images), tables[0])


@dataclass(frozen=True)
class _CentiloidRow:
    line: int
    subject: str
    day: str
    tracer: str
    target: float | None


def _rows(table: str) -> dict[tuple[str, str], list[_CentiloidRow]]:
    """(subject, day) to the rows of that day: one per tracer, if all is well."""
    frame = read_columns(table, COLUMNS)
    check_numbers(frame, "target", COLUMNS["target"][0], table)
    rows: dict[tuple[str, str], list[_CentiloidRow]] = {}
    for row in frame.iter_rows(named=True):
        line = int(row[LINE])
        session = str(row["session"] or "")
        subject = str(row["subject"] or "")
        day = DAY.search(session.replace("_", " "))
        tracer = str(row["tracer"] or "").upper()
        key = (subject, day[1].lstrip("0") or "0") if day else (subject, "")
        made = _CentiloidRow(line, subject, key[1], tracer, to_number(row["target"]))
        rows.setdefault(key, []).append(made)
    if not any(day for _, day in rows):
        raise LabelTableError(
            f"no oasis_session_id in {table} names a day: expected ids like "
            "OAS30001_AV45_PUPTIMECOURSE_d2430. Download the table again."
        )
    return rows


def _sample(
    image: PetImage,
    rows: Mapping[tuple[str, str], Sequence[_CentiloidRow]],
    used: dict[_CentiloidRow, str],
) -> Sample | Rejected:
    text = image.path.replace("_", " ")
    subjects = sorted(set(SUBJECT.findall(text)))
    days = sorted({day.lstrip("0") or "0" for day in DAY.findall(text)})
    tracers = sorted({tracer.upper() for tracer in TRACER.findall(text)})
    of_day = rows.get((subjects[0], days[0]), []) if len(subjects) == len(days) == 1 else []
    matches = [row for row in of_day if not tracers or row.tracer == tracers[0]]
    other, problem = other_kind(image.path), None
    if other:
        problem = f"by its name it is no amyloid PET ({other})"
    elif len(subjects) != 1 or len(days) != 1 or len(tracers) > 1:
        problem = "expected one subject, one day and one tracer in its path"
    elif len(matches) != 1:
        problem = f"{len(matches)} rows of the table fit its subject, day and tracer"
    if problem:
        return Rejected(id=image.path, reason=problem, address=image.address)
    return _of_row(image, matches[0], used)


def _of_row(
    image: PetImage, row: _CentiloidRow, used: dict[_CentiloidRow, str]
) -> Sample | Rejected:
    problem = label_problem(row.target, CARD.label_range, CARD.unit)
    if row.tracer not in ("AV45", "PIB"):
        problem = f"unknown tracer {row.tracer!r}; known are AV45 and PIB"
    elif row in used:
        problem = f"another image of the same session is used: {used[row]}"
    if not problem:
        used[row] = image.path
    return sample_or_rejected(
        problem,
        name=f"{row.subject}_{row.tracer}_d{row.day}",
        group=row.subject,
        target=row.target,
        address=image.address,
        covariates={"tracer": float(row.tracer == "PIB")},
    )


DATASET = Dataset(card=CARD, reader=Oasis3AmyloidReader())
