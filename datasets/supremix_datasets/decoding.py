# nibabel carries few types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""Bytes to pixels: PNG and other still pictures, NIfTI volumes. Nothing here knows a dataset."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from PIL import Image, UnidentifiedImageError

from .errors import DecodeError
from .files import read_bytes
from .reader import Decoded

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
VOLUMES = (".nii", ".nii.gz")
NIFTI2_START = struct.pack("<i", 540)

_NIFTI_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    struct.error,
    OverflowError,
    ImageFileError,
    HeaderDataError,
    WrapStructError,
)


def decode_file(address: str) -> Decoded:
    """Decode a picture or a volume, told apart by the ending of the address.

    Raises:
        DecodeError: the ending is not known, or the file is damaged.
    """
    name = address.split("::", 1)[0].lower()
    if name.endswith(PICTURES):
        return decode_picture(read_bytes(address))
    if name.endswith(VOLUMES):
        return decode_nifti(read_bytes(address))
    raise DecodeError(f"expected a file ending in one of {PICTURES + VOLUMES}, found {address!r}")


def decode_picture(data: bytes) -> Decoded:
    """A still picture as grey values ``(H, W)``: uint8, or float32 where it has more than 8 bits.

    Raises:
        DecodeError: the bytes are no picture, or a truncated one.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            deep = picture.mode.startswith(("I", "F"))
            grey = picture if deep else picture.convert("L")
            pixels = np.asarray(grey)  # decodes everything, so a truncated file fails here
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise DecodeError(f"not a readable picture: {error}") from error
    except (SyntaxError, zlib.error, struct.error) as error:  # what Pillow says of broken chunks
        raise DecodeError(f"not a readable picture: {error}") from error
    return Decoded(pixels.astype(np.float32) if deep else pixels)


def decode_nifti(data: bytes) -> Decoded:
    """A NIfTI volume ``(X, Y, Z)`` as float32, axes turned to right, anterior, superior.

    Raises:
        DecodeError: the bytes are no NIfTI volume, or a damaged one.
    """
    try:
        raw = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        kind: Any = nib.Nifti2Image if raw[:4] == NIFTI2_START else nib.Nifti1Image
        image: Any = nib.as_closest_canonical(kind.from_bytes(raw))
        pixels = np.asarray(image.dataobj, dtype=np.float32)
        spacing = tuple(float(s) for s in image.header.get_zooms()[:3])
    except _NIFTI_ERRORS as error:
        raise DecodeError(f"not a readable NIfTI volume: {error}") from error
    while pixels.ndim > 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 3:
        raise DecodeError(f"expected a volume with 3 axes, found shape {pixels.shape}")
    if min(spacing) <= 0:
        raise DecodeError(f"the header gives an impossible voxel size {spacing}")
    return Decoded(pixels, spacing)
