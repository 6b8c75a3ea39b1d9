"""OpenBHB brain age from preprocessed T1 MRI: NumPy arrays of ten public studies.

Accepted layout: a folder with, at any depth (``train/derivatives/sub-<id>/ses-1/`` in the official
download),

    sub-<id>_preproc-cat12vbm_desc-gm_T1w.npy   (1, 1, 121, 145, 121), 1.5 mm: grey matter
    sub-<id>_preproc-quasiraw_T1w.npy           (1, 1, 182, 218, 182), 1 mm: brain
    participants*.tsv or .csv                   one or several (one with each split's images)

All images of a run are of one kind: grey matter where there is any, else ``quasiraw``. Other arrays
(``…_ROI.npy``, FreeSurfer's) may be there and are not used. The arrays are in MNI space on
templates whose axes run to the left, front and top; they are turned to right, front and top.

Columns of the table: ``participant_id`` (with or without ``sub-``), ``age`` in years and, where
known, ``sex``, ``site`` and ``split``. Sites of the external test are missing. Official splits:
``train``; ``internal_test`` (sites of the training) and a plain ``val`` are the validation;
``external_test`` (other sites) is the test. They are read from the column ``split``; without it,
from a folder ``train``, ``val``, ``internal_test`` or ``external_test`` on the way to the image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.dataset import Dataset, Decoded
from supremix_datasets.cards.sample import Rejected, Sample, Scan, sample_or_rejected
from supremix_datasets.decoding.arrays import decode_npy
from supremix_datasets.errors import DecodeError, SourceError
from supremix_datasets.readers.brain_age import brain_age_card, sex_covariate
from supremix_datasets.sources.files import file_name, find_named, list_files, read_bytes
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import check_numbers, label_problem, merge_rows, read_columns

IMAGE = re.compile(
    r"^sub-(?P<id>[A-Za-z0-9]+)_preproc-(?P<kind>cat12vbm_desc-gm|quasiraw)_T1w\.npy$"
)
GRIDS = {
    "cat12vbm_desc-gm": ((121, 145, 121), 1.5),
    "quasiraw": ((182, 218, 182), 1.0),
}
"""Shape and spacing in mm of each kind of image, the best first."""

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "validation": "val",
    "internal_test": "val",
    "internal_val": "val",
    "external_test": "test",
    "external_val": "test",
    "test": "test",
}
TABLE = re.compile(r"participants.*\.(tsv|csv)$", re.IGNORECASE)
COLUMNS = {
    "id": ["participant_id"],
    "age": ["age"],
    "sex?": ["sex"],
    "site?": ["site", "siteXacq"],
    "split?": ["split"],
}
SEXES = {"m": 1.0, "male": 1.0, "1": 1.0, "f": 0.0, "female": 0.0, "0": 0.0}

CARD = brain_age_card(
    name="openbhb",
    title="Brain age in preprocessed T1 MRI (OpenBHB)",
    label_range=(3.0, 100.0),
    # In MNI space, and the field already corrected.
    augmentation=Augmentation(
        rotation_deg=6.0, translate=0.03, flip_axes=(0,), gain=0.1, gamma=0.1, noise=0.01
    ),
    licence="the terms of the ten studies it is made of; free after registration",
    home="https://baobablab.github.io/bhb/dataset",
)


@dataclass(frozen=True)
class OpenBhbReader:
    """Reads the downloaded folder; see the module's text for what it accepts."""

    version: int = 2

    def scan(self, source: str) -> Scan:
        """Pair arrays with ages; touches no pixel.

        Patients of the table without an image are excluded, but for those of a split of which no
        image is there: that part was not downloaded.

        Raises:
            SourceError: no such folder, no image in it, or no table.
            LabelTableError: a column is missing, or holds an age that is not a number.
        """
        listing = list_files(source)
        images = _images(listing)
        if not images:
            raise SourceError(
                f"no image in {source!r}: expected files like "
                "sub-100053248969_preproc-cat12vbm_desc-gm_T1w.npy (or …quasiraw_T1w.npy)."
            )
        tables = find_named(listing, TABLE)
        if not tables:
            raise SourceError(
                f"no participants.tsv in {source!r}. Put the official table (participant_id, age, "
                "sex, site) into that folder."
            )
        rows, doubtful = merge_rows(pl.concat([_participants(table) for table in tables]), "id")
        return Scan.of(_match(images, rows, doubtful), *tables)

    def decode(self, address: str) -> Decoded:
        """One volume ``(X, Y, Z)`` in right, anterior, superior order, on the grid of its kind.

        Raises:
            DecodeError: the file is missing, truncated, no NumPy array, or of another shape.
        """
        match = IMAGE.match(file_name(address))
        if match is None:
            raise DecodeError(
                "expected a file named sub-<id>_preproc-cat12vbm_desc-gm_T1w.npy or "
                "sub-<id>_preproc-quasiraw_T1w.npy"
            )
        shape, size = GRIDS[match["kind"]]
        image = decode_npy(read_bytes(address), (size, size, size))
        if image.pixels.shape != shape:
            raise DecodeError(f"expected shape {shape}, found {image.pixels.shape}")
        # the templates' first axis runs to the left (affine diag(-1, 1, 1)), ours to the right
        return Decoded(np.ascontiguousarray(image.pixels[::-1]), image.spacing)


