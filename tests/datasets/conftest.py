"""Small folders in the official layouts, made on the spot."""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from counting_reader import DECODED, Counting
from own_pictures import make as make
from PIL import Image

from supremix_datasets import Dataset, get

PLACES = ("SUPREMIX_TEST_DATA", "SUPREMIX_DATA")
HC18_HEADER = ("filename", "pixel size(mm)", "head circumference (mm)")


@pytest.fixture
def hc18_folder() -> Path:
    """The real HC18; a test that asks for it is skipped where it is absent."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    places = [Path(os.environ[name]) for name in PLACES if os.environ.get(name)] + [beside]
    for place in places:
        if (place / "hc18").is_dir():
            return place / "hc18"
    pytest.skip(f"no hc18 in {' or '.join(map(str, places))}; set {PLACES[0]} to run this")


@pytest.fixture
def counted() -> Iterator[Dataset]:
    """hc18 with a reader that writes down what it decodes."""
    DECODED.clear()
    yield Dataset(card=get("hc18").card, reader=Counting())
    DECODED.clear()


def picture(seed: int, size: tuple[int, int] = (54, 80)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.fixture
def make_hc18(tmp_path: Path) -> Callable[..., Path]:
    """``make(rows, name=..., header=...)``; rows are (file, pixel size, circumference)."""

    def make(
        rows: Sequence[tuple[str, object, object]] = (),
        *,
        name: str = "hc18",
        header: Sequence[str] = HC18_HEADER,
        skip: Sequence[str] = (),
    ) -> Path:
        folder = tmp_path / name
        (folder / "training_set").mkdir(parents=True)
        rows = rows or [(f"{n:03d}_HC.png", 0.1 + 0.01 * n, 100 + 10 * n) for n in range(10)]
        for seed, (file, _, _) in enumerate(rows):
            if file not in skip:
                picture(seed).save(folder / "training_set" / file)
        with (folder / "training_set_pixel_size_and_HC.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return folder

    return make


@pytest.fixture
def make_ukb(tmp_path: Path) -> Callable[..., Path]:
    """``make(scans, header, rows)``; scans are ``<eid>_<visit>`` to the members of their zip."""

    def make(
        scans: dict[str, dict[str, bytes]],
        header: Sequence[str] = ("eid", "31-0.0", "21022-0.0", "21003-2.0", "21003-3.0"),
        rows: Sequence[Sequence[object]] = (),
        *,
        name: str = "ukb",
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for scan, members in scans.items():
            path = folder / f"{scan.replace('_', '_20252_')}_0.zip"
            with zipfile.ZipFile(path, "w") as archive:
                for member, data in members.items():
                    archive.writestr(member, data)
        with (folder / "ukb12345.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return folder

    return make
