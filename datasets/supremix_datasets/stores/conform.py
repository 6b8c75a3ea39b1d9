"""From the grid of a file to the grid of the card: one code path for preparing and predicting."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supremix_datasets.cards.card import FOREGROUND_LEVEL, FULL_SCALE, Card
from supremix_datasets.cards.dataset import Array, Decoded
from supremix_datasets.errors import CovariateError, DecodeError

SMALLEST_AXIS = 8


@dataclass(frozen=True, slots=True)
class Presented:
    """What the model gets of one sample.

    Args:
        pixels: ``(channels, *shape)`` in the card's dtype; of a video all its frames,
            ``(T, channels, H, W)``.
        covariates: ``(K,)`` float32 in the card's order, adapted to the grid, logarithm taken.
    """

    pixels: Array
    covariates: NDArray[np.float32]


def present(card: Card, image: Decoded | Array, covariates: Mapping[str, float | str]) -> Presented:
    """Bring one decoded image with its raw covariates into the form the model sees.

    Args:
        card: The card; its grid is the one the model was trained on.
        image: ``spatial`` or ``(channels, *spatial)`` with the spacing of the file; a bare array
            has none, and is taken to have the card's spacing where the card has one.
        covariates: Raw values for the *file* (a pixel size is that of the file's pixels), numbers
            or the card's words.

    Raises:
        DecodeError: the image is empty, not finite, or of another kind.
        CovariateError: a covariate is missing, unknown or unusable.
    """
    image = Decoded.of(image)
    pixels = conform(image, card)
    return Presented(pixels, covariate_vector(card, covariates, pixel_ratio(image, card)))


def conform(image: Decoded | Array, card: Card) -> Array:
    """Resample, crop and pad an image about its centre to ``(channels, *shape)``.

    Of a video each frame is treated so, and all come back, ``(T, channels, H, W)``. With a
    spacing on the card the physical size is kept; without, the image is fitted into the shape
    with its aspect kept. Downsampling takes the mean over the area of the new pixel,
    upsampling interpolates linearly.

    Raises:
        DecodeError: the image is empty, not finite, or of another kind.
    """
    image = Decoded.of(image)
    pixels = _channels_first(image, card)
    parts = len(card.sequences) or 1  # each sequence has a scale of its own
    stored = np.concatenate([_on_grid(part, image, card) for part in np.split(pixels, parts)])
    return stored if card.period is None else np.moveaxis(stored, 1, 0)


def _on_grid(pixels: NDArray[np.float32], image: Decoded, card: Card) -> Array:
    """Channels of one scale of grey values, on the card's grid and in its dtype."""
    _check_filled(pixels)
    if card.intensity == "range":  # before the padding, which would count as black
        pixels = _stretched(pixels, FULL_SCALE[card.dtype])
    steps = pixel_steps(image, card)
    first = pixels.ndim - len(card.frame_shape)
    for axis, (size, step) in enumerate(zip(card.frame_shape, steps, strict=True), start=first):
        pixels = _resample_axis(pixels, axis, size, step, card.fill)
    pixels = _normalised(pixels, card)
    if card.dtype == "uint8":
        stored: Array = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
    else:
        stored = pixels.astype(np.float16)
    if stored.min() == stored.max():
        raise DecodeError(
            f"the image is empty on the card's grid {card.shape}: every pixel is {stored.flat[0]:g}"
        )
    return stored


def pixel_steps(image: Decoded | Array, card: Card) -> tuple[float, ...]:
    """Number of the file's pixels per pixel of the card's grid, for each axis of its frames."""
    image = Decoded.of(image)
    spatial = image.pixels.shape[-len(card.frame_shape) :]
    if card.spacing is None:
        fitted = max(n / m for n, m in zip(spatial, card.frame_shape, strict=True))
        return (fitted,) * len(card.frame_shape)
    spacing = image.spacing or card.spacing
    return tuple(wide / fine for wide, fine in zip(card.spacing, spacing, strict=True))


def pixel_ratio(image: Decoded | Array, card: Card) -> float:
    """By how much a pixel grows from the file to the card's grid (geometric mean of the axes)."""
    steps = pixel_steps(image, card)
    return math.prod(steps) ** (1 / len(steps))


def covariate_vector(
    card: Card, covariates: Mapping[str, float | str], ratio: float = 1.0
) -> NDArray[np.float32]:
    """The covariates of one image in the card's order, as the model sees them.

    Args:
        card: Names, words, logarithms and defaults.
        covariates: Raw values by name, for the file: numbers, or words as text.
        ratio: See :func:`pixel_ratio`; multiplies the covariates that are a size of one pixel.

    Returns:
        ``(K,)``.

    Raises:
        CovariateError: one is missing or unknown, none of the words, not finite, or not positive
            under a logarithm.
    """
    known = [covariate.name for covariate in card.covariates]
    unknown = sorted(set(covariates) - set(known))
    if unknown:
        raise CovariateError(
            f"dataset {card.name!r} takes the covariates {known or 'none'}, found also {unknown}. "
            "Leave them out, or correct their names."
        )
    values: list[float] = []
    for covariate in card.covariates:
        value = covariates.get(covariate.name, covariate.default)
        if value is None:
            raise CovariateError(
                f"dataset {card.name!r} needs {covariate.name} ({covariate.doc}) with the image. "
                f"Give {covariate.name}=…, {covariate.expected}."
            )
        number = covariate.number(value) if isinstance(value, str) else float(value)
        number *= ratio if covariate.per_pixel else 1.0
        if not covariate.allows(number):
            raise covariate.refusal(value)
        values.append(math.log(number) if covariate.log else number)
    return np.asarray(values, dtype=np.float32)


def _channels_first(image: Decoded, card: Card) -> NDArray[np.float32]:
    pixels = np.asarray(image.pixels, dtype=np.float32)
    axes = len(card.shape)
    if pixels.ndim == axes:
        pixels = pixels[None]
    if pixels.ndim != axes + 1 or pixels.shape[0] != card.channels:
        raise DecodeError(
            f"expected an image with {axes} axes and {card.channels} channel(s), "
            f"found shape {image.pixels.shape}"
        )
    if min(pixels.shape[-len(card.frame_shape) :]) < SMALLEST_AXIS or not pixels.shape[1]:
        raise DecodeError(f"the image is too small: {pixels.shape[1:]} pixels")
    return pixels


def _check_filled(pixels: NDArray[np.float32]) -> None:
    low, high = float(pixels.min()), float(pixels.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise DecodeError("the image holds values that are not finite")
    if low == high:
        raise DecodeError(f"the image is empty: every pixel is {low:g}")


def _resample_axis(
    pixels: NDArray[np.float32], axis: int, size: int, step: float, fill: float
) -> NDArray[np.float32]:
    if pixels.shape[axis] == size and step == 1.0:
        return pixels
    weights = _axis_weights(pixels.shape[axis], size, step)
    moved = np.moveaxis(pixels - fill if fill else pixels, axis, -1) @ weights.T
    return np.moveaxis(moved + fill if fill else moved, -1, axis)


@functools.lru_cache(maxsize=64)
def _axis_weights(old: int, new: int, step: float) -> NDArray[np.float32]:
    """``(new, old)``: overlap of each new pixel with the old ones, both centred on each other.

    The window is as wide as the new pixel but never narrower than an old one: the mean over an
    area when shrinking, linear interpolation when enlarging.
    """
    centre = (np.arange(new) + 0.5 - new / 2) * step + old / 2
    inside = (centre > 0) & (centre < old) | (step >= 1)
    if step < 1:  # the outermost half pixels repeat the edge instead of fading into the fill
        centre = np.clip(centre, 0.5, old - 0.5)
    half = max(step, 1.0) / 2
    cell = np.arange(old)
    low = np.maximum(centre[:, None] - half, cell)
    high = np.minimum(centre[:, None] + half, cell + 1)
    overlap = np.clip(high - low, 0, None) * inside[:, None]
    return (overlap / (2 * half)).astype(np.float32)


def _normalised(pixels: NDArray[np.float32], card: Card) -> NDArray[np.float32]:
    if card.intensity == "stored":
        _check_fits(pixels, card)
        return pixels
    if card.intensity == "range":  # done on the file's own pixels
        return pixels
    foreground = pixels[pixels > 0]
    if foreground.size == 0:
        raise DecodeError("the image is empty: no value above zero")
    return pixels * np.float32(FOREGROUND_LEVEL[card.dtype] / np.percentile(foreground, 99))


def _check_fits(pixels: NDArray[np.float32], card: Card) -> None:
    """Refuse to cut grey values off where they are to be kept as they are."""
    low, high = float(pixels.min()), float(pixels.max())
    # half a grey value of room for rounding
    if card.dtype == "uint8" and (low < -0.5 or high > 255.5):
        raise DecodeError(
            f"grey values from {low:g} to {high:g} do not fit into 8 bits: the card keeps them as "
            "they are; it should have the intensity 'range' or the dtype 'float16'"
        )


def _stretched(pixels: NDArray[np.float32], full: float) -> NDArray[np.float32]:
    """The 1st to 99th percentile as 0 to full scale; what lies outside is clipped."""
    low, high = np.percentile(pixels, (1, 99))
    if not low < high:
        raise DecodeError(f"the image is empty: nearly every pixel is {low:g}")
    return np.clip((pixels - np.float32(low)) * np.float32(full / (high - low)), 0, full)


def to_float(stored: Array, card: Card) -> NDArray[np.float32]:
    """Stored values as the model's input: ``(stored - offset) * gain``, float32."""
    return (stored.astype(np.float32) - np.float32(card.offset)) * np.float32(card.gain)
