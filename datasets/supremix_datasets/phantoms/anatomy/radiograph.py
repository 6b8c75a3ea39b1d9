"""The radiograph of a hand: what its bones and its flesh take from the beam, and the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from supremix_datasets.phantoms.anatomy.hand import Hand, LongBone, RoundBone

Picture = NDArray[np.float32]

VIEW_MM = 250.0
"""Height of the template that a picture with ``zoom=1`` shows."""

CENTRE = (6.0, 72.0)
BRIGHT = 0.06
"""Share of films whose wide surround is grey or white, brighter than most of the hand."""

BONE = 1.0
"""Absorption of the thickest bone, the unit of all others."""

GLYPHS = {
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
}


@dataclass(frozen=True)
class Exposure:
    """How a picture was taken; nothing of it depends on the age.

    Args:
        size: Rows and columns of the picture.
        turn: Rotation of the hand in radians.
        shift: ``(2,)`` offset of the hand's centre from the picture's, in mm ``(x, y)``.
        zoom: Size of the hand in the picture.
        mirrored: True where it shows the other side.
        flesh: Absorption of the thickest flesh; a softer beam and a plumper hand raise it.
        gain: Brightness. ``gamma``: exponent of the film's curve. ``haze``: scattered light.
        slope: ``(2,)`` change of brightness across the picture.
        noise: Standard deviation where the beam is not absorbed.
        blur: Standard deviation of the blur in pixels.
        margins: Shares of the picture (top, bottom, left, right) that the collimator covers.
        skew: Angle of the collimator in radians.
        surround: Brightness of what the collimator covers, from 0 to 1.
        marker: ``(letter, row, column, height)`` of the side marker, positions as shares, or None.
        plate: ``(row, column, rows, columns)`` of a label's bright rectangle as shares, or None.
    """

    size: tuple[int, int]
    turn: float
    shift: tuple[float, float]
    zoom: float
    mirrored: bool
    flesh: float
    gain: float
    gamma: float
    haze: float
    slope: tuple[float, float]
    noise: float
    blur: float
    margins: tuple[float, float, float, float]
    skew: float
    surround: float
    marker: tuple[str, float, float, float] | None
    plate: tuple[float, float, float, float] | None


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Draw how a picture is taken."""
    rows = int(rng.integers(128, 193))
    covered = rng.uniform(0, 0.06, 4) * (rng.random(4) < 0.5)
    corner = (int(rng.integers(2)), int(rng.integers(2)))
    position = np.abs(np.asarray(corner) - rng.uniform(0.10, 0.24, 2))
    other = np.abs(np.asarray((corner[0], 1 - corner[1])) - rng.uniform(0.06, 0.16, 2))
    mirrored = bool(rng.random() < 0.15)
    letter = "R" if mirrored else "L"
    marker = (letter, float(position[0]), float(position[1]), float(rng.uniform(0.06, 0.11)))
    tall, wide = (float(v) for v in rng.uniform(0.04, 0.14, 2))
    plate = (float(other[0]), float(other[1]), tall, wide)
    with_marker, with_plate, bright = rng.random(3) < (0.8, 0.4, BRIGHT)
    if bright:
        covered = rng.uniform(0.08, 0.16, 4)
    return Exposure(
        size=(rows, int(rows * rng.uniform(0.72, 1.0))),
        turn=float(np.radians(rng.uniform(-25, 25))),
        shift=(float(rng.normal(0, 8)), float(rng.normal(0, 10))),
        zoom=float(rng.uniform(0.78, 1.03)) * (0.7 if bright else 1.0),
        mirrored=mirrored,
        flesh=float(0.42 * np.exp(rng.normal(0, 0.3))),
        gain=float(np.exp(rng.normal(0, 0.18))),
        gamma=float(np.exp(rng.normal(0, 0.25))),
        haze=float(rng.uniform(0.02, 0.16)),
        slope=(float(rng.normal(0, 0.15)), float(rng.normal(0, 0.15))),
        noise=float(rng.uniform(0.006, 0.022)),
        blur=float(rng.uniform(0.3, 0.7)),
        margins=(float(covered[0]), float(covered[1]), float(covered[2]), float(covered[3])),
        skew=float(np.radians(rng.normal(0, 2))),
        surround=float(rng.uniform(0.4, 1.0)) if bright else 0.015,
        marker=marker if with_marker else None,
        plate=plate if with_plate else None,
    )


