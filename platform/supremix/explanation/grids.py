"""Maps on the grid of the file that an image was read from."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from supremix.storage.paths import is_local, to_path
from supremix_datasets import Card, Decoded
from supremix_datasets.sources.files import parts_of
from supremix_datasets.stores.conform import pixel_steps

_NIFTI = (".nii", ".nii.gz")


def on_file_grid(values: NDArray[Any], image: Decoded, card: Card) -> NDArray[np.float32]:
    """A map on the model's grid, interpolated on the grid of a decoded image or volume.

    Args:
        values: (*card.shape).
        image: The image as it was decoded.
        card: The model's card, of images or volumes.

    Returns:
        The map (*spatial) of the decoded image; 0 where it reaches beyond the model's grid.
    """
    found = values
    spatial = image.pixels.shape[-values.ndim :]
    for axis, (size, step) in enumerate(zip(spatial, pixel_steps(image, card), strict=True)):
        weights = _weights(size, values.shape[axis], step)
        found = np.moveaxis(np.moveaxis(found, axis, -1) @ weights.T, -1, axis)
    return found.astype(np.float32)


def _weights(fine: int, coarse: int, step: float) -> NDArray[np.float64]:
    """(fine, coarse): linear interpolation at the points of a file's axis, centres together."""
    at = (np.arange(fine) + 0.5 - fine / 2) / step + coarse / 2 - 0.5
    inside = (at > -0.5 - 1e-9) & (at < coarse - 0.5 + 1e-9)
    distance = np.abs(np.clip(at, 0, coarse - 1)[:, None] - np.arange(coarse))
    return np.clip(1 - distance, 0, None) * inside[:, None]


def nifti_bytes(values: NDArray[np.float32], address: str) -> bytes | None:
    """A volume's map as NIfTI over the file that it is of; None where that is no such file.

    Args:
        values: (X, Y, Z) on the grid of the decoded file, axes to right, anterior, superior.
        address: Address of the file.
    """
    address = parts_of(address)[0]  # of an image of several files, whose grids agree
    path = to_path(address)
    if not (is_local(path) and address.endswith(_NIFTI)) or "::" in address:
        return None
    image: Any = nib.as_closest_canonical(nib.load(path.path))
    if tuple(image.shape[:3]) != values.shape:
        return None
    return nib.Nifti1Image(values, image.affine).to_bytes()
