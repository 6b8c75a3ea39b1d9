# Pillow's tags carry no types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""Bytes of a still picture (PNG, JPEG, BMP, TIFF) to grey values or colours.

What a file says of its pixels is applied or refused, never ignored: rotation, white-is-zero, sign,
bit depth, number of pages, transparency.

Source: TIFF 6.0 (tags 258, 262, 277, 339), PNG (IHDR, eXIf), Exif 2.32 (tag 274).
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from supremix_datasets.cards.dataset import Array, Decoded
from supremix_datasets.decoding.reading import reading
from supremix_datasets.errors import DecodeError

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
MODES = frozenset(
    {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr", "I;16", "I;16B", "I", "F"}
)
DEEP = ("I", "F")
"""Beginnings of the modes with more than 8 bits."""

BITS, PHOTOMETRIC, SAMPLES, SAMPLE_FORMAT = 258, 262, 277, 339
WHITE_IS_ZERO, RGB, PALETTE, YCBCR = 0, 2, 3, 6
PHOTOMETRICS = frozenset({WHITE_IS_ZERO, 1, RGB, PALETTE, YCBCR})
UNSIGNED, SIGNED, FLOAT = 1, 2, 3


def decode_picture(data: bytes, *, channels: int = 1) -> Decoded:
    """A still picture as it is shown: uint8, or float32 where it has more than 8 bits.

    Args:
        data: Content of the whole file.
        channels: 1 for grey values ``(H, W)``, 3 for red, green and blue ``(3, H, W)``.

    Raises:
        DecodeError: the bytes are no picture, a truncated one, or one whose pixels would have to
            be changed to be read: more than one page, colours of more than 8 bits, transparency.
    """
    with reading("picture"), warnings.catch_warnings():
        # far beyond any radiograph, and below what Pillow refuses by itself
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _check(picture, data)
            tiff = _tiff_tags(picture)
            picture.load()  # decodes everything, so a truncated file fails here
            turned: Image.Image = ImageOps.exif_transpose(picture)
            if turned.mode.startswith(DEEP):
                return Decoded(_channels(_deep_values(np.asarray(turned), tiff), channels))
            _check_opaque(turned)
            plain = np.asarray(turned.convert("L" if channels == 1 else "RGB"))
        if tiff.get(SAMPLE_FORMAT) == SIGNED:
            return Decoded(_channels(plain.view(np.int8).astype(np.float32), channels))
        return Decoded(plain if channels == 1 else np.moveaxis(plain, -1, 0))


def _channels(grey: Array, channels: int) -> Array:
    return grey if channels == 1 else np.stack([grey] * channels)


def _check(picture: Image.Image, data: bytes) -> None:
    """Refuse what Pillow would read as something else than it is."""
    pages = int(getattr(picture, "n_frames", 1))
    if pages != 1:
        raise DecodeError(
            f"the file holds {pages} pages, and a picture has one. Write each page to a file of "
            "its own, or the pages of a volume to one NIfTI file."
        )
    if picture.mode not in MODES:
        raise DecodeError(f"expected grey values or colours, found the mode {picture.mode}")
    if picture.format == "PNG" and data[24] == 16 and data[25] != 0:
        raise DecodeError(
            "the picture has 16 bits a channel and more than one channel, of which only 8 bits "
            "could be read. Save it as 16-bit grey values."
        )


def _tiff_tags(picture: Image.Image) -> dict[int, int]:
    """What a TIFF says of its samples; empty for other formats."""
    if picture.format != "TIFF":
        return {}
    tags: Any = picture.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
    found = {
        tag: _single(tags.get(tag, default), tag)
        for tag, default in ((BITS, 1), (PHOTOMETRIC, 1), (SAMPLES, 1), (SAMPLE_FORMAT, UNSIGNED))
    }
    bits, photometric, samples, kind = found.values()
    if photometric not in PHOTOMETRICS:
        raise DecodeError(f"the TIFF has the photometric interpretation {photometric}")
    if kind not in (UNSIGNED, SIGNED, FLOAT):
        raise DecodeError(f"the TIFF has the sample format {kind}; expected numbers")
    several = samples > 1 or photometric in (RGB, PALETTE, YCBCR)
    if several and (bits > 8 or kind != UNSIGNED):
        raise DecodeError(
            f"the TIFF has colours of {bits} bits (sample format {kind}), of which only 8 bits "
            "could be read. Save it as grey values."
        )
    if photometric == WHITE_IS_ZERO and kind != UNSIGNED:
        raise DecodeError("the TIFF is white-is-zero with signed or fractional values")
    return found


def _single(value: Any, tag: int) -> int:
    """One number of a tag that gives one for each channel."""
    values = {int(v) for v in value} if isinstance(value, tuple) else {int(value)}
    if len(values) != 1:
        raise DecodeError(f"the channels of the TIFF differ in tag {tag}: {sorted(values)}")
    return values.pop()


def _deep_values(pixels: Array, tiff: dict[int, int]) -> Array:
    """Grey values of more than 8 bits as float32, as the TIFF's tags mean them."""
    bits, kind = tiff.get(BITS, 16), tiff.get(SAMPLE_FORMAT, UNSIGNED)
    if tiff and bits == 32 and kind == UNSIGNED:
        pixels = pixels.view(np.uint32)  # Pillow's widest whole numbers are signed
    values = pixels.astype(np.float32)
    return np.float32(2**bits - 1) - values if tiff.get(PHOTOMETRIC) == WHITE_IS_ZERO else values


def _check_opaque(picture: Image.Image) -> None:
    if not picture.has_transparency_data:
        return
    if picture.convert("RGBA").getchannel("A").getextrema()[0] != 255:
        raise DecodeError(
            "parts of the picture are transparent, and what is below them is not known. Save it "
            "without transparency."
        )
