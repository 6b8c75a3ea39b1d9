"""A4 amyloid PET: standardised uptake value ratios (SUVR) at screening and later.

Accepted layout: a folder with, at any depth,

    A4_PETSUVR_PRV2_<date>.csv     BID, VISCODE, brain_region, suvr_cer, …; several rows a patient
    images, as NIfTI files or folders of DICOM slices

How the archive names the images could not be confirmed, so much is accepted. The patient is the one
BID (``B`` and digits) in the path below the source, in the file's name or in a folder's:
``B10012345.nii.gz``, ``A4_PET_B10012345_VISCODE_002.nii``, ``B10012345/…/I123456/*.dcm``. Where a
patient has several visits in the table, the path has to name the visit: ``VISCODE_002``, ``V2``,
``visit-2`` (leading zeros do not matter). A path that names another tracer (tau, flortaucipir, …)
is excluded, and so is one that names a kind of MRI (T1, FLAIR, …) and not PET.

The label is ``suvr_cer``, the ratio to the whole cerebellum, of the row whose ``brain_region`` is
Composite_Summary; the rows of single regions are not used. The tracer is florbetapir in all scans.
All images of a BID are one group. There is no official split.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supremix_datasets.cards.dataset import Dataset
from supremix_datasets.cards.sample import Rejected, Sample, Scan
from supremix_datasets.errors import LabelTableError, SourceError
from supremix_datasets.phantoms.amyloid import write_a4_phantoms
from supremix_datasets.phantoms.folder import head_phantom
from supremix_datasets.readers.pet_files import (
    PetImage,
    PetReader,
    amyloid_card,
    other_kind,
    pet_images,
)
from supremix_datasets.sources.files import list_files
from supremix_datasets.sources.tables import check_numbers, label_problem, read_columns, to_number

TABLE = re.compile(r"^A4_PETSUVR.*\.csv$", re.IGNORECASE)
REGION = "Composite_Summary"
BID = re.compile(r"(?<![A-Za-z0-9])B\d{5,}(?![0-9])")
VISIT = re.compile(r"(?<![a-z0-9])v(?:iscode|isit)?[_\- ]?0*(\d{1,3})(?![0-9a-z])", re.IGNORECASE)
COLUMNS = {
    "bid": ["BID"],
    "visit": ["VISCODE"],
    "region": ["brain_region"],
    "target": ["suvr_cer"],
}

CARD = amyloid_card(
    name="a4-amyloid",
    title="Amyloid PET, cortical SUVR (A4)",
    licence="A4 study data use agreement; an application is needed",
    home="https://www.a4studydata.org",
)


@dataclass(frozen=True)
class A4AmyloidReader(PetReader):
    """Reads the downloaded folder; see the module's text for what it accepts."""

    version: int = 2

    def scan(self, source: str) -> Scan:
        """Pair images with the rows of the summary region; touches no pixel.

        Images that name no patient or no visit, whose row cannot be used, or that are a second
        image of the same visit, are excluded. Rows without an image are nothing.

        Raises:
            SourceError: no such folder, no image in it, or no table or several.
            LabelTableError: a column or the summary region is missing, or a SUVR is no number.
        """
        listing = list_files(source)
        images = pet_images(listing)
        if not images:
            raise SourceError(
                f"no PET image in {source!r}: expected .nii, .nii.gz or .dcm files with the BID in "
                "their path, such as B10012345.nii.gz."
            )
        table = _table(source, listing)
        visits_by_bid = _visits_by_bid(table)
        used: dict[tuple[str, str], str] = {}
        return Scan.of((_sample(image, visits_by_bid, used) for image in images), table)


def _table(source: str, listing: Mapping[str, Any]) -> str:
    tables = sorted(path for path in listing if TABLE.match(path.rsplit("/", 1)[-1]))
    if not tables:
        raise SourceError(
            f"no A4_PETSUVR_PRV2_<date>.csv in {source!r}. Download the table from the study's "
            "page of derived data and put it into that folder."
        )
    if len(tables) > 1:
        raise SourceError(
            f"{len(tables)} tables A4_PETSUVR in {source!r}: {', '.join(tables[:4])}. Leave only "
            "the one to read there."
        )
    return str(listing[tables[0]]["address"])


Visits = dict[str, list[float | None]]
"""Visit to the labels that the table gives it: one, if all is well."""


def _visits_by_bid(table: str) -> dict[str, Visits]:
    frame = read_columns(table, COLUMNS)
    check_numbers(frame, "target", COLUMNS["target"][0], table)
    visits_by_bid: dict[str, Visits] = {}
    regions: set[str] = set()
    for row in frame.iter_rows(named=True):
        regions.add(str(row["region"]))
        if str(row["region"]).lower() == REGION.lower() and row["bid"]:
            visits = visits_by_bid.setdefault(str(row["bid"]), {})
            visits.setdefault(_plain(row["visit"]), []).append(to_number(row["target"]))
    if not visits_by_bid:
        raise LabelTableError(
            f"the table {table} has no row with brain_region {REGION!r}; it has "
            f"{', '.join(sorted(regions)[:8])}. Download the whole table."
        )
    return visits_by_bid


def _plain(visit: str | None) -> str:
    """A visit's code without leading zeros, which files and tables do not agree on."""
    return (visit or "").lstrip("0") or "0"


def _sample(
    image: PetImage, visits_by_bid: Mapping[str, Visits], used: dict[tuple[str, str], str]
) -> Sample | Rejected:
    bids = sorted(set(BID.findall(image.path)))
    bid = bids[0] if len(bids) == 1 else ""
    visits = visits_by_bid.get(bid, {})
    visit, problem = _visit(image, visits)
    labels = visits.get(visit, [])
    problem = _patient_problem(image, bids, bool(visits)) or problem
    target = labels[0] if labels else None
    if not problem and len(labels) > 1:
        problem = f"the table lists visit {visit} more than once"
    problem = problem or label_problem(target, CARD.label_range, CARD.unit)
    if not problem and (bid, visit) in used:
        problem = f"another image of the same visit is used: {used[bid, visit]}"
    name = f"{bid}_{visit}" if bid and visit else image.path
    if problem or target is None:
        return Rejected(id=name, reason=problem or "no label in the table", address=image.address)
    used[bid, visit] = image.path
    return Sample(id=name, group=bid, target=target, address=image.address)


def _patient_problem(image: PetImage, bids: Sequence[str], in_table: bool) -> str | None:
    other = other_kind(image.path)
    if other:
        return f"by its name it is no amyloid PET ({other})"
    if len(bids) != 1:
        return f"expected one BID in its path, found {len(bids)}"
    return None if in_table else "the table has no summary row of this BID"


def _visit(image: PetImage, visits: Visits) -> tuple[str, str | None]:
    """The visit of an image, and what is wrong with it."""
    named = [_plain(match) for match in VISIT.findall(image.path)]
    if named:
        known = None if named[-1] in visits else f"the table has no visit {named[-1]} of this BID"
        return named[-1], known
    if len(visits) > 1:
        return "", f"the table has {len(visits)} visits of this BID, and its path names none"
    return next(iter(visits), ""), None


DATASET = Dataset(
    card=CARD,
    reader=A4AmyloidReader(),
    phantom=head_phantom(write=write_a4_phantoms),
)
