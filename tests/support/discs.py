"""A tiny dataset of discs: the target is the diameter in mm, so the pixel size has to be known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from supremix.models import EncoderSpec
from supremix.training import Task, TrialRun
from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.covariate import Covariate
from supremix_datasets.cards.dataset import Dataset
from supremix_datasets.cards.sample import Sample, Scan
from supremix_datasets.stores.prepare import prepare
from supremix_datasets.stores.store import Store

SHAPE = (24, 32)


class DiscReader:
    """Reads a folder of .npy files, the number of the disc and its facts in the name."""

    version = 1

    def scan(self, source: str) -> Scan:
        found = [_sample(path) for path in sorted(Path(source).glob("*.npy"))]
        return Scan(samples=tuple(found))

    def decode(self, address: str) -> np.ndarray:
        return np.load(address)


def _sample(path: Path) -> Sample:
    number, target, pixel_size = path.stem.split("_")
    return Sample(
        id=number,
        group=f"g{int(number) // 2}",
        target=float(target),
        address=str(path),
        covariates={"pixel_size": float(pixel_size)},
    )


def draw_disc(diameter: float, rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.indices(SHAPE)
    centre = np.array(SHAPE) / 2 + rng.uniform(-2, 2, 2)
    distance = np.hypot(rows - centre[0], columns - centre[1])
    disc = 150 * (distance < diameter / 2) + rng.uniform(20, 60, SHAPE)
    return disc.astype(np.uint8)


def write_discs(folder: Path, count: int) -> None:
    rng = np.random.default_rng(7)
    for number in range(count):
        diameter, pixel_size = rng.uniform(6, 20), rng.uniform(0.5, 2)
        name = f"{number:03d}_{diameter * pixel_size:.4f}_{pixel_size:.4f}.npy"
        np.save(folder / name, draw_disc(diameter, rng))


@pytest.fixture(scope="session")
def discs() -> Dataset:
    card = Card(
        name="discs",
        title="Discs",
        modality="drawing",
        target="diameter",
        unit="mm",
        label_bin=1.0,
        label_scale=1.0,
        window=5.0,
        label_range=(1.0, 60.0),
        shape=SHAPE,
        covariates=(Covariate(name="pixel_size", log=True, per_pixel=True, doc="mm"),),
        gain=1 / 64,
        augmentation=Augmentation(
            rotation_deg=10, translate=0.05, scale=0.1, flip_axes=(0, 1), gain=0.1, noise=0.01
        ),
    )
    return Dataset(card=card, reader=DiscReader())


@pytest.fixture(scope="session")
def disc_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("discs")
    write_discs(folder, 90)
    return folder


@pytest.fixture(scope="session")
def store(discs: Dataset, disc_folder: Path, cache: Path) -> Store:
    return prepare(discs, str(disc_folder), cache=cache)


@pytest.fixture
def task(store: Store) -> Task:
    return Task(
        store=store.path, method="l1", encoder=EncoderSpec(width=4), epochs=3, seed=3, threads=1
    )


def pictures_of(run: TrialRun, folder: Path, split: str) -> tuple[list[str], list[float]]:
    """The files of a split's discs, and the size of a pixel in each."""
    index, positions = run.data.store.index, run.data.positions(split)
    names = index[positions.tolist()]["id"].to_list()
    files = [next(folder.glob(f"{name}_*.npy")) for name in names]
    return [str(file) for file in files], [float(file.stem.split("_")[2]) for file in files]
