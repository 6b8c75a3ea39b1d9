"""The past that a proposal may know: a matter of trial numbers, never of timing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from supremix.tuning.pruners.pruner import Rungs

SLACK = 2.5
"""How much longer than usual a trial may take before a proposal has to wait for it."""


@dataclass(frozen=True, slots=True)
class Lookback:
    """The distances, in trial numbers, from which on a trial's epochs are used.

    With P trials in parallel and m epochs a trial on average, about P·e/m further trials begin
    while one trial has e epochs. So proposal n uses the first e epochs of the trials of number
    n - d(e) and below, d(e) = 1 + (P - 1)(1 + slack·e/m): by then they are there, unless a trial is
    much slower than others, and then the proposal waits. With P = 1 everything is used.

    Args:
        levels: Epochs up to which a trial may be known: its rungs, and its end.
        distances: d of each level, at least 1, ascending.
    """

    levels: tuple[int, ...]
    distances: tuple[int, ...]

    @classmethod
    def of(cls, rungs: Rungs, parallel: int, slack: float = SLACK) -> Lookback:
        """The lookback over trials with these rungs, `parallel` of them at once."""
        levels = (*rungs.epochs, rungs.total)
        return cls(
            levels=levels,
            distances=tuple(
                1 + math.ceil((parallel - 1) * (1 + slack * epoch / rungs.mean)) for epoch in levels
            ),
        )
