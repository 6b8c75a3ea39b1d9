"""HC18: fetal head circumference from 2-D ultrasound, the official folder.

Accepted layout::

    <source>/training_set_pixel_size_and_HC.csv   filename, pixel size(mm), head circumference (mm)
    <source>/training_set/NNN_HC.png              also NNN_2HC.png, NNN_3HC.png: the same woman

The official annotation masks (``*_Annotation.png``) may be in the same folder and are ignored.
van den Heuvel, de Bruijn, de Korte, van Ginneken: "Automated measurement of fetal head
circumference using 2D ultrasound images", PLoS ONE 13(8), 2018.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.covariate import Covariate
from supremix_datasets.cards.dataset import Dataset, Decoded
from supremix_datasets.cards.sample import Rejected, Sample, Scan, sample_or_rejected
from supremix_datasets.decoding.images import decode_picture
from supremix_datasets.errors import SourceError
from supremix_datasets.sources.files import find_named, list_files, read_bytes
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import check_numbers, label_problem, merge_rows, read_columns

TABLE = "training_set_pixel_size_and_HC.csv"
COLUMNS = {
    "file": ["filename"],
    "pixel_size": ["pixel size(mm)", "pixel size (mm)"],
    "target": ["head circumference (mm)", "head circumference(mm)"],
}

CARD = Card(
    name="hc18",
    title="Fetal head circumference in ultrasound (HC18)",
    modality="2-D ultrasound",
    target="head circumference",
    unit="mm",
    label_bin=2.0,
    label_scale=2.0,
    window=20.0,
    label_range=(20.0, 500.0),
    shape=(128, 192),
    covariates=(
        Covariate(name="pixel_size", log=True, per_pixel=True, doc="mm per pixel of the file"),
    ),
    gain=1 / 50,
    # A circumference in mm is one in pixels times the size of a pixel.
    target_transform="log",
    # Another size is fair since the pixel size that the model sees is divided by it; it goes far
    # down because a small head in a wide view is as rare as it is hard.
    augmentation=Augmentation(
        rotation_deg=20.0,
        translate=0.06,
        scale=0.15,
        shrink=0.4,
        flip_axes=(0, 1),
        gain=0.2,
        gamma=0.2,
        noise=0.02,
    ),
    licence="CC BY 4.0",
    home="https://zenodo.org/records/1327317",
)


@dataclass(frozen=True)
class Hc18Reader:
    """Reads the official folder; see the module's text for what it accepts."""

    version: int = 2

    def scan(self, source: str) -> Scan:
        """Pair the rows of the table with the pictures; touches no pixel.

        Rows without a picture, pictures without a row or with rows that differ, and labels or
        pixel sizes that cannot be are excluded. Rows of one picture that agree are one.

        Raises:
            SourceError: no such folder, or not this layout.
            LabelTableError: a column is missing, or holds something that is not a number.
        """
        listing = list_files(source)
        pictures = _pictures(listing)
        table = self._table(source, listing, bool(pictures))
        frame = read_columns(table, COLUMNS)
        check_numbers(frame, "target", COLUMNS["target"][0], table)
        check_numbers(frame, "pixel_size", COLUMNS["pixel_size"][0], table)
        rows, doubtful = merge_rows(frame, "file")
        names = [*rows, *sorted(set(pictures) - set(rows))]
        found = [
            _sample(name, rows.get(name), pictures.get(name, ""), name in doubtful)
            for name in names
        ]
        return Scan.of(found, table)

    def decode(self, address: str) -> Decoded:
        """One picture as grey values ``(H, W)``, 8 bits.

        Raises:
            DecodeError: the file is missing, truncated or no picture.
        """
        return decode_picture(read_bytes(address))

    def _table(self, source: str, listing: dict[str, Any], pictures: bool) -> str:
        tables = find_named(listing, re.compile(re.escape(TABLE) + "$"))
        if tables:
            return tables[0]
        hint = (
            "It is next to the folder training_set: give the folder that holds both."
            if pictures
            else "Download and unpack training_set.zip and the table from the dataset's home, "
            f"{CARD.home}."
        )
        raise SourceError(f"no {TABLE} in {source!r}. {hint}")


def _pictures(listing: dict[str, Any]) -> dict[str, str]:
    """File name to address of every picture that is not an annotation."""
    pattern = re.compile(r"(?!.*annotation).*hc\.png$", re.IGNORECASE)
    return {
        path.rsplit("/", 1)[-1]: str(info["address"])
        for path, info in listing.items()
        if pattern.match(path.rsplit("/", 1)[-1]) and "test_set" not in path.split("/")[:-1]
    }


def _sample(
    name: str, row: dict[str, str | None] | None, address: str, doubtful: bool
) -> Sample | Rejected:
    target, pixel_size = (to_number(row[k]) if row else None for k in ("target", "pixel_size"))
    problem = label_problem(target, CARD.label_range, CARD.unit)
    if row is None:
        problem = "no row in the table"
    elif doubtful:
        problem = "the table lists it more than once, with different values"
    elif pixel_size is None or not (math.isfinite(pixel_size) and pixel_size > 0):
        problem = f"pixel size must be a positive number, found {row['pixel_size']!r}"
    elif not address:
        problem = "the file is missing"
    return sample_or_rejected(
        problem,
        name=name.rsplit(".", 1)[0],
        group=name.split("_", 1)[0],
        target=target,
        address=address,
        covariates={} if pixel_size is None else {"pixel_size": pixel_size},
    )


DATASET = Dataset(card=CARD, reader=Hc18Reader())
