# scipy carries few types
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Pictures of a beating heart as an apical four-chamber echocardiogram.

Every tissue has an echo level in decibels; soft borders blend them. Speckle is the logarithm of a
smoothed complex noise that is fixed to the tissue: as the wall thickens without changing its
volume, the speckle moves with it. Blood has a speckle of its own that never stays. The sector,
the loss with depth, shadows of ribs, the grey curve and noise come from the scanner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from supremix_datasets.phantoms.anatomy.ventricle import (
    CUT,
    SIZE,
    Heart,
    View,
    axes_of,
    dimensions,
    ejected,
    opening,
    swing,
)

Grey = NDArray[np.uint8]
Row = NDArray[Any]
"""float32, a number for every pixel of the sector (or of a texture)."""

TEXTURE = 256
"""Points along each side of the speckle's texture; a power of two."""

GRAIN = 0.62
"""Millimetres between two points of the speckle's texture."""

PATCHES = 2.5
"""Standard deviation, dB, of how dense the tissue is from patch to patch."""

BLOOD, WALL, BRIGHT, LUNG, ROOM = -50.0, -16.0, -8.0, -27.0, -38.0
"""Echo levels in dB: blood, muscle, the sac and the valve, lung, and tissue beyond the atria."""


@dataclass(frozen=True, kw_only=True)
class UltrasoundScanner:
    """Settings and faults of one recording.

    Args:
        apex: ``(x, y)`` of the probe in pixels.
        half: Half the opening of the sector, radians.
        depth: Radius of the sector in pixels.
        loss: Decibels lost from top to bottom after the machine's own compensation.
        gain: Decibels added to every pixel.
        span: Decibels between black and white.
        speckle: Factor of the speckle's depth.
        shadows: ``(2, 3)`` angle, width (radians) and decibels of two shadows.
        noise: Standard deviation of the noise, grey values.
        contrast: Factor of the difference between muscle and blood.
    """

    apex: tuple[float, float]
    half: float
    depth: float
    loss: float
    gain: float
    span: float
    speckle: float
    shadows: NDArray[np.float64]
    noise: float
    contrast: float


def draw_scanner(rng: np.random.Generator) -> UltrasoundScanner:
    """Draw a recording's settings and faults."""
    half = float(rng.uniform(np.radians(36), np.radians(44)))
    angles = rng.uniform(-1, 1, 2) * half
    return UltrasoundScanner(
        apex=(float(rng.normal(56, 1.5)), float(rng.uniform(1, 5))),
        half=half,
        depth=float(rng.uniform(100, 108)),
        loss=float(rng.uniform(2, 16)),
        gain=float(rng.normal(0, 3)),
        span=float(rng.uniform(45, 60)),
        speckle=float(rng.uniform(0.7, 1.1)),
        shadows=np.stack([angles, rng.uniform(0.08, 0.2, 2), rng.uniform(0, 12, 2)], axis=1),
        noise=float(rng.uniform(2, 6)),
        contrast=float(rng.uniform(0.7, 1.1)),
    )


def render(
    heart: Heart,
    view: View,
    scanner: UltrasoundScanner,
    times: NDArray[np.float64],
    rng: np.random.Generator,
) -> Grey:
    """The frames ``(T, SIZE, SIZE)`` at times ``(T,)`` in seconds, 0 outside the sector."""
    inside, beam = _sector(scanner)
    y, x = (index.astype(np.float32) for index in np.nonzero(inside))
    inverse = np.linalg.inv(np.stack(axes_of(view), axis=1)).astype(np.float32)
    tissue, blood = (_speckle(rng) * np.float32(scanner.speckle) for _ in range(2))
    shifts = swing(heart, view, times).astype(np.float32)
    frames = np.zeros((len(times), SIZE, SIZE), np.uint8)
    for index, shape in enumerate(_shapes(heart, times)):
        dx, dy = x - shifts[index, 0], y - shifts[index, 1]
        u = inverse[0, 0] * dx + inverse[0, 1] * dy
        s = inverse[1, 0] * dx + inverse[1, 1] * dy
        flow = rng.uniform(0, TEXTURE * GRAIN, 2).astype(np.float32)
        solid = _tissue_speckle(shape, u, s, tissue)
        moving = _look_up(blood, u + flow[0], s + flow[1])
        level = _levels(shape, u, s, solid, moving, scanner.contrast) + beam
        grey = (level + np.float32(scanner.span)) * np.float32(255 / scanner.span)
        grey += np.float32(scanner.noise) * rng.standard_normal(len(grey), dtype=np.float32)
        frames[index][inside] = np.clip(grey, 0, 255).astype(np.uint8)
    return frames


