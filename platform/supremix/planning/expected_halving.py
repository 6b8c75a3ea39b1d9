"""How many epochs a search comes to under successive halving: expectations, no simulation.

Nothing is known of the settings beforehand, so a trial's place among all settings, its quality, is
taken to be uniform in (0, 1), 0 being the best, and the same at every rung. A trial goes on where
fewer than ceil((c + 1)/r) of the c trials it meets at a rung are better. Whom it meets are those
that began some trials before it (its `lead`) or earlier and came so far; how many of them are
better is binomial, with the share that the expectation so far gives. Early trials meet few others
and go further than they should, which the later ones, that are better, profit from at the rungs
behind: so with a few dozen trials a good deal more than 1/r pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from supremix.tuning.pruners.pruner import Rungs

MOST = 3000
"""Trials that are reckoned one by one; any further ones are taken to be like the last."""

ENDLESS = 10**9
"""More trials than any budget is for."""

GRID = (np.arange(100) + 0.5) / 100
"""Qualities at which chances are reckoned."""

Chances = NDArray[np.float64]
"""(100,) the chance of something for a trial of each quality."""


def chance(others: float, better: Chances, reduction: float) -> Chances:
    """The chance to pass a rung.

    Args:
        others: Trials met there, as expected.
        better: (100,) the share of them that is better, for each quality.
        reduction: Of the halving.
    """
    low = math.floor(others)
    share = others - low
    return (1 - share) * _chance(low, better, reduction) + share * _chance(
        low + 1, better, reduction
    )


def _chance(others: int, better: Chances, reduction: float) -> Chances:
    if others + 1 < reduction:
        return np.ones_like(better)
    allowed = max(1, math.ceil((others + 1) / reduction))
    found: Any = bdtr(float(allowed - 1), others, better)
    return found


def reaching(rungs: Rungs, lead: int) -> Iterator[tuple[float, ...]]:
    """For trial 0, 1, 2, …: the chance to begin each part between two rungs; the first is 1.

    Args:
        rungs: Where trials are compared.
        lead: How many trials before a trial the ones begin that it is compared with, at least 1.

    Yields:
        As many chances as there are parts, one more than rungs. Without end.
    """
    begun: list[list[Chances]] = [[] for _ in rungs.epochs]
    met = np.zeros((len(rungs.epochs), len(GRID)))
    number = 0
    while True:
        chances = [np.ones_like(GRID)]
        for rung in range(len(rungs.epochs)):
            if number >= lead:
                met[rung] += begun[rung][number - lead]
            begun[rung].append(chances[-1])
            # The first trial has the default settings, and is never given up.
            passing = 1.0 if number == 0 else chance(*_peers(met[rung]), rungs.reduction)
            chances.append(chances[-1] * passing)
        yield tuple(float(each.mean()) for each in chances)
        number += 1


def _peers(met: Chances) -> tuple[float, Chances]:
    """How many trials are met, and for each quality the share of them that is better."""
    below = (np.cumsum(met) - met / 2) / len(GRID)
    others = float(met.mean())
    return others, np.clip(below / others, 0.0, 1.0) if others > 0 else below


@dataclass(frozen=True, kw_only=True)
class Course:
    """What trials come to when an epoch costs what `costs` says.

    Args:
        rungs: Where trials are compared.
        lead: How many trials before a trial the ones begin that it is compared with.
        costs: (E,) what each epoch of a whole trial costs: seconds, or 1 to count epochs.
    """

    rungs: Rungs
    lead: int = 1
    costs: Sequence[float]
    _sums: list[float] = field(default_factory=lambda: [0.0], init=False, repr=False)

    @property
    def whole(self) -> float:
        """Of a trial that is not given up."""
        return sum(self.costs)

    def total(self, trials: int) -> float:
        """Expected cost of the first `trials` trials of a search."""
        known = min(trials, MOST)
        self._reckon(known)
        last = self._sums[known] - self._sums[known - 1] if known else 0.0
        return self._sums[known] + (trials - known) * last

    def within(self, cost: float) -> int:
        """How many trials are expected to be done when `cost` is used up."""
        low, high = 0, 1
        while self.total(high) <= cost and high < ENDLESS:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.total(middle) <= cost else (low, middle)
        return low

    def _reckon(self, trials: int) -> None:
        if len(self._sums) > trials:
            return
        del self._sums[1:]
        marks = (0, *self.rungs.epochs, self.rungs.total)
        parts = [sum(self.costs[low:high]) for low, high in pairwise(marks)]
        # Twice as many as asked for: a search for the right number comes back for more.
        for chances in islice(reaching(self.rungs, self.lead), min(2 * trials, MOST)):
            cost = sum(p * part for p, part in zip(chances, parts, strict=True))
            self._sums.append(self._sums[-1] + cost)
