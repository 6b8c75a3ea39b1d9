"""Beating hearts in the EchoNet-Dynamic layout: the folder that the echonet-dynamic reader reads.

``FileList.csv``, ``VolumeTracings.csv`` and ``Videos/<name>.avi``, motion JPEG of 112 x 112 pixels.
Every video holds at least one beat; some are shorter than the 32 frames a clip spans. The ejection
fraction is exact, and the discs of the tracings give it back.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from supremix_datasets.decoding.video import encode_mjpg_avi
from supremix_datasets.phantoms.anatomy.echocardiogram import draw_scanner, render
from supremix_datasets.phantoms.anatomy.ventricle import (
    SIZE,
    Heart,
    View,
    chords,
    dimensions,
    draw_heart,
    draw_view,
    still_frames,
    volume_ml,
)
from supremix_datasets.phantoms.folder import write_csv

FRACTIONS = (0.15, 0.75)
RATES = (28, 38)
"""Frames a second: fewer than in the real videos, so that a clip of 32 frames spans a beat."""

FRAMES = (24, 90)
SPLITS = ("TRAIN", "TRAIN", "TRAIN", "VAL", "TEST")
FILES = (
    "FileName",
    "EF",
    "ESV",
    "EDV",
    "FrameHeight",
    "FrameWidth",
    "FPS",
    "NumberOfFrames",
    "Split",
)
TRACINGS = ("FileName", "X1", "Y1", "X2", "Y2", "Frame")


@dataclass(frozen=True)
class Recording:
    """One phantom video before it is rendered."""

    name: str
    heart: Heart
    view: View
    fps: int
    frames: int

    @property
    def times(self) -> NDArray[np.float64]:
        """``(T,)`` seconds of the frames."""
        return np.arange(self.frames) / self.fps


def write_echo_phantoms(folder: Path, samples: int, seed: int, part: tuple[int, int]) -> None:
    """Write a part of a folder of ``samples`` videos; part 0 writes the tables.

    The arguments are those of :data:`~supremix_datasets.cards.dataset.PhantomWriter`.
    """
    videos = folder / "Videos"
    videos.mkdir(exist_ok=True)
    if part[0] == 0:
        _write_tables(folder, [draw_recording(seed, index) for index in range(samples)])
    for index in range(part[0], samples, part[1]):
        recording = draw_recording(seed, index)
        rng = np.random.default_rng([seed, 2, index])
        frames = render(recording.heart, recording.view, draw_scanner(rng), recording.times, rng)
        (videos / f"{recording.name}.avi").write_bytes(encode_mjpg_avi(frames, recording.fps))


def draw_recording(seed: int, index: int) -> Recording:
    """Everything about one video but its pixels."""
    rng = np.random.default_rng([seed, 1, index])
    heart = draw_heart(rng, float(rng.uniform(*FRACTIONS)))
    view = draw_view(rng)
    fps = int(rng.integers(RATES[0], RATES[1] + 1))
    beat = int(np.ceil(heart.beat * fps)) + 1
    frames = max(beat, int(rng.integers(FRAMES[0], FRAMES[1] + 1)))
    # an odd factor maps different indices to different names, in no order that means anything
    name = f"0X{(index + 1) * 0x9E3779B97F4A7C15 % 2**64:016X}"
    return Recording(name, heart, view, fps, frames)


def _write_tables(folder: Path, recordings: list[Recording]) -> None:
    write_csv(folder / "FileList.csv", FILES, map(_file_row, recordings, itertools.cycle(SPLITS)))
    tracings = itertools.chain(*map(_tracing_rows, recordings))
    write_csv(folder / "VolumeTracings.csv", TRACINGS, tracings)


def _file_row(recording: Recording, split: str) -> list[str | float]:
    heart = recording.heart
    still = recording.times[list(still_frames(heart, recording.times))]
    radius, length = dimensions(heart, still)
    full, empty = (volume_ml(float(r), float(s)) for r, s in zip(radius, length, strict=True))
    fraction = 100 * (full - empty) / full
    volumes = [round(fraction, 6), round(empty, 4), round(full, 4)]
    return [recording.name, *volumes, SIZE, SIZE, recording.fps, recording.frames, split]


def _tracing_rows(recording: Recording) -> list[list[str | float]]:
    """The chords at the end of filling and of systole; here, as in the original, with ``.avi``."""
    return [
        [f"{recording.name}.avi", *(round(float(v), 4) for v in chord), frame]
        for frame in still_frames(recording.heart, recording.times)
        for chord in chords(recording.heart, recording.view, float(recording.times[frame]))
    ]
