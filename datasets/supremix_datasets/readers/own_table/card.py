"""The card of a user's own dataset: what the user says, and defaults from the data for the rest.

The label's constants follow its spread, in proportion to those of the built-in datasets. With s the
standard deviation of the labels, rounded down to 1, 2 or 5 times a power of ten:

    label_bin, label_scale   s / 10   (brain age: 1 year of 8)
    window                   s / 2    (brain age: 5 years of 8)
    label_range              the least and the largest label
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.card import Card
from supremix_datasets.decoding.images import DICOM, PICTURES, VIDEOS, VOLUMES, ending_of
from supremix_datasets.errors import CardError, LabelTableError
from supremix_datasets.readers.own_table.spec import TableSpec

SERIES = "/"
"""Stands for the ending of a folder of DICOM slices."""

SCANNED = (".tif", ".tiff")
"""Pictures that mostly have more than 8 bits, or another scale in every file."""

FIELD_OF_VIEW = 192.0
"""Extent in mm of what is kept of a volume about its centre: a head, a knee, a heart."""

_PICTURE: dict[str, Any] = {"modality": "pictures", "shape": (128, 128)}
_RANGED = {**_PICTURE, "intensity": "range"}
_VIDEO: dict[str, Any] = {"modality": "videos", "shape": (16, 112, 112), "period": 2}
_VOLUME: dict[str, Any] = {
    "modality": "volumes",
    "shape": (64, 64, 64),
    "intensity": "foreground",
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(PICTURES, _PICTURE),
    **dict.fromkeys((*SCANNED, *DICOM), _RANGED),
    **dict.fromkeys((*VOLUMES, SERIES), _VOLUME),
    **dict.fromkeys(VIDEOS, _VIDEO),
}
_GAINS = {
    ("uint8", "stored"): 1 / 64,
    ("uint8", "foreground"): 1 / 80,
    ("uint8", "range"): 1 / 64,
    ("float16", "foreground"): 2.5,
    ("float16", "range"): 4.0,
}
"""So that the model's input is about 1; of float16 stored as it is, nothing is known."""


def card_of(
    spec: TableSpec,
    name: str,
    labels: Sequence[float],
    files: Sequence[str],
    table: str,
    sequences: tuple[str, ...],
) -> Card:
    """The card of a dataset.

    Args:
        spec: Description by the user; it is never overruled.
        name: Name where the user gives none.
        labels: All labels that are numbers.
        files: The files that the table names.
        table: Address of the table, for messages.
        sequences: Names of the channels where each is a file of its own.

    Raises:
        CardError: a value is not legal, or there is no default for one that is needed.
        LabelTableError: there are too few labels to compute their spread.
    """
    given = spec.card
    values = {**_file_defaults(files, given), **_label_defaults(labels, given, table), **given}
    target = str(values.get("target", "target"))
    kind = str(values.get("intensity", "stored"))
    values.setdefault("gain", _GAINS.get((str(values.get("dtype", "uint8")), kind), 1.0))
    plain: dict[str, Any] = {
        "name": plain_name(name),
        "title": f"{target[:1].upper()}{target[1:]}, own data",
        "target": target,
        "unit": "units",
        "covariates": tuple(column.covariate for column in spec.covariates),
        "sequences": sequences,
        "channels": len(sequences) or 1,
        "augmentation": spec.augmentation or _augmentation(values),
        **values,
    }
    try:
        return Card(**plain)
    except (TypeError, ValueError) as error:
        raise CardError(f"the description of the dataset does not make a card: {error}") from error


def plain_name(text: str) -> str:
    """A card's name made of any text: other signs than letters and digits become hyphens."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-") or "table"


def _file_defaults(files: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    endings = Counter(SERIES if "." not in f.rsplit("/", 1)[-1] else ending_of(f) for f in files)
    common = endings.most_common(1)[0][0] if endings else ""
    # an array may be anything, so its shape has to be given
    values = dict(_DEFAULTS.get(common, {"modality": "arrays", "intensity": "range"}))
    shape = given.get("shape", values.get("shape"))
    if shape is None:
        raise CardError(
            f"no default shape for files ending in {common!r}. Write the grid that images are "
            "resampled to into dataset.toml, e.g. shape = [128, 128]."
        )
    if common in (*VOLUMES, SERIES) and len(shape) == 3:
        # voxels are rarely cubes, so volumes are brought to millimetres
        values["spacing"] = tuple(round(FIELD_OF_VIEW / n, 4) for n in shape)
    return values


def _label_defaults(
    labels: Sequence[float], given: Mapping[str, Any], table: str
) -> dict[str, Any]:
    if {"label_bin", "label_scale", "window", "label_range"} <= set(given):
        return {}
    known = np.asarray([label for label in labels if math.isfinite(label)])
    if "label_range" in given and len(given["label_range"]) == 2:
        low, high = given["label_range"]
        known = known[(known >= low) & (known <= high)]
    if len(known) < 2 or known.min() == known.max():
        raise LabelTableError(
            f"the labels in {table} do not differ ({len(known)} of them can be used): there is "
            "nothing to learn. Give the column of the target by columns.target in dataset.toml."
        )
    spread = float(known.std())
    fine = _round(spread / 10)
    return {
        "label_bin": fine,
        "label_scale": fine,
        "window": _round(spread / 2),
        "label_range": (float(known.min()), float(known.max())),
    }


def _round(value: float) -> float:
    """Down to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    lead = max(digit for digit in (1, 2, 5) if digit <= value / power * (1 + 1e-9))
    return float(f"{lead * power:.6g}")


def _augmentation(values: Mapping[str, Any]) -> Augmentation:
    """What leaves the label of nearly any image alone: no mirror images, no other sizes."""
    volume = len(values["shape"]) == 3 and values.get("period") is None
    turn = 8.0 if volume else 10.0
    return Augmentation(rotation_deg=turn, translate=0.04, gain=0.1, gamma=0.1)
