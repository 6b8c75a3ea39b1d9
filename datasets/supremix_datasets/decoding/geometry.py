# nibabel carries few types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""From an affine to a volume: one place decides orientation and voxel size, for every format."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from supremix_datasets.cards.dataset import Array, Decoded
from supremix_datasets.errors import DecodeError

VOXEL_SIZES = (1e-4, 100.0)
"""Smallest and largest size of a voxel in mm that an image can have."""

MAX_SHEAR = 0.02
"""Largest cosine between two axes of voxels that counts as rounding, about 1 degree."""

SAME_SIZE = 0.01
"""Two statements of one voxel size may differ by this share: headers are rounded."""


def upright(pixels: Array, affine: NDArray[np.float64]) -> Decoded:
    """A volume with its axes turned to right, anterior, superior.

    Axes are swapped and mirrored, nothing is interpolated: a head that is turned by a few degrees
    stays so. The size of a voxel is that of the same affine that turns the axes.

    Args:
        pixels: Values, ``(X, Y, Z)``.
        affine: Indices to mm along right, anterior and superior, ``(4, 4)``.

    Raises:
        DecodeError: the affine is no geometry of a volume, see :func:`voxel_sizes`.
    """
    from nibabel import orientations  # late: it is slow to import

    sizes = voxel_sizes(affine)
    turn = orientations.io_orientation(affine)
    turned: Any = orientations.apply_orientation(pixels, turn)
    order = np.argsort(turn[:, 0])
    where: Any = affine @ orientations.inv_ornt_aff(turn, pixels.shape)
    spacing = tuple(float(sizes[k]) for k in order)
    return Decoded(np.ascontiguousarray(turned), spacing, where)


def voxel_sizes(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Size of a voxel in mm along each axis of the array, ``(3,)``.

    Raises:
        DecodeError: the affine is not finite, a size is impossible, or the axes are sheared.
    """
    directions = np.asarray(affine, dtype=np.float64)[:3]
    if not np.isfinite(directions).all():
        raise DecodeError("the header's affine holds values that are not finite")
    directions = directions[:, :3]
    sizes = np.linalg.norm(directions, axis=0)
    smallest, largest = VOXEL_SIZES
    if sizes.min() < smallest or sizes.max() > largest:
        raise DecodeError(
            f"the header gives an impossible voxel size, {shown(sizes)} mm; expected {smallest:g} "
            f"to {largest:g} mm. Mend the affine or the unit in the file's header."
        )
    cosines = (directions / sizes).T @ (directions / sizes)
    if np.abs(cosines - np.eye(3)).max() > MAX_SHEAR:
        raise DecodeError(
            "the header's affine is sheared: the axes of the voxels are not at right angles. "
            "Resample the image to a grid of its own first."
        )
    return sizes


def same_geometry(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two affines agree in the sizes of a voxel and in where the axes point."""
    sizes = voxel_sizes(one), voxel_sizes(other)
    if not np.allclose(*sizes, rtol=SAME_SIZE):
        return False
    axes = [affine[:3, :3] / size for affine, size in zip((one, other), sizes, strict=True)]
    return bool((np.einsum("ij,ij->j", *axes) > np.sqrt(0.5)).all())


def shown(sizes: NDArray[np.float64]) -> str:
    """Sizes as text, ``1 x 1 x 2``."""
    return " x ".join(f"{size:g}" for size in np.round(sizes, 6))