@dataclass(frozen=True)
class _Shape:
    """The heart at one moment; lengths in mm, each a half of what it names."""

    radius: float
    length: float
    stretch: float
    swell: float
    outer: float
    tip: float
    right: float
    atrium: float
    opening: float


def _shapes(heart: Heart, times: NDArray[np.float64]) -> list[_Shape]:
    # the wall keeps its volume: what the cavity loses in girth and length, the wall gains
    area = (heart.radius + heart.wall) ** 2 - heart.radius**2
    moments = zip(
        *dimensions(heart, times), ejected(heart, times), opening(heart, times), strict=True
    )
    return [
        _Shape(
            radius=float(radius),
            length=float(length),
            stretch=float(heart.length / length),
            swell=float(radius**2 - heart.radius**2),
            outer=float(np.sqrt(radius**2 + area * heart.length / length)),
            tip=float(0.7 * heart.wall * (1 + 0.3 * out)),
            right=float(17.0 * np.exp(heart.right) * (1 - heart.right_motion * out)),
            atrium=float(19.0 * heart.atria * (1 + 0.12 * out)),
            opening=float(wide),
        )
        for radius, length, out, wide in moments
    ]


def _levels(shape: _Shape, u: Row, s: Row, solid: Row, moving: Row, contrast: float) -> Row:
    """Echo level of every pixel in dB, speckle included, before the scanner's part."""
    centre, below = (1 - CUT) * shape.length, shape.length + 1.15 * shape.atrium
    middle = -shape.outer - 0.72 * shape.right
    above, ring = _soft(shape.length - s), _soft(shape.length + 2 - s)
    cavity = _soft(_depth(u, s, 0, centre, shape.radius, centre)) * above
    muscle = _soft(_depth(u, s, 0, centre, shape.outer, centre + shape.tip)) * ring
    right = _depth(u, s, middle, 0.66 * shape.length, shape.right, 0.5 * shape.length)
    atria = [
        _depth(u, s, valve, below, shape.atrium, 1.25 * shape.atrium) for valve in (1, middle - 2)
    ]
    atrium = np.maximum(*atria)
    # from lung and fat to the quiet depth behind the atria
    level = LUNG + (ROOM - LUNG) * _soft((s - shape.length - 10) * np.float32(0.06))
    for share, value in (
        (_soft(atrium + 2.0), WALL - 9),
        (_soft(right + 4) * ring, WALL - 4),
        (muscle, WALL),
    ):
        level += share * (np.float32(value) - level)
    level += solid
    pools = np.maximum(np.maximum(_soft(atrium), _soft(right) * above * (1 - muscle)), cavity)
    level += pools * (np.float32(WALL + (BLOOD - WALL) * contrast) + moving - level)
    bright = np.maximum(_valve(shape, u, s), _sac(shape, u, s))
    return level + bright * (np.float32(BRIGHT) + solid * np.float32(0.6) - level)


def _depth(u: Row, s: Row, mid_u: float, mid_s: float, half_u: float, half_s: float) -> Row:
    """How far inside an ellipse a pixel is, about in mm; negative outside."""
    a = (u - np.float32(mid_u)) * np.float32(1 / half_u)
    b = (s - np.float32(mid_s)) * np.float32(1 / half_s)
    square = a * a + b * b + np.float32(1e-6)
    slope = a * a * np.float32(1 / half_u**2) + b * b * np.float32(1 / half_s**2)
    return (np.sqrt(square) - square) / np.sqrt(slope + np.float32(1e-12))


