"""How predictions agree with the truth: limits of agreement, and the bias along the true values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.intervals import LEVEL, RESAMPLES, Array, Interval

WIDTH: Final = 1.96
"""Standard deviations from the bias to a limit: 95 % of a normal distribution lies between."""

_CHUNK: Final = 4_000_000  # indices drawn at once: 32 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Bias and limits of agreement, each with its interval.

    Args:
        bias: mean of the errors.
        lower: bias less 1.96 standard deviations.
        upper: bias plus 1.96 standard deviations.
        by_formula: whether the intervals are those of the formula; else bootstrapped over groups.
    """

    bias: Interval
    lower: Interval
    upper: Interval
    by_formula: bool


def limits_of_agreement(
    errors: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Agreement:
    """Return the bias and the 95 % limits of agreement (Bland and Altman 1986, 1999).

    With one error a group, the intervals are those of Bland and Altman: the t distribution with
    the standard errors ``s sqrt(1/n)`` of the bias and ``s sqrt(1/n + 1.96² / (2 (n - 1)))`` of a
    limit. Errors of one group are not independent, so with several of them the intervals are
    percentiles of a bootstrap over groups. Neither is over seeds: they are for these models.

    Args:
        errors: (N,) prediction less truth; of several models, all of them, and the limits hold
            how far the models lie apart as well.
        groups: (N,) group of each.
        level: probability an interval is to cover.
        resamples: number of bootstrap samples, where there is one.
        seed: of the bootstrap.

    Raises:
        StatisticsError: fewer than three errors, values that are not finite, lengths that differ.
    """
    e, names = _checked(errors, groups)
    n, s, bias = len(e), float(e.std(ddof=1)), float(e.mean())
    values = (bias, bias - WIDTH * s, bias + WIDTH * s)
    labels, inverse = np.unique(names, return_inverse=True)
    single = len(labels) == n
    if single:
        t = float(stats.t.ppf((1 + level) / 2, n - 1))
        wide = t * s * math.sqrt(1 / n + WIDTH**2 / (2 * (n - 1)))
        halves = (t * s / math.sqrt(n), wide, wide)
        ends = [(v - half, v + half) for v, half in zip(values, halves, strict=True)]
    else:
        sums = _sums([np.ones_like(e), e, e**2], inverse)
        ends = _bootstrap(sums, _limits, level=level, resamples=resamples, seed=seed)
    found = [
        Interval(value=value, low=low, high=high, n=n, groups=len(labels))
        for value, (low, high) in zip(values, ends, strict=True)
    ]
    return Agreement(bias=found[0], lower=found[1], upper=found[2], by_formula=single)


def slope_interval(
    y: npt.ArrayLike,
    x: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the slope of the least-squares line of y on x, with its bootstrap interval.

    Args:
        y: (N,), finite.
        x: (N,), finite, not all equal.
        groups: (N,) group of each; these are drawn.
        level: probability the interval is to cover.
        resamples: number of bootstrap samples; those without two distinct x are left out.
        seed: of the bootstrap.

    Returns:
        The slope, in units of y per unit of x. `low` and `high` are NaN with one group.

    Raises:
        StatisticsError: fewer than three values, values that are not finite or, of x, all equal,
            lengths that differ.
    """
    a, names = _checked(y, groups)
    b, _ = _checked(x, groups)
    if a.shape != b.shape or np.ptp(b) == 0:
        raise StatisticsError(
            f"A slope needs as many y as x, and two distinct x; got {len(a)} and {len(b)}, with "
            f"{len(np.unique(b))} distinct."
        )
    a, b = a - a.mean(), b - b.mean()  # against cancellation
    labels, inverse = np.unique(names, return_inverse=True)
    sums = _sums([np.ones_like(a), a, b, a * b, b**2], inverse)
    value = float(_slope(sums.sum(axis=0, keepdims=True))[0][0])
    ends = _bootstrap(sums, _slope, level=level, resamples=resamples, seed=seed)
    (low, high) = ends[0] if len(labels) > 1 else (math.nan, math.nan)
    return Interval(value=value, low=low, high=high, n=len(a), groups=len(labels))


def mean_interval(
    values: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the mean, signs kept, with its percentile bootstrap interval over groups.

    Args:
        values: (N,), finite, at least one.
        groups: (N,) group of each.
        level: probability the interval is to cover.
        resamples: number of bootstrap samples.
        seed: of the bootstrap.

    Raises:
        StatisticsError: no values, values that are not finite, lengths that differ.
    """
    v, names = _checked(values, groups, least=1)
    labels, inverse = np.unique(names, return_inverse=True)
    low = high = math.nan
    if len(labels) > 1:
        sums = _sums([np.ones_like(v), v], inverse)
        ((low, high),) = _bootstrap(sums, _mean, level=level, resamples=resamples, seed=seed)
    return Interval(value=float(v.mean()), low=low, high=high, n=len(v), groups=len(labels))


def _limits(sums: Array) -> tuple[Array, ...]:
    """Of sums (..., 3) of 1, e and e²: bias, lower and upper limit."""
    count, first, second = np.moveaxis(sums, -1, 0)
    bias = first / count
    s = np.sqrt(np.maximum(second - count * bias**2, 0.0) / np.maximum(count - 1, 1))
    return bias, bias - WIDTH * s, bias + WIDTH * s


def _slope(sums: Array) -> tuple[Array, ...]:
    """Of sums (..., 5) of 1, y, x, yx, x²: the slope; NaN where x does not vary."""
    count, y, x, yx, xx = np.moveaxis(sums, -1, 0)
    below = xx - x**2 / count
    varied = below > 1e-12 * np.maximum(xx, 1e-300)
    return (np.where(varied, (yx - y * x / count) / np.where(varied, below, 1.0), np.nan),)


def _mean(sums: Array) -> tuple[Array, ...]:
    return (sums[..., 1] / sums[..., 0],)


def _sums(columns: list[Array], inverse: npt.NDArray[np.intp]) -> Array:
    """Sums (G, K) of columns over groups."""
    counted = [np.bincount(inverse, weights=column) for column in columns]
    return np.stack(counted, axis=1).astype(np.float64)


def _bootstrap(
    sums: Array,
    measures: Callable[[Array], tuple[Array, ...]],
    *,
    level: float,
    resamples: int,
    seed: int,
) -> list[tuple[float, float]]:
    """Draw groups with replacement; return the percentile interval of each measure."""
    generator, size = np.random.default_rng(seed), len(sums)
    step = max(1, _CHUNK // size)
    parts: list[tuple[Array, ...]] = []
    for start in range(0, resamples, step):
        index = generator.integers(0, size, size=(min(step, resamples - start), size))
        drawn = np.stack([column[index].sum(axis=1) for column in sums.T], axis=1)
        parts.append(measures(drawn))
    tail = (1 - level) / 2
    ends: list[tuple[float, float]] = []
    for values in (np.concatenate(found) for found in zip(*parts, strict=True)):
        known = values[~np.isnan(values)]
        both = np.quantile(known, [tail, 1 - tail]) if known.size else (math.nan, math.nan)
        ends.append((float(both[0]), float(both[1])))
    return ends


def _checked(
    values: npt.ArrayLike, groups: npt.ArrayLike, *, least: int = 3
) -> tuple[Array, npt.NDArray[np.str_]]:
    v, names = np.asarray(values, dtype=np.float64), np.asarray(groups).astype(np.str_)
    if v.ndim != 1 or len(v) < least or names.shape != v.shape or not np.isfinite(v).all():
        raise StatisticsError(
            f"expected at least {least} finite numbers with a group each; got shape {v.shape} with "
            f"{int((~np.isfinite(v)).sum())} not finite, and groups of shape {names.shape}."
        )
    return v, names
