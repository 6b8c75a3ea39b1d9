"""Contact sheets: what a model will be shown, as one PNG that a patient can look over.

No name of a file or a patient is on it, the label alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from supremix_datasets.cards.card import Card

Picture = NDArray[np.uint8]
"""``(H, W)`` grey or ``(H, W, 3)`` colour."""

HEIGHT = 144
"""Height of one picture on a sheet in pixels."""

FRAMES = 5
GAP = 6
LINE = 18
WIDEST = 1500
BRIGHTEST = 99.5
"""Percentile that becomes white where grey values have no fixed scale."""


def picture(pixels: NDArray[Any], card: Card) -> Picture:
    """One prepared image as something flat.

    Of a volume the three slices through its middle, side by side: from the front, from the left,
    from above. Of a video some frames of its first clip. Of several sequences each, side by side.

    Args:
        pixels: As :func:`present` gives them: ``(channels, *shape)``, of a video
            ``(T, channels, H, W)``.
        card: The card they were prepared by.

    Returns:
        ``(H, W)`` or, for three channels, ``(H, W, 3)``.
    """
    if len(card.sequences) > 1:
        one = dataclasses.replace(card, sequences=(), channels=1)
        return _side_by_side([picture(channel[None], one) for channel in pixels])
    grey = _levels(pixels, card)
    if card.period is not None:
        clip = min(len(grey), card.shape[0] * card.period)
        chosen = np.linspace(0, clip - 1, min(FRAMES, clip)).round().astype(int)
        return _side_by_side([_flat(grey[frame]) for frame in chosen])
    if len(card.shape) == 2:
        return _flat(grey)
    volume = grey[0]
    x, y, z = (n // 2 for n in volume.shape)
    # right, anterior, superior: the last axis of each slice goes up
    return _side_by_side([part.T[::-1] for part in (volume[:, y], volume[x], volume[:, :, z])])


def write_sheet(path: Path, pictures: Sequence[Picture], captions: Sequence[str]) -> None:
    """Write pictures in a grid, each with its caption below.

    Args:
        path: Path of the PNG in an existing folder.
        pictures: Pictures in the order of the grid, at least one.
        captions: Text below each picture, as many as pictures.
    """
    panels = [_panel(one) for one in pictures]
    width, height = max(panel.width for panel in panels), HEIGHT + LINE
    # About as wide as high, a little wider.
    square = round((len(panels) * 1.5 * height / width) ** 0.5)
    columns = max(1, min(len(panels), WIDEST // (width + GAP), square))
    rows = -(-len(panels) // columns)
    size = columns * (width + GAP) + GAP, rows * (height + GAP) + GAP
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for index, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        row, column = divmod(index, columns)
        left, top = GAP + column * (width + GAP), GAP + row * (height + GAP)
        sheet.paste(panel, (left, top))
        draw.text((left, top + HEIGHT + 1), caption, fill="black", font=font)
    sheet.save(path)


def _levels(pixels: NDArray[Any], card: Card) -> Picture:
    values = pixels.astype(np.float32)
    if card.dtype == "uint8" and card.intensity != "foreground":
        return values.astype(np.uint8)
    low, high = float(values.min()), float(np.percentile(values, BRIGHTEST))
    high = high if high > low else float(values.max())
    scale = 255 / (high - low) if high > low else 0.0
    return np.clip((values - low) * scale, 0, 255).astype(np.uint8)


def _flat(channels: Picture) -> Picture:
    """``(channels, H, W)`` as grey, or as colour where there are three channels."""
    return np.moveaxis(channels, 0, -1) if len(channels) == 3 else channels[0]


def _side_by_side(parts: Sequence[Picture]) -> Picture:
    """Pictures of any height side by side, centred."""
    height = max(part.shape[0] for part in parts)
    padded: list[Picture] = []
    for part in parts:
        rows = height - part.shape[0]
        sides: list[tuple[int, int]] = [(rows // 2, rows - rows // 2), *[(0, 0)] * (part.ndim - 1)]
        padded.append(np.pad(part, sides))
    return np.concatenate(padded, axis=1)


def _panel(one: Picture) -> Image.Image:
    image = Image.fromarray(one)
    width = max(1, round(image.width * HEIGHT / image.height))
    return image.resize((min(width, WIDEST - 2 * GAP), HEIGHT), Image.Resampling.BILINEAR)
