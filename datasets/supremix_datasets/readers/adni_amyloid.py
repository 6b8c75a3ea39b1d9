"""ADNI amyloid PET: standardised uptake value ratios (SUVR) of the UC Berkeley tables.

Accepted layout: a folder with, at any depth,

    <PTID>/<series>/<date_time>/I<image id>/*.dcm       one image: the slices of one DICOM series
    <PTID>/<series>/<date_time>/I<image id>/*.nii       or one NIfTI file, .nii.gz too; 3 or 4 axes
    UCBERKELEY_AMY_6MM_<date>.csv                       RID, PTID, SCANDATE, LONIUID, TRACER,
                                                        IMAGE_RESOLUTION, qc_flag,
                                                        SUMMARY_SUVR, …

``PTID`` is ``<site>_S_<RID>``, such as 002_S_0413; ``date_time`` begins with the day, 2012-05-15.
Of several tables the newest is read. The day in its name is understood as 12Aug2024, 2024-08-12,
20240812 and 08_12_24.

An image belongs to the row with its image id (LONIUID; I304512, D304512 and 304512 are one), else
to the row of its PTID whose SCANDATE is the day in its path, unless the path names another kind of
image (MPRAGE, FDG, AV1451, …): patients are often scanned twice a day. Only scans with ``qc_flag``
2 are used; -2, -1, 0 and 1 mean that something is not usable. All scans of a RID are one group.
There is no official split.

One table may have rows of several resolutions (``IMAGE_RESOLUTION`` 6MM, 8MM), whose SUVR differ
for the same brain. Only 6 mm is read: ``AdniAmyloidReader(resolutions=(8,))`` reads 8 mm.

SUVR of different tracers are on different scales, as the column TRACER_SUVR_WARNING says. The
table's value is kept as it is: it is a ratio of two regions of this very image, whichever tracer it
shows. What differs is what a value means for a patient, so the tracer goes with the image as a
covariate. To compare patients, read one tracer: ``AdniAmyloidReader(tracers=("FBP",))`` excludes
the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from supremix_datasets.cards.covariate import Covariate
from supremix_datasets.cards.dataset import Dataset
from supremix_datasets.cards.sample import Rejected, Sample, Scan, sample_or_rejected
from supremix_datasets.errors import SourceError
from supremix_datasets.phantoms.amyloid import write_adni_phantoms
from supremix_datasets.phantoms.folder import head_phantom
from supremix_datasets.readers.adni_table import AdniRow, image_id, newest_table, read_rows
from supremix_datasets.readers.pet_files import (
    PetImage,
    PetReader,
    amyloid_card,
    other_kind,
    pet_images,
)
from supremix_datasets.sources.files import list_files
from supremix_datasets.sources.tables import label_problem

PTID = re.compile(r"^\d{3}_S_\d+$")
IMAGE_ID = re.compile(r"^[ID]\d+$")
DAY = re.compile(r"^(\d{4}-\d{2}-\d{2})(_|$)")
TRACERS = ("FBP", "FBB", "NAV")
"""Florbetapir, florbetaben, flutafuranol (NAV4694), as the table writes them."""

SEVERAL_TRACERS = (
    "the scans are of several tracers, whose SUVR are on different scales (TRACER_SUVR_WARNING). "
    "An error in SUVR is then no error in amyloid load."
)

NO_YES = (("no", 0.0), ("yes", 1.0))

CARD = amyloid_card(
    name="adni-amyloid",
    title="Amyloid PET, cortical SUVR (ADNI)",
    covariates=(
        Covariate(name="florbetaben", default=0.0, words=NO_YES),
        Covariate(name="nav4694", default=0.0, words=NO_YES),
    ),
    licence="ADNI data use agreement; an application is needed",
    home="https://adni.loni.usc.edu",
)


@dataclass(frozen=True)
class AdniAmyloidReader(PetReader):
    """Reads the downloaded folder; see the module's text for what it accepts.

    Args:
        version: Version of what the reader makes of the same files.
        tracers: Which of :data:`TRACERS` to use; scans with others are excluded.
        resolutions: Resolutions in mm to use; rows with others are excluded.
    """

    version: int = 3
    tracers: tuple[str, ...] = TRACERS
    resolutions: tuple[int, ...] = (6,)

    def scan(self, source: str) -> Scan:
        """Pair images with rows; touches no pixel.

        Images without a row or with a row that cannot be used, and second images of the same scan,
        are excluded. Rows without an image are nothing: the table is of all of ADNI.

        Raises:
            SourceError: no such folder, no image in this layout, or no table.
            LabelTableError: a column is missing, or holds something that is not a number.
        """
        listing = list_files(source)
        found = [(image, _located(image)) for image in pet_images(listing)]
        images = [located for _, located in found if located is not None]
        if not images:
            raise SourceError(
                f"no PET image in {source!r}: expected folders like 002_S_0413/<series>/"
                "2012-05-15_10_00_00.0/I304512 with .dcm or .nii files, as ADNI's image archive "
                "(IDA) hands them out."
            )
        table = newest_table(source, listing)
        elsewhere = [image for image, located in found if located is None]
        reason = "no PTID and image id in its path"
        outside = [Rejected(id=i.path, reason=reason, address=i.address) for i in elsewhere]
        scan = Scan.of([*self._pair(images, read_rows(table)), *outside], table)
        several = len({tuple(sample.covariates.values()) for sample in scan.samples}) > 1
        return replace(scan, warnings=(SEVERAL_TRACERS,) if several else ())

    def _pair(
        self, images: Sequence[_ScanFile], rows: Sequence[AdniRow]
    ) -> list[Sample | Rejected]:
        by_id = _grouped(rows, lambda row: row.image)
        by_day = _grouped(rows, lambda row: (row.ptid, row.day) if row.day else None)
        used: dict[AdniRow, str] = {}
        found: list[Sample | Rejected] = []
        # images that the table names come first, so that no copy of another processing wins
        for image in sorted(images, key=lambda image: (image.id not in by_id, image.path)):
            other = None if image.id in by_id else other_kind(image.path)
            matches = by_id.get(image.id) or by_day.get((image.ptid, image.day), [])
            # of a scan that the table has in several resolutions the row to be read
            matches = [row for row in matches if self._resolves(row)] or matches
            problem = _match_problem(image, matches, other) or self._row_problem(matches[0])
            row = None if problem else matches[0]
            if row in used:
                problem = f"another image of the same scan is used: {used[row]}"
            elif row:
                used[row] = image.id
            found.append(_sample(image, row, problem))
        return found

    def _resolves(self, row: AdniRow) -> bool:
        return row.resolution is None or row.resolution in self.resolutions

    def _row_problem(self, row: AdniRow) -> str | None:
        if not self._resolves(row):
            read = ", ".join(map(str, self.resolutions))
            return f"its row is of {row.resolution} mm resolution; only {read} mm is read"
        if row.qc != 2:
            shown = "none" if row.qc is None else f"{row.qc:g}"
            return f"qc_flag is {shown}; only scans with 2 are used"
        if row.tracer not in TRACERS:
            return f"unknown tracer {row.tracer!r}; known are {', '.join(TRACERS)}"
        if row.tracer not in self.tracers:
            return f"tracer {row.tracer}; only {', '.join(self.tracers)} is read"
        return label_problem(row.target, CARD.label_range, CARD.unit)


@dataclass(frozen=True)
class _ScanFile:
    id: str
    ptid: str
    day: str | None
    path: str
    address: str

    @property
    def name(self) -> str:
        return f"{self.ptid}_{self.id}"


def _located(image: PetImage) -> _ScanFile | None:
    """An image with what its path says, or None where the path is not of this layout."""
    parts = image.path.split("/")
    patients = [k for k, part in enumerate(parts) if PTID.match(part)]
    ids = [part for part in parts if IMAGE_ID.match(part)]
    if not patients or not ids:
        return None
    days = [match[1] for part in parts[patients[-1] :] if (match := DAY.match(part))]
    day = days[-1] if days else None
    return _ScanFile(image_id(ids[-1]), parts[patients[-1]], day, image.path, image.address)


def _grouped(rows: Sequence[AdniRow], key: Any) -> dict[Any, list[AdniRow]]:
    groups: dict[Any, list[AdniRow]] = {}
    for row in rows:
        name = key(row)
        if name is not None:
            groups.setdefault(name, []).append(row)
    return groups


def _match_problem(image: _ScanFile, matches: Sequence[AdniRow], other: str | None) -> str | None:
    if other:
        return f"the table does not name it, and by its path it is no amyloid PET ({other})"
    if not matches:
        return "no row in the table has its image id, or its PTID and day"
    if len(matches) > 1:
        lines = " and ".join(str(row.line) for row in matches[:2])
        return f"the table lists it more than once (lines {lines})"
    if matches[0].ptid and matches[0].ptid != image.ptid:
        return "the table gives its image id to another PTID"
    return None


def _sample(image: _ScanFile, row: AdniRow | None, problem: str | None) -> Sample | Rejected:
    tracer = row.tracer if row else ""
    return sample_or_rejected(
        problem,
        name=image.name,
        group=row.rid if row else "",
        target=row.target if row else None,
        address=image.address,
        covariates={"florbetaben": float(tracer == "FBB"), "nav4694": float(tracer == "NAV")},
        site=image.ptid[:3],
    )


DATASET = Dataset(
    card=CARD,
    reader=AdniAmyloidReader(),
    phantom=head_phantom(write=write_adni_phantoms, version=2),
)
