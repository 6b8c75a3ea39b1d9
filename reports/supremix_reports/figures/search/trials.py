"""The trials of a search as numbers: its parameters on their scales, the errors that count."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import numpy as np
import polars as pl
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from supremix_reports.statistics.resampling.intervals import Array
from supremix_reports.tables import schema
from supremix_reports.tables.tables import read_config

Config = dict[str, Any]

_LOG_FACTOR: Final = 8
"""From this ratio of the largest to the least value on, a range that nobody wrote down is taken to
be logarithmic."""


@dataclass(frozen=True, slots=True)
class SearchedParameter:
    """A parameter that was searched.

    Args:
        name: of the parameter.
        distribution: its range or options, as Optuna knows them.
    """

    name: str
    distribution: BaseDistribution

    @property
    def options(self) -> tuple[Any, ...]:
        """The values of a choice, in order; empty for a range."""
        distribution = self.distribution
        return distribution.choices if isinstance(distribution, CategoricalDistribution) else ()

    @property
    def log(self) -> bool:
        """Whether it was searched on a logarithmic scale."""
        return bool(getattr(self.distribution, "log", False))

    @property
    def ordered(self) -> bool:
        """Whether its values are numbers."""
        return not self.options or all(_is_number(option) for option in self.options)

    def within(self, value: object) -> bool:
        """Whether the value is of the range, or one of the options."""
        if self.options:
            return any(_same(value, option) for option in self.options)
        return _is_number(value) and self._low <= cast("float", value) <= self._high

    def position(self, value: object) -> float:
        """Return where on its scale, from 0 to 1, a value lies; NaN for one not of the scale."""
        if not self.within(value):
            return math.nan
        if self.options:
            index = next(i for i, option in enumerate(self.options) if _same(value, option))
            return 0.5 if len(self.options) == 1 else index / (len(self.options) - 1)
        low, high, at = self._low, self._high, float(cast("float", value))
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return 0.5 if high == low else (at - low) / (high - low)

    def value(self, position: float) -> float:
        """Return the number at a position of a range, the inverse of `position`."""
        if self.log:
            return float(self._low * (self._high / self._low) ** position)
        return float(self._low + position * (self._high - self._low))

    @property
    def _low(self) -> float:
        return float(cast("Any", self.distribution).low)

    @property
    def _high(self) -> float:
        return float(cast("Any", self.distribution).high)


@dataclass(frozen=True, slots=True)
class SearchTrials:
    """The trials of one dataset and method.

    Args:
        rows: of the table `trials`, by run and number.
        configs: the hyperparameters of each.
        parameters: the parameters that were searched and took more than one value.
        recorded: whether their ranges are those of the search; else those of the values tried.
    """

    rows: pl.DataFrame
    configs: tuple[Config, ...]
    parameters: tuple[SearchedParameter, ...]
    recorded: bool

    @property
    def comparable(self) -> list[int]:
        """The trials that tried hyperparameters of their own, had all their epochs, have an error.

        The error of one that ended early was measured after fewer epochs, and hyperparameters that
        were retrained had been picked for being good.
        """
        counts = self.rows.with_row_index().filter(
            pl.col(schema.STATE) == schema.FINISHED,
            pl.col(schema.ERROR).is_finite(),
            pl.col(schema.REPLICATE_OF).is_null(),
        )
        return counts["index"].to_list()

    def errors(self, which: Sequence[int]) -> Array:
        """The errors of trials, (K,)."""
        return self.rows[schema.ERROR].cast(pl.Float64).to_numpy()[list(which)]

    def positions(self, which: Sequence[int], parameter: SearchedParameter) -> Array:
        """Where on its scale a parameter was in trials, (K,); NaN where it did not exist."""
        return np.array([parameter.position(self.configs[i].get(parameter.name)) for i in which])

    def left_out(self) -> str:
        """Say in words which trials are not comparable; empty when all are."""
        own = self.rows.filter(pl.col(schema.REPLICATE_OF).is_null())
        states = Counter(own[schema.STATE])
        counts = {state: states[state] for state in (schema.PRUNED, schema.STOPPED, schema.FAILED)}
        counts["retrained"] = self.rows.height - own.height
        words = [f"{count} {state}" for state, count in counts.items() if count]
        lacking = self.rows.height - len(self.comparable) - sum(counts.values())
        words += [f"{lacking} without an error"] if lacking > 0 else []
        return f" Left out: {', '.join(words)}." if words else ""


class Searched(NamedTuple):
    """What the figures of one search are drawn from.

    Args:
        trials: The trials.
        curves: Rows of the table `curves`.
        words: Method and dataset, as captions have them.
        unit: Unit of the error.
    """

    trials: SearchTrials
    curves: pl.DataFrame
    words: str
    unit: str


def search_trials(trials: pl.DataFrame, space: Mapping[str, Any] | None) -> SearchTrials:
    """Read the hyperparameters of trials.

    Args:
        trials: rows of the table `trials`, of one dataset and method.
        space: the search space as `space.json` holds it; None takes the values that were tried.

    Raises:
        TableError: the hyperparameters of a trial are no JSON object.
    """
    rows = trials.sort(schema.RUN, schema.TRIAL)
    numbers, texts = rows[schema.TRIAL].to_list(), rows[schema.CONFIG].to_list()
    configs = tuple(_config(*pair) for pair in zip(numbers, texts, strict=True))
    declared = _declared(space) if space else None
    found = _observed(configs) if declared is None else declared
    varied = tuple(s for s in found if len(_values(configs, s.name)) > 1)
    return SearchTrials(
        rows=rows, configs=configs, parameters=varied, recorded=declared is not None
    )


def _config(number: int, text: str) -> Config:
    """Read the hyperparameters of a trial; a list or mapping stands as its text."""
    config = read_config(number, text)
    return {k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in config.items()}


def _declared(space: Mapping[str, Any]) -> list[SearchedParameter] | None:
    """Read a space from `space.json`; None where it is none, which `recorded` tells."""
    try:
        found = {name: _distribution(entry) for name, entry in space.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return [SearchedParameter(name, one) for name, one in found.items() if one is not None]


def _distribution(entry: Mapping[str, Any]) -> BaseDistribution | None:
    """Read one parameter; None for a fixed one, which was not searched."""
    kind, log = entry["type"], entry.get("log", False)
    if kind == "float":
        return FloatDistribution(entry["low"], entry["high"], log=log)
    if kind == "int":
        return IntDistribution(entry["low"], entry["high"], log=log, step=entry.get("step", 1))
    if kind == "choice":
        return CategoricalDistribution(entry["options"])
    return None


def _observed(configs: Sequence[Config]) -> list[SearchedParameter]:
    """Take ranges and options from the values that were tried."""
    parameters: list[SearchedParameter] = []
    for name in sorted({name for config in configs for name in config}):
        values = _values(configs, name)
        if len(values) < 2:
            continue
        if any(isinstance(value, float) for value in values) and all(map(_is_number, values)):
            low, high = float(min(values)), float(max(values))
            log = low > 0 and high >= _LOG_FACTOR * low
            parameters.append(SearchedParameter(name, FloatDistribution(low, high, log=log)))
        else:
            parameters.append(SearchedParameter(name, CategoricalDistribution(values)))
    return parameters


def _values(configs: Sequence[Config], name: str) -> list[Any]:
    """The distinct values of a parameter: numbers ascending, then others by their text."""
    found: dict[tuple[bool, float, str], Any] = {}
    for config in configs:
        if name in config:
            value = config[name]
            plain = _is_number(value)
            found[not plain, float(value) if plain else 0.0, json.dumps(value)] = value
    return [found[key] for key in sorted(found)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _same(a: object, b: object) -> bool:
    # True equals 1 in Python, but not as a parameter.
    return a == b and isinstance(a, bool) == isinstance(b, bool)
