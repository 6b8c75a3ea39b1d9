"""What a simulated search is made of: its ledger, its groups, its studies, and its report."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from supremix.errors import SpecError
from supremix.tuning.ledger.ledger import END, Event
from supremix.tuning.simulation.curves import CurveModel
from supremix.tuning.study.study import Study


class MemoryLedger:
    """A ledger that lives in memory.

    Args:
        events: What happened so far.
    """

    def __init__(self, events: Sequence[Event] = ()) -> None:
        self.events: list[Event] = list(events)

    def append(self, kind: str, **content: Any) -> Event:
        """Note an event."""
        event = {"event": kind, **content}
        self.events.append(event)
        return event


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerGroups:
    """The worker groups of a simulated cluster.

    Args:
        count: How many, at least 1.
        paces: What an epoch takes on each worker group, relative to the curve's seconds; above 0.
            Repeated when there are more worker groups than paces.
        jitter: Standard deviation of the logarithm of an epoch's duration, at least 0.
        dies_after: Mean virtual seconds between two deaths of a worker group; None for never.
        away: Virtual seconds until a dead worker group is back, at least 0.
        seed: Of jitter and deaths.
    """

    count: int = 1
    paces: Sequence[float] = (1.0,)
    jitter: float = 0.0
    dies_after: float | None = None
    away: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        mortal = self.dies_after is None or self.dies_after > 0
        if self.count < 1 or not self.paces or min(self.paces) <= 0 or not mortal:
            raise SpecError(
                "simulated groups need count >= 1, paces > 0 and dies_after > 0 or None; got "
                f"count={self.count}, paces={list(self.paces)}, dies_after={self.dies_after}."
            )
        if self.jitter < 0 or self.away < 0:
            raise SpecError(
                f"jitter and away are at least 0; got jitter={self.jitter:g}, away={self.away:g}."
            )


class Events(Protocol):
    """A ledger, as far as it is read here."""

    events: list[Event]


@dataclass(slots=True)
class Best:
    """The best trial so far, at the moment when it became that.

    Args:
        clock: Virtual seconds.
        epochs: Epochs trained until then, by all worker groups and for all studies.
        error: What its training showed after the last epoch.
        true: The same without the luck of a seed.
    """

    clock: float
    epochs: int
    error: float
    true: float


class Arm:
    """One study of a simulated search.

    Args:
        open: Makes the study, when its turn has come; called once.
        ledger: The study's.
        model: What training would give.

    Attributes:
        path: The best trial over time, each of less error than the one before.
        closest: The same by true error, which no search gets to see.
    """

    def __init__(self, open: Callable[[], Study], ledger: Events, model: CurveModel) -> None:  # noqa: A002
        self._open, self._ledger, self.model = open, ledger, model
        self.path: list[Best] = []
        self.closest: list[Best] = []
        self._study: Study | None = None
        self._read = 0

    @property
    def study(self) -> Study:
        """The study.

        Raises:
            SpecError: It has not begun yet.
        """
        if self._study is None:
            raise SpecError("a simulated study exists from its first turn on; run the simulation.")
        return self._study

    def begin(self) -> Study:
        """Make the study."""
        self._study = self._open()
        return self._study

    def look(self, clock: float, epochs: int) -> None:
        """Take note of the trials that have finished since the last time."""
        for event in self._ledger.events[self._read :]:
            if event["event"] == END and event["state"] == "finished":
                self._finished(event["number"], clock, epochs)
        self._read = len(self._ledger.events)

    def _finished(self, number: int, clock: float, epochs: int) -> None:
        record = self.study.records[number]
        if record.role != "search" or record.error is None:
            return
        true = self.model.true_error(record.config)
        best = Best(clock=clock, epochs=epochs, error=record.error, true=true)
        if not self.path or best.error < self.path[-1].error:
            self.path.append(best)
        if not self.closest or true < self.closest[-1].true:
            self.closest.append(best)


@dataclass(kw_only=True, slots=True)
class Report:
    """What a simulated search came to.

    Args:
        seconds: Virtual time from the first proposal until the last worker group was free.
        epochs: Epochs trained, those included that did not count in the end.
        busy, waiting, away, drained: Shares of the worker groups' time: training; told to wait;
            dead; free after the last proposal. Their sum is 1.
        asking, observing: Processor seconds of the driver for each proposal given and each epoch
            observed, whatever these led to included.
        refusals: How often a worker group was told to wait.
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
