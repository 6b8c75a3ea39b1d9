"""A warm start: trials of earlier searches, as first points and as history of the sampler.

Hyperparameters are transferred by their position in their range, not by their value: a window of a
fifth of the label range is a fifth of it in years as in millimetres, and a batch of the second size
offered is the second size offered.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from supremix.tuning.study.history import History, searched
from supremix_spaces import Choice, Float, Int, Parameter, Space

WEIGHT = 24
"""Trials of earlier searches that the sampler is shown, once its own random draws are over; each
scored trial of its own takes the place of one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmStartTrial:
    """One trial of an earlier search.

    Args:
        config: Its hyperparameters, transferred to the study's space.
        score: Its error as a ratio to that of the same search's defaults.
        dataset: Name of the dataset it was found on.
        run: Name of the run it was found in.
    """

    config: dict[str, Any]
    score: float
    dataset: str
    run: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmStart:
    """What a study starts from: points to try first, and trials of earlier searches.

    Args:
        points: Hyperparameters tried first, after the defaults.
        trials: Trials of earlier searches, most telling first.
    """

    points: tuple[dict[str, Any], ...] = ()
    trials: tuple[WarmStartTrial, ...] = ()

    def shown(self, space: Space, history: History) -> list[FrozenTrial]:
        """The trials that the sampler is shown with the study's own, as finished ones.

        Their scores are put on the study's scale by its own defaults' error; where that is not
        known, any scale will do.
        """
        count = max(0, WEIGHT - history.scores)
        unit = history.of_defaults() or 1.0
        return [_frozen(space, trial, unit, n) for n, trial in enumerate(self.trials[:count])]

    def to_event(self) -> dict[str, Any]:
        """As plain values, for the ledger."""
        return {
            "points": list(self.points),
            "trials": [dataclasses.asdict(trial) for trial in self.trials],
        }

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> WarmStart:
        """Read back what `to_event` gave."""
        trials = tuple(WarmStartTrial(**trial) for trial in event["trials"])
        return cls(points=tuple(event["points"]), trials=trials)


def transfer_config(config: Mapping[str, Any], source: Space, target: Space) -> dict[str, Any]:
    """The hyperparameters of one space at the same position in another.

    Args:
        config: A point of `source`.
        source: The space it was found in.
        target: The space it is to be tried in.

    Returns:
        A point of `target`; what `source` did not search has the target's default.
    """
    return target.suggest(_Transfer(config, source, target))


class _Transfer:
    """Answers a space's questions as an Optuna trial does, from a point of another space."""

    def __init__(self, config: Mapping[str, Any], source: Space, target: Space) -> None:
        self._config, self._source, self._target = config, source.parameters, target.parameters

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        position = self._position(name)
        if position is None:
            return float(self._default(name))
        value = low * (high / low) ** position if log else low + (high - low) * position
        return min(high, max(low, value))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        position = self._position(name)
        if position is None:
            return int(self._default(name))
        value = low * (high / low) ** position if log else low + (high - low) * position
        return min(high, max(low, low + step * round((value - low) / step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if self._config.get(name, self) in choices:
            return self._config[name]
        position = self._position(name)
        if position is None:
            return self._default(name)
        return choices[round(position * (len(choices) - 1))]

    def _default(self, name: str) -> Any:
        return self._target[name].initial

    def _position(self, name: str) -> float | None:
        """Position of the value in its range, from 0 to 1; None where it was not searched."""
        parameter = self._source.get(name)
        if parameter is None or name not in self._config:
            return None
        return _position(parameter, self._config[name])


def _position(parameter: Parameter, value: Any) -> float | None:
    match parameter:
        case Float() | Int() if parameter.high > parameter.low:
            return scaled(parameter, value)
        case Choice() if len(parameter.options) > 1 and value in parameter.options:
            return list(parameter.options).index(value) / (len(parameter.options) - 1)
        case _:
            return None


def scaled(parameter: Float | Int, value: float) -> float:
    """A number's position in its range, from 0 to 1, on the scale that it is searched on."""
    low, high = float(parameter.low), float(parameter.high)
    if parameter.log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _frozen(space: Space, trial: WarmStartTrial, unit: float, number: int) -> FrozenTrial:
    params, distributions = searched(space, trial.config)
    frozen = create_trial(
        state=TrialState.COMPLETE,
        value=trial.score * unit,
        params=params,
        distributions=distributions,
    )
    frozen.number = -1 - number  # older than every trial of the study's own
    return frozen
