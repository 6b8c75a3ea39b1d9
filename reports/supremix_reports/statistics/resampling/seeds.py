"""What seeds and folds add to the variance of a measure, from sums over samples by seed and group.

Models of different seeds predict the same samples. Those of different folds predict different
samples, and share training data.
"""

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
        folds: (S, G) fold of each group, of a cross-validation; None without folds.
    """

    values: Array
    counts: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64] | None = None

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
_TAKEN_OFF: Final = 0.5
"""Share of the variance by groups that is taken off that between folds."""


def sums_of(
    moments: Array,
    groups: npt.ArrayLike,
    seeds: npt.ArrayLike | None = None,
    folds: npt.ArrayLike | None = None,
) -> Sums:
    """Sum (N, K) moments by seed and group, both in the order of their sorted names.

    Args:
        moments: of each sample.
        groups: (N,) group of each sample.
        seeds: (N,) seed of its model; None for one model.
        folds: (N,) fold of its model; None without folds. All samples of a group and seed are in
            one fold.

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
    numbers = None
    if folds is not None:
        numbers = np.full((models, names), -1, dtype=np.int64)
        numbers[model, owner] = np.asarray(folds, dtype=np.int64)
    return Sums(values, counts.reshape(models, names), numbers)


def seeds_spread(sums: Sums, measure: Measure) -> Spread:
    """Return what the choice of seeds adds to the variance of the mean of their measures.

    The measures of S seeds on the same G groups differ by the seeds and by how each seed happens
    to meet these groups. The second part is in the bootstrap over groups already; it is taken off.
    Where seeds have different samples it cannot be separated and stays in: a wider interval.
    """
    if sums.folds is not None:
        return folds_spread(sums, sums.folds, measure)
    models, groups, _ = sums.values.shape
    if models < 2:
        return NO_SPREAD
    own = measure(sums.values.sum(axis=1))
    excess = float(own.var(ddof=1)) / models
    if sums.crossed and groups > 1:
        excess -= _interaction(sums.values, own, measure) / (groups * models)
    return Spread(excess, models - 1)


def folds_spread(sums: Sums, folds: npt.NDArray[np.int64], measure: Measure) -> Spread:
    """Return what the choice of the training data adds to the variance of a pooled measure.

    The measures of folds differ by their models and by their patients. The second part, by a
    one-way analysis of variance of the groups' jackknife pseudo-values, is in the bootstrap over
    groups already. Half of it is taken off: the variance of few folds is uncertain, and with all of
    it taken off an interval would cover too little, see docs/statistics.md. What is left is of
    models that share most of their training data, and so correlate: its variance is not divided by
    their number alone, but multiplied by 1 / J + n_test / n_train, for J models (Nadeau and Bengio
    2003; over repeats Bouckaert and Frank 2004).

    Args:
        sums: over samples, by seed and group.
        folds: (S, G) fold of each group. Seeds with the same folds are of the same repeat, and are
            averaged first.
        measure: of sums.
    """
    number = len(np.unique(folds[folds >= 0]))
    if number < 2:
        return NO_SPREAD
    own, pseudo = measure(sums.values.sum(axis=1)), np.zeros(folds.shape)
    for seed, inside in enumerate(sums.counts > 0):
        groups, values = int(inside.sum()), sums.values[seed : seed + 1, inside]
        pseudo[seed, inside] = _pseudo_values(values, own[seed : seed + 1], groups, measure)[0]
    repeats, which = np.unique(folds, axis=0, return_inverse=True)
    excesses = [
        _between_folds(pseudo[which.ravel() == repeat].mean(axis=0), own_folds)
        for repeat, own_folds in enumerate(repeats)
    ]
    shared = 1 / (number * len(repeats)) + 1 / (number - 1)
    return Spread(float(np.mean(excesses)) * shared, len(repeats) * (number - 1))


def _between_folds(pseudo: Array, folds: npt.NDArray[np.int64]) -> float:
    """The variance of the means of pseudo-values (G,) in folds, less half of that by groups."""
    numbers, counts = np.unique(folds[folds >= 0], return_counts=True)
    parts = [pseudo[folds == fold] for fold in numbers[counts > 1]]
    if len(parts) < 2:  # of one patient a fold, patients and models cannot be separated
        return 0.0
    by_groups = [part.var(ddof=1) / len(part) for part in parts]
    between = np.var([part.mean() for part in parts], ddof=1)
    return float(between - _TAKEN_OFF * np.mean(by_groups))


def _pseudo_values(values: Array, own: Array, groups: int, measure: Measure) -> Array:
    """The jackknife pseudo-values (S, G) of measures (S,) of the sums of values (S, G, K)."""
    with np.errstate(divide="ignore", invalid="ignore"):  # of a single group nothing is left
        left = measure(values.sum(axis=1, keepdims=True) - values)
    return groups * own[:, None] - (groups - 1) * left


def _interaction(values: Array, own: Array, measure: Measure) -> float:
    """The mean square of what neither seed nor group explains in the pseudo-values (S, G)."""
    models, groups, _ = values.shape
    pseudo = _pseudo_values(values, own, groups, measure)
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
