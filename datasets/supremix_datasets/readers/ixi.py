"""IXI brain age from T1 MRI: the public images of three London hospitals.

Accepted layout: a folder with, at any depth,

    IXI<id>-<site>-<scan>-T1.nii.gz     site: Guys, HH or IOP; also .nii
    IXI.xls                             the official table; also IXI.xlsx or IXI*.csv

Columns of the table: ``IXI_ID`` (a number, here written with three digits) or ``MRID``
(``IXI012-HH-1211``); ``AGE`` or ``Age``; and where known ``SEX_ID (1=m, 2=f)``, ``SEX_ID`` or
``Sex``, as 1 and 2 or as letters. Other images (T2, PD, MRA, DTI) may be there and are not used.

The files' axes run to posterior, superior, right; every volume is turned to right, anterior,
superior. The table repeats some ids: rows that agree are one, rows that contradict each other are
excluded, and so are patients without an age. There is no official split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import polars as pl

from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.dataset import Dataset
from supremix_datasets.cards.sample import Rejected, Sample, Scan, sample_or_rejected
from supremix_datasets.errors import SourceError
from supremix_datasets.readers.brain_age import NiftiReader, brain_age_card, sex_covariate
from supremix_datasets.sources.files import find_named, list_files
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import check_numbers, label_problem, merge_rows, read_columns

IMAGE = re.compile(r"^IXI(?P<id>\d+)-(?P<site>[A-Za-z]+)-(?P<scan>\w+)-T1\.nii(\.gz)?$")
TABLES = tuple(re.compile(rf"ixi.*\.{end}$", re.IGNORECASE) for end in ("xls", "xlsx", "csv"))
"""Names of the tables, the official one first."""

COLUMNS = {
    "id": ["IXI_ID", "MRID", "ID"],
    "age": ["AGE", "Age", "age"],
    "sex?": ["SEX_ID (1=m, 2=f)", "SEX_ID", "Sex", "sex"],
}
SEXES = {"1": 1.0, "m": 1.0, "male": 1.0, "2": 0.0, "f": 0.0, "female": 0.0}

CARD = brain_age_card(
    name="ixi",
    title="Brain age in T1 MRI (IXI)",
    label_range=(15.0, 100.0),
    shape=(88, 112, 120),
    # Heads as they lay in the scanner, not registered: more turn and shift than in MNI space.
    augmentation=Augmentation(
        rotation_deg=12.0, translate=0.06, flip_axes=(0,), gain=0.1, gamma=0.1, bias_field=0.08
    ),
    licence="CC BY-SA 3.0",
    home="https://brain-development.org/ixi-dataset/",
)


@dataclass(frozen=True)
class IxiReader(NiftiReader):
    """Reads the downloaded folder; see the module's text for what it accepts."""

    version: int = 2

    def scan(self, source: str) -> Scan:
        """Pair images with ages by the number of the patient; touches no pixel.

        Raises:
            SourceError: no such folder, no T1 image in it, or no table.
            LabelTableError: a column is missing, or holds an age that is not a number.
        """
        listing = list_files(source)
        images = _images(listing)
        if not images:
            raise SourceError(
                f"no T1 image in {source!r}: expected files like IXI002-Guys-0828-T1.nii.gz. "
                f"Unpack IXI-T1.tar of {CARD.home} into that folder."
            )
        table = _table(source, listing)
        frame = read_columns(table, COLUMNS)
        check_numbers(frame, "age", "AGE", table)
        ids = pl.Series("id", [_number(text) for text in frame["id"]], dtype=pl.String)
        rows, doubtful = merge_rows(frame.with_columns(ids), "id")
        found = [
            _sample(number, images.get(number, []), rows.get(number), number in doubtful)
            for number in sorted(set(images) | set(rows))
        ]
        return Scan.of(found, table)


@dataclass(frozen=True)
class _T1File:
    site: str
    address: str


def _images(listing: dict[str, Any]) -> dict[str, list[_T1File]]:
    """Three-digit id to its T1 images."""
    images: dict[str, list[_T1File]] = {}
    for path, info in listing.items():
        match = IMAGE.match(path.rsplit("/", 1)[-1])
        if match:
            image = _T1File(match["site"], str(info["address"]))
            images.setdefault(match["id"].zfill(3), []).append(image)
    return images


def _number(text: str | None) -> str | None:
    """``012`` of 12, 12.0, 012, IXI012 and IXI012-HH-1211."""
    match = re.match(r"(?:IXI)?(\d+)(?:\.0*$|-|$)", text or "", re.IGNORECASE)
    return match[1].zfill(3) if match else text


def _table(source: str, listing: dict[str, Any]) -> str:
    tables = [table for name in TABLES for table in find_named(listing, name)]
    if not tables:
        raise SourceError(
            f"no IXI.xls in {source!r}. Download it from {CARD.home} (or give IXI.csv with the "
            "columns MRID, Age, Sex) and put it into that folder."
        )
    return tables[0]


def _sample(
    number: str, images: list[_T1File], row: dict[str, str | None] | None, doubtful: bool
) -> Sample | Rejected:
    name = f"IXI{number}"
    age, sex = (to_number(row["age"]), row["sex"]) if row else (None, None)
    problem = label_problem(age, CARD.label_range, CARD.unit)
    if row is None:
        problem = "the table has no row of this id"
    elif doubtful:
        problem = "the table has rows of this id that contradict each other"
    elif not images:
        problem = "no T1 image of this id"
    elif len(images) > 1:
        problem = f"{len(images)} T1 images of this id, and one age"
    return sample_or_rejected(
        problem,
        name=name,
        group=name,
        target=age,
        address=images[0].address if images else "",
        covariates=sex_covariate(sex, SEXES),
        site=images[0].site if images else None,
    )


DATASET = Dataset(card=CARD, reader=IxiReader())
