from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supremix_datasets import Augmentation, Card, get
from supremix_datasets.checks.contact_sheet import HEIGHT, LINE, picture, write_sheet

HC18 = get("hc18").card
BRAIN = get("ukb-t1").card.with_shape((8, 10, 12))
VIDEO = replace(
    HC18, shape=(8, 16, 20), period=2, covariates=(), augmentation=Augmentation(), name="video"
)
RNG = np.random.default_rng(0)


def test_stored_grey_values_are_shown_as_they_are() -> None:
    pixels = RNG.integers(0, 255, (1, 16, 20), dtype=np.uint8)
    np.testing.assert_array_equal(picture(pixels, HC18), pixels[0])


def test_colour_stays_colour() -> None:
    pixels = RNG.integers(0, 255, (3, 16, 20), dtype=np.uint8)
    shown = picture(pixels, replace(HC18, channels=3))
    np.testing.assert_array_equal(shown, np.moveaxis(pixels, 0, -1))


def test_a_volume_is_shown_from_three_sides_with_its_top_up() -> None:
    volume = np.zeros((1, 8, 10, 12), np.uint8)
    volume[0, :, :, 11] = 200  # the top
    shown = picture(volume, BRAIN)
    assert shown.shape == (12, 8 + 10 + 8)
    front, left, above = shown[:, :8], shown[:, 8:18], shown[:, 18:]
    for part in (front, left):
        assert (part[0] > 0).all()
        assert not part[1:].any()
    assert not above.any()


def test_right_is_right_and_front_is_up_when_seen_from_above() -> None:
    volume = np.zeros((1, 8, 10, 12), np.uint8)
    volume[0, 7, 9, 6] = 200  # right and in front, in the middle slice
    above = picture(volume, BRAIN)[1:11, 18:]
    assert np.argwhere(above > 0).tolist() == [[0, 7]]


def test_brightness_without_a_scale_is_stretched() -> None:
    volume = RNG.random((1, 8, 10, 12)).astype(np.float16)
    card = replace(BRAIN, dtype="float16")
    np.testing.assert_array_equal(picture(volume, card), picture(volume * 4, card))
    assert picture(volume, card).max() == 255
    assert picture(np.ones_like(volume), card).max() == 0


@pytest.mark.parametrize(("frames", "shown"), [(1, 1), (3, 3), (100, 5)])
def test_of_a_video_some_frames_of_the_first_clip_are_shown(frames: int, shown: int) -> None:
    pixels = (
        np.zeros((frames, 1, 16, 20), np.uint8)
        + np.arange(frames, dtype=np.uint8)[:, None, None, None]
    )
    seen = picture(pixels, VIDEO)
    assert seen.shape == (16, 20 * shown)
    # a clip of 8 frames at period 2 takes 16 frames
    assert seen.max() == min(frames, 16) - 1


@pytest.mark.parametrize("count", [1, 2, 5, 12])
@pytest.mark.parametrize("shape", [(16, 20), (40, 20), (30, 300), (16, 20, 3)])
def test_a_sheet_holds_every_picture(tmp_path: Path, count: int, shape: tuple[int, ...]) -> None:
    pictures = [np.full(shape, 255 * (n % 2), np.uint8) for n in range(count)]
    write_sheet(tmp_path / "a.png", pictures, [f"{n} mm" for n in range(count)])
    with Image.open(tmp_path / "a.png") as sheet:
        sheet.load()
        assert sheet.width <= 1600
        assert sheet.height % (HEIGHT + LINE + 6) == 6
        black = np.asarray(sheet.convert("L"))
    panel = HEIGHT * max(1, round(HEIGHT * shape[1] / shape[0]))
    assert (black == 0).sum() >= (count + 1) // 2 * panel


def test_nothing_but_pixels_is_in_the_file(tmp_path: Path) -> None:
    card: Card = HC18
    pixels = RNG.integers(0, 255, (1, 16, 20), dtype=np.uint8)
    write_sheet(tmp_path / "a.png", [picture(pixels, card)], ["3 mm"])
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.info == {}
