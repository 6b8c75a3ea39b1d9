"""The worker groups of a simulated search, and the report of what they did."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from supremix.errors import SpecError


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedCluster:
    """The worker groups that train.

    Args:
        worker_groups: Number of worker groups, at least 1.
        paces: Duration of an epoch on each worker group, relative to the curve's seconds; above 0.
            Repeated when there are more worker groups than paces.
        setup: Virtual seconds before a trial's first epoch on a worker group, at least 0.
        save: Virtual seconds after each epoch for its checkpoint, at least 0.
        jitter: Standard deviation of the logarithm of an epoch's duration, at least 0.
        dies_after: Mean virtual seconds between two deaths of a worker group; None for never.
        away: Virtual seconds until a dead worker group is back, at least 0.
        seed: Seed of jitter and deaths.

    Raises:
        SpecError: A number is out of its range.
    """

    worker_groups: int = 1
    paces: Sequence[float] = (1.0,)
    setup: float = 0.0
    save: float = 0.0
    jitter: float = 0.0
    dies_after: float | None = None
    away: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        mortal = self.dies_after is None or self.dies_after > 0
        if self.worker_groups < 1 or not self.paces or min(self.paces) <= 0 or not mortal:
            raise SpecError(
                "a simulated cluster needs worker_groups >= 1, paces > 0 and dies_after > 0 or "
                f"None; got worker_groups={self.worker_groups}, paces={list(self.paces)}, "
                f"dies_after={self.dies_after}."
            )
        for name in ("setup", "save", "jitter", "away"):
            if getattr(self, name) < 0:
                raise SpecError(f"{name} is at least 0; got {name}={getattr(self, name):g}.")


@dataclass(kw_only=True, slots=True)
class SimulationReport:
    """The time and work that a simulated search took.

    Args:
        seconds: Virtual time from the first proposal until the last worker group was free.
        epochs: Epochs trained, with those that did not count in the end.
        busy: Share of the worker groups' time that they trained. The four shares add up to 1.
        waiting: Share that they waited for another trial's report.
        away: Share that they were dead.
        drained: Share that they were free after the last proposal.
        asking: Processor seconds of the driver for each proposal.
        observing: Processor seconds of the driver for each epoch observed, and what followed.
        refusals: Number of times that a worker group had to wait.
        refusing: Processor seconds of the driver for those, summed.
    """

    seconds: float = 0.0
    epochs: int = 0
    busy: float = 0.0
    waiting: float = 0.0
    away: float = 0.0
    drained: float = 0.0
    asking: array[float] = field(default_factory=lambda: array("d"))
    observing: array[float] = field(default_factory=lambda: array("d"))
    refusals: int = 0
    refusing: float = 0.0
