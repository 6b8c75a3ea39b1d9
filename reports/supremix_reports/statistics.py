"""Measures of regression with bootstrap intervals over groups.

Samples of one group (the images of one patient) are not independent, so groups are drawn, not
samples (the cluster bootstrap; Field and Welsh 2007). Every measure here is a function of sums over
samples, so a resample costs one row of group sums, and the sums over parts add up exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from supremix_reports.errors import StatisticsError

Array = npt.NDArray[np.float64]

LEVEL: Final = 0.95
RESAMPLES: Final = 2000
_CHUNK: Final = 4_000_000  # indices drawn at once: 32 MB
_NARROW: Final = 8  # columns up to which sums are gathered one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A measure with its interval: `low <= value <= high` nearly always, `n` samples in `groups`.

    `low` and `high` are NaN where fewer than two groups leave nothing to draw from.
    """

    value: float
    low: float
    high: float
    n: int
    groups: int


def mae_interval(
    errors: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the mean absolute error with its percentile bootstrap interval over groups.

    Args:
        errors: (N,) differences of prediction and target; their sign does not matter.
        groups: (N,) group of each.
        level: probability the interval is to cover, between 0 and 1.
        resamples: number of bootstrap samples.
        seed: seed of the drawing; the same gives the same interval.

    Raises:
        StatisticsError: when there are no errors, one is not finite, or the lengths differ.
    """
    absolute = np.abs(_vector(errors, "errors"))
    sums, n = _group_sums(np.stack([np.ones_like(absolute), absolute], axis=1), groups)
    return _interval(sums, _mean, n=n, level=level, resamples=resamples, seed=seed)


def metric_interval(
    metric: str,
    target: npt.ArrayLike,
    prediction: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return a measure of predictions with its percentile bootstrap interval over groups.

    Args:
        metric: "mae", "rmse", "r2" or "pearson".
        target: (N,) true values.
        prediction: (N,) predicted values.
        groups: (N,) group of each.
        level: probability the interval is to cover, between 0 and 1.
        resamples: number of bootstrap samples; those in which the measure does not exist (a
            constant target has no R²) are left out.
        seed: seed of the drawing; the same for all measures draws the same groups.

    Returns:
        The measure; NaN where it does not exist.

    Raises:
        StatisticsError: for an unknown metric, no samples, values that are not finite, or lengths
            that differ.
    """
    if metric not in METRICS:
        raise StatisticsError(f"Unknown metric {metric!r}. Known: {', '.join(METRICS)}.")
    y, p = _vector(target, "target"), _vector(prediction, "prediction")
    if y.shape != p.shape:
        raise StatisticsError(f"{y.size} targets but {p.size} predictions; give one for each.")
    sums, n = _group_sums(_moments(y, p), groups)
    measure = METRICS[metric]
    return _interval(sums, measure, n=n, level=level, resamples=resamples, seed=seed)


def paired_difference(
    errors_a: npt.ArrayLike,
    errors_b: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return how much larger the MAE of A is than that of B on the same samples.

    The groups are drawn once for both, so what makes a sample hard for both does not widen the
    interval: it is the cluster bootstrap of the differences ``|a| - |b|``.

    Args:
        errors_a: (N,) differences of prediction and target of A; their sign does not matter.
        errors_b: (N,) those of B, of the same samples in the same order.
        groups: (N,) group of each sample.
        level: probability the interval is to cover, between 0 and 1.
        resamples: number of bootstrap samples.
        seed: seed of the drawing; the same gives the same interval.

    Returns:
        MAE of A less MAE of B; above 0 where B is better.

    Raises:
        StatisticsError: when there are no errors, one is not finite, or the lengths differ.
    """
    a, b = np.abs(_vector(errors_a, "errors_a")), np.abs(_vector(errors_b, "errors_b"))
    if a.shape != b.shape:
        raise StatisticsError(
            f"{a.size} errors of one but {b.size} of the other; a paired difference needs both "
            "for every sample."
        )
    sums, n = _group_sums(np.stack([np.ones_like(a), a - b], axis=1), groups)
    return _interval(sums, _mean, n=n, level=level, resamples=resamples, seed=seed)


def mean_of_bins_interval(
    errors: npt.ArrayLike,
    bins: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the mean over bins of the mean absolute error within, with its interval.

    Args:
        errors: (N,) differences of prediction and target; their sign does not matter.
        bins: (N,) the bin of each, any values that can be sorted.
        groups: (N,) group of each; one may have samples in several bins.
        level: probability the interval is to cover, between 0 and 1.
        resamples: number of bootstrap samples; each is averaged over the bins it has samples of.
        seed: seed of the drawing; the same as of the other measures draws the same groups.

    Raises:
        StatisticsError: when there are no errors, one is not finite, or the lengths differ.
    """
    absolute, labels = np.abs(_vector(errors, "errors")), np.asarray(bins)
    if labels.shape != absolute.shape:
        raise StatisticsError(f"{absolute.size} errors but bins of shape {labels.shape}.")
    _, inverse = np.unique(labels, return_inverse=True)
    inside = np.eye(int(inverse.max()) + 1)[inverse]
    sums, n = _group_sums(np.hstack([inside, inside * absolute[:, None]]), groups)
    return _interval(sums, _mean_of_bins, n=n, level=level, resamples=resamples, seed=seed)


def _mean_of_bins(sums: Array) -> Array:
    """Of sums (..., 2 B), counts and errors of each bin: the mean over bins that have samples."""
    count, error = np.split(sums, 2, axis=-1)
    within = np.where(count > 0, error / np.where(count > 0, count, 1.0), 0.0)
    return within.sum(axis=-1) / (count > 0).sum(axis=-1)


def _moments(y: Array, p: Array) -> Array:
    """Return (N, 8): 1, |e|, e², y, y², p, p², yp, with y and p centred against cancellation."""
    error = p - y
    y, p = y - y.mean(), p - p.mean()
    return np.stack([np.ones_like(y), np.abs(error), error**2, y, y**2, p, p**2, y * p], axis=1)


def _mean(sums: Array) -> Array:
    return sums[..., 1] / sums[..., 0]


def _rmse(sums: Array) -> Array:
    return np.sqrt(sums[..., 2] / sums[..., 0])


def _r2(sums: Array) -> Array:
    return 1.0 - _ratio(sums[..., 2], _spread(sums, 3, 3, 4))


def _pearson(sums: Array) -> Array:
    spread = _spread(sums, 3, 3, 4) * _spread(sums, 5, 5, 6)
    return np.clip(_ratio(_spread(sums, 3, 5, 7), np.sqrt(spread)), -1.0, 1.0)


METRICS: Final[dict[str, Callable[[Array], Array]]] = {
    "mae": _mean,
    "rmse": _rmse,
    "r2": _r2,
    "pearson": _pearson,
}
"""Each measure as a function of the sums (..., 8) of `_moments`."""


def _spread(sums: Array, a: int, b: int, ab: int) -> Array:
    """Return Σab − ΣaΣb/n, with what is left of a constant by rounding set to 0."""
    total = sums[..., ab]
    spread = total - sums[..., a] * sums[..., b] / sums[..., 0]
    return np.where(np.abs(spread) <= 1e-12 * np.abs(total), 0.0, spread)


def _ratio(above: Array, below: Array) -> Array:
    """Divide; NaN where there is nothing to divide by."""
    defined = below > 0
    return np.where(defined, above / np.where(defined, below, 1.0), np.nan)


def _interval(
    sums: Array,
    measure: Callable[[Array], Array],
    *,
    n: int,
    level: float,
    resamples: int,
    seed: int,
) -> Interval:
    if not 0 < level < 1 or resamples < 1:
        raise StatisticsError(
            "An interval needs 0 < level < 1 and resamples >= 1; "
            f"got level={level!r}, resamples={resamples!r}."
        )
    low = high = float("nan")
    if len(sums) > 1:
        drawn = np.concatenate([measure(part) for part in _resampled(sums, resamples, seed)])
        drawn = drawn[~np.isnan(drawn)]
        if drawn.size:
            tail = (1 - level) / 2
            low, high = (float(q) for q in np.quantile(drawn, [tail, 1 - tail]))
    value = float(measure(sums.sum(axis=0)))
    return Interval(value=value, low=low, high=high, n=n, groups=len(sums))


def _resampled(sums: Array, resamples: int, seed: int) -> Iterator[Array]:
    """Draw groups with replacement; yield the sums (r, K) of the resamples, some at a time."""
    generator = np.random.default_rng(seed)
    size = len(sums)
    step = max(1, _CHUNK // size)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        index = generator.integers(0, size, size=(count, size))
        if sums.shape[1] <= _NARROW:
            yield np.stack([column[index].sum(axis=1) for column in sums.T], axis=1)
            continue
        # Many columns are summed faster as a product with how often each group was drawn.
        cells = (index + size * np.arange(count)[:, None]).ravel()
        drawn = np.bincount(cells, minlength=count * size).reshape(count, size)
        yield drawn.astype(np.float64) @ sums


def _group_sums(moments: Array, groups: npt.ArrayLike) -> tuple[Array, int]:
    labels = np.asarray(groups)
    if labels.shape != (len(moments),):
        raise StatisticsError(
            f"There are {len(moments)} samples but groups of shape {labels.shape}; "
            "give one group for each sample."
        )
    names, inverse = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(names), moments.shape[1]))
    np.add.at(sums, inverse, moments)
    return sums, len(moments)


def _vector(values: npt.ArrayLike, what: str) -> Array:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or vector.size == 0 or not np.isfinite(vector).all():
        raise StatisticsError(
            f"{what} has to be a list of at least one finite number; got shape {vector.shape}, "
            f"{int((~np.isfinite(vector)).sum())} of them not finite."
        )
    return vector
