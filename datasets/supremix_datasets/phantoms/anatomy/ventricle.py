"""A beating left ventricle: its volume over time, its shape, and how a view shows it.

The cavity is a prolate ellipsoid cut off by the plane of the mitral valve. It keeps its shape while
its radius and length shrink, so that its volume is known exactly, and so is the ejection fraction:
the share of the volume at the end of filling that is driven out. How much of that comes from the
length and how much from the radius differs from heart to heart, so neither alone gives it away. A
view may shorten the long axis (foreshortening) by a factor that stays the same during the beat:
volumes from the picture are then wrong, their ratio is not.

Lengths are in mm, times in seconds. In the heart's own coordinates ``u`` points to the lateral wall
and ``s`` from the apex, which hardly moves in a beat, down to the valve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supremix_datasets.errors import DatasetError

Floats = NDArray[np.float64]

SIZE = 112
DISCS = 20
CUT = 0.30
"""Distance from the valve to the widest point, as a share of the length."""

HOLD = 0.05
"""Seconds during which both valves are shut and the volume stands still, twice in a beat: longer
than a frame, so that every beat has a frame at its largest and at its smallest volume."""

_FORM = 1 - ((1 - CUT) ** 3 + CUT**3) / (3 * (1 - CUT) ** 2)


@dataclass(frozen=True, kw_only=True)
class Heart:
    """One heart and its beat.

    Args:
        fraction: Ejection fraction, ``(0, 1)``.
        radius: Largest radius of the cavity at the end of filling, mm.
        length: Length from valve to apex at the end of filling, in mm.
        along: Share of the ejection (of the log of the volume) that is shortening, ``[0, 1]``.
        wall: Thickness of the wall at the end of filling, mm.
        right: Log of the width of the right ventricle against its usual one.
        right_motion: Relative narrowing of the right ventricle in a beat.
        atria: Relative size of the atria.
        beat: Seconds between two beats.
        phase: Share of a beat that has passed at time 0, ``[0, 1)``.
        systole: Share of the beat until the end of ejection.
        kick: Share of the filling that comes from the atrium's contraction.
    """

    fraction: float
    radius: float
    length: float
    along: float
    wall: float
    right: float
    right_motion: float
    atria: float
    beat: float
    phase: float
    systole: float
    kick: float


@dataclass(frozen=True, kw_only=True)
class View:
    """How the probe sees the heart.

    Args:
        scale: Size of a pixel in mm.
        turn: Angle between the long axis and straight down, radians.
        apex: ``(x, y)`` of the apex in pixels.
        shorten: Foreshortening: shown length over true length, ``(0, 1]``.
        sway: ``(2,)`` how far the whole heart swings in a beat, pixels.
        drift: ``(2,)`` how far breathing moves it, pixels.
        breath: Seconds of a breath.
    """

    scale: float
    turn: float
    apex: tuple[float, float]
    shorten: float
    sway: tuple[float, float]
    drift: tuple[float, float]
    breath: float


def draw_heart(rng: np.random.Generator, fraction: float) -> Heart:
    """Draw a heart with an ejection fraction.

    The mean size over a beat, not the largest, is drawn apart from the fraction: no single frame
    and no mean frame shows it.
    """
    along = float(rng.uniform(0.1, 0.4))
    kept = 1 - fraction
    size = np.exp(rng.normal(0, 0.1))
    radius = 21.0 * size * np.exp(rng.normal(0, 0.08)) / kept ** (0.25 * (1 - along))
    length = 76.0 * size * np.exp(rng.normal(0, 0.06)) / kept ** (0.5 * along)
    return Heart(
        fraction=fraction,
        radius=float(radius),
        length=float(length),
        along=along,
        wall=float(rng.uniform(7.5, 11.5)),
        right=float(rng.normal(0, 0.15)),
        right_motion=float(rng.uniform(0.1, 0.35)),
        atria=float(np.exp(rng.normal(0, 0.15))),
        beat=float(60 / rng.uniform(62, 115)),
        phase=float(rng.uniform()),
        systole=float(rng.uniform(0.36, 0.46)),
        kick=float(rng.uniform(0.15, 0.4)),
    )


def draw_view(rng: np.random.Generator) -> View:
    """Draw where the probe is held."""
    return View(
        scale=float(1.45 * np.exp(rng.normal(0, 0.08))),
        turn=float(rng.normal(np.radians(-6), np.radians(8))),
        apex=(float(rng.normal(60, 4)), float(rng.normal(17, 2.5))),
        shorten=float(rng.uniform(0.8, 1.0)),
        sway=(float(rng.normal(0, 1.0)), float(rng.normal(0, 1.0))),
        drift=(float(rng.normal(0, 1.0)), float(rng.normal(0, 1.0))),
        breath=float(rng.uniform(2.5, 5.0)),
    )


def phase_at(heart: Heart, times: Floats) -> Floats:
    """Share of the beat that has passed, ``[0, 1)``; 0 is the end of filling."""
    return (np.asarray(times) / heart.beat + heart.phase) % 1.0


def ejected(heart: Heart, times: Floats) -> Floats:
    """Which part of the stroke volume is out at some times, 0 (end of filling) to 1 (systole).

    Held at 0, ejection, held at 1, early filling, rest, and the kick of the atrium.
    """
    hold = HOLD / heart.beat
    filled = heart.systole + hold
    span = 1 - filled
    marks = [0.0, hold, heart.systole, filled, filled + 0.45 * span, filled + 0.7 * span, 1.0]
    levels = [0.0, 0.0, 1.0, 1.0, heart.kick, heart.kick, 0.0]
    phase = phase_at(heart, times)
    piece = np.clip(np.searchsorted(marks, phase, side="right") - 1, 0, len(marks) - 2)
    low, high = np.take(marks, piece), np.take(marks, piece + 1)
    step = (phase - low) / (high - low)
    smooth = step * step * (3 - 2 * step)
    return np.take(levels, piece) * (1 - smooth) + np.take(levels, piece + 1) * smooth


def opening(heart: Heart, times: Floats) -> Floats:
    """How far the mitral valve is open at some times, ``[0, 1]``: shut but for the filling."""
    filled = heart.systole + HOLD / heart.beat
    share = (phase_at(heart, times) - filled) / (1 - filled)
    return np.clip(6 * np.minimum(share, 1 - share), 0, 1)


def volume_ml(radius: float, length: float) -> float:
    """Volume of the cut ellipsoid in millilitres."""
    return float(_FORM * np.pi * radius**2 * length / 1000)


def dimensions(heart: Heart, times: Floats) -> tuple[Floats, Floats]:
    """Largest radius and length of the cavity at some times, mm."""
    left = 1 - heart.fraction * ejected(heart, times)
    return heart.radius * left ** ((1 - heart.along) / 2), heart.length * left**heart.along


def still_frames(heart: Heart, times: Floats) -> tuple[int, int]:
    """Indices of a frame at the end of filling and of one at the end of systole.

    Raises:
        DatasetError: the times do not hold both; a beat with frames less than :data:`HOLD` apart
            always does.
    """
    out = ejected(heart, times)
    full, empty = np.flatnonzero(out == 0.0), np.flatnonzero(out == 1.0)
    if not (full.size and empty.size):
        raise DatasetError(
            f"expected times that cover a whole beat of {heart.beat:.2f} s, found {len(times)} "
            "that hold no end of filling or no end of systole. Give more, or closer ones."
        )
    return int(full[0]), int(empty[0])


def swing(heart: Heart, view: View, times: Floats) -> Floats:
    """``(T, 2)`` where the apex is, in pixels: the heart sways in its beat, the chest breathes."""
    beat = ejected(heart, times)[:, None] * np.asarray(view.sway)
    breath = np.sin(2 * np.pi * np.asarray(times) / view.breath)[:, None] * np.asarray(view.drift)
    return np.asarray(view.apex) + beat + breath


def axes_of(view: View) -> tuple[Floats, Floats]:
    """Pixels per mm along ``u`` and along ``s``, each as ``(x, y)``."""
    sin, cos = np.sin(view.turn), np.cos(view.turn)
    return np.array([cos, sin]) / view.scale, np.array([-sin, cos]) * view.shorten / view.scale


def half_width(share: Floats, radius: float) -> Floats:
    """Half the width of the cavity, mm, at shares of the way from the apex (0) to the valve (1)."""
    return radius * np.sqrt(np.clip(1 - ((share - (1 - CUT)) / (1 - CUT)) ** 2, 0, None))


def chords(heart: Heart, view: View, time: float) -> Floats:
    """The tracing of one frame as the data set draws it.

    Returns:
        ``(1 + DISCS, 4)`` of x1, y1, x2, y2 in pixels: the long axis from apex to valve, then one
        chord across the middle of each disc, from the apex down.
    """
    times = np.array([time])
    radius, length = (float(v[0]) for v in dimensions(heart, times))
    apex = swing(heart, view, times)[0]
    across, down = axes_of(view)
    shares = (np.arange(DISCS) + 0.5) / DISCS
    centres = apex + np.outer(shares * length, down)
    halves = np.outer(half_width(shares, radius), across)
    axis = np.concatenate([apex, apex + length * down])
    return np.vstack([axis, np.hstack([centres - halves, centres + halves])])
