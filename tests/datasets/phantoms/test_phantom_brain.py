from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from supremix_datasets import Store, assign, get, prepare
from supremix_datasets.phantoms.anatomy.brain import (
    MriScanner,
    Patient,
    draw_mri_scanner,
    draw_patient,
    render,
)
from supremix_datasets.phantoms.ukb_t1 import write_brain_phantoms


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return prepare("ukb-t1", cache=tmp_path_factory.mktemp("phantoms"), phantoms=24)


@pytest.fixture
def patient() -> Patient:
    drawn = draw_patient(np.random.default_rng(0))
    return replace(drawn, gap=0.0, ventricles=np.zeros(2), sulci=0.0, size=np.ones(3))


@pytest.fixture
def clean() -> MriScanner:
    """A perfect scan: no noise, no field, no turn."""
    scanner = draw_mri_scanner(np.random.default_rng(0), 0)
    return replace(
        scanner,
        turn=Rotation.identity(),
        shift=np.zeros(3),
        noise=0.0,
        field=np.zeros(9),
        gain=1.0,
        blur=0.2,
        grey=0.65,
        fluid=0.2,
    )


def test_the_reader_reads_them_all(store: Store) -> None:
    assert len(store) == 24
    assert store.quarantine.height == 0
    assert store.card.shape == (30, 36, 30)
    assert store.card.spacing == (6.0, 6.0, 6.0)
    assert store.targets.min() >= 45
    assert store.targets.max() < 90
    assert set(np.unique(store.covariates)) <= {0.0, 1.0}
    assert store.index["site"].null_count() == 0
    assert store.index["group"].n_unique() < 24  # some came twice
    assert len(set(assign(store.index))) == 3


def test_the_visits_of_a_person_are_years_apart(store: Store) -> None:
    for _, visits in store.index.sort("id").group_by("group", maintain_order=True):
        ages = visits["target"].to_list()
        assert len(ages) <= 2
        assert len(ages) == 1 or 2 <= ages[1] - ages[0] <= 4.01


def test_a_seed_gives_the_same_bytes_in_any_number_of_parts(tmp_path: Path) -> None:
    digests: list[dict[str, str]] = []
    for name, seed, parts in (("a", 0, 1), ("b", 0, 3), ("c", 1, 1)):
        (tmp_path / name).mkdir()
        for part in range(parts):
            write_brain_phantoms(tmp_path / name, 4, seed, (part, parts))
        files = sorted((tmp_path / name).iterdir())
        digests.append({f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files})
    assert digests[0] == digests[1] != digests[2]


def test_phantoms_are_made_once(tmp_path: Path) -> None:
    first = prepare("ukb-t1", "phantom", cache=tmp_path, phantoms=3)
    folder = next((tmp_path / "phantoms").iterdir())
    before = {f.name: f.stat().st_mtime_ns for f in folder.iterdir()}
    second = prepare("ukb-t1", None, cache=tmp_path, phantoms=3, shape=(16, 18, 16))
    assert {f.name: f.stat().st_mtime_ns for f in folder.iterdir()} == before
    assert second.key != first.key
    assert second.card.shape == (16, 18, 16)


def test_age_widens_the_fluid_spaces(patient: Patient, clean: MriScanner) -> None:
    shares: list[float] = []
    for age in (45, 60, 75, 90):
        volume = render(patient, age, clean, np.random.default_rng(1))
        shares.append(float((volume[volume > 0] < 0.45).mean()))
    assert shares == sorted(shares)
    assert shares[-1] > 1.8 * shares[0]


def test_the_brains_own_age_is_what_shows(patient: Patient, clean: MriScanner) -> None:
    older = replace(patient, gap=5.0)
    one, two = (
        render(p, age, clean, np.random.default_rng(1)) for p, age in ((patient, 65), (older, 60))
    )
    np.testing.assert_array_equal(one, two)


def test_the_head_is_where_the_registration_puts_it(patient: Patient, clean: MriScanner) -> None:
    volume = render(patient, 60, clean, np.random.default_rng(1))
    moved = render(
        patient, 60, replace(clean, shift=np.array([8.0, 0, 0])), np.random.default_rng(1)
    )
    # x runs from right to left with 4 mm: 8 mm to the right is 2 voxels down
    inside, shifted = volume > 0, moved > 0
    assert (inside[2:] == shifted[:-2]).mean() > 0.999
    extent = np.ptp(np.argwhere(inside), axis=0) * 4
    assert 120 < extent[0] < 150
    assert 155 < extent[1] < 185
    assert 110 < extent[2] < 165


def test_the_dataset_says_how_many() -> None:
    phantom = get("ukb-t1").phantom
    assert phantom is not None
    assert phantom.samples >= 128
