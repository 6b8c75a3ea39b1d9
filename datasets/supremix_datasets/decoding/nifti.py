# nibabel carries few types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""Bytes of a NIfTI file to a volume in right, anterior, superior order.

The affine decides both the order of the axes and the size of a voxel; the sizes that the header
states a second time (``pixdim``) are used only where they are all there is.

Source: NIfTI-1 and NIfTI-2 headers, https://nifti.nimh.nih.gov.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supremix_datasets.cards.dataset import Array, Decoded
from supremix_datasets.decoding.geometry import same_geometry, shown, upright, voxel_sizes
from supremix_datasets.decoding.reading import reading
from supremix_datasets.errors import DecodeError
from supremix_datasets.sources.guards import SLACK, check_pixels, gunzip, gunzip_head

GZIP_START = b"\x1f\x8b"
NIFTI2_STARTS = (struct.pack("<i", 540), struct.pack(">i", 540))
NIFTI_HEAD = 544
"""Bytes that hold the header of either version."""

UNITS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Code of the unit of length to mm: unknown (taken as mm), m, mm, micrometres."""

SPECTRA = frozenset({32, 40, 48})
"""Codes of a fourth axis that is no time: Hz, ppm, rad/s."""

SCALARS = frozenset("iuf")
"""Kinds of values that are one real number a voxel; colours and complex numbers are not."""

Weights = Callable[[int], Sequence[float] | None]


def decode_nifti(data: bytes, *, time_weights: Weights | None = None) -> Decoded:
    """A NIfTI volume ``(X, Y, Z)`` as float32, axes turned to right, anterior, superior.

    Args:
        data: Content of the whole file, packed by gzip or not.
        time_weights: Weights of the time frames by their number (None: equal) for files with a
            fourth axis, of which the mean is then taken. Without it such files are refused.

    Raises:
        DecodeError: the bytes are no NIfTI volume, a damaged one, one whose values are not real
            numbers, or one whose header contradicts itself.
    """
    with reading("NIfTI volume"):
        image: Any = _opened(data)
        affine = _affine(image.header)
        pixels = np.asarray(image.dataobj, dtype=np.float32)
        while pixels.ndim > 3 and pixels.shape[-1] == 1:
            pixels = pixels[..., 0]
        if pixels.ndim == 4 and time_weights is not None:
            pixels = _mean_over_time(pixels, image.header, time_weights)
        if pixels.ndim != 3:
            raise DecodeError(f"expected a volume with 3 axes, found shape {pixels.shape}")
        return upright(pixels, affine)


def _opened(data: bytes) -> Any:
    """The image without its gzip; no more is unpacked than its header says."""
    import nibabel as nib  # late: it is slow to import, and each worker imports this module

    packed = data[:2] == GZIP_START
    head = gunzip_head(data, NIFTI_HEAD) if packed else data[:NIFTI_HEAD]
    kind: Any = nib.Nifti2Image if head[:4] in NIFTI2_STARTS else nib.Nifti1Image
    # of the head alone: extensions may follow it, and reach beyond what is unpacked here
    length = kind.header_class.template_dtype.itemsize
    header: Any = kind.header_class(head[:length], check=False)
    if bytes(header["magic"].item())[:3] not in (b"n+1", b"n+2"):
        raise DecodeError(
            "not a readable NIfTI volume: it does not say that header and values are in one file"
        )
    size = check_pixels(header.get_data_shape(), _value_bytes(header))
    if packed:
        data = gunzip(data, int(header.get_data_offset()) + size + SLACK)
    return kind.from_bytes(data)


def _value_bytes(header: Any) -> int:
    """Bytes of one value, which has to be a real number."""
    from nibabel.nifti1 import data_type_codes

    code = int(header["datatype"])
    if code not in data_type_codes:
        raise DecodeError(f"not a readable NIfTI volume: there is no type of values {code}")
    dtype = header.get_data_dtype()
    if dtype.kind not in SCALARS:
        raise DecodeError(
            f"expected one real number a voxel, found values of the type "
            f"{data_type_codes.label[code]}"
        )
    return int(dtype.itemsize)


def _affine(header: Any) -> NDArray[np.float64]:
    """Indices to mm, ``(4, 4)``: sform, else qform, else the stated sizes."""
    unit = int(header["xyzt_units"]) & 7
    if unit not in UNITS:
        raise DecodeError(f"the header gives an unknown unit of length (code {unit})")
    to_mm = np.diag([UNITS[unit]] * 3 + [1.0])
    sform, qform = (
        None if found is None else to_mm @ np.asarray(found, dtype=np.float64)
        for found in (header.get_sform(coded=True)[0], header.get_qform(coded=True)[0])
    )
    if sform is not None and qform is not None and not same_geometry(sform, qform):
        raise DecodeError(
            f"the header contradicts itself: sform and qform give voxels of "
            f"{shown(voxel_sizes(sform))} and {shown(voxel_sizes(qform))} mm, or axes that point "
            "elsewhere. Write the file with the right one alone."
        )
    if sform is not None:
        return sform
    return to_mm @ header.get_base_affine() if qform is None else qform


def _mean_over_time(pixels: Array, header: Any, time_weights: Weights) -> Array:
    if int(header["xyzt_units"]) & 0x38 in SPECTRA:
        raise DecodeError("the fourth axis is no time: its unit is one of frequency")
    weights = time_weights(pixels.shape[3])
    return np.average(pixels, axis=3, weights=weights).astype(np.float32)
