# scipy carries few types
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
"""An analytic amyloid PET: a head whose cortex holds exactly the uptake that a SUVR asks for.

Tissues are ellipsoids with signed distances in mm, so that a tissue's share of a voxel follows from
the distance to its border. White matter takes the tracer up without any amyloid, by an amount that
differs from patient to patient; the cortex has a pattern of its own (frontal, posterior, temporal)
with one free factor, which is solved for: the mean uptake of cortical tissue over the target
region divided by that of cerebellar tissue over the whole cerebellum is the SUVR **exactly in the
tissues**, weighted with their shares of the voxels. Sharing voxels, the scanner's blur and its
noise come after that, as they do in life, and a good reading has to undo them.

Nuisances: count scale, pose, head size and shape, atrophy (a thin cortex with wide ventricles
loses signal to the blur), white matter and scalp uptake, pattern of the cortex, blur, attenuation
error from front to back, counting noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from supremix_datasets.phantoms.anatomy.brain import Volume, ellipsoid

SHAPE = (30, 36, 30)
VOXEL = 6.0
SMOOTH = 6.0
"""Width of a border in mm: a voxel."""

WAVES = 6
FOLD = 6.0
"""How far gyri and sulci push the border of the white matter, in mm."""

LOBES = ((0.0, 55.0, 10.0), (0.0, -45.0, 25.0), (52.0, -8.0, -18.0), (45.0, -30.0, 32.0))
"""Centres in mm where amyloid gathers: frontal, posterior cingulate, temporal, parietal."""

WHITE = {"FBP": 1.75, "FBB": 2.0, "PIB": 1.6}
"""White matter against cerebellar grey by tracer: florbetapir, florbetaben, Pittsburgh B."""


@dataclass(frozen=True)
class Head:
    """What stays with a patient from scan to scan.

    Args:
        size: ``(3,)`` size of the head against the template.
        cortex: Thickness of the cortical ribbon in mm, with what sulci take up.
        ventricles: Log factor of the ventricles' width.
        white: Log factor of the white matter's uptake.
        scalp: Uptake of scalp and skull against cerebellar grey.
        glands: ``(2,)`` uptake of the glands left and right below the head.
        lobes: ``(4,)`` weight of each lobe in the cortex's pattern.
        waves: ``(WAVES, 3)`` wave vectors of the folding in rad/mm.
        phases: Phases of the waves, ``(WAVES,)``.
    """

    size: NDArray[np.float64]
    cortex: float
    ventricles: float
    white: float
    scalp: float
    glands: NDArray[np.float64]
    lobes: NDArray[np.float64]
    waves: NDArray[np.float64]
    phases: NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """What differs from scan to scan: pose, counts and image quality.

    Args:
        turn: Rotation of the head.
        shift: Shift of the head in mm, ``(3,)``.
        counts: Counts of a voxel of cerebellar grey; the noise follows from them.
        scale: Becquerel per ml that cerebellar grey is written as.
        blur: Full width at half maximum in mm.
        slope: ``(3,)`` log slope of the sensitivity across the head.
    """

    turn: Rotation
    shift: NDArray[np.float64]
    counts: float
    scale: float
    blur: float
    slope: NDArray[np.float64]


@dataclass(frozen=True)
class Regions:
    """Shares of a voxel, each ``SHAPE``; the SUVR is that of the cortex to the whole cerebellum.

    ``hind_white`` is the white matter's share of the cerebellum, ``glands`` is share times uptake.
    """

    cortex: Volume
    cerebellum: Volume
    hind_white: Volume
    grey: Volume
    white: Volume
    scalp: Volume
    glands: Volume


@dataclass(frozen=True)
class Uptake:
    """The tracer's distribution, each ``SHAPE``, against cerebellar grey.

    Args:
        mixed: What a voxel holds: the tissues' uptakes by their shares.
        cortex: Uptake of cortical tissue at each point.
        cerebellum: Uptake of cerebellar tissue at each point.
    """

    mixed: Volume
    cortex: Volume
    cerebellum: Volume


def draw_head(rng: np.random.Generator) -> Head:
    """Draw a patient."""
    directions = rng.normal(size=(WAVES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return Head(
        size=np.exp(rng.normal(0, 0.05)) * (1 + rng.normal(0, 0.03, 3)),
        cortex=float(np.clip(rng.normal(13, 1.8), 9, 17)),
        ventricles=float(rng.normal(0, 0.3)),
        white=float(rng.normal(0, 0.14)),
        scalp=float(np.exp(rng.normal(-0.9, 0.4))),
        glands=np.exp(rng.normal(0.6, 0.5, 2)),
        lobes=rng.uniform(0.2, 1.4, len(LOBES)),
        waves=directions * (2 * np.pi / rng.uniform(35, 55, WAVES))[:, None],
        phases=rng.uniform(0, 2 * np.pi, WAVES),
    )


def draw_camera(rng: np.random.Generator) -> Camera:
    """Draw a scan."""
    return Camera(
        turn=Rotation.from_euler("xyz", rng.normal(0, [10, 7, 8]), degrees=True),
        shift=rng.normal(0, [6, 8, 8]),
        counts=float(150 * np.exp(rng.normal(0, 0.4))),
        scale=float(6000 * np.exp(rng.normal(0, 0.5))),
        blur=float(rng.uniform(5.5, 9.5)),
        slope=rng.normal(0, 0.05, 3),
    )


def spread(head: Head, suvr: float, tracer: str, camera: Camera) -> tuple[Uptake, Regions]:
    """Where the tracer is before the scan: the ratio of its tissues' means is the SUVR.

    Args:
        head: Anatomy of the patient.
        suvr: Ratio to reach, such as 0.6 to 3.
        tracer: Key of :data:`WHITE`.
        camera: Camera of the scan; only its pose is used.

    Returns:
        The uptake against cerebellar grey, and the regions.
    """
    points = _coordinates(head, camera)
    regions = _regions(points, head)
    white = WHITE[tracer] * np.exp(head.white)
    pattern = _pattern(points, head)
    reference = 1.0 + (white - 1.0) * _mean(regions.hind_white, regions.cerebellum)
    cortex = pattern * (suvr * reference / _mean(pattern, regions.cortex))
    mixed = (
        cortex * regions.cortex
        + regions.grey
        + white * regions.white
        + regions.cerebellum * (1.0 + (white - 1.0) * regions.hind_white)
        + head.scalp * regions.scalp
        + regions.glands
    )
    hind = 1.0 + (white - 1.0) * regions.hind_white
    return Uptake(mixed.astype(np.float32), cortex.astype(np.float32), hind), regions


def render(
    head: Head, suvr: float, tracer: str, camera: Camera, rng: np.random.Generator
) -> Volume:
    """The reconstructed image: activity, blurred, tilted, with the noise of its counts.

    The tracer is a key of :data:`WHITE`. Values are in Bq/ml, axes right, anterior, superior.
    """
    uptake, _ = spread(head, suvr, tracer, camera)
    width = camera.blur / 2.3548 / VOXEL
    seen: Any = ndimage.gaussian_filter(uptake.mixed, width)
    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    seen *= np.exp(np.tensordot(camera.slope, np.stack(grid), axes=1))
    noisy: Any = rng.poisson(np.clip(seen, 0, None) * camera.counts) / camera.counts
    smoothed: Any = ndimage.gaussian_filter(noisy, 0.45)
    return (smoothed * camera.scale).astype(np.float32)


def _mean(image: NDArray[Any], share: Volume) -> float:
    return float((image * share).sum(dtype=np.float64) / share.sum(dtype=np.float64))


def _coordinates(head: Head, camera: Camera) -> Volume:
    """``(3, *SHAPE)``: each voxel in mm of the template head, 0 at the middle of the brain."""
    axes = [(np.arange(n) - (n - 1) / 2) * VOXEL for n in SHAPE]
    world = np.stack(np.meshgrid(*axes, indexing="ij"))
    moved = world - camera.shift[:, None, None, None]
    turned = np.tensordot(camera.turn.inv().as_matrix(), moved, axes=1)
    return (turned / head.size[:, None, None, None]).astype(np.float32)


def _regions(p: Volume, head: Head) -> Regions:
    """Each region painted over what was there, from the outside in."""
    wide = float(np.exp(head.ventricles))
    mirrored = np.stack([np.abs(p[0]), p[1], p[2]])
    skin = _share(ellipsoid(p, (0, 0, -4), (78, 94, 82)))
    bone = _share(ellipsoid(p, (0, 0, -2), (72, 88, 75)))
    outer = _share(ellipsoid(p, (0, 0, 4), (66, 82, 62)))
    depth = head.cortex
    core = ellipsoid(p, (0, 0, 4), (66 - depth, 82 - depth, 62 - depth))
    inner = _share(core + FOLD * _folds(p, head))
    hollow = _share(ellipsoid(mirrored, (11, -4, 12), (7 * wide, 26 * wide**0.5, 11 * wide)))
    nuclei = _share(ellipsoid(mirrored, (16, 4, 0), (9, 20, 10)))
    hind = _share(ellipsoid(p, (0, -48, -46), (48, 29, 22)))
    hind_white = _share(ellipsoid(p, (0, -42, -44), (26, 12, 9)))
    stem = _share(ellipsoid(p, (0, -16, -52), (12, 12, 28)))
    glands = [_share(ellipsoid(p, (side * 48, 8, -78), (13, 15, 14))) for side in (-1, 1)]
    over = (1 - hind) * (1 - stem)
    cortex = (outer - outer * inner) * over
    cortex = cortex * (p[2] > -30)  # the target region ends above the base, as the atlas's does
    white = inner * (1 - hollow) * (1 - nuclei) * over
    grey = inner * (1 - hollow) * nuclei * over
    base = (outer - outer * inner) * over - cortex
    return Regions(
        cortex=cortex.astype(np.float32),
        cerebellum=(hind * (1 - stem)).astype(np.float32),
        hind_white=hind_white,
        grey=(grey + base).astype(np.float32),
        white=(white + stem).astype(np.float32),
        scalp=np.clip(skin - bone, 0, 1).astype(np.float32),
        glands=sum(
            (share * uptake for share, uptake in zip(glands, head.glands, strict=True)),
            start=np.zeros(SHAPE),
        ).astype(np.float32),
    )


def _folds(p: Volume, head: Head) -> Volume:
    """Between about -1 and 1: where white matter reaches into gyri and grey matter into sulci."""
    phase = np.tensordot(head.waves, p, axes=1) + head.phases[:, None, None, None]
    return (np.sin(phase).sum(0) / np.sqrt(len(head.phases))).astype(np.float32)


def _pattern(p: Volume, head: Head) -> Volume:
    """Uptake over the cortex, before its factor: even, and more where amyloid gathers."""
    mirrored = np.stack([np.abs(p[0]), p[1], p[2]])
    level = np.ones(SHAPE, dtype=np.float32)
    for centre, weight in zip(LOBES, head.lobes, strict=True):
        away = mirrored - np.asarray(centre, dtype=np.float32)[:, None, None, None]
        level += np.float32(weight) * np.exp(-(away**2).sum(0) / (2 * 24.0**2))
    return level


def _share(distance: NDArray[Any]) -> Volume:
    """Share of a voxel inside a surface at a signed distance in mm."""
    return np.clip(0.5 - distance / SMOOTH, 0, 1).astype(np.float32)
