from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supremix_datasets import Store, assign, prepare
from supremix_datasets.decoding.radiographs import is_inverted
from supremix_datasets.phantoms.anatomy.hand import Hand, draw_hand, skeletal_months
from supremix_datasets.phantoms.anatomy.radiograph import Exposure, draw_exposure, render
from supremix_datasets.phantoms.rsna_bone_age import write_hand_phantoms
from supremix_datasets.readers.rsna_bone_age import DATASET


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hands")
    write_hand_phantoms(place, 40, 0, (0, 1))
    return place


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return prepare(DATASET, cache=tmp_path_factory.mktemp("phantoms"), phantoms=40)


@pytest.fixture
def plain() -> Exposure:
    """A perfect picture: upright, whole, without noise, letters or collimator."""
    drawn = draw_exposure(np.random.default_rng(0))
    return replace(
        drawn,
        size=(192, 168),
        turn=0.0,
        shift=(0.0, 0.0),
        zoom=0.9,
        mirrored=False,
        flesh=0.4,
        gain=1.0,
        gamma=1.0,
        haze=0.05,
        slope=(0.0, 0.0),
        noise=0.0,
        margins=(0.0, 0.0, 0.0, 0.0),
        surround=0.015,
        marker=None,
        plate=None,
    )


def ripeness(hand: Hand) -> float:
    stages = [bone.stage for bone in (*hand.long, *hand.round)]
    return sum(s.grown + s.fused for s in stages) / len(stages)


def test_the_reader_reads_them_all_with_the_official_splits(store: Store) -> None:
    assert len(store) == 40
    assert store.quarantine.height == 0
    assert store.card.shape == (80, 80)
    assert store.targets.min() >= 15
    assert store.targets.max() <= 215
    assert set(np.unique(store.covariates)) == {0.0, 1.0}
    counts = dict(zip(*np.unique(assign(store.index), return_counts=True), strict=True))
    assert counts == {"train": 24, "val": 8, "test": 8}
    assert store.index["split"].to_list() == assign(store.index).tolist()


def test_the_files_are_as_different_as_the_real_ones(folder: Path) -> None:
    sizes: set[tuple[int, int]] = set()
    modes: set[str] = set()
    for path in folder.glob("*/*.png"):
        with Image.open(path) as picture:
            sizes.add(picture.size)
            modes.add(picture.mode)
    assert len(sizes) > 30
    assert modes == {"L", "RGB"}
    assert min(min(size) for size in sizes) >= 92
    assert (folder / "boneage-validation-dataset-1").is_dir()
    assert (folder / "boneage-validation-dataset-2").is_dir()


def test_the_tables_have_the_official_columns(folder: Path) -> None:
    headers: dict[str, list[str]] = {}
    for path in folder.glob("*.csv"):
        with path.open(newline="") as file:
            headers[path.stem] = next(csv.reader(file))
    assert headers == {
        "boneage-training-dataset": ["id", "boneage", "male"],
        "Validation Dataset": ["Image ID", "male", "Bone Age (months)"],
        "boneage-test-dataset": ["Case ID", "Sex"],
        "Bone age ground truth": ["Case ID", "Sex", "Ground truth bone age (months)"],
    }


def test_inverted_files_are_found_out() -> None:
    inverted: list[bool] = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        pixels = render(draw_hand(rng.uniform(15, 215), True, rng), draw_exposure(rng), rng)
        assert not is_inverted(pixels)
        inverted.append(is_inverted(255 - pixels))
    assert all(inverted)


def test_some_films_are_small_fields_in_a_bright_surround() -> None:
    exposures = [draw_exposure(np.random.default_rng(seed)) for seed in range(200)]
    bright = [e for e in exposures if e.surround > 0.3]
    assert 4 < len(bright) < 30
    assert all(min(e.margins) >= 0.08 for e in bright)
    rng = np.random.default_rng(0)
    for exposure in bright:
        pixels = render(draw_hand(rng.uniform(15, 215), True, rng), exposure, rng)
        assert np.median(pixels[:4]) > pixels.mean()
        assert not is_inverted(pixels)
        assert is_inverted(255 - pixels)


def test_a_seed_gives_the_same_bytes_in_any_number_of_parts(tmp_path: Path) -> None:
    digests: list[dict[str, str]] = []
    for name, seed, parts in (("a", 0, 1), ("b", 0, 3), ("c", 1, 1)):
        (tmp_path / name).mkdir()
        for part in range(parts):
            write_hand_phantoms(tmp_path / name, 6, seed, (part, parts))
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        digests.append({f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files})
    assert digests[0] == digests[1] != digests[2]


