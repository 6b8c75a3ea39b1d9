"""Measures of a representation of continuous labels, on frozen features.

All are of features (N, F) as the head sees them, in Euclidean distance, and none changes when the
features are shifted, scaled or rotated: a linear head would undo that as well. Memory is O(N²).
docs/measures.md says how each is read.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supremix.losses import RnCLoss
from supremix.losses.common.labels import label_gaps, rounding_of

# Temperatures, as shares of the mean distance; outside of them the loss only grows.
_TEMPERATURES = tuple(2.0**-k for k in range(-1, 11))


def ordinality(features: Tensor, labels: Tensor) -> float:
    """Spearman's correlation of the distances in label with those of the features.

    Over all pairs i < j; the same as that of -|y_i - y_j| with the similarity -|v_i - v_j|.

    Args:
        features: (N, F), any float type; computed in float64.
        labels: (N,), in any unit.

    Returns:
        1: the farther in label, the farther in the features; 0: no relation. NaN where there are
        fewer than three samples, or all labels or all features are equal.
    """
    if len(labels) < 3:
        return math.nan
    upper = torch.triu_indices(len(labels), len(labels), offset=1)
    far = distances(features, features)[upper[0], upper[1]]
    apart = label_gaps(labels, 0, len(labels))[upper[0], upper[1]]
    # Not at the top: every worker would wait most of a second for what two epochs use.
    from scipy.stats import rankdata

    ranks = [cast("NDArray[Any]", rankdata(x.numpy())) for x in (far, apart)]
    a, b = (rank - rank.mean() for rank in ranks)
    spread = float(a @ a) * float(b @ b)
    return float(a @ b) / math.sqrt(spread) if spread > 0 else math.nan


def rnc_bound(labels: Tensor) -> float:
    """The lower bound of the Rank-N-Contrast loss (Zha et al. 2023, theorem 1), in nats.

    With n_im the number of samples at the m-th distinct distance in label from sample i,
    1 / (N (N - 1)) Σ_i Σ_m n_im log n_im: samples that are equally far in label are not
    ordered, and nothing else is lost. 0 where no two are equally far.
    """
    count = len(labels)
    if count < 2:
        return 0.0
    gaps = label_gaps(labels, 0, count)
    gaps.diagonal().fill_(-1)
    gaps = gaps.sort(1).values[:, 1:]
    limit = rounding_of(labels) * labels.double().abs().max()
    # Each run of equal distances is numbered, over all rows.
    starts = torch.ones_like(gaps, dtype=torch.bool)
    starts[:, 1:] = gaps[:, 1:] - gaps[:, :-1] > limit
    sizes = torch.bincount(starts.flatten().cumsum(0)).double()
    return float(torch.xlogy(sizes, sizes).sum()) / (count * (count - 1))


def rnc_excess(features: Tensor, labels: Tensor) -> tuple[float, float]:
    """How far the Rank-N-Contrast loss lies above its lower bound, in nats.

    The loss depends on the scale of the features, which means nothing here; it is taken at the
    best of several temperatures, from 2 times to 1/1024 of the mean distance of two samples.

    Args:
        features: (N, F).
        labels: (N,).

    Returns:
        The excess, at least 0 (features in perfect order), and that of features that are all
        equal, which is what features without any order come close to. NaN for N < 3.
    """
    if len(labels) < 3:
        return math.nan, math.nan
    v, bound = features.double() - features.double().mean(0), rnc_bound(labels)
    scale = float(distances(v, v).mean()) * len(v) / (len(v) - 1)
    flat = float(RnCLoss()(torch.zeros_like(v), labels)) - bound
    if scale == 0:
        return flat, flat
    best = min(float(RnCLoss(temperature=scale * t)(v, labels)) for t in _TEMPERATURES)
    return max(min(best - bound, flat), 0.0), flat


def knn_mae(
    known: Tensor, known_labels: Tensor, features: Tensor, labels: Tensor, *, neighbours: int = 5
) -> float:
    """Mean absolute error of the mean label of the nearest known samples, in the labels' unit.

    Args:
        known: (K, F) features of samples whose labels (K,) may be used.
        known_labels: (K,).
        features: (N, F).
        labels: (N,).
        neighbours: Number of them; all known ones where there are fewer.
    """
    if not len(known) or not len(labels):
        return math.nan
    near = distances(features, known).sort(dim=1, stable=True).indices[:, :neighbours]
    return float((known_labels.double()[near].mean(1) - labels.double()).abs().mean())


def chord_residual(
    features: Tensor,
    labels: Tensor,
    *,
    window: float,
    generator: torch.Generator,
    triples: int = 4096,
) -> float:
    """How far features lie from the chord of two neighbours, one on either side in label.

    For y_i < y_j < y_k with both gaps below the window, r = v_j - (a v_i + (1 - a) v_k) with
    a = (y_k - y_j) / (y_k - y_i). Were features independent of labels, the expectation of |r|²
    would be (1 + a² + (1 - a)²) σ², σ² their total variance: the square root of the ratio of the
    two sums, over triples drawn at random, is returned.

    Args:
        features: (N, F).
        labels: (N,).
        window: in the labels' unit, above 0.
        generator: Source of the triples.
        triples: number of triples.

    Returns:
        0: locally linear in the label, so that Mix-pos makes true samples; 1: no better than
        chance. NaN where no triple exists, or all features are equal.
    """
    order = labels.double().sort(stable=True)
    y, v = order.values, features.double()[order.indices]
    variance = float((v - v.mean(0)).square().sum(1).mean())
    i, j, k = _triples(y, window, generator, triples)
    if not len(j) or variance <= 0:
        return math.nan
    a = ((y[k] - y[j]) / (y[k] - y[i])).unsqueeze(1)
    off = (v[j] - a * v[i] - (1 - a) * v[k]).square().sum()
    chance = variance * (1 + a.square() + (1 - a).square()).sum()
    return math.sqrt(float(off / chance))


def _triples(
    y: Tensor, window: float, generator: torch.Generator, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Indices (T,) in sorted labels of triples with labels below, at and above, in the window."""
    reach = torch.stack((y - window, y + window))
    first = torch.searchsorted(y, reach[0], right=True)
    below, above = torch.searchsorted(y, y), torch.searchsorted(y, y, right=True)
    last = torch.searchsorted(y, reach[1])
    middle = torch.nonzero((first < below) & (above < last)).flatten()
    if not len(middle):
        return middle, middle, middle
    uniform = torch.rand(3, count, generator=generator, dtype=torch.float64)
    j = middle[(uniform[0] * len(middle)).long()]
    i = first[j] + (uniform[1] * (below[j] - first[j])).long()
    k = above[j] + (uniform[2] * (last[j] - above[j])).long()
    return i, j, k


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (N, K) of rows (N, F) and (K, F), in float64."""
    # Centred first: the difference of large squares would lose what is between them.
    middle = a.double().mean(0)
    x, y = a.double() - middle, b.double() - middle
    square = x.square().sum(1, keepdim=True) + y.square().sum(1) - 2 * x @ y.T
    result = square.clamp_(min=0).sqrt_()
    if a is b:
        result.fill_diagonal_(0)
    return result


def sample(count: int, most: int, generator: torch.Generator) -> NDArray[np.int64]:
    """At most `most` of the indices 0 ... count - 1, drawn without replacement, in order."""
    if count <= most:
        return np.arange(count)
    return np.sort(torch.randperm(count, generator=generator)[:most].numpy())