def render(hand: Hand, exposure: Exposure, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture of a hand, bone bright on dark, of `exposure.size`."""
    x, y, pixel = _coordinates(exposure)
    flesh = _flesh(hand, x, y)
    bone = np.zeros_like(flesh)
    for item in hand.long:
        bone = np.maximum(bone, _long(item, x, y, pixel))
    for item in hand.round:
        if item.stage.grown > 0:  # the pisiform lies on the triquetrum: shadows add up
            bone = bone + _round(item, x, y, pixel) * (1 - 0.55 * bone)
    texture = 1 + 0.10 * _blurred(rng.normal(size=flesh.shape).astype(np.float32), 1.0)
    absorbed = exposure.flesh * flesh + BONE * bone * texture
    return _develop(absorbed, exposure, rng)


def _coordinates(exposure: Exposure) -> tuple[Picture, Picture, float]:
    """Template coordinates of every pixel in mm, and the size of a pixel."""
    rows, columns = exposure.size
    pixel = VIEW_MM / exposure.zoom / rows
    down, right = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    u = (right - columns / 2 + 0.5) * pixel - exposure.shift[0]
    v = -(down - rows / 2 + 0.5) * pixel - exposure.shift[1]
    cos, sin = np.cos(exposure.turn), np.sin(exposure.turn)
    x, y = cos * u + sin * v, -sin * u + cos * v
    x = -x if exposure.mirrored else x
    return (x + CENTRE[0]).astype(np.float32), (y + CENTRE[1]).astype(np.float32), pixel


def _flesh(hand: Hand, x: Picture, y: Picture) -> Picture:
    """Thickness of the soft tissue as a share; capsules melt into each other as webs do."""
    depth = np.zeros_like(x)
    for start, end, first, last in hand.flesh:
        axis = end - start
        share = ((x - start[0]) * axis[0] + (y - start[1]) * axis[1]) / float(axis @ axis)
        share = np.clip(share, 0, 1)
        distance = np.hypot(x - start[0] - share * axis[0], y - start[1] - share * axis[1])
        inside = np.clip(first + share * (last - first) - distance, 0, None)
        depth = np.maximum(depth, inside)
    depth = _blurred(depth, 0.7)
    return np.sqrt(1 - np.exp(-depth / 6)).astype(np.float32)


def _long(bone: LongBone, x: Picture, y: Picture, pixel: float) -> Picture:
    """Absorption of a shaft with its epiphysis and growth plate."""
    dx, dy = x - bone.start[0], y - bone.start[1]
    along = dx * bone.along[0] + dy * bone.along[1]
    across = np.abs(dx * bone.along[1] - dy * bone.along[0])
    near = (along > -3) & (along < bone.length + 3) & (across < max(bone.widths) * 1.3 + 3)
    shadow = np.zeros_like(x)
    if near.any():
        shadow[near] = _long_near(bone, along[near], across[near], pixel)
    return shadow


def _long_near(bone: LongBone, along: Picture, across: Picture, pixel: float) -> Picture:
    first, middle, last = bone.widths
    share = np.clip(along / bone.length, 0, 1)
    flare = np.where(share < 0.5, first, last) - middle
    width = middle + flare * np.abs(2 * share - 1) ** 2.2
    # measured from the joint that the epiphysis makes
    depth = bone.length - along if bone.distal else along
    end = np.minimum(depth - bone.room, bone.length - depth)
    shaft = _inside(np.minimum(width - across, end), pixel) * _tube(across, width)
    stage = bone.stage
    if stage.grown <= 0:
        return shaft
    plate = bone.room * stage.plate
    joint = last if bone.distal else first
    half = joint * (0.25 + 0.83 * stage.grown)
    tall = (bone.room - plate) / 2 * (0.45 + 0.55 * stage.grown)
    centre = (bone.room - plate) - tall
    level = (across / half) ** 2.5 + (np.abs(depth - centre) / tall) ** 2.5 + 1e-6
    epiphysis = _inside((1 - level**0.4) * tall, pixel) * 0.85
    between = np.minimum(depth - centre, bone.room + 1 - depth)
    bridge = np.minimum(np.minimum(width, half) - across, between)
    fused = _inside(bridge, pixel) * _tube(across, width) * stage.fused
    return np.maximum(np.maximum(shaft, epiphysis), fused)


def _tube(across: Picture, width: NDArray[Any]) -> Picture:
    """A tube of compact bone: its wall is seen edge-on and therefore bright."""
    q = np.clip(across / width, 0, 1)
    return (0.62 + 0.38 * q**3).astype(np.float32)


def _round(bone: RoundBone, x: Picture, y: Picture, pixel: float) -> Picture:
    dx, dy = x - bone.centre[0], y - bone.centre[1]
    cos, sin = np.cos(bone.turn), np.sin(bone.turn)
    u, v = (cos * dx + sin * dy) / bone.axes[0], (cos * dy - sin * dx) / bone.axes[1]
    power = 2 + 1.2 * bone.stage.grown
    level = np.clip(np.abs(u) ** power + np.abs(v) ** power, 1e-6, 50) ** (1 / power)
    shade = 0.66 + 0.22 * np.clip(level, 0, 1) ** 4
    return (_inside((1 - level) * float(bone.axes.min()), pixel) * shade).astype(np.float32)


def _inside(distance: NDArray[Any], pixel: float) -> Picture:
    """Share of a pixel inside a border that is ``distance`` mm away, positive inside."""
    return np.clip(0.5 + distance / max(pixel, 0.8), 0, 1).astype(np.float32)


def _develop(
    absorbed: NDArray[Any], exposure: Exposure, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Film curve, scattered light, heel effect, blur, noise, collimator and markers."""
    rows, columns = absorbed.shape
    down = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    right = np.linspace(-1, 1, columns, dtype=np.float32)[None]
    light = 0.72 * exposure.gain * (_blurred(absorbed, exposure.blur) / 1.4) ** exposure.gamma
    light = (light + exposure.haze) * (1 + exposure.slope[0] * down + exposure.slope[1] * right)
    light = light + rng.normal(0, exposure.noise, absorbed.shape) * np.exp(-0.5 * absorbed)
    light = np.where(_open(exposure, down, right), light, exposure.surround)
    for row, column, mask in _stamps(exposure):
        area = light[row : row + mask.shape[0], column : column + mask.shape[1]]
        area[mask[: area.shape[0], : area.shape[1]]] = 0.97
    return np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)


