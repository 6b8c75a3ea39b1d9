"""The trials of a search that is planned: real configurations and costs, errors by luck."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from supremix.tuning.simulation.curves import Curve
from supremix.tuning.study.sampler import Uniform
from supremix_spaces import Space

RANDOM_TRIALS = 10
"""Trials before a search begins to improve, as many as TPE draws at random."""


class PlannedTrials:
    """A `Sampler` and the `CurveModel` of what it draws.

    Nothing is known of the configurations beforehand, so they are drawn at random, and the error of
    each is uniform in (0, 1) and the same after every epoch. That a search improves, so that later
    trials are pruned less often, is put in by hand: past the first `RANDOM_TRIALS`, the error of
    trial n is the least of 1 + `gain`·(n - `RANDOM_TRIALS`) draws.

    Args:
        space: The space that is searched.
        seconds: Seconds of each epoch of a trial with a configuration.
        seed: Seed of the search.
        gain: How fast the search improves; 0 for not at all.
    """

    best = 0.0

    def __init__(
        self,
        space: Space,
        seconds: Callable[[Mapping[str, Any]], Sequence[float]],
        seed: int,
        gain: float,
    ) -> None:
        self._sampler, self._seconds, self._gain = Uniform(space, seed), seconds, gain
        self.space, self._random = space, random.Random(seed)
        self._errors: dict[str, float] = {}

    def propose(self, number: int, past: Sequence[FrozenTrial]) -> dict[str, Any]:
        """The configuration of trial `number`, with an error that goes with it from now on."""
        config = self._sampler.propose(number, past)
        draws = 1 + self._gain * max(0, number - RANDOM_TRIALS)
        self._errors[_key(config)] = 1 - (1 - self._random.random()) ** (1 / draws)
        return config

    def true_error(self, config: Mapping[str, Any]) -> float:
        """The error of a configuration; that of the defaults, which nobody drew, is the median."""
        return self._errors.get(_key(config), 0.5)

    def rows(self, config: Mapping[str, Any], seed: int | None) -> Curve:
        """The curve of one training."""
        error = self.true_error(config)
        return [(error, seconds) for seconds in self._seconds(config)]


def _key(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)
