"""Several files to the channels of one image, on the grid of the first file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supremix_datasets.cards.dataset import Array, Decoded
from supremix_datasets.decoding.images import decode_file
from supremix_datasets.errors import DecodeError
from supremix_datasets.sources.files import file_name

SAME_PLACE = 0.05
"""Two grids are one where no corner is farther apart than this share of a voxel."""

LEAST_COVERED = 0.5
"""Least share of the first file's grid that each other file has to cover."""


def decode_channels(
    addresses: Sequence[str], decode: Callable[[str], Decoded] = decode_file
) -> Decoded:
    """Decode the files of one image, each a grey channel.

    A volume on another grid than the first is resampled onto it by the affines of the two
    (trilinear, 0 outside): they have to lie in one space, as those of one session or those that
    were registered do. Images that do not say where they lie need the same shape.

    Args:
        addresses: Files in the order of the channels, see :func:`decode_file`.
        decode: Decodes one of them.

    Returns:
        Pixels ``(channels, *spatial)`` on the first file's grid.

    Raises:
        DecodeError: a file is missing or damaged, or lies on a grid that cannot be brought to the
            first one; the message names it.
    """
    images = [_decoded(address, decode) for address in addresses]
    first = images[0]
    pixels = [np.asarray(first.pixels, dtype=np.float32)]
    for address, image in zip(addresses[1:], images[1:], strict=True):
        try:
            pixels.append(_on_grid_of(first, image))
        except DecodeError as error:
            names = f"{file_name(address)} and {file_name(addresses[0])}"
            raise DecodeError(f"{names} do not make one image: {error}") from error
    return Decoded(np.stack(pixels), first.spacing, first.affine)


def _decoded(address: str, decode: Callable[[str], Decoded]) -> Decoded:
    try:
        return decode(address)
    except DecodeError as error:
        raise DecodeError(f"{file_name(address)}: {error}") from error


def _on_grid_of(first: Decoded, image: Decoded) -> Array:
    pixels = np.asarray(image.pixels, dtype=np.float32)
    same_shape = pixels.shape == first.pixels.shape
    if first.affine is None or image.affine is None:
        if same_shape:
            return pixels
        raise DecodeError(
            f"shapes {pixels.shape} and {first.pixels.shape} differ, and the files do not say "
            "where they lie. Resample them to one grid first."
        )
    to_other: NDArray[Any] = np.linalg.inv(image.affine) @ first.affine
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in first.pixels.shape]), -1).reshape(-1, 3)
    moved = corners @ to_other[:3, :3].T + to_other[:3, 3]
    if same_shape and np.abs(moved - corners).max() <= SAME_PLACE:
        return pixels
    covered = _covered(to_other, first.pixels.shape, pixels.shape)
    if covered < LEAST_COVERED:
        raise DecodeError(
            f"by the headers only {covered:.0%} of the one's grid lies inside of the other. "
            "Register them, or correct the headers."
        )
    from scipy import ndimage  # late: it is slow to import, and each worker imports this module

    offset: Any = to_other[:3, 3]
    placed: Any = ndimage.affine_transform(
        pixels,
        to_other[:3, :3],
        offset=offset,
        output_shape=first.pixels.shape,
        order=1,
    )
    return placed


def _covered(to_other: NDArray[Any], shape: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Share of a grid's voxels whose centres lie in another grid."""
    axes = [np.linspace(0, n - 1, min(n, 32)) for n in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1) @ to_other[:3, :3].T + to_other[:3, 3]
    inside = (points >= -0.5) & (points <= np.asarray(other) - 0.5)
    return float(inside.all(axis=-1).mean())