def test_more_phantoms_leave_the_first_ones_as_they_were(tmp_path: Path, folder: Path) -> None:
    write_hand_phantoms(tmp_path, 5, 0, (0, 1))
    for path in tmp_path.glob("*/*.png"):
        again = folder / path.parent.name / path.name
        assert path.read_bytes() == again.read_bytes()


def test_two_phantoms_need_no_empty_tables(tmp_path: Path) -> None:
    write_hand_phantoms(tmp_path, 2, 0, (0, 1))
    assert [path.name for path in tmp_path.glob("*.csv")] == ["boneage-training-dataset.csv"]
    assert len(DATASET.reader.scan(str(tmp_path)).samples) == 2


def test_girls_are_ahead_of_boys() -> None:
    for months in (30, 60, 100, 150, 200):
        assert skeletal_months(months, male=True) == months
        assert 8 < skeletal_months(months, male=False) - months < 35


def test_a_girls_hand_is_that_of_an_older_boy() -> None:
    girl = draw_hand(108, False, np.random.default_rng(3))
    boy = draw_hand(138, True, np.random.default_rng(3))
    assert [bone.stage for bone in girl.long] == [bone.stage for bone in boy.long]
    assert [bone.stage for bone in girl.round] == [bone.stage for bone in boy.round]


def test_centres_appear_in_the_order_of_the_atlas() -> None:
    first_seen: dict[int, float] = {}
    for months in range(0, 180, 6):
        hand = draw_hand(months, True, np.random.default_rng(0))
        for number, bone in enumerate(hand.round):
            if bone.stage.grown:
                first_seen.setdefault(number, months)
    # capitate and hamate, triquetrum, lunate, trapezium, trapezoid and scaphoid, pisiform
    assert first_seen[0] <= 12
    assert first_seen[1] <= 12
    assert 18 < first_seen[2] < first_seen[3] < min(first_seen[k] for k in (4, 5, 6))
    assert max(first_seen[k] for k in (4, 5, 6)) < 84 < first_seen[7] < 140


def test_all_plates_are_closed_in_a_grown_hand() -> None:
    hand = draw_hand(228, True, np.random.default_rng(1))
    assert all(bone.stage.fused == 1 and bone.stage.grown == 1 for bone in hand.long)
    child = draw_hand(90, True, np.random.default_rng(1))
    assert not any(bone.stage.fused for bone in child.long)


@pytest.mark.parametrize("male", [True, False])
def test_who_sees_every_stage_reads_the_age_within_months(male: bool) -> None:
    grid = np.arange(10, 226, 4.0)
    curve = np.array(
        [
            np.mean([ripeness(draw_hand(a, male, np.random.default_rng(k))) for k in range(12)])
            for a in grid
        ]
    )
    curve = np.maximum.accumulate(curve)
    rng = np.random.default_rng(99)
    ages = rng.uniform(15, 215 if male else 195, 200)
    read = np.interp([ripeness(draw_hand(a, male, rng)) for a in ages], curve, grid)
    assert np.abs(read - ages).mean() < 3


def test_bone_takes_more_of_the_beam_with_age(plain: Exposure) -> None:
    shares: list[float] = []
    for months in (20, 60, 110, 160, 215):
        hand = draw_hand(months, True, np.random.default_rng(5))
        picture = render(hand, plain, np.random.default_rng(5))
        wrist = picture[125:150, 60:105]
        shares.append(float((wrist > 110).mean()))
    assert shares == sorted(shares)
    assert shares[0] < 0.2 < 0.5 < shares[-1]


def test_a_mirrored_picture_is_the_other_hand(plain: Exposure) -> None:
    hand = draw_hand(100, True, np.random.default_rng(0))
    left = render(hand, replace(plain, blur=1e-3), np.random.default_rng(1)).astype(int)
    right = render(hand, replace(plain, blur=1e-3, mirrored=True), np.random.default_rng(1))
    # the template's centre lies beside the picture's column of symmetry by no more than a pixel;
    # the texture of the bone is drawn per picture and not mirrored
    assert np.abs(left - right[:, ::-1]).mean() < 2.5


def test_the_collimator_and_the_marker_hide_what_is_below(plain: Exposure) -> None:
    hand = draw_hand(100, True, np.random.default_rng(0))
    covered = replace(plain, margins=(0.1, 0, 0, 0), skew=0.0, marker=("L", 0.5, 0.5, 0.1))
    picture = render(hand, covered, np.random.default_rng(0))
    assert picture[:18].max() <= 5
    assert picture[20:].min() > 5
    assert (picture == round(0.97 * 255)).any()
    assert not (render(hand, plain, np.random.default_rng(0)) == round(0.97 * 255)).any()