def _open(exposure: Exposure, down: Picture, right: Picture) -> NDArray[np.bool_]:
    """Where the collimator lets the beam through."""
    top, bottom, left, side = exposure.margins
    cos, sin = np.cos(exposure.skew), np.sin(exposure.skew)
    v, u = cos * down - sin * right, cos * right + sin * down
    slack = 0.06  # an uncovered side stays open though the frame is turned
    return (
        (v > -1 + 2 * top - (slack if top == 0 else 0))
        & (v < 1 - 2 * bottom + (slack if bottom == 0 else 0))
        & (u > -1 + 2 * left - (slack if left == 0 else 0))
        & (u < 1 - 2 * side + (slack if side == 0 else 0))
    )


def _stamps(exposure: Exposure) -> list[tuple[int, int, NDArray[np.bool_]]]:
    """Row, column and mask of the marks on the film: the side marker and the label."""
    rows, columns = exposure.size
    marks: list[tuple[float, float, NDArray[np.bool_]]] = []
    if exposure.marker is not None:
        letter, row, column, height = exposure.marker
        glyph = np.array([[c == "1" for c in line] for line in GLYPHS[letter]])
        dot = max(1, round(height * rows / 7))
        marks.append((row, column, np.kron(glyph, np.ones((dot, dot), dtype=bool))))
    if exposure.plate is not None:
        row, column, tall, wide = exposure.plate
        size = max(2, round(tall * rows)), max(2, round(wide * columns))
        marks.append((row, column, np.ones(size, dtype=bool)))
    return [
        (
            int(np.clip(row * rows - mask.shape[0] / 2, 0, rows - 1)),
            int(np.clip(column * columns - mask.shape[1] / 2, 0, columns - 1)),
            mask,
        )
        for row, column, mask in marks
    ]


def _blurred(picture: NDArray[Any], width: float) -> Picture:
    blurred: Any = ndimage.gaussian_filter(picture, width)
    return blurred
