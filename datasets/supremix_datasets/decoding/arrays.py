"""Bytes of a NumPy file (``.npy``) to pixels, trusting nothing that the file says of itself."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from supremix_datasets.cards.dataset import Decoded
from supremix_datasets.decoding.reading import reading
from supremix_datasets.errors import DecodeError

MAGIC = b"\x93NUMPY"
KINDS = "fiub"
"""Floats, signed and unsigned integers, booleans: what pixels may be."""


def decode_npy(data: bytes, spacing: tuple[float, ...] | None) -> Decoded:
    """An array of pixels; leading axes of length 1 (sample, channel) are taken off.

    Nothing is unpickled, and no memory is asked for before the size that the header claims is the
    size that is there.

    Args:
        data: Content of the whole file.
        spacing: Size of a pixel in mm per axis, which a NumPy file does not give. It also gives
            the number of axes; with None there are 2 or 3.

    Returns:
        Pixels ``spatial`` in the file's own order of axes.

    Raises:
        DecodeError: the bytes are no NumPy array, a truncated one, one of objects, complex numbers
            or text, or one with another number of axes.
    """
    pixels = _load(data)
    axes = 3 if spacing is None else len(spacing)
    while pixels.ndim > axes and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim != axes and not (spacing is None and pixels.ndim == 2):
        raise DecodeError(f"expected an array with {axes} axes, found shape {pixels.shape}")
    return Decoded(pixels, spacing)


def _load(data: bytes) -> np.ndarray[Any, np.dtype[Any]]:
    with reading("NumPy array"):
        shape, dtype, start = _header(data)
        if dtype.kind not in KINDS:
            raise DecodeError(f"expected an array of numbers, found the type {dtype}")
        claimed, there = math.prod(shape) * dtype.itemsize, len(data) - start
        if claimed != there:
            raise DecodeError(
                f"the array is truncated or padded: shape {shape} of {dtype} takes {claimed} "
                f"bytes, the file holds {there}"
            )
        return np.load(io.BytesIO(data), allow_pickle=False)


def _header(data: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape and type that the file claims, and where its values start."""
    if not data.startswith(MAGIC):
        raise DecodeError("not a readable NumPy array: it does not start like one")
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    old = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return tuple(shape), dtype, file.tell()
