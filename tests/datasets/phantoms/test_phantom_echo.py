from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from supremix_datasets import DatasetError
from supremix_datasets.phantoms.anatomy.echocardiogram import (
    UltrasoundScanner,
    draw_scanner,
    render,
)
from supremix_datasets.phantoms.anatomy.ventricle import (
    HOLD,
    SIZE,
    Heart,
    View,
    chords,
    dimensions,
    draw_heart,
    draw_view,
    ejected,
    half_width,
    opening,
    still_frames,
    volume_ml,
)
from supremix_datasets.phantoms.echonet import FRACTIONS, draw_recording, write_echo_phantoms
from supremix_datasets.readers.echonet import CARD, EchonetReader

READER = EchonetReader()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("echo")
    write_echo_phantoms(folder, 10, 0, (0, 1))
    return folder


@pytest.fixture
def heart() -> Heart:
    return replace(draw_heart(np.random.default_rng(0), 0.6), beat=1.0, phase=0.0)


@pytest.fixture
def view() -> View:
    return View(
        scale=1.4,
        turn=0.2,
        apex=(60.0, 18.0),
        shorten=0.85,
        sway=(1.0, -1.0),
        drift=(0.5, 0.5),
        breath=3.0,
    )


@pytest.fixture
def clean() -> UltrasoundScanner:
    """No loss, no shadow, no noise, no speckle, nothing of the sector cut away."""
    scanner = draw_scanner(np.random.default_rng(0))
    return replace(
        scanner,
        apex=(56.0, -40.0),
        half=1.5,
        depth=300.0,
        loss=0.0,
        gain=0.0,
        span=60.0,
        speckle=0.0,
        shadows=np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]),
        noise=0.0,
        contrast=1.0,
    )


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def discs_volume(rows: list[tuple[float, ...]]) -> float:
    """Method of discs: the first row is the long axis, the others are diameters."""
    lengths = [float(np.hypot(x2 - x1, y2 - y1)) for x1, y1, x2, y2 in rows]
    return np.pi / 4 * sum(d**2 for d in lengths[1:]) * lengths[0] / (len(rows) - 1)


def test_the_reader_reads_them_all(folder: Path) -> None:
    scan = READER.scan(str(folder))
    assert len(scan.samples) == 10
    assert scan.rejected == ()
    assert {s.split for s in scan.samples} == {"train", "val", "test"}
    assert len({s.group for s in scan.samples}) == 10
    for sample, row in zip(scan.samples, table(folder / "FileList.csv"), strict=True):
        pixels = READER.decode(sample.address).pixels
        assert pixels.shape == (int(row["NumberOfFrames"]), SIZE, SIZE)
        assert 100 * FRACTIONS[0] <= sample.target <= 100 * FRACTIONS[1]
        assert 10 < pixels.mean() < 130


def test_the_tables_agree_with_each_other(folder: Path) -> None:
    for row in table(folder / "FileList.csv"):
        full, empty = float(row["EDV"]), float(row["ESV"])
        assert float(row["EF"]) == pytest.approx(100 * (full - empty) / full, abs=1e-3)
        assert 40 < full < 400


def test_the_discs_of_the_tracings_give_the_fraction_back(folder: Path) -> None:
    frames: dict[str, dict[int, list[tuple[float, ...]]]] = defaultdict(lambda: defaultdict(list))
    for row in table(folder / "VolumeTracings.csv"):
        chord = tuple(float(row[name]) for name in ("X1", "Y1", "X2", "Y2"))
        frames[row["FileName"]][int(row["Frame"])].append(chord)
    assert len(frames) == 10
    for row in table(folder / "FileList.csv"):
        traced = frames[row["FileName"] + ".avi"]
        assert len(traced) == 2
        assert max(traced) < int(row["NumberOfFrames"])
        assert all(len(rows) == 21 for rows in traced.values())
        volumes = sorted(discs_volume(rows) for rows in traced.values())
        assert 100 * (1 - volumes[0] / volumes[1]) == pytest.approx(float(row["EF"]), abs=0.01)


def test_some_are_shorter_than_a_clip_and_all_hold_a_beat() -> None:
    assert CARD.period is not None
    recordings = [draw_recording(0, index) for index in range(60)]
    lengths = [r.frames for r in recordings]
    assert min(lengths) < 16 * CARD.period < max(lengths)
    for recording in recordings:
        still_frames(recording.heart, recording.times)  # raises where one is absent
    assert len({r.name for r in recordings}) == 60
    assert min(r.fps for r in recordings) > 1 / HOLD


def test_a_seed_gives_the_same_bytes_in_any_number_of_parts(tmp_path: Path) -> None:
    digests: list[dict[str, str]] = []
    for name, seed, samples, parts in (
        ("a", 0, 3, 1),
        ("b", 0, 3, 2),
        ("c", 0, 4, 1),
        ("d", 1, 3, 1),
    ):
        (tmp_path / name).mkdir()
        for part in range(parts):
            write_echo_phantoms(tmp_path / name, samples, seed, (part, parts))
        files = sorted(f for f in (tmp_path / name).rglob("*") if f.is_file())
        digests.append({f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files})
    one, parted, more, other = digests
    assert one == parted
    assert {n: d for n, d in one.items() if n.endswith(".avi")}.items() <= more.items()
    assert not set(one.values()) & set(other.values())


def test_the_volume_is_that_of_the_shape(heart: Heart) -> None:
    shares = (np.arange(20000) + 0.5) / 20000
    radius, length = heart.radius, heart.length
    summed = np.pi * (half_width(shares, radius) ** 2).mean() * length / 1000
    assert volume_ml(radius, length) == pytest.approx(summed, rel=1e-6)


