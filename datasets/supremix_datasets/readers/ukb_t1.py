"""UK Biobank brain age from T1 MRI: bulk field 20252 as it is downloaded.

Accepted layout: a folder with, at any depth,

    <eid>_20252_<visit>_<array>.zip       visit 2: first imaging, 3: repeat; read as it is
    <eid>_20252_<visit>_<array>/T1/…      or the same, unpacked
    one table (.csv, .tsv, .tab or .txt) with a header: eid, the age at each imaging visit, and,
        where known, sex and assessment centre
    w<application>_<date>.csv, or a .csv/.txt with "withdraw" in its name: withdrawn ids, no header

Column names, of which each is tried in turn (the last three forms are those of the research
platform and of the converted downloads; they could not be confirmed, so all are accepted): for age
at visit 2 ``21003-2.0``, ``p21003_i2``, ``f.21003.2.0``, ``21003_2_0``. The age is field 21003 (age
when attended the centre), never 21022 (age at recruitment, years before the scan).

The image is ``T1/T1_brain_to_MNI.nii.gz``: brain-extracted, linearly registered, 1 mm. Both visits
of a patient are one group. There is no official split.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from supremix_datasets.cards.dataset import Dataset, Decoded
from supremix_datasets.cards.sample import Rejected, Sample, Scan, sample_or_rejected
from supremix_datasets.decoding.images import decode_nifti
from supremix_datasets.errors import DecodeError, LabelTableError, SourceError
from supremix_datasets.phantoms.folder import head_phantom
from supremix_datasets.phantoms.ukb_t1 import write_brain_phantoms
from supremix_datasets.readers.brain_age import brain_age_card
from supremix_datasets.sources.files import list_files, read_bytes, zip_members
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import (
    check_numbers,
    header,
    label_problem,
    merge_rows,
    read_columns,
)

MEMBER = "T1/T1_brain_to_MNI.nii.gz"
VISIT = re.compile(r"^(?P<eid>\d+)_20252_(?P<visit>\d+)_(?P<array>\d+)$")
WITHDRAWN = re.compile(r"(^w\d+_\d+\.csv$)|(withdraw.*\.(csv|txt)$)", re.IGNORECASE)
TABLES = (".csv", ".tsv", ".tab", ".txt")
SEXES = {"0": 0.0, "1": 1.0, "female": 0.0, "male": 1.0}
"""Field 31 is coded 0 female, 1 male; some exports write the words."""

CARD = brain_age_card(
    name="ukb-t1",
    title="Brain age in T1 MRI (UK Biobank)",
    licence="UK Biobank material transfer agreement; a project of one's own is needed",
    home="https://biobank.ndph.ox.ac.uk/ukb/field.cgi?id=20252",
)


@dataclass(frozen=True)
class UkbT1Reader:
    """Reads the downloaded folder; see the module's text for what it accepts."""

    version: int = 2

    def scan(self, source: str) -> Scan:
        """Pair scans with ages; opens the directories of zips, but no image.

        Raises:
            SourceError: no such folder, no scan in it, or no table.
            LabelTableError: no column of ages, or something in it that is not a number.
        """
        listing = list_files(source)
        visits = _visits(listing)
        if not visits:
            raise SourceError(
                f"no scan in {source!r}: expected files like 1000017_20252_2_0.zip (bulk field "
                "20252), or the same unpacked into folders of that name."
            )
        withdrawn = _withdrawn(listing)
        tables = _tables(listing)
        table, patients = _patients(source, tables, sorted({visit for _, visit in visits}))
        found = [
            _sample(eid, visit, files, patients, withdrawn)
            for (eid, visit), files in sorted(visits.items())
        ]
        return Scan.of(found, table)

    def decode(self, address: str) -> Decoded:
        """One volume ``(X, Y, Z)`` in right, anterior, superior order.

        Args:
            address: A NIfTI file, a member of a zip, or a visit's zip itself.

        Raises:
            DecodeError: the file is missing or damaged.
        """
        if not address.startswith("zip://") and address.lower().endswith(".zip"):
            problem = _problem(zip_members(address))
            if problem:
                raise DecodeError(problem)
            address = f"zip://{MEMBER}::{address}"
        return decode_nifti(read_bytes(address))


@dataclass(frozen=True)
class _VisitFiles:
    """Where a visit's files are: a zip, or an unpacked tree (members to addresses)."""

    zip: str | None
    tree: dict[str, str]


@dataclass(frozen=True)
class _PatientRow:
    ages: dict[str, float | None]
    sites: dict[str, str | None]
    sex: float | None
    doubtful: bool


def _visits(listing: dict[str, Any]) -> dict[tuple[str, str], _VisitFiles]:
    """(eid, visit) to its files; a zip is taken before an unpacked tree of the same visit."""
    visits: dict[tuple[str, str], _VisitFiles] = {}
    for path, info in listing.items():
        parts = path.split("/")
        name = parts[-1][:-4] if parts[-1].lower().endswith(".zip") else None
        match = VISIT.match(name) if name is not None else None
        if match:
            key = match["eid"], match["visit"]
            visits[key] = _VisitFiles(str(info["address"]), {})
            continue
        for depth, part in enumerate(parts[:-1]):
            match = VISIT.match(part)
            if match:
                files = visits.setdefault((match["eid"], match["visit"]), _VisitFiles(None, {}))
                files.tree["/".join(parts[depth + 1 :])] = str(info["address"])
    return visits


