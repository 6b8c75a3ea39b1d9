"""Asynchronous successive halving (Li et al., arXiv 1810.05934)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from supremix.errors import SpecError
from supremix.tuning.pruners.pruner import Peers, Rungs, dataset_ends, first_rung


@dataclass(frozen=True, kw_only=True, slots=True)
class SuccessiveHalving:
    """Lets the best 1/reduction of the trials pass each rung.

    Args:
        grace: Epochs before the first rung, at least 1; None for half of all.
        reduction: Rungs are grace, grace·reduction, grace·reduction², … epochs, and the best
            1/reduction of the trials at a rung pass it; above 1.

    Raises:
        SpecError: A number is out of its range.
    """

    grace: int | None = None
    reduction: float = 3.0

    def __post_init__(self) -> None:
        if self.reduction <= 1 or (self.grace is not None and self.grace < 1):
            raise SpecError(
                f"successive halving needs grace >= 1 and reduction > 1; got grace={self.grace}, "
                f"reduction={self.reduction:g}."
            )

    def rungs(self, epochs: int, datasets: int = 1) -> Rungs:
        """Geometric rungs on the first dataset; from then on each dataset's end is one."""
        rung, found = first_rung(self.grace, epochs), list[int]()
        while rung < epochs:
            found.append(rung)
            rung = max(rung + 1, math.floor(rung * self.reduction))
        ends = dataset_ends(epochs, datasets)
        return Rungs(epochs=(*found, *ends), total=datasets * epochs, reduction=self.reduction)

    def keeps(self, scores: Sequence[float], peers: Peers) -> bool:
        """Whether the trial is among the best 1/reduction of its peers and itself.

        With fewer than `reduction` - 1 peers it goes on.
        """
        known = len(peers) + 1
        if known < self.reduction:
            return True
        return peers.better_than(scores[-1]) < max(1, math.ceil(known / self.reduction))
