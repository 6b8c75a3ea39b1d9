"""How predictions agree with the truth: limits of agreement, and the bias along the true values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Unpack

import numpy as np
import numpy.typing as npt

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.resampling.bootstrap import (
    Interval,
    Resampling,
    ResamplingOptions,
    interval,
)
from supremix_reports.statistics.resampling.seeds import Array, Measure, sums_of

WIDTH: Final = 1.96
"""Standard deviations from the bias to a limit: 95 % of a normal distribution lies between."""

CALIBRATION: Final = {
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration intercept",
    "bias": "bias",
}
"""Metrics of the table `mae` that `calibration_intervals` gives, in words."""

_LEAST: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Bias and limits of agreement, each with its interval.

    Args:
        bias: Mean of the errors.
        lower: Bias minus 1.96 standard deviations.
        upper: Bias plus 1.96 standard deviations.
        by_formula: Whether the intervals are those of the formula; else bootstrapped over groups.
    """

    bias: Interval
    lower: Interval
    upper: Interval
    by_formula: bool


def limits_of_agreement(
    errors: npt.ArrayLike,
    groups: npt.ArrayLike,
    **options: Unpack[ResamplingOptions],
) -> Agreement:
    """Return the bias and the 95 % limits of agreement (Bland and Altman 1986, 1999).

    With one error a group, the intervals are those of Bland and Altman: the t distribution with
    the standard errors ``s sqrt(1/n)`` of the bias and ``s sqrt(1/n + 1.96² / (2 (n - 1)))`` of a
    limit. Errors of one group are not independent, so with several of them the intervals are
    bootstrapped over groups. Neither is over seeds: they are for these models.

    Args:
        errors: Prediction minus truth, (N,); of several models, all of them, and the limits hold
            how far the models lie apart as well.
        groups: Group of each error, (N,).
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0).

    Raises:
        StatisticsError: Fewer than three errors, values that are not finite, lengths that differ.
    """
    from scipy import stats  # late: it is slow to import, and each worker imports this module

    e, names = _checked(errors, groups)
    n, s = len(e), float(e.std(ddof=1))
    if len(np.unique(names)) == n:
        t = float(stats.t.ppf((1 + Resampling(**options).level) / 2, n - 1))
        widths = {0: math.sqrt(1 / n), 1: math.sqrt(1 / n + WIDTH**2 / (2 * (n - 1)))}
        found = [
            Interval(value=value, low=value - half, high=value + half, n=n, groups=n)
            for side in (0, -1, 1)
            for value, half in [(float(e.mean()) + side * WIDTH * s, t * s * widths[abs(side)])]
        ]
        return Agreement(bias=found[0], lower=found[1], upper=found[2], by_formula=True)
    sums = sums_of(np.stack([np.ones_like(e), e, e**2], axis=1), names)
    drawn = {name: interval(sums, limit, **options) for name, limit in _LIMITS.items()}
    return Agreement(**drawn, by_formula=False)


def slope_interval(
    y: npt.ArrayLike,
    x: npt.ArrayLike,
    groups: npt.ArrayLike,
    **options: Unpack[ResamplingOptions],
) -> Interval:
    """Return the slope of the least-squares line of y on x, with its interval over groups.

    Args:
        y: Finite values, (N,).
        x: Finite values, not all equal, (N,).
        groups: Group of each pair, (N,); these are drawn.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0).
            Bootstrap samples without two distinct x are left out.

    Returns:
        The slope, in units of y per unit of x. `low` and `high` are NaN with one group.

    Raises:
        StatisticsError: Fewer than three values, values that are not finite or, of x, all equal,
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
    sums = sums_of(np.stack([np.ones_like(a), a, b, a * b, b**2], axis=1), names)
    return interval(sums, _slope, **options)


def calibration_intervals(
    target: npt.ArrayLike,
    prediction: npt.ArrayLike,
    groups: npt.ArrayLike,
    seeds: npt.ArrayLike | None = None,
    **options: Unpack[ResamplingOptions],
) -> dict[str, Interval]:
    """Return how predictions are calibrated: the line of the label on the prediction, and the bias.

    Args:
        target: True values, (N,), at least three.
        prediction: Predicted values, (N,).
        groups: Group of each, (N,); these are drawn.
        seeds: Seed of the model of each, (N,); None for one model. Of several, each measure is the
            mean of those of the models.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0).

    Returns:
        By the names of `CALIBRATION` the slope and the intercept of the least-squares line, 1 and 0
        for calibrated predictions, and the mean of prediction minus truth. Slope and intercept are
        NaN where all predictions are equal.

    Raises:
        StatisticsError: Fewer than three values, values that are not finite, lengths that differ.
    """
    y, names = _checked(target, groups)
    x, _ = _checked(prediction, groups)
    middle = float(x.mean())
    a, b = y - middle, x - middle  # against cancellation
    sums = sums_of(np.stack([np.ones_like(a), a, b, a * b, b**2], axis=1), names, seeds)

    def intercept(sums: Array) -> Array:
        count, above, along = sums[..., 0], sums[..., 1], sums[..., 2]
        slope = _slope(sums)
        return above / count - slope * along / count + middle * (1 - slope)

    measures: dict[str, Measure] = {
        "calibration_slope": _slope,
        "calibration_intercept": intercept,
        "bias": lambda sums: (sums[..., 2] - sums[..., 1]) / sums[..., 0],
    }
    return {name: interval(sums, measure, **options) for name, measure in measures.items()}


def _limit(side: int) -> Measure:
    """Of sums (..., 3) of 1, e and e²: the bias (0), or the lower (-1) or upper (1) limit."""

    def limit(sums: Array) -> Array:
        count, first, second = np.moveaxis(sums, -1, 0)
        bias = first / count
        s = np.sqrt(np.maximum(second - count * bias**2, 0.0) / np.maximum(count - 1, 1))
        return bias + side * WIDTH * s

    return limit


_LIMITS: Final[Mapping[str, Measure]] = {
    name: _limit(side) for name, side in (("bias", 0), ("lower", -1), ("upper", 1))
}


def _slope(sums: Array) -> Array:
    """Of sums (..., 5) of 1, y, x, yx, x²: the slope; NaN where x does not vary."""
    count, y, x, yx, xx = np.moveaxis(sums, -1, 0)
    below = xx - x**2 / count
    varied = below > 1e-12 * np.maximum(xx, 1e-300)
    return np.where(varied, (yx - y * x / count) / np.where(varied, below, 1.0), np.nan)


def _checked(values: npt.ArrayLike, groups: npt.ArrayLike) -> tuple[Array, npt.NDArray[np.str_]]:
    v, names = np.asarray(values, dtype=np.float64), np.asarray(groups).astype(np.str_)
    if v.ndim != 1 or len(v) < _LEAST or names.shape != v.shape or not np.isfinite(v).all():
        raise StatisticsError(
            f"Expected at least {_LEAST} finite numbers with a group each; got shape {v.shape} "
            f"with {int((~np.isfinite(v)).sum())} not finite, and groups of shape {names.shape}."
        )
    return v, names
