"""An index of a study's trials by their state."""

from __future__ import annotations

from bisect import insort
from collections import Counter

from supremix.tuning.ledger.records import TrialRecord, last_error


class TrialIndex:
    """The trials that run, are complete or have ended; kept up event by event."""

    def __init__(self) -> None:
        self.searched = 0
        """Trials of the search so far."""
        self.frontier = 0
        """The first trial that has not ended; all before it have."""
        self.running: set[int] = set()
        self.complete: set[int] = set()
        """Running ones with all epochs done: a decision on them is still awaited."""
        self.resumed: list[int] = []
        """Running ones of an earlier session, which have to be proposed once more."""
        self.replicates: list[int] = []
        """Trials that train the hyperparameters of the best ones with new seeds."""
        self.finished: list[tuple[float, int]] = []
        """Error and number of the finished trials of the search, best first."""
        self.ends: Counter[str] = Counter()
        """Number of trials by how they ended."""
        self._ahead: set[int] = set()

    def begin(self, record: TrialRecord) -> None:
        """Take a new trial."""
        self.running.add(record.number)
        if record.replicate_of is None:
            self.searched += 1
        else:
            self.replicates.append(record.number)

    def observe(self, record: TrialRecord) -> None:
        """Take a trial's new epoch."""
        if record.complete:
            self.complete.add(record.number)

    def end(self, record: TrialRecord) -> None:
        """Take the end of a trial."""
        number = record.number
        self.ends[record.state] += 1
        self.running.discard(number)
        self.complete.discard(number)
        if record.state == "finished" and record.replicate_of is None:
            insort(self.finished, (last_error(record), number))
        self._ahead.add(number)
        while self.frontier in self._ahead:
            self._ahead.discard(self.frontier)
            self.frontier += 1
