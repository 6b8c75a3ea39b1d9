"""A4 amyloid PET: standardised uptake value ratios (SUVR) at screening and later.

Accepted layout: a folder with, at any depth,

    imaging_SUVR_amyloid.csv      BID, VISCODE, brain_region, suvr_cer, …; several rows a patient
    A4_PETSUVR_PRV2_<date>.csv    the older table, of the first scans; read where there is no newer
    SUBJINFO.csv                  BID, PREVBID: the earlier BID of a patient who was screened twice
    images, as NIfTI files or folders of DICOM slices

The patient is the one BID (``B`` and digits) in the path below the source, in the file's name or in
a folder's: ``B10012345/002/FBP/A4_PET_FBP_B10012345_002.nii.gz``, ``B10012345/…/I123456/*.dcm``.
The visit is the session of three digits behind the BID, or ``VISCODE_002``, ``V2``, ``visit-2``
(leading zeros do not matter). It has to be named where a patient has several visits in the table.
The first scan is visit 2 in names and in the newer table, 3 in the older one: both are read as 2. A
path that names another tracer (FTP, tau, flortaucipir, …) is excluded, and so is one that names a
kind of MRI (T1, FLAIR, …) and not PET.

The label is ``suvr_cer``, the ratio to the whole cerebellum, of the row whose ``brain_region`` is
Composite_Summary; rows of single regions and rows without a region, of scans that could not be
analysed, are not used. The tracer is florbetapir in all scans. All images of a BID are one group;
so are those of both BIDs of a patient who was screened twice, where the folder has SUBJINFO.csv.
There is no official split.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from supremix_datasets.cards.dataset import Dataset
from supremix_datasets.cards.sample import Rejected, Sample, Scan, sample_or_rejected
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
from supremix_datasets.sources.files import find_named, list_files
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import check_numbers, label_problem, read_columns

NEWER = re.compile(r"imaging_SUVR_amyloid.*\.csv$", re.IGNORECASE)
OLDER = re.compile(r"A4_PETSUVR.*\.csv$", re.IGNORECASE)
PATIENTS = re.compile(r"(.*_)?SUBJINFO.*\.csv$", re.IGNORECASE)
REGION = "Composite_Summary"
BID = re.compile(r"(?<![A-Za-z0-9])B\d{5,}(?![0-9])")
VISIT = re.compile(
    r"(?<![a-z0-9])(?:v(?:iscode|isit)?[_\- ]?0*(\d{1,3})|b\d{5,}[_/](\d{3}))(?![0-9a-z])",
    re.IGNORECASE,
)
COLUMNS = {
    "bid": ["BID"],
    "visit": ["VISCODE"],
    "region": ["brain_region"],
    "target": ["suvr_cer"],
}

NO_PATIENTS = (
    "there is no SUBJINFO.csv (BID, PREVBID), so each BID is taken for a patient. Patients who "
    "were screened twice have two BIDs, and may be in training and test."
)

CARD = amyloid_card(
    name="a4-amyloid",
    title="Amyloid PET, cortical SUVR (A4)",
    licence="A4 study data use agreement; an application is needed",
    home="https://www.a4studydata.org",
)


@dataclass(frozen=True)
class A4AmyloidReader(PetReader):
    """Reads the downloaded folder; see the module's text for what it accepts."""

    version: int = 3

    def scan(self, source: str) -> Scan:
        """Pair images with the rows of the summary region; touches no pixel.

        Images that name no patient or no visit, whose row cannot be used, or that are a second
        image of the same visit, are excluded. Rows without an image are nothing.

        Raises:
            SourceError: no such folder, no image in it, or no table or several of one kind.
            LabelTableError: a column or the summary region is missing, or a SUVR is no number.
        """
        listing = list_files(source)
        images = pet_images(listing)
        if not images:
            raise SourceError(
                f"no PET image in {source!r}: expected .nii, .nii.gz or .dcm files with the BID in "
                "their path, such as B10012345.nii.gz."
            )
        tables = find_named(listing, NEWER) or find_named(listing, OLDER)
        if len(tables) != 1:
            raise SourceError(
                f"expected one table imaging_SUVR_amyloid.csv (or A4_PETSUVR_PRV2_<date>.csv) in "
                f"{source!r}, found {len(tables)}. Download it from the study's page of derived "
                "data, and leave only the one to read there."
            )
        patients = find_named(listing, PATIENTS)
        visits_by_bid, groups = _visits_by_bid(tables[0]), _groups(patients)
        used: dict[tuple[str, str], str] = {}
        found = (_sample(image, visits_by_bid, groups, used) for image in images)
        return Scan.of(found, *tables, *patients, warnings=() if patients else (NO_PATIENTS,))


