"""The trials that the sampler is shown: those that proposal n may know, and no more than it needs.

It advances with the proposals, a step a proposal, and holds a bounded number of trials: the best
ones, the latest ones and those under way. So the thousandth proposal costs what the hundredth did.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from supremix.tuning.ledger.records import TrialRecord
from supremix.tuning.study.lookback import Lookback
from supremix_spaces import Space

BEST, LATEST, PENDING = 32, 64, 16
"""Trials kept: best so far, most recently begun with a score, most recently begun without one."""

_Rank = tuple[int, float, float, int]


class History:
    """The trials that the next proposal may know of, as Optuna's frozen trials.

    A trial that is known up to some epoch only is shown as pruned there: TPE compares it with
    others at that epoch. One without a score yet is shown as running.

    Args:
        space: The space that is searched.
        lookback: Distances from which on trials may be known.
    """

    def __init__(self, space: Space, lookback: Lookback) -> None:
        self._space, self._lookback = space, lookback
        self._shown: dict[int, FrozenTrial] = {}
        self._ranks: dict[int, _Rank] = {}
        self._best: list[_Rank] = []
        self._latest: list[int] = []
        self._pending: list[FrozenTrial] = []
        self.scores = 0
        """Trials that have shown a score."""
        self._defaults: float | None = None

    def advance(self, number: int, records: Mapping[int, TrialRecord]) -> None:
        """Take what proposal `number` may know more than the one before it."""
        for level, distance in enumerate(self._lookback.distances):
            seen = number - distance
            if seen >= 0:
                self._reveal(records[seen], self._lookback.levels[level], first=level == 0)
        newest = max(0, number - self._lookback.distances[0] + 1, number - PENDING)
        kept = {trial.number: trial for trial in self._pending}
        self._pending = [
            kept.get(n) or self._frozen(records[n], TrialState.RUNNING, None, {})
            for n in range(newest, number)
        ]

    def trials(self) -> list[FrozenTrial]:
        """The trials that the sampler is shown, in the order of their numbers."""
        numbers = sorted({*self._latest, *(rank[-1] for rank in self._best)})
        return [*(self._shown[number] for number in numbers), *self._pending]

    def of_defaults(self) -> float | None:
        """The final error of trial 0, the defaults, once it may be known."""
        return self._defaults

    def _reveal(self, record: TrialRecord, epoch: int, *, first: bool) -> None:
        known = self._shown.get(record.number)
        if known is not None and known.state == TrialState.COMPLETE:
            return
        shown = self._look(record, epoch)
        if shown is None:
            return
        frozen, rank = shown
        self.scores += first
        former = self._ranks.get(record.number)
        if former in self._best:
            self._best.remove(former)
        self._shown[record.number], self._ranks[record.number] = frozen, rank
        insort(self._best, rank)
        if first:
            self._latest.append(record.number)
        self._forget()

    def _look(self, record: TrialRecord, epoch: int) -> tuple[FrozenTrial, _Rank] | None:
        """The trial as it was after `epoch`, with its rank; None if it had no score by then."""
        number, last = record.number, min(epoch, record.epoch)
        if record.state == "finished" and record.epoch <= epoch:
            error = record.rows[-1]["error"]
            if math.isnan(error):
                return None
            if number == 0:
                self._defaults = error
            frozen = self._frozen(record, TrialState.COMPLETE, error, _curve(record, last))
            return frozen, (0, 0.0, error, number)
        if last == 0 or (record.state == "failed" and record.epoch < epoch):
            return None
        score = record.rows[last - 1]["score"]
        if math.isnan(score):
            return None
        frozen = self._frozen(record, TrialState.PRUNED, None, {last: score})
        return frozen, (1, -float(last), score, number)

    def _frozen(
        self,
        record: TrialRecord,
        state: TrialState,
        value: float | None,
        values: dict[int, float],
    ) -> FrozenTrial:
        params, distributions = self._searched(record)
        frozen = create_trial(
            state=state,
            value=value,
            params=params,
            distributions=distributions,
            intermediate_values=values,
        )
        frozen.number = record.number
        return frozen

    def _searched(self, record: TrialRecord) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        known = self._shown.get(record.number)
        if known is not None:
            return known.params, known.distributions
        return searched(self._space, record.config)

    def _forget(self) -> None:
        while len(self._latest) > LATEST:
            self._drop(self._latest.pop(0))
        while len(self._best) > BEST:
            self._drop(self._best.pop()[-1])

    def _drop(self, number: int) -> None:
        rank = self._ranks.get(number)
        if number not in self._latest and rank not in self._best:
            self._shown.pop(number, None)
            self._ranks.pop(number, None)


def searched(
    space: Space, config: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """The part of `config` that Optuna knows: what has more than one value, and its range."""
    trial = FixedTrial(dict(config))
    suggest: Callable[[Any], Any] = space.suggest
    suggest(trial)
    return dict(trial.params), dict(trial.distributions)


def _curve(record: TrialRecord, last: int) -> dict[int, float]:
    score = record.rows[last - 1]["score"]
    return {} if math.isnan(score) else {last: score}
