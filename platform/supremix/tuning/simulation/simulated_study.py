"""A study of a simulated search, with the curves of its trials and the best one over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from supremix.errors import SpecError
from supremix.tuning.ledger.ledger import END
from supremix.tuning.simulation.curves import CurveModel
from supremix.tuning.study.config import LedgerLike
from supremix.tuning.study.study import Study


@dataclass(slots=True)
class BestSoFar:
    """The best trial at the moment when it became that.

    Args:
        clock: Virtual seconds.
        epochs: Epochs trained until then, by all worker groups and for all studies.
        error: Error that its training showed after the last epoch.
        true: The same without the luck of a seed.
    """

    clock: float
    epochs: int
    error: float
    true: float


class SimulatedStudy:
    """One study of a simulated search.

    Args:
        open: Makes the study, when its turn has come; called once.
        ledger: The study's ledger.
        model: The curves of its trials.

    Attributes:
        path: The best trial over time, each of less error than the one before.
        closest: The same by true error, which no search gets to see.
    """

    def __init__(
        self,
        open: Callable[[], Study],  # noqa: A002
        ledger: LedgerLike,
        model: CurveModel,
    ) -> None:
        self._open, self.ledger, self.model = open, ledger, model
        self.path: list[BestSoFar] = []
        self.closest: list[BestSoFar] = []
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
        for event in self.ledger.events[self._read :]:
            if event["event"] == END and event["state"] == "finished":
                self._finished(event["number"], clock, epochs)
        self._read = len(self.ledger.events)

    def _finished(self, number: int, clock: float, epochs: int) -> None:
        record = self.study.records[number]
        if record.replicate_of is not None or record.error is None:
            return
        true = self.model.true_error(record.config)
        best = BestSoFar(clock=clock, epochs=epochs, error=record.error, true=true)
        if not self.path or best.error < self.path[-1].error:
            self.path.append(best)
        if not self.closest or true < self.closest[-1].true:
            self.closest.append(best)
