"""The error along one parameter of a search, with the others as they were tried.

With enough trials a random forest is fitted to the errors and averaged over the other parameters
(partial dependence; Friedman 2001); with fewer, or without scikit-learn, the trials are binned by
the parameter, and a bin's median has an interval over its trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from optuna.distributions import FloatDistribution

from supremix_reports.figures.plot import number
from supremix_reports.figures.search.trials import SearchedParameter, SearchTrials
from supremix_reports.statistics.resampling.bootstrap import none_for_nan
from supremix_reports.statistics.resampling.intervals import Array, median_interval

ALPHA: Final = "alpha"
BETA: Final = "beta"
RATIO: Final = "mixup ratio"
PARAMETERS: Final = (ALPHA, BETA, RATIO, "temperature", "batch_size")
"""What the methods have in common or are known to be sensitive to. The mixup ratio is the mean
share of the anchor in a mixture, alpha / (alpha + beta)."""

LEAST: Final = 6
"""Trials that have a parameter, at least, for its sensitivity to be shown."""
FOREST: Final = 30
"""Trials from which on a forest is fitted."""
TREES: Final = 100
"""Trees of the forest."""

_GRID: Final = 25
_ABSENT: Final = -1.0  # off every scale: what a forest is given for a parameter that a trial lacks


@dataclass(frozen=True, slots=True)
class Marginal:
    """The error along one parameter.

    Args:
        parameter: the parameter.
        how: "forest" or "binned".
        at: (K,) positions on its scale.
        middle: (K,) error there.
        low: (K,) lower end; NaN where it is not known.
        high: (K,) upper end.
        trials: (K,) number of trials of a bin; of all trials for a forest.
    """

    parameter: SearchedParameter
    how: str
    at: Array
    middle: Array
    low: Array
    high: Array
    trials: Array

    def rows(self) -> list[dict[str, Any]]:
        """A row a position: parameter, how, value, error, low, high, trials."""
        return [
            {
                "parameter": self.parameter.name,
                "how": self.how,
                "value": value_text(self.parameter, float(position)),
                "error": float(middle),
                "low": none_for_nan(low),
                "high": none_for_nan(high),
                "trials": int(trials),
            }
            for position, middle, low, high, trials in zip(
                self.at, self.middle, self.low, self.high, self.trials, strict=True
            )
        ]


def with_ratio(trials: SearchTrials) -> SearchTrials:
    """Add the mixup ratio, alpha / (alpha + beta), as a parameter where both were searched."""
    names = {s.name for s in trials.parameters}
    if not {ALPHA, BETA} <= names:
        return trials
    configs = tuple(
        {**c, RATIO: c[ALPHA] / (c[ALPHA] + c[BETA])}
        if None not in (c.get(ALPHA), c.get(BETA))
        else c
        for c in trials.configs
    )
    known = [config[RATIO] for config in configs if RATIO in config]
    parameter = SearchedParameter(RATIO, FloatDistribution(min(known), max(known)))
    return replace(trials, configs=tuple(configs), parameters=(*trials.parameters, parameter))


def marginals_of(trials: SearchTrials, names: Sequence[str]) -> list[Marginal]:
    """Return the error along parameters.

    Returns:
        One a parameter, in this order; those that fewer than six comparable trials have, or that
        had one value in these, are left out.
    """
    which = trials.comparable
    errors = trials.errors(which)
    positions = {s.name: trials.positions(which, s) for s in trials.parameters}
    forests: dict[bool, Any] = {}
    found: list[Marginal] = []
    for parameter in (s for name in names for s in trials.parameters if s.name == name):
        at = positions[parameter.name]
        known = ~np.isnan(at)
        if known.sum() < LEAST or np.ptp(at[known]) == 0:
            continue
        if len(which) < FOREST or not find_spec("sklearn"):
            found.append(binned(parameter, at[known], errors[known]))
            continue
        # The ratio replaces alpha in a forest of its own: it cannot move while both are held.
        ratio = parameter.name == RATIO
        names_of = [s for s in positions if s != (ALPHA if ratio else RATIO)]
        table = np.column_stack([np.nan_to_num(positions[s], nan=_ABSENT) for s in names_of])
        if ratio not in forests:
            forests[ratio] = _grown(table, errors)
        column = names_of.index(parameter.name)
        found.append(_averaged(parameter, forests[ratio], table, column, known))
    return found


def binned(parameter: SearchedParameter, positions: Array, errors: Array) -> Marginal:
    """Return the medians of bins of trials, (N,), each with its 95 % bootstrap interval.

    Returns:
        A bin a value of a choice; else two to five bins of about equally many trials, each at the
        median position of its trials. A bin of fewer than three trials has no interval.
    """
    parts = bins(parameter, positions, per_bin=4)
    medians = [median_interval(errors[part], np.arange(len(part))) for part in parts]
    return Marginal(
        parameter=parameter,
        how="binned",
        at=np.array([np.median(positions[part]) for part in parts]),
        middle=np.array([median.value for median in medians]),
        low=np.array([median.low for median in medians]),
        high=np.array([median.high for median in medians]),
        trials=np.array([len(part) for part in parts], dtype=np.float64),
    )


def bins(parameter: SearchedParameter, positions: Array, per_bin: int) -> list[Any]:
    """Return the indices of trials, (N,) positions, by bin, as `binned` says; `per_bin` in each."""
    if parameter.options:
        return [np.flatnonzero(positions == position) for position in np.unique(positions)]
    count = min(5, max(2, len(positions) // per_bin))
    return np.array_split(positions.argsort(kind="stable"), count)


def _grown(table: Array, errors: Array) -> Any:
    """Fit a forest to positions (N, P) and errors (N,)."""
    from sklearn.ensemble import RandomForestRegressor

    forest: Any = RandomForestRegressor(n_estimators=TREES, min_samples_leaf=3, random_state=0)
    return forest.fit(table, errors)


def _averaged(
    parameter: SearchedParameter, forest: Any, table: Array, column: int, known: Any
) -> Marginal:
    """Average a forest over the other parameters as they were tried; the spread is of its trees."""
    table = table[known]
    found = np.unique(table[:, column])
    grid = found if parameter.options else np.linspace(found[0], found[-1], _GRID)
    tiled = np.tile(table, (len(grid), 1))
    tiled[:, column] = np.repeat(grid, len(table))
    trees = np.stack([tree.predict(tiled) for tree in forest.estimators_])
    means = trees.reshape(TREES, len(grid), len(table)).mean(axis=2)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return Marginal(
        parameter=parameter,
        how="forest",
        at=grid,
        middle=means.mean(axis=0),
        low=low,
        high=high,
        trials=np.full(len(grid), float(len(table))),
    )


def value_text(parameter: SearchedParameter, position: float) -> str:
    """Return the value at a position of a parameter's scale as it stands in a text."""
    if parameter.options:
        return str(parameter.options[round(position * (len(parameter.options) - 1))])
    return number(parameter.value(position))
