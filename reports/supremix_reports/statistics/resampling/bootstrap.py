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
from dataclasses import asdict, dataclass
from typing import Any, Final, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.resampling.seeds import Array, Measure, Spread, Sums, seeds_spread

LEVEL: Final = 0.95
RESAMPLES: Final = 2000
ANY: Final = (-math.inf, math.inf)
_CHUNK: Final = 4_000_000  # indices drawn at once: 32 MB
_STEPS: Final = 40  # halvings of a p value's bracket
_NARROW: Final = 8  # columns up to which sums are gathered one by one


def none_for_nan(value: float) -> float | None:
    """Return a number as tables have it, in which one that does not exist is null."""
    return None if math.isnan(value) else float(value)


class ResamplingOptions(TypedDict, total=False):
    """The arguments of `Resampling`, with its defaults; the same give the same interval."""

    level: float
    resamples: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How intervals are drawn; the same everywhere in a report, or its numbers would differ.

    Args:
        level: Probability that an interval is to cover, between 0 and 1.
        resamples: Number of bootstrap samples.
        seed: Seed of the drawing.

    Raises:
        StatisticsError: A level or a number of resamples that is none.
    """

    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1 or self.resamples < 1:
            raise StatisticsError(
                "An interval needs 0 < level < 1 and resamples >= 1; "
                f"got level={self.level!r}, resamples={self.resamples!r}."
            )

    def arguments(self) -> dict[str, Any]:
        """The same as arguments by name."""
        return asdict(self)

    @property
    def percent(self) -> str:
        """The level in words."""
        return f"{100 * self.level:g} %"


DEFAULT: Final = Resampling()


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

    @property
    def numbers(self) -> tuple[float, float, float]:
        """Value, low and high."""
        return self.value, self.low, self.high

    def row(self, name: str) -> dict[str, float | None]:
        """Return the columns of a table: `name` and its `_low` and `_high`; None where NaN."""
        columns = (name, f"{name}_low", f"{name}_high")
        return dict(zip(columns, map(none_for_nan, self.numbers), strict=True))


def interval(
    sums: Sums,
    measure: Measure,
    *,
    bounds: tuple[float, float] = ANY,
    **options: Unpack[ResamplingOptions],
) -> Interval:
    """Return a measure with its interval over groups and, where there are several, over seeds.

    Args:
        sums: over samples, by seed and group.
        measure: of sums. Of several seeds it is the mean of each seed's own, not that of all their
            samples together, which for a correlation or an RMSE is another number.
        bounds: what the measure cannot be below or above.
        options: as of `Resampling`; bootstrap samples in which the measure is NaN, if of one seed
            alone, are left out.

    Returns:
        The mean over seeds with its interval; NaN where a seed does not have the measure.

    Raises:
        StatisticsError: for a level or a number of resamples that is none.
    """
    how = Resampling(**options)
    value = float(measure(sums.values.sum(axis=1)).mean())
    draws = _drawn_means(sums, measure, how.resamples, how.seed)
    groups = sums.values.shape[1]
    low, high = ends(value, draws, groups, seeds_spread(sums, measure), how.level)
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
    from scipy import stats  # late: it is slow to import, and each worker imports this module

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


def drawn_medians(values: Array, owners: npt.NDArray[np.intp], resamples: int, seed: int) -> Array:
    """Return the medians (R,) of resamples of groups, each with all its values.

    Args:
        values: Values of all groups, (N,).
        owners: Number of each value's group, (N,), counted from 0.
        resamples: Number of resamples, R.
        seed: Seed of the drawing.
    """
    order = values.argsort(kind="stable")
    ordered, groups = values[order], owners[order]
    medians: list[Array] = []
    for times in _times(int(owners.max()) + 1, resamples, seed):
        upto = times[:, groups].cumsum(axis=1)
        count = upto[:, -1:]
        lower = (upto >= (count + 1) // 2).argmax(axis=1)
        upper = (upto >= count // 2 + 1).argmax(axis=1)
        medians.append((ordered[lower] + ordered[upper]) / 2)
    return np.concatenate(medians)


def p_value(value: float, draws: Array, groups: int, seeds: Spread) -> float:
    """Return the least 1 − level at which the interval of `ends` does not reach 0.

    The arguments are those of `ends`.

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


def _drawn_means(sums: Sums, measure: Measure, resamples: int, seed: int) -> Array:
    """Draw groups once for all seeds; return the means (R,) over seeds of each one's measure."""
    models, groups, kinds = sums.values.shape
    joined = sums.values.transpose(1, 0, 2).reshape(groups, models * kinds)
    parts = _resampled(joined, resamples, seed)
    # Where seeds have different samples, a draw may hold none of one of them: 0 / 0, left out.
    with np.errstate(divide="ignore", invalid="ignore"):
        means = [measure(part.reshape(-1, models, kinds)).mean(axis=1) for part in parts]
    return np.concatenate(means)


def _tail(level: float, groups: int) -> float:
    """The probability outside one end, expanded for few groups."""
    from scipy import stats

    wide = float(stats.t.ppf((1 + level) / 2, groups - 1)) * math.sqrt(groups / (groups - 1))
    return float(stats.norm.sf(wide))


def _resampled(sums: Array, resamples: int, seed: int | Sequence[int]) -> Iterator[Array]:
    """Draw groups with replacement; yield the sums (r, K) of the resamples, some at a time."""
    if sums.shape[1] <= _NARROW:
        for index in _drawn_groups(len(sums), resamples, seed):
            yield np.stack([column[index].sum(axis=1) for column in sums.T], axis=1)
        return
    # Many columns are summed faster as a product with how often each group was drawn.
    for times in _times(len(sums), resamples, seed):
        yield times.astype(np.float64) @ sums


def _times(size: int, resamples: int, seed: int | Sequence[int]) -> Iterator[npt.NDArray[np.intp]]:
    """How often each group was drawn, (r, G), some resamples at a time."""
    for index in _drawn_groups(size, resamples, seed):
        cells = (index + size * np.arange(len(index))[:, None]).ravel()
        yield np.bincount(cells, minlength=index.size).reshape(index.shape)


def _drawn_groups(
    size: int, resamples: int, seed: int | Sequence[int]
) -> Iterator[npt.NDArray[np.int64]]:
    """The groups that are drawn, (r, G), some resamples at a time."""
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // size)
    for start in range(0, resamples, step):
        yield generator.integers(0, size, size=(min(step, resamples - start), size))
