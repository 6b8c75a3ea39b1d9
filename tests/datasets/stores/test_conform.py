from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from supremix_datasets import CovariateError, Decoded, DecodeError, conform, get, present
from supremix_datasets.stores.conform import pixel_ratio

HC18 = get("hc18").card
FLOAT = replace(HC18, dtype="float16", shape=(8, 12))
BRAIN = get("ukb-t1").card_for(phantom=True)


def brute_force(image: NDArray[Any], shape: tuple[int, int], step: float) -> NDArray[np.float64]:
    """The mean over each new pixel, by a fine subdivision of both grids."""
    fine = 5  # borders of old pixels fall on borders of the subdivision: exact
    out = np.zeros(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            for a in range(fine):
                for b in range(fine):
                    y = (i + (a + 0.5) / fine - shape[0] / 2) * step + image.shape[0] / 2
                    x = (j + (b + 0.5) / fine - shape[1] / 2) * step + image.shape[1] / 2
                    if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
                        out[i, j] += image[int(y), int(x)] / fine**2
    return out


def test_shrinking_is_the_mean_over_the_area() -> None:
    image = np.random.default_rng(0).random((20, 26))
    step = max(20 / 8, 26 / 12)
    wanted = brute_force(image, (8, 12), step)
    assert np.abs(conform(image, FLOAT)[0] - wanted).max() < 1e-3


def test_halving_is_the_block_mean() -> None:
    image = np.random.default_rng(0).integers(0, 50, (16, 24)).astype(float)
    blocks = image.reshape(8, 2, 12, 2).mean((1, 3))
    np.testing.assert_array_equal(conform(image, FLOAT)[0], blocks.astype(np.float16))


def test_the_same_grid_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 255, HC18.shape, dtype=np.uint8)
    np.testing.assert_array_equal(conform(image, HC18)[0], image)


def test_enlarging_interpolates_linearly() -> None:
    card = replace(FLOAT, shape=(16, 24))
    ramp = np.tile(np.arange(12.0), (8, 1))
    row = conform(ramp, card)[0][8].astype(float)
    np.testing.assert_allclose(np.diff(row)[1:-1], 0.5, atol=1e-2)


def test_the_aspect_is_kept_and_the_rest_filled() -> None:
    image = np.full((40, 40), 100, dtype=np.uint8)
    image[0, 0] = 101  # or it would count as empty
    out = conform(image, HC18)[0]
    assert (out[4:, 32:-32] == 100).all()
    assert (out[:, :32] == 0).all()
    assert (out[:, -32:] == 0).all()


def test_a_fill_other_than_zero() -> None:
    image = np.full((40, 40), 100.0)
    image[0, 0] = 90
    out = conform(image, replace(HC18, fill=7.0))[0]
    assert (out[:, 0] == 7).all()
    assert (out[4:, 96] == 100).all()


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_the_pixel_size_follows_the_grid(factor: int) -> None:
    """The size in mm of the whole grid is that of the image, whatever its resolution."""
    image = np.random.default_rng(0).random((100 * factor, 150 * factor))
    out = present(HC18, image, {"pixel_size": 0.6 / factor})
    assert float(np.exp(out.covariates[0])) * HC18.shape[0] == pytest.approx(0.6 * 100)


def test_one_scan_at_two_resolutions_is_the_same_input() -> None:
    coarse = np.random.default_rng(1).integers(0, 255, (128, 192)).astype(np.uint8)
    fine = coarse.repeat(2, 0).repeat(2, 1)
    one, two = (present(HC18, i, {"pixel_size": p}) for i, p in ((coarse, 0.4), (fine, 0.2)))
    np.testing.assert_array_equal(one.pixels, two.pixels)
    np.testing.assert_allclose(one.covariates, two.covariates, rtol=1e-6)


def test_physical_spacing_is_kept_in_3d() -> None:
    """A cube of 60 mm is a cube of 60 mm whatever the voxels of the file."""
    counts: list[float] = []
    for spacing in ((2.0, 2.0, 2.0), (1.0, 2.0, 4.0)):
        n = [round(180 / s) for s in spacing]
        volume = np.full(n, 0.0)
        inner = tuple(slice(round(60 / s), round(120 / s)) for s in spacing)
        volume[inner] = 500
        out = conform(Decoded(volume, spacing), BRAIN)
        assert out.shape == (1, 30, 36, 30)
        counts.append(float(out.sum()) / 200 * 6**3)
    assert counts == pytest.approx([60**3] * 2, rel=0.02)


def test_grey_values_of_mri_are_scaled_to_the_foreground() -> None:
    volume = np.random.default_rng(0).random((30, 36, 30)) + 0.5
    one, two = (conform(Decoded(v, (6.0,) * 3), BRAIN) for v in (volume, volume * 1234))
    np.testing.assert_array_equal(one, two)
    assert np.percentile(one, 99) == pytest.approx(200, abs=1)


def test_a_bare_array_is_on_the_cards_grid() -> None:
    assert pixel_ratio(np.zeros(BRAIN.shape), BRAIN) == 1.0


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((40, 60)), "every pixel is 0"),
        (np.where(np.eye(40) > 0, np.nan, 1.0), "not finite"),
        (np.eye(4), "too small"),
        (np.zeros((3, 40, 60)), "2 axes and 1 channel"),
    ],
)
def test_what_is_no_image_is_refused(image: NDArray[Any], message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        conform(image, HC18)


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        ({}, r"needs pixel_size \(mm per pixel of the file\)"),
        ({"pixel_size": 0.1, "sex": 1}, r"found also \['sex'\]"),
        ({"pixel_size": 0.0}, "must be a positive number"),
        ({"pixel_size": float("nan")}, "must be a positive number"),
    ],
)
def test_covariates_are_checked(covariates: dict[str, float], message: str) -> None:
    with pytest.raises(CovariateError, match=message):
        present(HC18, np.eye(40), covariates)


def test_a_default_stands_in() -> None:
    volume = np.random.default_rng(0).random(BRAIN.shape)
    assert present(BRAIN, volume, {}).covariates.tolist() == [0.5]


def test_an_image_that_is_constant_after_resampling_is_refused() -> None:
    card = replace(HC18, shape=(8, 8))
    board = (np.indices((800, 800)).sum(axis=0) % 2 * 255).astype(np.uint8)
    with pytest.raises(DecodeError, match="empty on the card's grid"):
        conform(board, card)
