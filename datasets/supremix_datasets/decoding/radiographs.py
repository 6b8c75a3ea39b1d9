# scipy carries few types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false
"""Radiographs to grey values with bone bright on dark, whichever way they were stored."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SMALL = 160
"""Pictures are averaged down until their longer side has between this and twice as many pixels."""

DETAIL, NEIGHBOURHOOD = 0.035, 0.25
"""Sides, in parts of the longer side, of the square over which the strength of edges is averaged,
and of a neighbourhood: a finger with the air on both sides of it."""

MARGIN = 0.2
"""Width of the margin in which the hand is not looked for, in parts of each side."""


def is_inverted(pixels: NDArray[Any]) -> bool:
    """Whether a radiograph shows bone dark on bright.

    Tissue is full of detail (the outlines of bones and of fingers), air is smooth, and in the usual
    rendering air is the darker of the two. So the sign of the covariance of detail and brightness
    is taken in the neighbourhood of every pixel; the picture is inverted where it is negative for
    most of those pixels of the middle that have more detail than the median: most of the hand.

    How bright the edge of the picture is decides nothing. It often lies outside the collimated
    field, and may be black, grey or white there. The square root keeps letters and frames, which
    are few but strong, from outweighing the hand.

    Args:
        pixels: ``(H, W)`` grey values.
    """
    level = _small(pixels)
    side = max(level.shape)
    edges = np.sqrt(ndimage.gaussian_gradient_magnitude(level, side / 200))
    detail = ndimage.uniform_filter(edges, max(3, round(DETAIL * side)))
    near = functools.partial(ndimage.uniform_filter, size=max(3, round(NEIGHBOURHOOD * side)))
    covariance = near(level * detail) - near(level) * near(detail)
    middle = tuple(slice(int(MARGIN * n), n - int(MARGIN * n)) for n in level.shape)
    detailed = detail[middle] >= np.median(detail[middle])
    return bool(np.mean(covariance[middle][detailed] < 0) > 0.5)


def _small(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Means over square blocks, less their mean, so that products of them stay exact."""
    block = max(1, max(pixels.shape) // SMALL)
    rows, columns = (max(1, n // block) for n in pixels.shape)
    cut = pixels[: rows * block, : columns * block].astype(np.float64)
    means = cut.reshape(rows, -1, columns, cut.shape[1] // columns).mean((1, 3))
    return means - means.mean()


def upright_grey(pixels: NDArray[Any]) -> NDArray[Any]:
    """The picture with bone bright on dark: inverted where it is not.

    Files of more than 8 bits begin at any level; here their darkest value becomes 0, which is
    what a card pads with.

    Args:
        pixels: ``(H, W)`` grey values; anything else is returned for the card to refuse.

    Returns:
        ``(H, W)`` in the same dtype.
    """
    if pixels.ndim != 2 or pixels.size == 0:
        return pixels
    inverted = is_inverted(pixels)
    if pixels.dtype == np.uint8:
        return 255 - pixels if inverted else pixels
    return pixels.max() - pixels if inverted else pixels - pixels.min()
