"""The protocol of a stopping rule.

A rule says after which epochs trials are compared, and which of them go on. Which trials are
compared with each other, and when all their scores are known, is the business of
`supremix.tuning.study.pruning`: a rule never sees timing, so none can make a search depend on it.

To add a rule, write a frozen dataclass with the two methods of `Pruner` in a file of this folder,
and name it in `registry.PRUNERS` and, for the option, in `supremix._choices.PRUNERS`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Rungs:
    """The epochs after which trials are compared.

    Args:
        epochs: Epochs, ascending and below `total`; empty for no comparison.
        total: Epochs of a whole trial.
        reduction: About one in `reduction` trials passes a rung; above 1.
    """

    epochs: tuple[int, ...]
    total: int
    reduction: float = 3.0

    @property
    def mean(self) -> float:
        """Mean epochs of a trial when every rung lets exactly 1/reduction of its trials pass."""
        steps = zip((0, *self.epochs), (*self.epochs, self.total), strict=True)
        return sum((high - low) / self.reduction**k for k, (low, high) in enumerate(steps))


class Peers:
    """The scores at a rung of the trials that a trial is compared with.

    Args:
        scores: Finite scores, ascending.
        excluded: Scores among `scores` that belong to other trials than the peers.
    """

    def __init__(self, scores: Sequence[float], excluded: Sequence[float] = ()) -> None:
        self._scores, self._excluded = scores, excluded

    def __len__(self) -> int:
        return len(self._scores) - len(self._excluded)

    def better_than(self, score: float) -> int:
        """The number of peers with a lower score."""
        return bisect_left(self._scores, score) - sum(other < score for other in self._excluded)


class Pruner(Protocol):
    """Decides which trials are given up; a pure function of what it is given.

    The defaults (trial 0), trials without a score and trials without peers go on unasked.
    """

    def rungs(self, epochs: int, datasets: int = 1) -> Rungs:
        """The rungs of trials of `epochs` on each of `datasets` datasets, one after the other."""
        ...

    def keeps(self, scores: Sequence[float], peers: Peers) -> bool:
        """Whether a trial goes on.

        Args:
            scores: Scores of the trial after each of its epochs, up to the rung: the least error of
                the last quarter of its epochs so far.
            peers: The scores at that rung of the trials begun before it, as far as they got there.
        """
        ...


def dataset_ends(epochs: int, datasets: int) -> tuple[int, ...]:
    """The epochs after which a trial on several datasets is done with one and begins the next."""
    return tuple(dataset * epochs for dataset in range(1, datasets))


def first_rung(grace: int | None, epochs: int) -> int:
    """Epochs before the first comparison: `grace`, or half of all.

    On recorded curves of two-stage trainings a trial's rank says little before, see
    docs/simulation.md.
    """
    return min(epochs, grace or max(1, epochs // 2))
