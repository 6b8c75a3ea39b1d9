"""Images unlike those of the training: Mahalanobis distances of features and of intensities.

Lee et al. 2018 (A simple unified framework for detecting out-of-distribution samples), with one
normal distribution, as a regression has no classes, whose covariance is shrunk (Ledoit and Wolf
2004), so that there may be fewer images than features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
"""Percentiles of an image's pixels that make its intensity profile."""

LEVEL = 0.99
"""Share of images like those of the training that is to lie within the limit."""

_PIXELS = 65536
"""Pixels of an image that its profile is made of, about; they are evenly spread."""
_FLOOR = 1e-6
"""Least variance of a direction, as a share of the largest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceDistribution:
    """Distances from a distribution of vectors, in units of its limit.

    Args:
        mean: (D,) mean of the training images' vectors.
        whitening: (D, D) matrix; the distance of x is the length of (x - mean) @ whitening.
    """

    mean: Tensor
    whitening: Tensor

    @classmethod
    def fit(cls, training: NDArray[Any], held_out: NDArray[Any]) -> ReferenceDistribution:
        """Fit to the vectors of training images (N, D); the limit is that of held-out ones (M, D).

        The limit is the ceil(0.99 (M + 1))-th smallest distance of the held-out images, or the
        largest: a new image of the same kind lies above it with probability `share_above(M)`.
        """
        values = np.asarray(training, dtype=np.float64)
        variances, axes = np.linalg.eigh(shrunk_covariance(values))
        variances = np.maximum(variances, _FLOOR * max(float(variances.max()), _FLOOR))
        whitening, mean = axes / np.sqrt(variances), values.mean(0)
        far = np.sort(np.linalg.norm((np.asarray(held_out) - mean) @ whitening, axis=1))
        # A little more, lest the image that gives the limit is above it by rounding.
        limit = max(float(far[_rank(len(far)) - 1]), _FLOOR) * (1 + 1e-4)
        return cls(
            mean=torch.from_numpy(mean).float(),
            whitening=torch.from_numpy(whitening / limit).float(),
        )

    def distances(self, vectors: Tensor) -> NDArray[np.float64]:
        """The distances (B,) of vectors (B, D); above 1 they are beyond the limit."""
        values = vectors.double().cpu() - self.mean.double()
        return torch.linalg.vector_norm(values @ self.whitening.double(), dim=1).numpy()


def share_above(held_out: int) -> float:
    """Probability that an image like the held-out ones is above the limit of so many."""
    return 1 - _rank(held_out) / (held_out + 1)


def _rank(held_out: int) -> int:
    return min(math.ceil(LEVEL * (held_out + 1)), held_out)


def shrunk_covariance(values: Array) -> Array:
    """The covariance (D, D) of vectors (N, D), shrunk to a multiple of the identity."""
    count, width = values.shape
    centred = values - values.mean(0)
    sample = centred.T @ centred / count
    mean = np.trace(sample) / width
    distance = float(((sample - mean * np.eye(width)) ** 2).sum())
    spread = float((centred**2).sum(1) @ (centred**2).sum(1)) / count - float((sample**2).sum())
    share = min(spread / count / distance, 1.0) if distance > 0 else 1.0
    return (1 - share) * sample + share * mean * np.eye(width)


def intensity_profile(images: Tensor) -> Tensor:
    """Percentiles (B, 7) of the values of images (B, C, *shape), as the network sees them."""
    values = images.flatten(1)
    values = values[:, :: max(values.shape[1] // _PIXELS, 1)].sort(1).values
    last = values.shape[1] - 1
    return values[:, [round(percentile / 100 * last) for percentile in PERCENTILES]]
