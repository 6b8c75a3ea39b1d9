"""Distances from the training images, against scikit-learn and the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from supremix.training.evaluation.out_of_distribution import (
    LEVEL,
    PERCENTILES,
    ReferenceDistribution,
    intensity_profile,
    share_above,
    shrunk_covariance,
)

GENERATOR = np.random.default_rng(2)


@pytest.mark.parametrize(("count", "width"), [(200, 4), (12, 30), (2, 3)])
def test_the_shrunk_covariance_is_scikit_learns(count: int, width: int) -> None:
    values = GENERATOR.standard_normal((count, width)) * GENERATOR.uniform(0.1, 3, width)
    np.testing.assert_allclose(shrunk_covariance(values), LedoitWolf().fit(values).covariance_)


def test_distances_are_those_of_mahalanobis_in_units_of_the_limit() -> None:
    training, held_out, others = (GENERATOR.standard_normal((n, 5)) * 3 + 1 for n in (80, 30, 7))
    reference = LedoitWolf().fit(training)
    limit = math.sqrt(reference.mahalanobis(held_out).max())
    found = ReferenceDistribution.fit(training, held_out).distances(torch.from_numpy(others))
    np.testing.assert_allclose(found, np.sqrt(reference.mahalanobis(others)) / limit, rtol=1e-3)


def test_as_many_images_of_the_same_kind_are_above_the_limit_as_is_said() -> None:
    above = []
    for _ in range(200):
        training, held_out, others = (GENERATOR.standard_normal((n, 3)) for n in (50, 19, 200))
        distribution = ReferenceDistribution.fit(training, held_out)
        above.append(np.mean(distribution.distances(torch.from_numpy(others)) > 1))
    assert np.mean(above) == pytest.approx(share_above(19), abs=0.01)


@pytest.mark.parametrize(("held_out", "share"), [(19, 1 / 20), (99, 1 / 100), (1000, 10 / 1001)])
def test_the_share_above_is_that_of_the_rank(held_out: int, share: float) -> None:
    assert share_above(held_out) == pytest.approx(share)
    assert held_out < 99 or share_above(held_out) <= 1 - LEVEL + 1e-12


def test_features_that_never_vary_do_no_harm() -> None:
    constant = np.ones((20, 4))
    distances = ReferenceDistribution.fit(constant, constant).distances(
        torch.from_numpy(np.vstack([constant[:1], constant[:1] + 1]))
    )
    assert distances[0] == 0
    assert distances[1] > 1


def test_a_profile_is_the_percentiles_of_the_pixels() -> None:
    images = torch.from_numpy(GENERATOR.uniform(0, 9, (3, 2, 11, 13)))
    expected = np.percentile(images.flatten(1).numpy(), PERCENTILES, axis=1, method="nearest").T
    np.testing.assert_allclose(intensity_profile(images).numpy(), expected)


def test_of_a_large_image_evenly_spread_pixels_count() -> None:
    image = torch.arange(300_000.0).reshape(1, 1, 300, 1000)
    expected = np.percentile(image.numpy(), PERCENTILES)
    np.testing.assert_allclose(intensity_profile(image)[0].numpy(), expected, rtol=0.01)
