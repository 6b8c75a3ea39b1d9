"""What earlier searches found, as first points and as a prior that makes way for the study's own.

Settings are carried over by their place in their range, not by their value: a window of a fifth of
the label range is a fifth of it in years as in millimetres, and a batch of the second size offered
is the second size offered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from supremix.tuning.study.history import History, searched
from supremix_spaces import Choice, Float, Int, Parameter, Space

WEIGHT = 24
"""Trials of earlier searches that the sampler is shown, once its own random draws are over; each
scored trial of its own takes one's place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """One trial of an earlier search.

    Args:
        config: Its settings, carried over to the study's space.
        score: Its error as a ratio to that of the same search's defaults.
        dataset: Where it was found.
        run: Name of that run.
    """

    config: dict[str, Any]
    score: float
    dataset: str
    run: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmStart:
    """What a study starts from.

    Args:
        points: Settings tried first, after the defaults.
        trials: Trials of earlier searches, most telling first.
    """

    points: tuple[dict[str, Any], ...] = ()
    trials: tuple[Learned, ...] = ()

    def shown(self, space: Space, history: History) -> list[FrozenTrial]:
        """The trials that the sampler is shown beside the study's own, as finished ones.

        Their scores are put on the study's scale by its own defaults' error; where that is not
        known, any scale will do.
        """
        count = max(0, WEIGHT - history.scores)
        unit = history.of_defaults() or 1.0
        return [
            _frozen(space, learned, unit, number)
            for number, learned in enumerate(self.trials[:count])
        ]

    def to_event(self) -> dict[str, Any]:
        """As plain values, for the ledger."""
        names = ("config", "score", "dataset", "run")
        trials = [{name: getattr(trial, name) for name in names} for trial in self.trials]
        return {"points": list(self.points), "trials": trials}

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> WarmStart:
        """Read back what `to_event` gave."""
        trials = tuple(Learned(**trial) for trial in event["trials"])
        return cls(points=tuple(event["points"]), trials=trials)


def carried(config: Mapping[str, Any], source: Space, target: Space) -> dict[str, Any]:
    """Settings of one space at the same place in another.

    Args:
        config: A point of `source`.
        source: Where it was found.
        target: Where it is to be tried.

    Returns:
        A point of `target`; what `source` did not search has the target's default.
    """
    return target.suggest(_Carrier(config, source, target))


class _Carrier:
    """Answers a space's questions as an Optuna trial does, with settings of another space."""

    def __init__(self, config: Mapping[str, Any], source: Space, target: Space) -> None:
        self._config, self._source, self._target = config, source.parameters, target.parameters

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        place = self._place(name)
        if place is None:
            return float(self._default(name))
        if log:
            return min(high, max(low, low * (high / low) ** place))
        return min(high, max(low, low + (high - low) * place))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        place = self._place(name)
        if place is None:
            return int(self._default(name))
        value = low * (high / low) ** place if log else low + (high - low) * place
        return min(high, max(low, low + step * round((value - low) / step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name not in self._config:
            return self._default(name)
        if self._config[name] in choices:
            return self._config[name]
        place = self._place(name)
        return self._default(name) if place is None else choices[round(place * (len(choices) - 1))]

    def _default(self, name: str) -> Any:
        return self._target[name].initial

    def _place(self, name: str) -> float | None:
        """Where in its range the setting lay, from 0 to 1; None where it was not searched."""
        parameter = self._source.get(name)
        if parameter is None or name not in self._config:
            return None
        return _place(parameter, self._config[name])


def _place(parameter: Parameter, value: Any) -> float | None:
    match parameter:
        case Float() | Int() if parameter.high > parameter.low:
            low, high = float(parameter.low), float(parameter.high)
            if parameter.log:
                return math.log(value / low) / math.log(high / low)
            return (value - low) / (high - low)
        case Choice() if len(parameter.options) > 1 and value in parameter.options:
            return list(parameter.options).index(value) / (len(parameter.options) - 1)
        case _:
            return None


def _frozen(space: Space, learned: Learned, unit: float, number: int) -> FrozenTrial:
    params, distributions = searched(space, learned.config)
    frozen = create_trial(
        state=TrialState.COMPLETE,
        value=learned.score * unit,
        params=params,
        distributions=distributions,
    )
    frozen.number = -1 - number  # older than every trial of the study's own
    return frozen
