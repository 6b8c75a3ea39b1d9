# scipy carries few types
# pyright: reportMissingTypeStubs=false
"""An analytic ageing brain, rendered with partial volume as a T1 image.

Surfaces are ellipsoids and folded sheets with signed distances in mm, so that a tissue's share of a
voxel follows from the distance to its border and structures thinner than a voxel still show. With
(brain) age the ventricles and sulci widen, the cortex thins, the white matter darkens round the
ventricles and grey and white matter come closer. Anatomy, pose, sex, contrast, bias field, blur and
Rician noise vary too; the brain's own age differs from the patient's by about 3 years.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

Volume = NDArray[np.float32]

SHAPE = (46, 55, 46)
VOXEL = 4.0
AFFINE = np.array(
    # x runs from right to left, as in the real files
    [[-VOXEL, 0, 0, 90], [0, VOXEL, 0, -126], [0, 0, VOXEL, -72], [0, 0, 0, 1]],
    dtype=float,
)
CENTRE = np.array([0.0, -18.0, 8.0])
GAP_YEARS = 3.0
WAVES = 7
SMOOTH = 4.5
"""Width of a border in mm: a voxel, and the blur of the scanner."""


@dataclass(frozen=True)
class Patient:
    """What stays with a patient from visit to visit.

    Args:
        male: Sex; men have larger heads and ventricles.
        gap: Years by which the brain is older than the patient.
        size: ``(3,)`` size of the head against the template.
        ventricles: ``(2,)`` log factor of the left and right lateral ventricle.
        sulci: Log factor of the width of the sulci.
        waves: ``(WAVES, 3)`` wave vectors of the folding in rad/mm.
        phases: Phases of the waves, ``(WAVES,)``.
        lesions: Log factor of the load of white matter lesions.
    """

    male: bool
    gap: float
    size: NDArray[np.float64]
    ventricles: NDArray[np.float64]
    sulci: float
    waves: NDArray[np.float64]
    phases: NDArray[np.float64]
    lesions: float


@dataclass(frozen=True)
class MriScanner:
    """What differs from scan to scan: pose left by the registration, contrast, field, noise."""

    turn: Rotation
    shift: NDArray[np.float64]
    grey: float
    fluid: float
    gain: float
    field: NDArray[np.float64]
    noise: float
    blur: float


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw an anatomy."""
    male = bool(rng.random() < 0.5)
    directions = rng.normal(size=(WAVES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = rng.uniform(24, 40, WAVES)
    return Patient(
        male=male,
        gap=float(rng.normal(0, GAP_YEARS)),
        size=(1.02 if male else 0.98) * (1 + rng.normal(0, 0.05, 3)),
        ventricles=rng.normal(0, 0.06) + rng.normal(0, 0.05, 2) + (0.03 if male else 0),
        sulci=float(rng.normal(0, 0.06)),
        waves=directions * (2 * np.pi / lengths)[:, None],
        phases=rng.uniform(0, 2 * np.pi, WAVES),
        lesions=float(rng.normal(0, 0.3)),
    )


def draw_mri_scanner(rng: np.random.Generator, site: int) -> MriScanner:
    """Draw a scan at one of three sites, which differ in contrast, field and noise."""
    return MriScanner(
        turn=Rotation.from_euler("xyz", rng.normal(0, [12, 9, 10]), degrees=True),
        shift=rng.normal(0, 8, 3),
        grey=float(np.clip((0.60, 0.65, 0.70)[site] + rng.normal(0, 0.05), 0.5, 0.8)),
        fluid=float(np.clip((0.20, 0.25, 0.30)[site] + rng.normal(0, 0.07), 0.05, 0.45)),
        gain=float(1000 * np.exp(rng.normal(0, 0.4))),
        field=rng.normal(0, (0.06, 0.08, 0.10)[site], 9),
        noise=float((0.02, 0.025, 0.03)[site] * np.exp(rng.normal(0, 0.3))),
        blur=float(rng.uniform(0.2, 0.6)),
    )


def render(patient: Patient, age: float, scanner: MriScanner, rng: np.random.Generator) -> Volume:
    """The T1 image of a patient at an age in years, 0 outside the brain, on :data:`AFFINE`."""
    years = age + patient.gap - 45
    points = _coordinates(patient, scanner)
    grey, white, fluid, deep = _tissues(points, patient, years)
    lesion = _lesions(points, patient, years, rng) * white
    white_level = 1.0 - 0.002 * years
    image = (
        white * white_level
        + grey * scanner.grey
        + deep * (scanner.grey + white_level) / 2
        + fluid * scanner.fluid
        - lesion * 0.35
    )
    inside = (grey + white + fluid + deep) > 0.5
    return _acquire(image.astype(np.float32), inside, points, scanner, rng)


def nifti(volume: Volume) -> bytes:
    """A packed NIfTI file of a volume on the grid of :data:`AFFINE`, rounded to whole numbers."""
    image: Any = nib.Nifti1Image(np.rint(volume).astype(np.int16), AFFINE)
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def _coordinates(patient: Patient, scanner: MriScanner) -> Volume:
    """``(3, *SHAPE)``: each voxel in mm of the template brain, its centre at 0."""
    voxels = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"))
    world = np.tensordot(AFFINE[:3, :3], voxels, axes=1) + AFFINE[:3, 3, None, None, None]
    moved = world - (CENTRE + scanner.shift)[:, None, None, None]
    turned = np.tensordot(scanner.turn.inv().as_matrix(), moved, axes=1)
    return (turned / patient.size[:, None, None, None]).astype(np.float32)


def ellipsoid(p: Volume, centre: tuple[float, ...], axes: tuple[float, ...]) -> Volume:
    """Signed distance to an ellipsoid in mm, to first order; negative inside."""
    q = p - np.asarray(centre, dtype=np.float32)[:, None, None, None]
    a = np.asarray(axes, dtype=np.float32)[:, None, None, None]
    level = np.sqrt(((q / a) ** 2).sum(0)) + 1e-6
    slope = np.sqrt(((q / a**2) ** 2).sum(0)) + 1e-6
    return level * (level - 1) / slope


def _share(distance: NDArray[Any]) -> Volume:
    """Share of a voxel inside a surface at a signed distance in mm."""
    return np.clip(0.5 - distance / SMOOTH, 0, 1).astype(np.float32)


def _sheet(distance: NDArray[Any], width: float) -> Volume:
    """Share of a voxel in a sheet of a width in mm, also one thinner than a voxel."""
    return _share(distance - width / 2) - _share(distance + width / 2)


def _folding(p: Volume, patient: Patient) -> Volume:
    """Signed distance in mm to the nearest sulcus: the zeros of a sum of plane waves."""
    phase = np.tensordot(patient.waves, p, axes=1) + patient.phases[:, None, None, None]
    wave, slope = np.sin(phase).sum(0), np.cos(phase)
    gradient = np.sqrt((np.tensordot(patient.waves.T, slope, axes=1) ** 2).sum(0))
    return (wave / (gradient + 0.15)).astype(np.float32)


def _tissues(p: Volume, patient: Patient, years: float) -> tuple[Volume, Volume, Volume, Volume]:
    """Shares of grey matter, white matter, fluid and deep grey; sum 1 inside, 0 outside."""
    sulcus = float((0.8 + 0.07 * max(years, -10)) * np.exp(patient.sulci))
    cortex = 3.4 - 0.016 * years
    lower = p[2] * (1 + 0.35 * (p[2] < 0))  # the base is flatter than the vault
    flat = np.stack([p[0], p[1], lower]).astype(np.float32)
    surface = ellipsoid(flat, (0, 0, 0), (67, 84, 66))
    near = 1 - _share((surface + 22) / 2)  # sulci reach about 22 mm deep
    fold = _folding(p, patient)
    cleft = _sheet(p[0], 1.5 * sulcus) * _share(18 - p[2])
    outer, inner = _share(surface), _share(surface + cortex)
    open_ = np.maximum(_sheet(fold, sulcus) * near, cleft)
    ribbon = np.maximum(_sheet(fold, sulcus + 2 * cortex) * near, open_)
    fluid, white = outer * open_, inner * (1 - ribbon)
    grey = np.clip(outer - fluid - white, 0, 1)
    return _inner_structures(p, patient, years, grey, white, fluid)


def _inner_structures(
    p: Volume, patient: Patient, years: float, grey: Volume, white: Volume, fluid: Volume
) -> tuple[Volume, Volume, Volume, Volume]:
    """Cerebellum, brain stem, deep nuclei and ventricles, each painted over what was there."""
    hind = ellipsoid(p, (0, -42, -48), (50, 31, 24))
    hind_white = ellipsoid(p, (0, -38, -46), (34, 17, 12))
    stem = ellipsoid(p, (0, -14, -50), (13, 13, 30))
    mirrored = np.stack([np.abs(p[0]), p[1], p[2]])
    nuclei = (((12, -2, 2), (9, 14, 9)), ((26, 16, 0), (7, 19, 11)))
    pairs = [ellipsoid(mirrored, centre, axes) for centre, axes in nuclei]
    layers = {"grey": grey, "white": white, "fluid": fluid, "deep": np.zeros_like(grey)}
    for name, share in (
        ("grey", _share(hind)),
        ("white", _share(hind_white)),
        ("white", _share(stem)),
        ("deep", _share(np.minimum(*pairs))),
        ("fluid", _share(_ventricles(p, patient, years))),
    ):
        layers = {key: value * (1 - share) for key, value in layers.items()}
        layers[name] = layers[name] + share
    return layers["grey"], layers["white"], layers["fluid"], layers["deep"]


def _ventricles(p: Volume, patient: Patient, years: float) -> Volume:
    """Signed distance to the ventricles; a year of age adds about 4 % to their volume."""
    nearest = ellipsoid(p, (0, -2, -4), (1.5 + 0.06 * max(years, 0), 14, 9))
    for side, log_factor in zip((-1, 1), patient.ventricles, strict=True):
        wide = float(np.exp(0.016 * (years - 20) + log_factor))
        for (x, y, z), (a, b, c) in (
            ((12, 12, 16), (7.5, 26, 9)),
            ((20, -26, 12), (8, 24, 9)),
            ((34, -8, -16), (4.5, 18, 4.5)),
        ):
            body = ellipsoid(p, (side * x, y, z), (a * wide, b * wide**0.5, c * wide))
            nearest = np.minimum(nearest, body)
    return nearest


def _lesions(p: Volume, patient: Patient, years: float, rng: np.random.Generator) -> Volume:
    """Share of a voxel taken by white matter lesions: blobs round the ventricles."""
    blobs = _blurred(rng.normal(size=SHAPE).astype(np.float32), 1.2)
    blobs /= blobs.std()
    near = np.exp(-np.clip(_ventricles(p, patient, years), 0, None) / 12)
    load = 0.02 * max(years, 0) * np.exp(patient.lesions)
    return np.clip(blobs * near + load - 1.2, 0, 1).astype(np.float32)


def _acquire(
    image: Volume,
    inside: NDArray[np.bool_],
    p: Volume,
    scanner: MriScanner,
    rng: np.random.Generator,
) -> Volume:
    """Blur, coil field, gain, Rician noise, and the mask of the brain extraction."""
    x, y, z = p / 90
    terms = np.stack([x, y, z, x * x, y * y, z * z, x * y, y * z, x * z])
    field = np.exp(np.tensordot(scanner.field, terms, axes=1))
    signal = _blurred(image, scanner.blur) * field
    real = signal + rng.normal(0, scanner.noise, SHAPE)
    imaginary = rng.normal(0, scanner.noise, SHAPE)
    magnitude = np.hypot(real, imaginary) * scanner.gain
    return np.where(inside, magnitude, 0).astype(np.float32)


def _blurred(volume: Volume, width: float) -> Volume:
    blurred: Any = ndimage.gaussian_filter(volume, width)
    return blurred