@dataclass(frozen=True)
class _ArrayFile:
    kind: str
    split: str | None
    address: str


def _images(listing: dict[str, Any]) -> dict[str, list[_ArrayFile]]:
    """Id to all images of a patient."""
    images: dict[str, list[_ArrayFile]] = {}
    for path, info in listing.items():
        *folders, name = path.split("/")
        match = IMAGE.match(name)
        if match:
            splits = [SPLIT_NAMES[f.lower()] for f in folders if f.lower() in SPLIT_NAMES]
            split = splits[-1] if splits else None
            images.setdefault(match["id"], []).append(
                _ArrayFile(match["kind"], split, str(info["address"]))
            )
    return images


def _participants(table: str) -> pl.DataFrame:
    frame = read_columns(table, COLUMNS)
    check_numbers(frame, "age", "age", table)
    ids = pl.Series("id", [_id(text) for text in frame["id"]], dtype=pl.String)
    return frame.with_columns(ids)


def _id(text: str | None) -> str | None:
    """The id as in the file names; spreadsheets write long ones as 1.00053248969E11."""
    plain = None if text is None else text.removeprefix("sub-")
    if plain and re.fullmatch(r"\d+\.\d*|\d+(\.\d*)?[eE]\+?\d+", plain):
        return f"{Decimal(plain):.0f}"
    return plain


def _match(
    images: dict[str, list[_ArrayFile]],
    rows: dict[str, dict[str, str | None]],
    doubtful: frozenset[str],
) -> list[Sample | Rejected]:
    kinds = {image.kind for several in images.values() for image in several}
    kind = next(k for k in GRIDS if k in kinds)
    found: list[Sample | Rejected] = []
    for patient in sorted(images):
        sample = _sample(patient, images[patient], kind, rows.get(patient), patient in doubtful)
        found.append(sample)
    there = {rows[patient]["split"] for patient in images if patient in rows}
    found += [
        Rejected(id=patient, reason="no image of this id")
        for patient in sorted(set(rows) - set(images))
        if rows[patient]["split"] in there
    ]
    return found


def _sample(
    patient: str,
    images: Sequence[_ArrayFile],
    kind: str,
    row: dict[str, str | None] | None,
    doubtful: bool,
) -> Sample | Rejected:
    of_kind = [image for image in images if image.kind == kind]
    where = (of_kind or images)[0].address
    if row is None:
        return Rejected(id=patient, reason="the table has no row of this id", address=where)
    age = to_number(row["age"])
    problem = label_problem(age, CARD.label_range, CARD.unit)
    if doubtful:
        problem = "the table has rows of this id that contradict each other"
    elif len(of_kind) != 1:
        problem = f"expected one {kind} image of this id, found {len(of_kind)}"
    split, contradiction = _split(row["split"], images[0].split)
    problem = problem or contradiction
    return sample_or_rejected(
        problem,
        name=patient,
        group=patient,
        target=age,
        address=where,
        covariates=sex_covariate(row["sex"], SEXES),
        split=split,
        site=row["site"],
    )


def _split(named: str | None, folder: str | None) -> tuple[str | None, str | None]:
    """The official split, or why there is none that can be trusted."""
    if named is None:
        return folder, None
    split = SPLIT_NAMES.get(named.lower())
    if split is None:
        return None, f"the table gives the split {named!r}; known: {', '.join(SPLIT_NAMES)}"
    # the download keeps both test sets in its folder val
    if folder is not None and (split == "train") != (folder == "train"):
        return None, f"the table gives the split {named!r}, but the image is in that of {folder}"
    return split, None


DATASET = Dataset(card=CARD, reader=OpenBhbReader())