@pytest.mark.parametrize("fraction", [0.15, 0.5, 0.75])
def test_the_beat_drives_exactly_the_fraction_out(fraction: float) -> None:
    heart = draw_heart(np.random.default_rng(1), fraction)
    times = np.linspace(0, heart.beat, 4001)
    radius, length = dimensions(heart, times)
    volumes = np.array([volume_ml(r, s) for r, s in zip(radius, length, strict=True)])
    assert 1 - volumes.min() / volumes.max() == pytest.approx(fraction, abs=1e-12)
    assert np.abs(np.diff(volumes)).max() < 0.01 * volumes.max()  # no jumps
    assert volumes[0] == pytest.approx(volumes[-1])


def test_both_valves_are_shut_while_the_volume_stands_still(heart: Heart) -> None:
    times = np.linspace(0, 1, 2001)[:-1]
    out, valve = ejected(heart, times), opening(heart, times)
    assert (out == 0).mean() == pytest.approx(HOLD, abs=2e-3)
    assert (out == 1).mean() == pytest.approx(HOLD, abs=2e-3)
    assert valve[(out == 0) | (out == 1)].max() < 0.01
    assert valve[times < heart.systole].max() == 0
    assert valve.max() == 1


def test_times_without_a_whole_beat_are_an_error(heart: Heart) -> None:
    with pytest.raises(DatasetError, match="a whole beat"):
        still_frames(heart, np.array([0.1, 0.2]))


def test_the_chords_lie_on_the_border_of_the_dark_cavity(
    heart: Heart, view: View, clean: UltrasoundScanner
) -> None:
    for time in (0.02, heart.systole + 0.02):
        frame = render(heart, view, clean, np.array([time]), np.random.default_rng(0))[0]
        rows = chords(heart, view, time)[1:]
        middle = (rows[:, :2] + rows[:, 2:]) / 2
        half = (rows[:, 2:] - rows[:, :2]) / 2
        size = np.linalg.norm(half, axis=1, keepdims=True)
        for chord in range(5, 16):
            sides = (-1, 1)
            within = [middle[chord] + s * half[chord] * (1 - 2.5 / size[chord]) for s in sides]
            beyond = [middle[chord] + s * half[chord] * (1 + 2.5 / size[chord]) for s in sides]
            grey = [[int(frame[round(y), round(x)]) for x, y in p] for p in (within, beyond)]
            assert max(grey[0]) + 40 < min(grey[1])


def test_the_speckle_belongs_to_the_tissue_and_not_to_the_blood(
    heart: Heart, view: View, clean: UltrasoundScanner
) -> None:
    still = replace(view, sway=(0.0, 0.0), drift=(0.0, 0.0))
    times = np.array([0.01, 0.03, 1.01])  # the volume stands still until HOLD
    rng = np.random.default_rng(0)
    first, second, later = render(heart, still, replace(clean, speckle=1.0), times, rng).astype(int)
    wall, blood = first > 140, (first < 60) & (second < 60) & (first + second > 0)
    assert np.corrcoef(first[wall], second[wall])[0, 1] > 0.95
    assert np.corrcoef(first[wall], later[wall])[0, 1] > 0.95
    assert np.corrcoef(first[blood], second[blood])[0, 1] < 0.5


def test_the_speckle_moves_with_the_tissue(
    heart: Heart, view: View, clean: UltrasoundScanner
) -> None:
    times = np.array([0.02, heart.systole + 0.02])
    full, empty = dimensions(heart, times)[1]
    still = replace(view, turn=0.0, shorten=1.0, sway=(0.0, 0.0), drift=(0.0, 0.0))
    still = replace(still, scale=float(full - empty) / 8)  # the valve rises by 8 pixels
    rng = np.random.default_rng(0)
    frames = render(heart, still, replace(clean, speckle=1.0), times, rng).astype(int)
    start = round(still.apex[1] + 1.75 * full / still.scale)
    before, after = frames[0, start:, 85:], frames[1, start - 8 : -8, 85:]
    assert before.std() > 10
    assert (np.abs(before - after) <= 1).mean() > 0.99
    assert (np.abs(before - frames[1, start:, 85:]) <= 1).mean() < 0.5


def test_the_size_of_one_frame_does_not_tell_the_fraction() -> None:
    rng = np.random.default_rng(0)
    fractions = rng.uniform(*FRACTIONS, 300)
    hearts = [draw_heart(rng, float(f)) for f in fractions]
    times = np.linspace(0, 1.5, 100)
    mean = [float((r * s).mean()) for r, s in (dimensions(h, times) for h in hearts)]
    assert abs(np.corrcoef(fractions, mean)[0, 1]) < 0.25


def test_outside_the_sector_is_black() -> None:
    rng = np.random.default_rng(0)
    heart, view, scanner = draw_heart(rng, 0.5), draw_view(rng), draw_scanner(rng)
    frames = render(heart, view, scanner, np.arange(4) / 30, rng)
    assert frames.shape == (4, SIZE, SIZE)
    assert frames.dtype == np.uint8
    assert not frames[:, [0, 0, -1, -1], [0, -1, 0, -1]].any()
    y, x = np.mgrid[:SIZE, :SIZE]
    angle = np.arctan2(x - scanner.apex[0], y - scanner.apex[1])
    assert not frames[:, np.abs(angle) > scanner.half + 0.02].any()
