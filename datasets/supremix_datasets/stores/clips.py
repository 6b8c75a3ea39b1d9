"""Clips of videos: which frames the model sees, in training and when it is evaluated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Array


def clip_extent(card: Card) -> int:
    """Number of consecutive frames of a video that one clip reaches over."""
    return (card.shape[0] - 1) * (card.period or 1) + 1


def start_count(lengths: NDArray[np.int64], card: Card) -> NDArray[np.int64]:
    """How many first frames a clip can have in videos of so many frames, ``(N,)``, at least 1."""
    return np.maximum(lengths - clip_extent(card) + 1, 1)


def clip_step(card: Card, *, thorough: bool) -> int | None:
    """Distance of the starts of two clips: an eighth of a clip's extent, or None for a whole."""
    return max(clip_extent(card) // 8, 1) if thorough else None


def covering_starts(length: int, card: Card, step: int | None = None) -> list[int]:
    """First frames of clips, evenly spread, that together show the whole of a video.

    Args:
        length: Number of its frames, at least 1.
        card: A card with a period.
        step: Largest distance of two starts in frames; None for the extent of a clip, the
            fewest clips that leave nothing out.
    """
    last = max(length - clip_extent(card), 0)
    count = -(-last // (step or clip_extent(card))) + 1
    return [round(last * k / max(count - 1, 1)) for k in range(count)]


def clip_frames(
    start: int | NDArray[np.int64], length: int | NDArray[np.int64], card: Card
) -> NDArray[np.int64]:
    """The frames of a clip within its video, ``(shape[0],)``.

    A clip longer than the video stays on the last frame. Columns ``(B, 1)`` of starts and lengths
    give the frames of B clips, ``(B, shape[0])``.
    """
    frames = start + np.arange(card.shape[0], dtype=np.int64) * (card.period or 1)
    return np.minimum(frames, length - 1)


def take_clip(video: Array, start: int, card: Card) -> Array:
    """One clip ``(channels, frames, H, W)`` of a presented video ``(T, channels, H, W)``."""
    return np.moveaxis(video[clip_frames(start, len(video), card)], 0, 1)
