"""Measures of regression with bootstrap intervals over groups and seeds.

Every measure here is a function of sums over samples, so a resample costs one row of group sums,
and the sums over parts add up exactly. Of several seeds it is the mean of each seed's own measure.
How an interval comes about is in `bootstrap.py`.
"""

from __future__ import annotations

from typing import Final, Unpack

import numpy as np
import numpy.typing as npt

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.resampling.bootstrap import (
    ANY,
    Resampling,
    ResamplingOptions,
    drawn_medians,
    ends,
    interval,
    vector,
)
from supremix_reports.statistics.resampling.bootstrap import LEVEL as LEVEL
from supremix_reports.statistics.resampling.bootstrap import RESAMPLES as RESAMPLES
from supremix_reports.statistics.resampling.bootstrap import Interval as Interval
from supremix_reports.statistics.resampling.seeds import NO_SPREAD, Measure, sums_of
from supremix_reports.statistics.resampling.seeds import Array as Array

_POSITIVE: Final = (0.0, np.inf)
_LEAST: Final = 3  # groups from which the spread of a median says something


def mae_interval(
    errors: npt.ArrayLike,
    groups: npt.ArrayLike,
    **options: Unpack[ResamplingOptions],
) -> Interval:
    """Return the mean absolute error with its bootstrap interval over groups.

    Args:
        errors: (N,) differences of prediction and target; their sign does not matter.
        groups: (N,) group of each.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0).

    Raises:
        StatisticsError: when there are no errors, one is not finite, or the lengths differ.
    """
    absolute = np.abs(vector(errors, "errors"))
    return mean_interval(absolute, groups, bounds=_POSITIVE, **options)


def seeds_interval(
    errors: npt.ArrayLike,
    groups: npt.ArrayLike,
    seeds: npt.ArrayLike | None = None,
    *,
    folds: npt.ArrayLike | None = None,
    **options: Unpack[ResamplingOptions],
) -> Interval:
    """Return the mean absolute error over seeds with its interval over groups and seeds.

    The interval is for the error to expect on new groups of a model trained with a new seed: its
    95 % covers that error about 95 times in 100 (see docs/statistics.md).

    Args:
        errors: (S, N) differences of prediction and target, a row a seed, the columns the same
            samples in the same order; or (N,) of all seeds below each other, with `seeds`. Their
            sign does not matter.
        groups: (N,) group of each sample, or of each error.
        seeds: (N,) seed of each error; None where `errors` has a row a seed.
        folds: (N,) fold of each error, of pooled predictions; needs `seeds`.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0).

    Returns:
        The mean over seeds of each one's own mean absolute error; where all have the same samples,
        that is the mean of all errors. With one seed it is `mae_interval`. `n` counts the errors.

    Raises:
        StatisticsError: when there are no errors, one is not finite, or the lengths differ.
    """
    array, owners = np.asarray(errors, dtype=np.float64), np.asarray(groups)
    if seeds is None:
        if array.ndim != 2 or owners.shape != array.shape[1:]:
            raise StatisticsError(
                "Without seeds, errors have a row a seed and a column a sample, and groups one "
                f"for each sample; got errors of shape {array.shape}, groups of {owners.shape}."
            )
        seeds = np.repeat(np.arange(len(array)), array.shape[1])
        owners = np.tile(owners, len(array))
        array = array.ravel()
    absolute = np.abs(vector(array, "errors"))
    return mean_interval(absolute, owners, seeds, folds=folds, bounds=_POSITIVE, **options)


def metric_interval(
    metric: str,
    target: npt.ArrayLike,
    prediction: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    seeds: npt.ArrayLike | None = None,
    folds: npt.ArrayLike | None = None,
    **options: Unpack[ResamplingOptions],
) -> Interval:
    """Return a measure of predictions with its bootstrap interval over groups and seeds.

    Args:
        metric: "mae", "rmse", "r2" or "pearson".
        target: (N,) true values.
        prediction: (N,) predicted values.
        groups: (N,) group of each.
        seeds: (N,) seed of the model that predicted each; None: one model.
        folds: (N,) fold that the model was not trained on; None without folds.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0);
            the same draws the same groups for all measures. Bootstrap samples in which the measure
            does not exist (a constant target has no R²) are left out.

    Returns:
        The mean over seeds of the measure of each one's own predictions, what to expect of one
        model; of all predictions together a correlation would be lower. NaN, and no interval, where
        it does not exist for the predictions of one of the seeds.

    Raises:
        StatisticsError: for an unknown metric, no samples, values that are not finite, or lengths
            that differ.
    """
    if metric not in METRICS:
        raise StatisticsError(f"Unknown metric {metric!r}. Known: {', '.join(METRICS)}.")
    y, p = vector(target, "target"), vector(prediction, "prediction")
    if y.shape != p.shape:
        raise StatisticsError(f"{y.size} targets but {p.size} predictions; give one for each.")
    sums = sums_of(_moments(y, p), groups, seeds, folds)
    return interval(sums, METRICS[metric], bounds=_BOUNDS[metric], **options)


