"""What seeds add to the variance of a measure, from sums over each seed's samples by group."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from supremix_reports.errors import StatisticsError

Array = npt.NDArray[np.float64]
Measure = Callable[[Array], Array]
"""From sums (..., K) over samples to the measure (...)."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the samples of each seed and group.

    Args:
        values: (S, G, K) sums.
        counts: (S, G) number of samples summed.
    """

    values: Array
    counts: npt.NDArray[np.int64]

    @property
    def crossed(self) -> bool:
        """Whether every seed has as many samples of every group."""
        return bool((self.counts == self.counts[:1]).all())


@dataclass(frozen=True, slots=True)
class Spread:
    """What the choice of seeds adds to the variance of a measure.

    Args:
        excess: the variance added; an estimate, which can come out below 0 and then counts as 0.
        freedom: its degrees of freedom.
    """

    excess: float
    freedom: float

    @property
    def error(self) -> float:
        """The standard error added; NaN where a seed does not have the measure."""
        return math.sqrt(self.excess) if self.excess > 0 else 0.0 * self.excess

    def scaled(self, factor: float) -> Spread:
        """That of the measure times a factor."""
        return Spread(factor**2 * self.excess, self.freedom)

    @classmethod
    def joined(cls, parts: Sequence[Spread]) -> Spread:
        """That of independent seeds together; degrees of freedom after Satterthwaite (1946)."""
        above = [(max(part.excess, 0.0), part.freedom) for part in parts]
        shares = sum(excess**2 / freedom for excess, freedom in above)
        total = sum(excess for excess, _ in above)
        freedom = total**2 / shares if shares else math.inf
        # Estimates below 0 count here, or the sum of many would come out too large.
        return cls(sum(part.excess for part in parts), freedom)


NO_SPREAD: Final = Spread(0.0, math.inf)


def sums_of(moments: Array, groups: npt.ArrayLike, seeds: npt.ArrayLike | None = None) -> Sums:
    """Sum (N, K) moments by seed and group, both in the order of their sorted names.

    Raises:
        StatisticsError: when there is not one group, and one seed where there are seeds, for each.
    """
    owner, names = _numbered(groups, len(moments), "group")
    model, models = (
        (np.zeros(len(moments), dtype=np.intp), 1)
        if seeds is None
        else _numbered(seeds, len(moments), "seed")
    )
    values = np.zeros((models, names, moments.shape[1]))
    np.add.at(values, (model, owner), moments)
    counts = np.bincount(model * names + owner, minlength=models * names)
    return Sums(values, counts.reshape(models, names))


def seeds_spread(sums: Sums, measure: Measure) -> Spread:
    """Return what the choice of seeds adds to the variance of the mean of their measures.

    The measures of S seeds on the same G groups differ by the seeds and by how each seed happens
    to meet these groups. The second part is in the bootstrap over groups already; it is taken off.
    Where seeds have different samples it cannot be separated and stays in: a wider interval.
    """
    models, groups, _ = sums.values.shape
    if models < 2:
        return NO_SPREAD
    own = measure(sums.values.sum(axis=1))
    excess = float(own.var(ddof=1)) / models
    if sums.crossed and groups > 1:
        excess -= _interaction(sums.values, own, measure) / (groups * models)
    return Spread(excess, models - 1)


def _interaction(values: Array, own: Array, measure: Measure) -> float:
    """The mean square of what neither seed nor group explains in the pseudo-values (S, G)."""
    models, groups, _ = values.shape
    left = measure(values.sum(axis=1, keepdims=True) - values)
    pseudo = groups * own[:, None] - (groups - 1) * left
    rest = pseudo - pseudo.mean(0) - pseudo.mean(1, keepdims=True) + pseudo.mean()
    return float((rest**2).sum()) / ((models - 1) * (groups - 1))


def _numbered(names: npt.ArrayLike, count: int, what: str) -> tuple[npt.NDArray[np.intp], int]:
    labels = np.asarray(names)
    if labels.shape != (count,):
        raise StatisticsError(
            f"There are {count} samples but {what}s of shape {labels.shape}; "
            f"give one {what} for each sample."
        )
    distinct, inverse = np.unique(labels, return_inverse=True)
    return inverse, len(distinct)