Visits = dict[str, list[float]]
"""Visit to the different labels that the table gives it: one, if all is well."""


def _visits_by_bid(table: str) -> dict[str, Visits]:
    frame = read_columns(table, COLUMNS)
    check_numbers(frame, "target", COLUMNS["target"][0], table)
    visits_by_bid: dict[str, Visits] = {}
    for row in frame.iter_rows(named=True):
        if (row["region"] or "").lower() == REGION.lower() and row["bid"]:
            labels = visits_by_bid.setdefault(row["bid"], {}).setdefault(_plain(row["visit"]), [])
            label = to_number(row["target"])
            if label is not None and label not in labels:
                labels.append(label)
    if not visits_by_bid:
        regions = sorted(frame["region"].drop_nulls().unique())
        raise LabelTableError(
            f"the table {table} has no row with brain_region {REGION!r}; it has "
            f"{', '.join(regions[:8])}. Download the whole table."
        )
    return visits_by_bid


def _groups(tables: Sequence[str]) -> dict[str, str]:
    """BID to one of the BIDs of the same patient, for those who have several."""
    same: dict[str, set[str]] = {}
    for table in tables:
        frame = read_columns(table, {"bid": ["BID"], "earlier?": ["PREVBID", "PREBID"]})
        for bid, earlier in frame.select("bid", "earlier").drop_nulls().iter_rows():
            together = same.get(bid, {bid}) | same.get(earlier, {earlier})
            same.update(dict.fromkeys(together, together))
    return {bid: min(bids) for bid, bids in same.items()}


def _plain(visit: str | None) -> str:
    """A visit's code without leading zeros; the older table calls the first scan's visit 3."""
    plain = (visit or "").lstrip("0") or "0"
    return "2" if plain == "3" else plain


def _sample(
    image: PetImage,
    visits_by_bid: Mapping[str, Visits],
    groups: Mapping[str, str],
    used: dict[tuple[str, str], str],
) -> Sample | Rejected:
    bids = sorted(set(BID.findall(image.path)))
    bid = bids[0] if len(bids) == 1 else ""
    visits = visits_by_bid.get(bid, {})
    visit, problem = _visit(image, visits)
    labels = visits.get(visit, [])
    target = labels[0] if labels else None
    problem = _patient_problem(image, bids, bool(visits)) or problem
    if not problem and len(labels) > 1:
        problem = f"the table lists visit {visit} more than once, with different values"
    problem = problem or label_problem(target, CARD.label_range, CARD.unit)
    if not problem and (bid, visit) in used:
        problem = f"another image of the same visit is used: {used[bid, visit]}"
    if not problem:
        used[bid, visit] = image.path
    return sample_or_rejected(
        problem,
        name=f"{bid}_{visit}" if bid and visit else image.path,
        group=groups.get(bid, bid),
        target=target,
        address=image.address,
    )


def _patient_problem(image: PetImage, bids: Sequence[str], in_table: bool) -> str | None:
    other = other_kind(image.path)
    if other:
        return f"by its name it is no amyloid PET ({other})"
    if len(bids) != 1:
        return f"expected one BID in its path, found {len(bids)}"
    return None if in_table else "the table has no summary row of this BID"


def _visit(image: PetImage, visits: Visits) -> tuple[str, str | None]:
    """The visit of an image, and what is wrong with it."""
    named = [_plain(match[1] or match[2]) for match in VISIT.finditer(image.path)]
    if named:
        known = None if named[-1] in visits else f"the table has no visit {named[-1]} of this BID"
        return named[-1], known
    if len(visits) > 1:
        return "", f"the table has {len(visits)} visits of this BID, and its path names none"
    return next(iter(visits), ""), None


DATASET = Dataset(
    card=CARD,
    reader=A4AmyloidReader(),
    phantom=head_phantom(write=write_a4_phantoms, version=2),
)
