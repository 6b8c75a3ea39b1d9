# nibabel carries few types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""Bytes to pixels: PNG and other still pictures, NIfTI volumes. Nothing here knows a dataset."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import data_type_codes
from nibabel.orientations import OrientationError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from PIL import Image, UnidentifiedImageError

from supremix_datasets.cards.dataset import Decoded
from supremix_datasets.errors import DecodeError
from supremix_datasets.sources.files import folder_files, read_bytes
from supremix_datasets.sources.guards import SLACK, check_pixels, gunzip, gunzip_head

GZIP_START = b"\x1f\x8b"
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
VOLUMES = (".nii.gz", ".nii")
ARRAYS = (".npy",)
DICOM = (".dcm",)
VIDEOS = (".avi", ".mp4", ".mov")
ENDINGS = PICTURES + VOLUMES + ARRAYS + DICOM + VIDEOS
NIFTI2_START = struct.pack("<i", 540)
NIFTI_HEAD = 544
"""Bytes that hold the header of either version."""

_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
NIFTI_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    struct.error,
    OverflowError,
    ImageFileError,
    HeaderDataError,
    OrientationError,  # fewer than 3 axes
    WrapStructError,
)
"""What nibabel raises of a damaged file."""


def decode_file(address: str, *, channels: int = 1) -> Decoded:
    """Decode an image of any supported format, distinguished by the ending of the address.

    Args:
        address: fsspec address: a picture, a NIfTI volume, a NumPy array, a DICOM file, a video,
            or, ending in ``/``, a folder whose DICOM files are the slices of one volume.
        channels: 3 for still pictures in colour; all else is grey.

    Raises:
        DecodeError: the ending is not known, or the file is damaged.
    """
    if address.endswith("/"):
        return _decode_series(address)
    ending = ending_of(address)
    if ending in PICTURES:
        return decode_picture(read_bytes(address), channels=channels)
    if ending in _DECODERS:
        return _DECODERS[ending](read_bytes(address))
    raise DecodeError(f"expected a file ending in one of {ENDINGS}, found {address!r}")


def ending_of(address: str) -> str:
    """The ending that names the format, in lower case, ``.nii.gz`` as a whole; empty if none.

    Args:
        address: A file's address, or its path; of a zip's member it is that of the member.
    """
    name = address.split("::", 1)[0].rsplit("/", 1)[-1].lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), "")


def decode_picture(data: bytes, *, channels: int = 1) -> Decoded:
    """A still picture: uint8, or float32 where it has more than 8 bits.

    Args:
        data: Content of the whole file.
        channels: 1 for grey values ``(H, W)``, 3 for red, green and blue ``(3, H, W)``.

    Raises:
        DecodeError: the bytes are no picture, or a truncated one.
    """
    try:
        with warnings.catch_warnings():
            # far beyond any radiograph, and below what Pillow refuses by itself
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as picture:
                deep = picture.mode.startswith(("I", "F"))
                plain = picture if deep else picture.convert("L" if channels == 1 else "RGB")
                pixels = np.asarray(plain)  # decodes everything, so a truncated file fails here
    except (*_BOMBS, OSError, UnidentifiedImageError, ValueError) as error:
        raise DecodeError(f"not a readable picture: {error}") from error
    except (SyntaxError, zlib.error, struct.error) as error:  # what Pillow says of broken chunks
        raise DecodeError(f"not a readable picture: {error}") from error
    if channels > 1:
        pixels = np.stack([pixels] * channels) if deep else np.moveaxis(pixels, -1, 0)
    return Decoded(pixels.astype(np.float32) if deep else pixels)


def decode_nifti(data: bytes) -> Decoded:
    """A NIfTI volume ``(X, Y, Z)`` as float32, axes turned to right, anterior, superior.

    Raises:
        DecodeError: the bytes are no NIfTI volume, or a damaged one.
    """
    try:
        raw, kind = _unpacked(data)
        image: Any = nib.as_closest_canonical(kind.from_bytes(raw))
        pixels = np.asarray(image.dataobj, dtype=np.float32)
        spacing = tuple(float(s) for s in image.header.get_zooms()[:3])
    except NIFTI_ERRORS as error:
        raise DecodeError(f"not a readable NIfTI volume: {error}") from error
    while pixels.ndim > 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 3:
        raise DecodeError(f"expected a volume with 3 axes, found shape {pixels.shape}")
    if min(spacing) <= 0:
        raise DecodeError(f"the header gives an impossible voxel size {spacing}")
    return Decoded(pixels, spacing)


def _unpacked(data: bytes) -> tuple[bytes, Any]:
    """The NIfTI file without its gzip, and its class; no more is unpacked than its header says."""
    packed = data[:2] == GZIP_START
    head = gunzip_head(data, NIFTI_HEAD) if packed else data[:NIFTI_HEAD]
    kind: Any = nib.Nifti2Image if head[:4] == NIFTI2_START else nib.Nifti1Image
    # of the head alone: extensions may follow it, and reach beyond what is unpacked here
    length = kind.header_class.template_dtype.itemsize
    header: Any = kind.header_class(head[:length], check=False)
    size = check_pixels(header.get_data_shape(), value_bytes(header))
    if not packed:
        return data, kind
    return gunzip(data, int(header.get_data_offset()) + size + SLACK), kind


def value_bytes(header: Any) -> int:
    """Bytes of one value of a NIfTI image.

    Args:
        header: Header of the file as nibabel reads it.

    Raises:
        DecodeError: the header names a type of values that there is not.
    """
    code = int(header["datatype"])
    if code not in data_type_codes:
        raise DecodeError(f"not a readable NIfTI volume: there is no type of values {code}")
    return int(header.get_data_dtype().itemsize)


# These formats are rarer, and the libraries that read them heavy: they are loaded when one comes.


def _decode_array(data: bytes) -> Decoded:
    from supremix_datasets.decoding.arrays import decode_npy

    return decode_npy(data, None)


def _decode_dicom(data: bytes) -> Decoded:
    from supremix_datasets.decoding.dicom import decode_dicom

    return decode_dicom(data)


def _decode_series(address: str) -> Decoded:
    from supremix_datasets.decoding.dicom import decode_dicom_series

    return decode_dicom_series([read_bytes(part) for part in folder_files(address)])


def _decode_video(data: bytes) -> Decoded:
    from supremix_datasets.decoding.video import decode_video

    return decode_video(data)


_DECODERS: dict[str, Callable[[bytes], Decoded]] = {
    **dict.fromkeys(VOLUMES, decode_nifti),
    **dict.fromkeys(ARRAYS, _decode_array),
    **dict.fromkeys(DICOM, _decode_dicom),
    **dict.fromkeys(VIDEOS, _decode_video),
}
