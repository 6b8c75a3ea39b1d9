"""No stopping rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from supremix.tuning.pruners.pruner import Peers, Rungs


@dataclass(frozen=True, slots=True)
class NoPruning:
    """Trains every trial to its last epoch."""

    def rungs(self, epochs: int, datasets: int = 1) -> Rungs:
        """No rungs."""
        return Rungs(epochs=(), total=epochs * datasets)

    def keeps(self, scores: Sequence[float], peers: Peers) -> bool:
        """Always."""
        return True
