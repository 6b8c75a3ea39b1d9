"""Intervals over patients and over seeds, of any measure that is a function of sums over samples.

Over patients: the cluster bootstrap (Field and Welsh 2007). Samples of one group (the images of one
patient) are not independent, so groups are drawn, not samples. Of the measures of the resamples,
quantiles are taken, a little further out than the level says, as Student's t is than the normal:
plain percentiles are too narrow by a factor of √((n − 1)/n) and know nothing of the uncertain
spread (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", the expanded percentile
interval). The measure of several seeds is the mean of each seed's own, in every draw as well: the
groups are drawn once for all seeds.

Over seeds: a bootstrap of three seeds knows only those three, and covers far too seldom. The
variance of the seeds' measures, less what comes from the patients (a two-way analysis of variance
of seeds and patients, by jackknife pseudo-values where the measure is no mean), is widened by
Student's t of so many seeds. The two intervals are joined by their squares (MOVER, the method of
variance estimates recovery; Zou and Donner 2008).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.seeds import Array, Measure, Spread, Sums, seeds_spread

LEVEL: Final = 0.95
RESAMPLES: Final = 2000
ANY: Final = (-math.inf, math.inf)
_CHUNK: Final = 4_000_000  # indices drawn at once: 32 MB
_STEPS: Final = 40  # halvings of a p value's bracket
_NARROW: Final = 8  # columns up to which sums are gathered one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A measure with its interval: `low <= value <= high` nearly always, `n` samples in `groups`.

    `low` and `high` are NaN where fewer than two groups leave nothing to draw from. Over seeds,
    `n` counts every seed's predictions.
    """

    value: float
    low: float
    high: float
    n: int
    groups: int


def interval(
    sums: Sums,
    measure: Measure,
    *,
    level: float,
    resamples: int,
    seed: int,
    bounds: tuple[float, float] = ANY,
) -> Interval:
    """Return a measure with its interval over groups and, where there are several, over seeds.

    Args:
        sums: over samples, by seed and group.
        measure: of sums. Of several seeds it is the mean of each seed's own, not that of all their
            samples together, which for a correlation or an RMSE is another number.
        level: probability the interval is to cover, between 0 and 1.
        resamples: number of bootstrap samples; those in which the measure is NaN, if of one seed
            alone, are left out.
        seed: seed of the drawing.
        bounds: what the measure cannot be below or above.

    Returns:
        The mean over seeds with its interval; NaN where a seed does not have the measure.

    Raises:
        StatisticsError: for a level or a number of resamples that is none.
    """
    check(level, resamples)
    value = float(measure(sums.values.sum(axis=1)).mean())
    draws = _drawn_means(sums, measure, resamples, seed)
    groups = sums.values.shape[1]
    low, high = ends(value, draws, groups, seeds_spread(sums, measure), level)
    low, high = (float(np.clip(end, *bounds)) for end in (low, high))
    return Interval(value=value, low=low, high=high, n=int(sums.counts.sum()), groups=groups)


def ends(
    value: float, draws: Array, groups: int, seeds: Spread, level: float
) -> tuple[float, float]:
    """Return the ends of the interval: the bootstrap's over groups, widened by the seeds'.

    Args:
        value: of the measure.
        draws: (R,) its bootstrap values over groups; those that are NaN are left out.
        groups: number of groups drawn from.
        seeds: what the choice of seeds adds.
        level: probability to cover.

    Returns:
        NaN where there are no draws, fewer than two groups, or no known spread.
    """
    draws = draws[~np.isnan(draws)]
    if groups < 2 or not draws.size or math.isnan(seeds.error):
        return math.nan, math.nan
    tail = _tail(level, groups)
    low, high = (float(q) for q in np.quantile(draws, [tail, 1 - tail]))
    if not seeds.error:
        return low, high
    half = float(stats.t.ppf((1 + level) / 2, seeds.freedom)) * seeds.error
    return (
        value - math.hypot(max(value - low, 0.0), half),
        value + math.hypot(max(high - value, 0.0), half),
    )


def drawn(sums: Array, resamples: int, seed: int | Sequence[int]) -> Array:
    """Return the sums (R, K) of resamples of the groups, whose sums are (G, K)."""
    return np.concatenate(list(_resampled(sums, resamples, seed)))


def p_value(value: float, draws: Array, groups: int, seeds: Spread) -> float:
    """Return the least 1 − level at which the interval of `ends` does not reach 0.

    Args:
        value: of the measure.
        draws: (R,) its bootstrap values over groups.
        groups: number of groups drawn from.
        seeds: what the choice of seeds adds.

    Returns:
        Between 2 / (R + 1), below which R resamples cannot tell, and 1; NaN without an interval.
    """
    if groups < 2 or not draws.size or math.isnan(seeds.error):
        return math.nan
    ordered = np.sort(draws)

    def reaches(p: float) -> bool:
        low, high = ends(value, ordered, groups, seeds, 1 - p)
        return low <= 0 <= high

    least, most = 2 / (draws.size + 1), 1.0
    if not reaches(least):
        return least
    for _ in range(_STEPS):
        middle = (least + most) / 2
        least, most = (middle, most) if reaches(middle) else (least, middle)
    return most


def vector(values: npt.ArrayLike, what: str) -> Array:
    """Return numbers as an array (N,).

    Raises:
        StatisticsError: when there are none, or one is not finite.
    """
    result = np.asarray(values, dtype=np.float64)
    if result.ndim != 1 or result.size == 0 or not np.isfinite(result).all():
        raise StatisticsError(
            f"{what} has to be a list of at least one finite number; got shape {result.shape}, "
            f"{int((~np.isfinite(result)).sum())} of them not finite."
        )
    return result


def check(level: float, resamples: int) -> None:
    """Refuse a level or a number of resamples that is none.

    Raises:
        StatisticsError: for one of the two.
    """
    if not 0 < level < 1 or resamples < 1:
        raise StatisticsError(
            "An interval needs 0 < level < 1 and resamples >= 1; "
            f"got level={level!r}, resamples={resamples!r}."
        )


def _drawn_means(sums: Sums, measure: Measure, resamples: int, seed: int) -> Array:
    """Draw groups once for all seeds; return the means (R,) over seeds of each one's measure."""
    models, groups, kinds = sums.values.shape
    beside = sums.values.transpose(1, 0, 2).reshape(groups, models * kinds)
    parts = _resampled(beside, resamples, seed)
    # Where seeds have different samples, a draw may hold none of one of them: 0 / 0, left out.
    with np.errstate(divide="ignore", invalid="ignore"):
        means = [measure(part.reshape(-1, models, kinds)).mean(axis=1) for part in parts]
    return np.concatenate(means)


def _tail(level: float, groups: int) -> float:
    """The probability outside one end, expanded for few groups."""
    wide = float(stats.t.ppf((1 + level) / 2, groups - 1)) * math.sqrt(groups / (groups - 1))
    return float(stats.norm.sf(wide))


def _resampled(sums: Array, resamples: int, seed: int | Sequence[int]) -> Iterator[Array]:
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
        times = np.bincount(cells, minlength=count * size).reshape(count, size)
        yield times.astype(np.float64) @ sums
