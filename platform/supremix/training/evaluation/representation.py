"""Measures of a representation of continuous labels, on frozen features.

All are of features (N, F) as the head sees them, in Euclidean distance, and none changes when the
features are shifted or scaled, nor, but for the probe for the site, when they are rotated: a linear
head would undo that as well. Memory is O(N²).
docs/measures.md says how each is read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    1 / (N (N - 1)) Σ_i Σ_m n_im log n_im: samples that are equally far in label cannot be told
    apart, and nothing else is lost. 0 where no two are equally far.
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
        neighbours: how many; all known ones where there are fewer.
    """
    if not len(known) or not len(labels):
        return math.nan
    near = distances(features, known).sort(dim=1, stable=True).indices[:, :neighbours]
    return float((known_labels.double()[near].mean(1) - labels.double()).abs().mean())


def chord_residual(
    features: Tensor, labels: Tensor, *, window: float, draws: torch.Generator, triples: int = 4096
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
        draws: generator the triples are drawn from.
        triples: number of triples.

    Returns:
        0: locally linear in the label, so that Mix-pos makes true samples; 1: no better than
        chance. NaN where no triple exists, or all features are equal.
    """
    order = labels.double().sort(stable=True)
    y, v = order.values, features.double()[order.indices]
    variance = float((v - v.mean(0)).square().sum(1).mean())
    i, j, k = _triples(y, window, draws, triples)
    if not len(j) or variance <= 0:
        return math.nan
    a = ((y[k] - y[j]) / (y[k] - y[i])).unsqueeze(1)
    off = (v[j] - a * v[i] - (1 - a) * v[k]).square().sum()
    chance = variance * (1 + a.square() + (1 - a).square()).sum()
    return math.sqrt(float(off / chance))


def _triples(
    y: Tensor, window: float, draws: torch.Generator, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Places (T,) in sorted labels of triples with labels below, at and above, in the window."""
    reach = torch.stack((y - window, y + window))
    first = torch.searchsorted(y, reach[0], right=True)
    below, above = torch.searchsorted(y, y), torch.searchsorted(y, y, right=True)
    last = torch.searchsorted(y, reach[1])
    middle = torch.nonzero((first < below) & (above < last)).flatten()
    if not len(middle):
        return middle, middle, middle
    uniform = torch.rand(3, count, generator=draws, dtype=torch.float64)
    j = middle[(uniform[0] * len(middle)).long()]
    i = first[j] + (uniform[1] * (below[j] - first[j])).long()
    k = above[j] + (uniform[2] * (last[j] - above[j])).long()
    return i, j, k


def site_leakage(
    features: Tensor,
    sites: Sequence[str | None],
    groups: Sequence[str],
    *,
    draws: torch.Generator,
    folds: int = 5,
) -> tuple[float, float]:
    """How well a linear probe on the features tells where a sample was acquired.

    A ridge classifier (one against all, sites weighted alike), judged on folds of groups it was
    not fitted to, by the mean over the sites of the share of their samples that it gets right.

    Args:
        features: (N, F).
        sites: (N,), None where unknown; those samples are left out, and sites
            with fewer groups than folds.
        groups: (N,), what must not be split: the patient.
        draws: generator the folds are drawn from.
        folds: number of folds.

    Returns:
        The balanced accuracy, and that of guessing, 1 / number of sites. NaN where fewer than two
        sites are left.
    """
    rows, site, fold = _dealt(sites, groups, draws, folds)
    number = int(site.max()) + 1 if len(site) else 0
    if number < 2:
        return math.nan, math.nan
    x = features.double()[rows]
    guess = torch.empty_like(site)
    for held in range(folds):
        out = fold == held
        guess[out] = classify(x[~out], site[~out], x[out], number)
    right = (guess == site).double()
    hits = torch.zeros(number, dtype=torch.float64).index_add_(0, site, right)
    return float((hits / torch.bincount(site, minlength=number)).mean()), 1 / number


def _dealt(
    sites: Sequence[str | None], groups: Sequence[str], draws: torch.Generator, folds: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows that take part, the number of their site, and their fold, each (n,)."""
    home: dict[str, str] = {}
    for group, site in zip(groups, sites, strict=True):
        if site is not None:
            # A group seen at several sites is dealt with its first one, and stays in one fold.
            home.setdefault(group, site)
    members: dict[str, list[str]] = {}
    for group, site in home.items():
        members.setdefault(site, []).append(group)
    kept = sorted(site for site, own in members.items() if len(own) >= folds)
    fold_of: dict[str, int] = {}
    for site in kept:
        shuffled = torch.randperm(len(members[site]), generator=draws).tolist()
        fold_of |= {members[site][k]: place % folds for place, k in enumerate(shuffled)}
    places = {site: number for number, site in enumerate(kept)}
    found = [
        (row, places[site], fold_of[group])
        for row, (site, group) in enumerate(zip(sites, groups, strict=True))
        if site in places and group in fold_of
    ]
    columns = torch.tensor(found, dtype=torch.int64).reshape(-1, 3).unbind(1)
    return columns[0], columns[1], columns[2]


def classify(
    known: Tensor, classes: Tensor, features: Tensor, number: int, *, alpha: float = 1.0
) -> Tensor:
    """Classes (N,) of features (N, F) by a ridge classifier, one against all.

    It solves min Σ_n w_n |t_n - x_n B - b|² + alpha |B|² for targets t of 1 for the own class and
    -1 for the others, x standardised, and weights w that give every class the same sum.

    Args:
        known: (K, F) features to fit.
        classes: (K,) their classes, 0 <= class < number.
        features: (N, F).
        number: of classes; one without a sample is never answered.
        alpha: strength of the penalty.
    """
    centre, spread = known.mean(0), known.std(0, correction=0)
    spread = torch.where(spread > 1e-9 * (1 + centre.abs()), spread, torch.inf)
    x, new = (known - centre) / spread, (features - centre) / spread
    counts = torch.bincount(classes, minlength=number)
    weight = (len(classes) / ((counts > 0).sum() * counts[classes])).unsqueeze(1)
    target = torch.nn.functional.one_hot(classes, number).double() * 2 - 1
    middle, mean = (weight * x).sum(0) / weight.sum(), (weight * target).sum(0) / weight.sum()
    left = (weight * (x - middle)).T @ (x - middle)
    left.diagonal().add_(alpha)
    solved = torch.linalg.solve(left, (weight * (x - middle)).T @ (target - mean))
    return ((new - middle) @ solved + mean).masked_fill(counts == 0, -torch.inf).argmax(1)


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


def sample(count: int, most: int, draws: torch.Generator) -> NDArray[np.int64]:
    """At most `most` of the places 0 ... count - 1, drawn without replacement, in order."""
    if count <= most:
        return np.arange(count)
    return np.sort(torch.randperm(count, generator=draws)[:most].numpy())