def _sample(
    eid: str,
    visit: str,
    files: _VisitFiles,
    patients: dict[str, _PatientRow],
    withdrawn: frozenset[str],
) -> Sample | Rejected:
    name, patient = f"{eid}_{visit}", patients.get(eid)
    where = files.zip or files.tree.get(MEMBER, "")
    if eid in withdrawn:
        return Rejected(id=name, reason="the patient has withdrawn", address=where)
    if patient is None:
        return Rejected(id=name, reason="the table has no row of this eid", address=where)
    age = patient.ages.get(visit)
    problem = label_problem(age, CARD.label_range, CARD.unit)
    if patient.doubtful:
        problem = "the table has rows of this eid that contradict each other"
    if problem is None:
        problem = _files_problem(files)
    return sample_or_rejected(
        problem,
        name=name,
        group=eid,
        target=age,
        address=f"zip://{MEMBER}::{files.zip}" if files.zip and not problem else where,
        covariates={} if patient.sex is None else {"sex": patient.sex},
        site=patient.sites.get(visit),
    )


def _files_problem(files: _VisitFiles) -> str | None:
    try:
        return _problem(zip_members(files.zip) if files.zip else list(files.tree))
    except DecodeError as error:
        return str(error)


def _problem(members: Sequence[str]) -> str | None:
    if MEMBER in members:
        return None
    if any(member.startswith("T1/unusable/") for member in members):
        return "the scan is marked unusable (T1/unusable)"
    return f"no {MEMBER} in it"


def _withdrawn(listing: dict[str, Any]) -> frozenset[str]:
    withdrawn: set[str] = set()
    for path, info in listing.items():
        if WITHDRAWN.search(path.rsplit("/", 1)[-1]) and info["size"]:
            text = _withdrawn_text(str(info["address"]))
            withdrawn |= {line.split(",")[0].strip().strip('"') for line in text.splitlines()}
    return frozenset(withdrawn)


def _withdrawn_text(address: str) -> str:
    """The list as text; one that cannot be read must not be taken for an empty one."""
    try:
        return read_bytes(address).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelTableError(
            f"the list of withdrawn participants {address} is not UTF-8: {error}. Save it as UTF-8."
        ) from error


def _tables(listing: dict[str, Any]) -> list[str]:
    return [
        str(info["address"])
        for path, info in listing.items()
        if path.lower().endswith(TABLES)
        and not WITHDRAWN.search(path.rsplit("/", 1)[-1])
        and not any(VISIT.match(part) for part in path.split("/"))
    ]


def _names(field: int, visit: str) -> list[str]:
    short = [f"p{field}"] if visit == "0" else []
    return [
        f"{field}-{visit}.0",
        f"p{field}_i{visit}",
        f"f.{field}.{visit}.0",
        f"{field}_{visit}_0",
        *short,
    ]


def _patients(
    source: str, tables: Sequence[str], visits: Sequence[str]
) -> tuple[str, dict[str, _PatientRow]]:
    """The table with the ages, and who is in it by eid."""
    with_eid = [table for table in tables if {"eid", "f.eid"} & set(header(table))]
    if not with_eid:
        raise SourceError(
            f"no table with a column 'eid' in {source!r} (tables found: {len(tables)}). Put the "
            "table with eid and 21003-2.0 (age at the imaging visit) into that folder."
        )
    aged = [t for t in with_eid if any(set(_names(21003, v)) & set(header(t)) for v in visits)]
    table = (aged or with_eid)[0]
    have = set(header(table))
    if not aged:
        recruited = any("21022" in column for column in have)
        hint = " 21022 is the age at recruitment, years before the scan." if recruited else ""
        raise LabelTableError(
            f"the table {table} has no age at the imaging visit: expected a column "
            f"{' or '.join(map(repr, _names(21003, visits[0])))}.{hint} Export field 21003."
        )
    return table, _rows(table, visits)


def _rows(table: str, visits: Sequence[str]) -> dict[str, _PatientRow]:
    ages = {f"age{visit}?": _names(21003, visit) for visit in visits}
    sites = {f"site{visit}?": _names(54, visit) for visit in visits}
    frame = read_columns(table, {"eid": ["eid", "f.eid"], "sex?": _names(31, "0"), **ages, **sites})
    for visit in visits:
        check_numbers(frame, f"age{visit}", _names(21003, visit)[0], table)
    rows, doubtful = merge_rows(frame, "eid")
    return {
        eid: _PatientRow(
            ages={visit: to_number(row[f"age{visit}"]) for visit in visits},
            sites={visit: row[f"site{visit}"] for visit in visits},
            sex=SEXES.get((row["sex"] or "").lower()),
            doubtful=eid in doubtful,
        )
        for eid, row in rows.items()
    }


DATASET = Dataset(
    card=CARD,
    reader=UkbT1Reader(),
    phantom=head_phantom(write=write_brain_phantoms, version=2),
)
