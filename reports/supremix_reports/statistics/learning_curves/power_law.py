"""The power law of learning curves, E(v) = a + b v^-c, and what it says of a longer training.

A curve of one length hardly tells the exponent, so it is not fixed at its best value: the forecast
is averaged over exponents by their likelihood (as Domhan et al. 2015 average over curves). Power
laws of learning curves: Hestness et al. 2017, arXiv 1712.00409.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from supremix_reports.statistics.resampling.bootstrap import LEVEL
from supremix_reports.statistics.resampling.seeds import Array

_EXPONENTS: Final = np.geomspace(0.1, 1.5, 16)
_FIRST: Final = 1 / 4  # share of the epochs that is left out: steeper than the law that follows
_GROUPS: Final = 16  # averages that a curve is fitted to at most
# How real curves stray from the law, by recorded trainings (benchmarks/convergence.py): for longer
# than neighbouring residuals tell, and by a share of the fitted fall for each doubling.
_WIDER: Final = 2.0
_STRAYING: Final = 0.05
_CLIP: Final = 2.5  # robust standard deviations from which a residual is clipped (Huber)
_ROUNDS: Final = 5
_MOST_ALIKE: Final = 0.9  # correlation of neighbouring residuals beyond which nothing is estimated


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a longer training would give.

    Args:
        error: Validation error at the end, on the fitted curve.
        gain: How much it would fall, in the same unit; below 0 where it would rise.
        low: Lower end of the interval of `gain`.
        high: Upper end of it.
    """

    error: float
    gain: float
    low: float
    high: float


def power_law_forecast(
    epochs: npt.ArrayLike, errors: npt.ArrayLike, *, times: float = 2.0, level: float = LEVEL
) -> Forecast:
    """Forecast the error of a longer training by a power law, E(v) = a + b v^-c.

    Without the first quarter the curve is averaged to at most 16 medians. For each exponent c of a
    grid, a and b are fitted by least squares to relative residuals, clipped (Huber) and correlated
    from one to the next (an autoregression of order 1). The forecast's distribution is the mixture
    of Student's t over exponents, weighted by their likelihood; b of either sign is allowed. The
    standard errors are widened by how much recorded trainings stray from the law, see
    docs/statistics.md.

    Args:
        epochs: (n,) length of the training at each evaluation, in any unit, ascending.
        errors: (n,) errors, positive, at least 4 after the first quarter.
        times: How many times as long the training would be, above 1.
        level: Probability that the interval is to cover.
    """
    lengths = np.asarray(epochs, np.float64)
    v, y = _averaged(lengths, np.asarray(errors, np.float64))
    share = v / lengths[-1]
    shapes = share ** -_EXPONENTS[:, None] - 1
    rise = shapes[:, :1].copy()
    shapes /= rise
    fit = _robust_fit(y, shapes)
    # What falls from the end to `times` of it, for a fall of 1 over the fitted part.
    further = (1 - times**-_EXPONENTS) / rise[:, 0]
    gains, straying = fit.slopes * further, _STRAYING * math.log2(times) * np.abs(fit.slopes)
    deviations = np.hypot(_WIDER * fit.deviations * further, straying)
    weights = fit.likelihoods / fit.likelihoods.sum()
    freedom = fit.freedom

    def quantile(p: float) -> float:
        def excess(gain: float) -> float:
            return float(weights @ special.stdtr(freedom, (gain - gains) / deviations)) - p

        reach = special.stdtrit(freedom, 1e-9) * deviations
        ends = (gains + reach).min(), (gains - reach).max()
        return cast("float", optimize.brentq(excess, *ends))

    low, middle, high = (quantile(p) for p in ((1 - level) / 2, 0.5, (1 + level) / 2))
    return Forecast(error=float(weights @ fit.ends), gain=middle, low=low, high=high)


@dataclass(frozen=True, slots=True)
class _Fit:
    """A curve fitted with each of K exponents.

    Args:
        ends: (K,) error at the end.
        slopes: (K,) fall over the fitted part.
        deviations: (K,) standard errors of the falls.
        likelihoods: (K,) likelihoods, of the likeliest 1.
        freedom: Degrees of freedom of the falls' t distributions.
    """

    ends: Array
    slopes: Array
    deviations: Array
    likelihoods: Array
    freedom: float


def _robust_fit(y: Array, shapes: Array) -> _Fit:
    """Fit y = end + slope * shape, with each of the shapes (K, m)."""
    clipped, fitted, rho = y, np.full_like(y, np.median(y)), 0.0
    for _ in range(_ROUNDS):
        fit, best = _fit(clipped, shapes, fitted, rho)
        fitted = np.maximum(fit.ends[best] + fit.slopes[best] * shapes[best], 0.1 * np.median(y))
        residuals = y / fitted - 1
        spread = 1.4826 * np.median(np.abs(residuals - np.median(residuals)))
        residuals = np.clip(residuals, -_CLIP * spread, _CLIP * spread)
        clipped, rho = fitted * (1 + residuals), _correlation(residuals)
    return _fit(clipped, shapes, fitted, rho)[0]


def _fit(y: Array, shapes: Array, scale: Array, rho: float) -> tuple[_Fit, int]:
    """One round: least squares of the relative, whitened residuals; the likeliest exponent."""
    one, target, sloped = (_whitened(z / scale, rho) for z in (np.ones_like(y), y, shapes))
    square = one @ one
    means, mean = sloped @ one / square, target @ one / square
    sloped, target = sloped - means[:, None] * one, target - mean * one
    size = (sloped**2).sum(axis=1)
    slopes = sloped @ target / size
    rest = ((target - slopes[:, None] * sloped) ** 2).sum(axis=1) + y.size * 1e-20
    fit = _Fit(
        ends=mean - slopes * means,
        slopes=slopes,
        deviations=np.sqrt(rest / max(y.size - 3, 1) / size),
        likelihoods=(rest / rest.min()) ** (-(y.size - 2) / 2),
        freedom=max(y.size * (1 - rho) / (1 + rho) - 3, 3),
    )
    return fit, int(rest.argmin())


def _whitened(values: Array, rho: float) -> Array:
    """Values (..., m) whose neighbours are correlated by rho, without that (Prais and Winsten)."""
    first = math.sqrt(1 - rho**2) * values[..., :1]
    return np.concatenate([first, values[..., 1:] - rho * values[..., :-1]], axis=-1)


def _correlation(residuals: Array) -> float:
    """The correlation of neighbours, corrected for its bias in few residuals; at least 0."""
    centred, m = residuals - residuals.mean(), residuals.size
    found = float(centred[1:] @ centred[:-1]) / max(float(centred @ centred), 1e-300)
    return min(max((m * found + 2) / max(m - 4, 1), 0.0), _MOST_ALIKE)


def _averaged(epochs: Array, errors: Array) -> tuple[Array, Array]:
    """Median lengths and errors of neighbouring evaluations, without the first quarter."""
    kept = epochs > _FIRST * epochs[-1]
    count = min(_GROUPS, int(kept.sum()))
    # Of a falling curve the median error is that at the median length, whatever its shape.
    medians = [
        np.array([np.median(group) for group in np.array_split(values[kept], count)])
        for values in (epochs, errors)
    ]
    return medians[0], medians[1]
