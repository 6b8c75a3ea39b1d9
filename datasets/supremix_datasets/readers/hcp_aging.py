"""HCP-Aging brain age from T1 MRI: the preprocessed packages as they are downloaded.

Accepted layout: a folder with, at any depth,

    HCA<7 digits>_V<visit>_MR/MNINonLinear/T1w_restore_brain.nii.gz   brain, in MNI space
    HCA<7 digits>_V<visit>_MR/T1w/T1w_acpc_dc_restore_brain.nii.gz    brain, in the patient's space
    HCA<7 digits>_V<visit>_MR/T1w/T1w_acpc_dc_restore.nii.gz          whole head, the same space
    ndar_subject01.txt                                                tab-separated, or
    HCA_LS_2.0_subject_completeness.csv                               comma-separated

All images of a run are of one kind: the first of the three that any scan has, since a model must
not meet heads with a skull together with brains without. Scans that lack that kind are excluded.

Both tables have two header rows, the names and then a description of each; a table without the
second is read as well. Where both are there, ``ndar_subject01`` is read. Columns:
``src_subject_id`` (``HCA…``, also with ``_V1`` or ``_V1_MR`` behind it), ``interview_age`` in
months, and where known ``sex`` (M, F), ``site`` and ``visit`` (or ``redcap_event``). Imaging visits
are V1, V2 and so on. A row that names no visit is of the first one, V1; a row of another visit (F1,
F2, Covid, CR: a call or a questionnaire between the imaging visits) is not used.

Ages of 90 years and more are capped, in ways that differ between releases. A text such as ``90+``,
``>1080`` or ``90 or older`` is no label, and its scans are excluded. Older tables give all who are
older than 90 years 1200 months: where no other age is above 1080 months, 1200 is that code and
excluded, and where no age at all is above it, exactly 1080 months is a cap and excluded.

All visits of a patient are one group. There is no official split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from supremix_datasets.cards.dataset import Dataset
from supremix_datasets.cards.sample import Rejected, Sample, Scan, sample_or_rejected
from supremix_datasets.errors import SourceError
from supremix_datasets.phantoms.folder import head_phantom
from supremix_datasets.phantoms.hcp_aging import write_hcp_phantoms
from supremix_datasets.readers.brain_age import NiftiReader, brain_age_card, sex_covariate
from supremix_datasets.sources.files import find_named, list_files
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import check_numbers, label_problem, merge_rows, read_columns

KINDS = (
    "MNINonLinear/T1w_restore_brain.nii.gz",
    "T1w/T1w_acpc_dc_restore_brain.nii.gz",
    "T1w/T1w_acpc_dc_restore.nii.gz",
)
"""The images that are read, the best first."""

PACKAGE = re.compile(r"^(?P<patient>HCA\d{7})_(?P<visit>V\d+)_MR$")
PERSON = re.compile(r"^(?P<patient>HCA\d{7})(_(?P<visit>V\d+)(_MR)?)?$")
TABLES = (
    re.compile(r"ndar_subject01.*\.(txt|tsv|csv)$", re.IGNORECASE),
    re.compile(r"HCA_.*subject_completeness.*\.(csv|txt|tsv)$", re.IGNORECASE),
)
"""Names of the tables, the best first."""

IMAGING_VISIT = re.compile(r"(?<![a-z0-9])v(?:isit)?[ _-]?0*(\d+)(?![0-9])", re.IGNORECASE)
COLUMNS = {
    "patient": ["src_subject_id"],
    "age": ["interview_age"],
    "sex?": ["sex", "gender"],
    "site?": ["site"],
    "visit?": ["visit", "redcap_event"],
}
CAP_MONTHS, CODE_MONTHS = 1080.0, 1200.0
"""90 years, and the code that older tables have in the place of every age above."""

CAPPED = re.compile(
    r"(?:(?:>=?|≥)\s*)?(?:90|1080)(?:\.0*)?\s*(?:y\w*|m\w*)?\s*(?:\+|(?:or|and)\s+\w+)?",
    re.IGNORECASE,
)
"""A text that stands for all ages from 90 years on; a bare number is looked at apart."""

SEXES = {"m": 1.0, "f": 0.0, "male": 1.0, "female": 0.0}

CARD = brain_age_card(
    name="hcp-aging",
    title="Brain age in T1 MRI (HCP-Aging)",
    licence="NIMH Data Archive data use certification for HCP-Aging; access is applied for",
    home="https://www.humanconnectome.org/study/hcp-lifespan-aging",
)


@dataclass(frozen=True)
class HcpAgingReader(NiftiReader):
    """Reads the downloaded folder; see the module's text for what it accepts."""

    version: int = 3

    def scan(self, source: str) -> Scan:
        """Pair scans with ages; touches no pixel.

        Raises:
            SourceError: no such folder, no scan in it, or no table.
            LabelTableError: a column is missing, or holds an age that is not a number.
        """
        listing = list_files(source)
        packages = _packages(listing)
        if not packages:
            raise SourceError(
                f"no scan in {source!r}: expected folders like HCA6002236_V1_MR with "
                f"{KINDS[0]} in them, as the download makes them."
            )
        table = _table(source, listing)
        ages = _age_table(table)
        kind = next((k for k in KINDS if any(k in files for files in packages.values())), KINDS[0])
        found = [_sample(key, files, kind, ages) for key, files in sorted(packages.items())]
        return Scan.of(found, table)


