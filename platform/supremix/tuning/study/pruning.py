"""Pruning that no timing changes: which trial is compared with which, and when.

Tune's own schedulers compare a trial with whichever happened to be there first. Here trial n is
compared with the trials of number n - P and below, P being the number of trials in parallel: those
are at a rung before it, as a rule, and where one is not, the decision waits for it while trial n
trains on. So the same trials lead to the same decisions, however long each took.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from supremix.tuning.ledger.records import TrialRecord
from supremix.tuning.pruners.pruner import Pruner, Rungs
from supremix.tuning.study.rung import Rung

T = TypeVar("T")


class PruneDecision(NamedTuple):
    """A trial that is given up.

    Args:
        number: Index of the trial in the study.
        epoch: Epochs of it that count.
    """

    number: int
    epoch: int


class Pruning:
    """Asks a stopping rule about a study's trials, in the order of their numbers.

    Trial 0, the defaults, is never given up: all others are measured by it.

    Args:
        pruner: The stopping rule.
        rungs: Epochs after which trials are compared.
        lead: How many trials before a trial the ones begin that it is compared with.
    """

    def __init__(self, pruner: Pruner, rungs: Rungs, lead: int = 1) -> None:
        self._pruner, self._epochs = pruner, rungs.epochs
        self._rungs = [Rung(lead) for _ in rungs.epochs]
        self._records: dict[int, TrialRecord] = {}
        self._level: dict[int, int] = {}
        self._settled: dict[int, int] = {}
        self._waiting: set[int] = set()

    def begin(self, record: TrialRecord) -> None:
        """Take a new trial."""
        self._records[record.number] = record
        self._level[record.number] = self._settled[record.number] = 0

    def passed(self, number: int) -> bool:
        """Whether a running trial has passed every rung; one that was prolonged has."""
        return self._level.get(number, len(self._epochs)) == len(self._epochs)

    def settled(self, level: int, number: int) -> bool:
        """Whether all trials up to `number` are at a rung, or never will be."""
        return self._rungs[level].frontier > number

    def observe(self, number: int) -> list[PruneDecision]:
        """Take a trial's new row: the trials that are given up, this one or those that waited."""
        return self._decide(number)

    def end(self, number: int) -> list[PruneDecision]:
        """Take the end of a trial for any reason: the trials given up that waited for it."""
        self._leave(number)
        return self._decide(None)

    def _decide(self, number: int | None) -> list[PruneDecision]:
        decisions: list[PruneDecision] = []
        while number is not None or (number := self._released()) is not None:
            epoch = None if number in self._waiting else self._advance(number)
            if epoch is not None:
                decisions.append(PruneDecision(number, epoch))
                self._leave(number)
            number = None
        return decisions

    def _advance(self, number: int) -> int | None:
        """Take a trial over the rungs it has reached; the epoch it is given up at, or None."""
        record = self._records[number]
        while (level := self._level[number]) < len(self._epochs):
            epoch, rung = self._epochs[level], self._rungs[level]
            if record.epoch < epoch and not record.complete:
                return None
            if record.epoch < epoch:  # it had fewer epochs than others, and is done
                return self._skip(number)
            if self._settled[number] == level:
                self._settled[number] += 1
                rung.settle(number, record.rows[epoch - 1]["score"])
            if not rung.ready(number):
                self._waiting.add(number)
                rung.wait(number)
                return None
            if not self._keeps(record, epoch, rung):
                return epoch
            self._level[number] += 1
        return None

    def _keeps(self, record: TrialRecord, epoch: int, rung: Rung) -> bool:
        if record.number == 0 or math.isnan(record.rows[epoch - 1]["score"]):
            return True
        peers = rung.peers(record.number)
        if not len(peers):
            return True
        return self._pruner.keeps([row["score"] for row in record.rows[:epoch]], peers)

    def _skip(self, number: int) -> None:
        for rung in self._rungs[self._settled[number] :]:
            rung.settle(number, None)
        self._settled[number] = self._level[number] = len(self._rungs)

    def _released(self) -> int | None:
        """A trial whose comparison need not wait any longer."""
        for rung in self._rungs:
            while (number := rung.released()) is not None:
                self._waiting.discard(number)
                if number in self._records:
                    return number
        return None

    def _leave(self, number: int) -> None:
        if self._records.pop(number, None) is None:
            return
        for rung in self._rungs[self._settled.pop(number) :]:
            rung.settle(number, None)
        del self._level[number]
        self._waiting.discard(number)


def recent_error(errors: Sequence[float]) -> float:
    """The least of the errors after the last quarter of the epochs so far; NaN for none.

    On recorded trainings it ranks trials at a half and two thirds of their epochs more like their
    errors at the end than the last error does, or the least of all: see docs/simulation.md.
    """
    return _least(_recent(errors))


def _recent(values: Sequence[T]) -> Sequence[T]:
    """Of one value for each epoch those of the last quarter, at least one."""
    return values[-max(1, len(values) // 4) :]


def _least(errors: Sequence[float]) -> float:
    return min((error for error in errors if not math.isnan(error)), default=math.nan)


def scored(record: TrialRecord, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the trial's score, which rungs compare: see `recent_error`."""
    if "score" in row:
        return dict(row)
    recent = _recent((*record.rows, row))
    return {**row, "score": _least([one["error"] for one in recent])}
