from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from supremix_datasets import Augmentation, Augmenter, Card, CardError, Decoded, get, present
from supremix_datasets.stores.clips import (
    clip_extent,
    clip_frames,
    clip_step,
    covering_starts,
    start_count,
    take_clip,
)
from supremix_datasets.stores.conform import to_float


def video_card(**changes: Any) -> Card:
    card = replace(
        get("hc18").card,
        name="video",
        covariates=(),
        augmentation=Augmentation(),
        shape=(8, 16, 12),
        period=2,
    )
    return replace(card, **changes)


def test_a_clip_takes_every_period_th_frame() -> None:
    card = video_card()
    assert clip_extent(card) == 15
    assert clip_frames(3, 40, card).tolist() == [3, 5, 7, 9, 11, 13, 15, 17]


def test_a_clip_longer_than_the_video_stays_on_the_last_frame() -> None:
    card = video_card()
    assert clip_frames(0, 5, card).tolist() == [0, 2, 4, 4, 4, 4, 4, 4]
    assert covering_starts(5, card) == [0]
    assert start_count(np.array([5, 15, 16, 40]), card).tolist() == [1, 1, 2, 26]


@pytest.mark.parametrize("length", [1, 14, 15, 16, 29, 30, 31, 60, 177])
@pytest.mark.parametrize("thorough", [False, True])
def test_clips_of_the_judgement_leave_no_part_out(length: int, thorough: bool) -> None:
    card = video_card()
    starts = covering_starts(length, card, clip_step(card, thorough=thorough))
    extent = clip_extent(card)
    shown = np.zeros(length, dtype=bool)
    for start in starts:
        assert 0 <= start < max(start_count(np.array([length]), card)[0], 1)
        shown[start : start + extent] = True
    assert shown.all()
    assert len(set(starts)) == len(starts)


def test_more_clips_when_it_counts() -> None:
    card = video_card()
    assert len(covering_starts(60, card, clip_step(card, thorough=True))) > len(
        covering_starts(60, card)
    )


def test_frames_are_fitted_one_by_one_and_time_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    video = rng.integers(0, 255, (5, 32, 24), dtype=np.uint8)
    shown = present(video_card(), Decoded(video), {}).pixels
    assert shown.shape == (5, 1, 16, 12)
    still = replace(video_card(), shape=(16, 12), period=None)
    for frame, expected in zip(shown, video, strict=True):
        np.testing.assert_array_equal(frame, present(still, expected, {}).pixels)


def test_take_clip_puts_channels_first() -> None:
    video = np.arange(20 * 16 * 12, dtype=np.int64).reshape(20, 1, 16, 12)
    clip = take_clip(video, 1, video_card())
    assert clip.shape == (1, 8, 16, 12)
    np.testing.assert_array_equal(clip[0], video[1:16:2, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"period": 0}, "period must be >= 1"),
        ({"shape": (16, 12)}, r"a video needs shape \(frames, H, W\)"),
        ({"spacing": (1.0, 1.0, 1.0)}, "a video has no spacing"),
        ({"augmentation": Augmentation(flip_axes=(0,))}, "must not hold axis 0"),
    ],
)
def test_a_video_card_is_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CardError, match=message):
        video_card(**changes)


def test_all_frames_of_a_clip_are_moved_and_lit_alike() -> None:
    policy = Augmentation(
        rotation_deg=20, translate=0.1, scale=0.2, flip_axes=(2,), gamma=0.3, gain=0.3
    )
    card = video_card(augmentation=policy)
    frame = torch.rand(1, 1, 1, 16, 12)
    clips = (frame * 200).expand(3, 1, 8, 16, 12)
    augmenter = Augmenter.of(card)
    drawn = augmenter.draw(3, torch.Generator().manual_seed(1))
    moved = augmenter.apply(clips, drawn)
    assert moved.shape == clips.shape
    torch.testing.assert_close(moved, moved[:, :, :1].expand_as(moved))
    single = Augmenter.of(
        replace(card, shape=(16, 12), period=None, augmentation=replace(policy, flip_axes=(1,)))
    )
    torch.testing.assert_close(moved[:, :, 0], single.apply(clips[:, :, 0], drawn))


def test_the_range_is_stretched_to_full_scale() -> None:
    card = replace(get("hc18").card, intensity="range", shape=(20, 20), covariates=())
    rng = np.random.default_rng(1)
    picture = rng.normal(1000, 50, (20, 20)).astype(np.float32)
    shown = present(card, picture, {}).pixels
    low, high = np.percentile(picture, (1, 99))
    expected = np.clip((picture - low) / (high - low), 0, 1) * 255
    np.testing.assert_allclose(shown[0], expected, atol=0.51)
    again = present(card, picture * 3 + 77, {}).pixels
    np.testing.assert_allclose(shown.astype(int), again.astype(int), atol=1)
    assert to_float(shown, card).dtype == np.float32