Packages = dict[tuple[str, str], dict[str, list[str]]]
"""(patient, visit) to the package's files: path within it to addresses."""


@dataclass(frozen=True)
class _AgeTable:
    """The table: a row per scan, the scans whose rows disagree, and the months that are a cap."""

    rows: dict[str, dict[str, str | None]]
    doubtful: frozenset[str]
    cap: float | None


def _packages(listing: dict[str, Any]) -> Packages:
    packages: Packages = {}
    for path, info in listing.items():
        parts = path.split("/")
        for depth, part in enumerate(parts[:-1]):
            match = PACKAGE.match(part)
            if match:
                files = packages.setdefault((match["patient"], match["visit"]), {})
                inside = "/".join(parts[depth + 1 :])
                files.setdefault(inside, []).append(str(info["address"]))
                break
    return packages


def _table(source: str, listing: dict[str, Any]) -> str:
    found = [table for name in TABLES for table in find_named(listing, name)]
    if not found:
        raise SourceError(
            f"no ndar_subject01.txt and no HCA_LS_2.0_subject_completeness.csv in {source!r}. They "
            "come with the download's tables (src_subject_id and interview_age): put one of them "
            "into that folder."
        )
    return found[0]


def _age_table(table: str) -> _AgeTable:
    frame = read_columns(table, COLUMNS)
    described = frame.height > 0 and not PERSON.match(str(frame["patient"][0]))
    frame = frame.slice(1) if described else frame
    numbers = frame.with_columns(
        pl.Series("age", [None if _is_cap(a) else a for a in frame["age"]], dtype=pl.String)
    )
    check_numbers(numbers, "age", "interview_age", table)
    key = pl.struct("patient", "visit").map_elements(_key, return_dtype=pl.String)
    rows, doubtful = merge_rows(frame.select("age", "sex", "site", key=key), "key")
    return _AgeTable(rows, doubtful, _cap(to_number(age) or 0.0 for age in numbers["age"]))


def _cap(months: Iterable[float]) -> float | None:
    """The age in months that stands for all from 90 years on; None where nothing was capped."""
    above = {age for age in months if age > CAP_MONTHS}
    if above - {CODE_MONTHS}:
        return None
    return CODE_MONTHS if above else CAP_MONTHS


def _key(row: dict[str, str | None]) -> str | None:
    """``HCA6002236_V1`` of a row of the table; None for another study or a visit without images."""
    match = PERSON.match(row["patient"] or "")
    if match is None:
        return None
    if not row["visit"]:
        return f"{match['patient']}_{match['visit'] or 'V1'}"
    visit = IMAGING_VISIT.search(row["visit"])
    return f"{match['patient']}_V{visit[1]}" if visit else None


def _is_cap(age: str | None) -> bool:
    """Whether an age is a text such as ``90+``; a bare number is none."""
    if age is None or re.fullmatch(r"[\d.]+", age):
        return False
    return CAPPED.fullmatch(age) is not None


def _age(text: str | None, cap: float | None) -> tuple[float | None, str | None]:
    """Years, or why there are none."""
    if _is_cap(text):
        return None, f"the age is capped: {text!r} stands for all ages from 90 years on"
    months = to_number(text)
    if months is not None and months == cap:
        return None, f"the age is capped: {months:g} months stands for all ages from 90 years on"
    years = None if months is None else months / 12
    return years, label_problem(years, CARD.label_range, CARD.unit)


def _sample(
    key: tuple[str, str], files: dict[str, list[str]], kind: str, ages: _AgeTable
) -> Sample | Rejected:
    name = "_".join(key)
    addresses = files.get(kind, [])
    where = addresses[0] if addresses else ""
    row = ages.rows.get(name)
    if row is None:
        reason = f"the table has no row of this patient at visit {key[1]}"
        return Rejected(id=name, reason=reason, address=where)
    age, problem = _age(row["age"], ages.cap)
    if name in ages.doubtful:
        problem = "the table has rows of this scan that contradict each other"
    elif not addresses:
        problem = _lacking(files, kind)
    elif len(addresses) > 1:
        problem = f"the folder holds {len(addresses)} packages of this scan"
    return sample_or_rejected(
        problem,
        name=name,
        group=key[0],
        target=age,
        address=where,
        covariates=sex_covariate(row["sex"], SEXES),
        site=row["site"],
    )


def _lacking(files: dict[str, list[str]], kind: str) -> str:
    other = next((k for k in KINDS if k in files), None)
    has = f"; it has {other}, which may not be mixed with it" if other else ""
    return f"no {kind} in the package{has}"


DATASET = Dataset(
    card=CARD,
    reader=HcpAgingReader(),
    phantom=head_phantom(write=write_hcp_phantoms, version=2),
)