def _soft(distance: Row) -> Row:
    """From 0 well outside to 1 well inside, over about two pixels."""
    return np.minimum(np.maximum(distance * np.float32(0.4) + np.float32(0.5), 0), 1)


def _tissue_speckle(shape: _Shape, u: Row, s: Row, texture: Row) -> Row:
    """The speckle of the point of tissue that is at each pixel now.

    Along the axis the tissue above the valve is squeezed and that below moves with the valve.
    Across, a ring keeps its area: the squares of all distances change by the same.
    """
    squeezed = np.minimum(s, np.float32(shape.length))
    along = s + squeezed * np.float32(shape.stretch - 1)
    near = np.maximum(1 - np.abs(s * np.float32(1 / shape.length) - np.float32(0.6)), 0)
    across = np.copysign(np.sqrt(np.maximum(u * u - np.float32(shape.swell) * near, 0)), u)
    return _look_up(texture, across, along)


def _look_up(texture: Row, u: Row, s: Row) -> Row:
    columns = (u * np.float32(1 / GRAIN)).astype(np.int32) & (TEXTURE - 1)
    rows = (s * np.float32(1 / GRAIN)).astype(np.int32) & (TEXTURE - 1)
    return texture.take(rows * TEXTURE + columns)


def _valve(shape: _Shape, u: Row, s: Row) -> Row:
    """The two leaflets, from the ends of the valve's ring to the middle or into the cavity."""
    reach, side = 0.9 * shape.radius, np.abs(u)  # both leaflets at once
    du = np.float32(-reach + shape.opening * 0.6 * reach)
    ds = np.float32(-3 - shape.opening * 13)
    past_u, past_s = side - np.float32(reach), s - np.float32(shape.length)
    share = np.clip((past_u * du + past_s * ds) / (du * du + ds * ds), 0, 1)
    distance = np.hypot(past_u - share * du, past_s - share * ds)
    return np.clip(np.float32(1.3) - distance * np.float32(0.5), 0, 1) * np.float32(0.6)


def _sac(shape: _Shape, u: Row, s: Row) -> Row:
    """The bright sac along the outside of the lateral wall and the apex."""
    centre = (1 - CUT) * shape.length
    off = _depth(u, s, 0, centre, shape.outer + 1, centre + shape.tip + 1)
    line = np.clip(np.float32(1.2) - np.abs(off) * np.float32(0.5), 0, 1)
    return line * _soft(u * np.float32(0.3) + 3) * _soft(shape.length - s) * np.float32(0.6)


def _sector(scanner: UltrasoundScanner) -> tuple[NDArray[np.bool_], Row]:
    """Which pixels the sector covers, and what the beam loses there, dB."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    dx, dy = x - scanner.apex[0], y - scanner.apex[1]
    depth, angle = np.hypot(dx, dy), np.arctan2(dx, dy)
    inside = (depth < scanner.depth) & (np.abs(angle) < scanner.half) & (depth > 3)
    loss = scanner.gain - scanner.loss * (depth / scanner.depth - 0.4)
    for centre, width, decibels in scanner.shadows:
        loss -= decibels * np.exp(-0.5 * ((angle - centre) / width) ** 2)
    return inside, loss[inside].astype(np.float32)


def _speckle(rng: np.random.Generator) -> Row:
    """``(TEXTURE²,)`` decibels of fully developed speckle, wider than deep, mean 0, periodic.

    Patches of some centimetres are denser than others.
    """
    parts = rng.standard_normal((3, TEXTURE, TEXTURE), dtype=np.float32)
    smooth = ndimage.gaussian_filter(parts[:2], (0, 1.4, 2.8), mode="wrap")
    power = (smooth**2).sum(axis=0)
    patches = ndimage.gaussian_filter(parts[2, ::8, ::8], 1.5, mode="wrap").repeat(8, 0)
    patches = ndimage.uniform_filter(patches.repeat(8, 1), 8, mode="wrap")
    decibels = 10 * np.log10(power / power.mean() + 0.02) + PATCHES * patches / patches.std()
    return (decibels - decibels.mean()).astype(np.float32).ravel()
