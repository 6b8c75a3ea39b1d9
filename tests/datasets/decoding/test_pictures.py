"""A still picture is read as it is meant to be shown, or refused."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from supremix_datasets import DecodeError
from supremix_datasets.decoding.pictures import decode_picture

RNG = np.random.default_rng(0)
GREY = np.kron(RNG.integers(0, 255, (5, 8)), np.ones((8, 8))).astype(np.uint8)


def tiff(values: np.ndarray, bits: int, *, photometric: int = 1, kind: int = 1) -> bytes:
    """An uncompressed TIFF, written by hand: what its tags say is what this says."""
    data, (height, width) = values.tobytes(), values.shape[:2]
    samples = values.shape[2] if values.ndim == 3 else 1
    start = 8 + 2 + 10 * 12 + 4
    tags = {
        256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: start,
        277: samples, 278: height, 279: len(data), 339: kind,
    }  # fmt: skip
    if samples > 1:  # one number for each channel does not fit into the tag itself
        tags.pop(339)
        start += 6 - 12
        tags[273] = start
    entries = b"".join(
        struct.pack("<HHII", tag, 3, samples, start - 6)
        if tag == 258 and samples > 1
        else struct.pack("<HHII", tag, 4, 1, value)
        for tag, value in sorted(tags.items())
    )
    more = struct.pack(f"<{samples}H", *[bits] * samples) if samples > 1 else b""
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + more + data


def png16(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    more = {"tiffinfo": {274: orientation}} if kind == "TIFF" else {"exif": exif}
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, kind, **more)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(buffer.getvalue()))))
    np.testing.assert_array_equal(decode_picture(buffer.getvalue()).pixels, shown)


LETTERS = {1: "u", 2: "i", 3: "f"}
KINDS = [(8, 1), (8, 2), (16, 1), (16, 2), (32, 1), (32, 2), (32, 3), (64, 3)]
"""Bits and sample format."""


@pytest.mark.parametrize(("bits", "kind"), KINDS)
@pytest.mark.parametrize("photometric", [0, 1])
def test_a_tiff_has_the_values_that_its_tags_say_or_is_refused(
    bits: int, kind: int, photometric: int
) -> None:
    dtype = np.dtype(f"<{LETTERS[kind]}{bits // 8}")
    whole = RNG.integers(0, 2**32, (20, 30), dtype=np.uint64).astype(dtype)
    values = RNG.normal(size=(20, 30)).astype(dtype) if kind == 3 else whole
    try:
        found = decode_picture(tiff(values, bits, photometric=photometric, kind=kind)).pixels
    except DecodeError:
        assert photometric == 0 or bits == 64
        return
    expected = 2.0**bits - 1 - values.astype(np.float64) if photometric == 0 else values
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1)


@pytest.mark.parametrize("photometric", [4, 5, 8])
def test_a_tiff_of_another_photometric_interpretation_is_refused(photometric: int) -> None:
    with pytest.raises(DecodeError, match=r"not a readable picture|photometric|mode"):
        decode_picture(tiff(GREY, 8, photometric=photometric))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_sixteen_bits_are_refused_in_a_png(channels: int) -> None:
    pixels = RNG.integers(0, 65535, (20, 30, channels))
    with pytest.raises(DecodeError, match="16 bits a channel"):
        decode_picture(png16(pixels))


def test_colours_of_sixteen_bits_are_refused_in_a_tiff() -> None:
    eight = RNG.integers(0, 255, (20, 30, 3)).astype(np.uint8)
    np.testing.assert_array_equal(
        decode_picture(tiff(eight, 8, photometric=2), channels=3).pixels, np.moveaxis(eight, -1, 0)
    )
    with pytest.raises(DecodeError, match="colours of 16 bits"):
        decode_picture(tiff(eight.astype("<u2") * 257, 16, photometric=2))


def test_a_file_of_several_pages_is_refused() -> None:
    for kind in ("TIFF", "PNG"):
        buffer = io.BytesIO()
        pages = [Image.fromarray(np.roll(GREY, 7 * k, 0)) for k in range(3)]
        pages[0].save(buffer, kind, save_all=True, append_images=pages[1:])
        with pytest.raises(DecodeError, match="holds 3 pages"):
            decode_picture(buffer.getvalue())


def test_a_picture_with_transparent_parts_is_refused_and_an_opaque_one_is_read() -> None:
    for alpha in (np.full_like(GREY, 255), GREY):
        buffer = io.BytesIO()
        Image.fromarray(np.stack([GREY, GREY, GREY, alpha], axis=-1)).save(buffer, "PNG")
        if alpha.min() == 255:
            np.testing.assert_array_equal(decode_picture(buffer.getvalue()).pixels, GREY)
            continue
        with pytest.raises(DecodeError, match="transparent"):
            decode_picture(buffer.getvalue())
