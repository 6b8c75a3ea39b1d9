"""The median stopping rule (Golovin et al., Google Vizier, KDD 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from supremix.errors import SpecError
from supremix.tuning.pruners.pruner import Peers, Rungs, dataset_ends, first_rung

COMPARISONS = 4
"""Parts that a training is divided into: a comparison follows each that ends after the grace."""

STARTUP = 5
"""Peers that a trial needs to be compared, as in Optuna's `MedianPruner`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MedianRule:
    """Gives up a trial whose score is worse than the median of those that got as far.

    Vizier and Optuna compare with completed trials alone; here, as with successive halving, every
    earlier trial that reached the epoch counts, so that each comparison halves what is left.

    Args:
        grace: Epochs before the first comparison, at least 1; None for half of all.

    Raises:
        SpecError: `grace` is below 1.
    """

    grace: int | None = None

    def __post_init__(self) -> None:
        if self.grace is not None and self.grace < 1:
            raise SpecError(f"the median rule needs grace >= 1; got grace={self.grace}.")

    def rungs(self, epochs: int, datasets: int = 1) -> Rungs:
        """Every quarter of the epochs, from the grace on; then at each dataset's end."""
        first, step = first_rung(self.grace, epochs), max(1, epochs // COMPARISONS)
        ends = dataset_ends(epochs, datasets)
        return Rungs(
            epochs=(*range(first, epochs, step), *ends), total=datasets * epochs, reduction=2.0
        )

    def keeps(self, scores: Sequence[float], peers: Peers) -> bool:
        """Whether at most half of the peers are better; with fewer than `STARTUP` it goes on."""
        return len(peers) < STARTUP or 2 * peers.better_than(scores[-1]) <= len(peers)