def paired_difference(
    errors_a: npt.ArrayLike,
    errors_b: npt.ArrayLike,
    groups: npt.ArrayLike,
    **options: Unpack[ResamplingOptions],
) -> Interval:
    """Return how much larger the MAE of A is than that of B on the same samples.

    The groups are drawn once for both, so what makes a sample hard for both does not widen the
    interval: it is the cluster bootstrap of the differences ``|a| - |b|``.

    Args:
        errors_a: (N,) differences of prediction and target of A; their sign does not matter.
        errors_b: (N,) those of B, of the same samples in the same order.
        groups: (N,) group of each sample.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0).

    Returns:
        MAE of A minus MAE of B; above 0 where B is better.

    Raises:
        StatisticsError: when there are no errors, one is not finite, or the lengths differ.
    """
    a, b = np.abs(vector(errors_a, "errors_a")), np.abs(vector(errors_b, "errors_b"))
    if a.shape != b.shape:
        raise StatisticsError(
            f"{a.size} errors of one but {b.size} of the other; a paired difference needs both "
            "for every sample."
        )
    sums = sums_of(np.stack([np.ones_like(a), a - b], axis=1), groups)
    return interval(sums, _mean, **options)


def mean_of_bins_interval(
    errors: npt.ArrayLike,
    bins: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    seeds: npt.ArrayLike | None = None,
    folds: npt.ArrayLike | None = None,
    **options: Unpack[ResamplingOptions],
) -> Interval:
    """Return the mean over bins of the mean absolute error within, with its interval.

    Of several seeds it is the mean of each seed's own.

    Args:
        errors: (N,) differences of prediction and target; their sign does not matter.
        bins: (N,) the bin of each, any values that can be sorted.
        groups: (N,) group of each; one may have samples in several bins.
        seeds: (N,) seed of the model that made each error; None: one model.
        folds: (N,) fold that the model was not trained on; None without folds.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0);
            that of other measures draws the same groups. Each bootstrap sample is averaged over
            the bins it has samples of.

    Raises:
        StatisticsError: when there are no errors, one is not finite, or the lengths differ.
    """
    absolute, labels = np.abs(vector(errors, "errors")), np.asarray(bins)
    if labels.shape != absolute.shape:
        raise StatisticsError(f"{absolute.size} errors but bins of shape {labels.shape}.")
    _, inverse = np.unique(labels, return_inverse=True)
    inside = np.eye(int(inverse.max()) + 1)[inverse]
    moments = np.hstack([inside, inside * absolute[:, None]])
    sums = sums_of(moments, groups, seeds, folds)
    return interval(sums, _mean_of_bins, bounds=_POSITIVE, **options)


def mean_interval(
    values: npt.ArrayLike,
    groups: npt.ArrayLike,
    seeds: npt.ArrayLike | None = None,
    *,
    folds: npt.ArrayLike | None = None,
    bounds: tuple[float, float] = ANY,
    **options: Unpack[ResamplingOptions],
) -> Interval:
    """Return the mean, signs kept, with its bootstrap interval over groups and seeds.

    Args:
        values: Finite values, (N,).
        groups: Group of each value, (N,).
        seeds: Seed of the model that each value is of, (N,); None for one model.
        folds: Fold that the model was not trained on, (N,); None without folds.
        bounds: What the mean cannot be below or above.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0).

    Raises:
        StatisticsError: No values, values that are not finite, lengths that differ.
    """
    v = vector(values, "values")
    sums = sums_of(np.stack([np.ones_like(v), v], axis=1), groups, seeds, folds)
    return interval(sums, _mean, bounds=bounds, **options)


def median_interval(
    values: npt.ArrayLike,
    groups: npt.ArrayLike,
    **options: Unpack[ResamplingOptions],
) -> Interval:
    """Return the median of all values with its bootstrap interval over groups.

    Args:
        values: Finite values, (N,).
        groups: Group of each value, (N,); these are drawn, each with all its values.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0).

    Returns:
        The median; without an interval where there are fewer than three groups.

    Raises:
        StatisticsError: No values, or values that are not finite.
    """
    v, how = vector(values, "values"), Resampling(**options)
    names, owners = np.unique(np.asarray(groups), return_inverse=True)
    value, low, high = float(np.median(v)), np.nan, np.nan
    if len(names) >= _LEAST:
        draws = drawn_medians(v, owners, how.resamples, how.seed)
        low, high = ends(value, draws, len(names), NO_SPREAD, how.level)
    return Interval(value=value, low=low, high=high, n=v.size, groups=len(names))


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


def _pearson(sums: Array) -> Array:
    spread = _spread(sums, 3, 3, 4) * _spread(sums, 5, 5, 6)
    return np.clip(_ratio(_spread(sums, 3, 5, 7), np.sqrt(spread)), -1.0, 1.0)


METRICS: Final[dict[str, Measure]] = {
    "mae": _mean,
    "rmse": lambda sums: np.sqrt(sums[..., 2] / sums[..., 0]),
    "r2": lambda sums: 1.0 - _ratio(sums[..., 2], _spread(sums, 3, 3, 4)),
    "pearson": _pearson,
}
"""Each measure as a function of the sums (..., 8) of `_moments`."""

_BOUNDS: Final = {
    "mae": _POSITIVE,
    "rmse": _POSITIVE,
    "r2": (-np.inf, 1.0),
    "pearson": (-1.0, 1.0),
}


def _spread(sums: Array, a: int, b: int, ab: int) -> Array:
    """Return Σab − ΣaΣb/n, with what is left of a constant by rounding set to 0."""
    total = sums[..., ab]
    spread = total - sums[..., a] * sums[..., b] / sums[..., 0]
    return np.where(np.abs(spread) <= 1e-12 * np.abs(total), 0.0, spread)


def _ratio(above: Array, below: Array) -> Array:
    """Divide; NaN where there is nothing to divide by."""
    defined = below > 0
    return np.where(defined, above / np.where(defined, below, 1.0), np.nan)
