"""Radiographs of hands in RSNA's official layout: the folder that the rsna-bone-age reader reads.

Of five pictures one is of the validation set (dealt to its two folders in turn) and one of the test
set, whose labels stand in a sheet of their own. Some pictures are inverted, some have colours, and
some are small fields in a bright surround, as in the real folders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from supremix_datasets.phantoms.anatomy.hand import draw_hand
from supremix_datasets.phantoms.anatomy.radiograph import draw_exposure, render
from supremix_datasets.phantoms.folder import write_csv

FIRST_ID = 1377
INVERTED, COLOURED = 0.12, 0.08
"""Shares of pictures whose bone is dark, and that are RGB."""


@dataclass(frozen=True)
class _Child:
    """One picture's folder and label."""

    number: int
    months: int
    male: bool

    @property
    def name(self) -> str:
        return str(FIRST_ID + self.number)

    @property
    def folder(self) -> str:
        turn, position = divmod(self.number, 5)
        if position == 3:
            return f"boneage-validation-dataset-{1 + turn % 2}"
        return "Test Set Images" if position == 4 else "boneage-training-dataset"


def write_hand_phantoms(folder: Path, samples: int, seed: int, part: tuple[int, int]) -> None:
    """Write a part of a folder of ``samples`` radiographs; part 0 writes the tables.

    The arguments are those of :data:`~supremix_datasets.cards.dataset.PhantomWriter`.
    """
    if part[0] == 0:
        _write_tables(folder, [_child(number, seed) for number in range(samples)])
    for number in range(part[0], samples, part[1]):
        _write_picture(folder, _child(number, seed), seed)


def _child(number: int, seed: int) -> _Child:
    rng = np.random.default_rng([seed, 1, number])
    months = round(15 + 200 * float(rng.beta(1.5, 1.3)))
    return _Child(number, months, bool(rng.random() < 0.54))


def _write_picture(folder: Path, child: _Child, seed: int) -> None:
    rng = np.random.default_rng([seed, 2, child.number])
    inverted, coloured = rng.random(2) < (INVERTED, COLOURED)
    hand = draw_hand(child.months, child.male, rng)
    pixels = render(hand, draw_exposure(rng), rng)
    picture = Image.fromarray(255 - pixels if inverted else pixels)
    target = folder / child.folder
    target.mkdir(exist_ok=True)
    (picture.convert("RGB") if coloured else picture).save(target / f"{child.name}.png")


def _write_tables(folder: Path, children: Sequence[_Child]) -> None:
    """The four tables with the column names and ways of writing that each of them really has."""
    train, validation, test = (
        [child for child in children if name in child.folder]
        for name in ("training", "validation", "Test")
    )
    tables: dict[tuple[str, ...], list[tuple[object, ...]]] = {
        ("boneage-training-dataset", "id", "boneage", "male"): [
            (c.name, c.months, str(c.male)) for c in train
        ],
        ("Validation Dataset", "Image ID", "male", "Bone Age (months)"): [
            (c.name, str(c.male).upper(), c.months) for c in validation
        ],
        ("boneage-test-dataset", "Case ID", "Sex"): [
            (c.name, "M" if c.male else "F") for c in test
        ],
        ("Bone age ground truth", "Case ID", "Sex", "Ground truth bone age (months)"): [
            (c.name, "M" if c.male else "F", c.months) for c in test
        ],
    }
    for (name, *header), rows in tables.items():
        if rows:
            write_csv(folder / f"{name}.csv", header, rows)
