"""Successive halving of a study's trials: who waits at which rung, who passes, who ends."""

from __future__ import annotations

from supremix.tuning.ledger.records import TrialRecord
from supremix.tuning.study.pruning import Rung, Rungs

PruneDecision = tuple[int, int]
"""A trial that is to be given up, and the epochs of it that count."""


class Halving:
    """The rungs of a study, told of its trials' epochs and ends.

    Trial 0, the defaults, is never given up: what they come to is the measure of all others.

    Args:
        rungs: Where trials are compared.
        lead: How many trials before a trial the ones begin that it is compared with.
    """

    def __init__(self, rungs: Rungs, lead: int = 1) -> None:
        self._epochs = rungs.epochs
        self._rungs = [Rung(rungs.reduction, lead) for _ in rungs.epochs]
        self._records: dict[int, TrialRecord] = {}
        self._level: dict[int, int] = {}
        self._settled: dict[int, int] = {}
        self._waiting: set[int] = set()

    def begin(self, record: TrialRecord) -> None:
        """Take a new trial."""
        self._records[record.number] = record
        self._level[record.number] = self._settled[record.number] = 0

    def passed(self, number: int) -> bool:
        """Whether a running trial has every verdict behind it."""
        return self._level[number] == len(self._epochs)

    def settled(self, level: int, number: int) -> bool:
        """Whether all trials up to `number` are at a rung, or never will be."""
        return self._rungs[level].frontier > number

    def observe(self, number: int) -> list[PruneDecision]:
        """Go as far as a trial's new row allows, and whoever waited for it."""
        return self._work(number)

    def end(self, number: int) -> list[PruneDecision]:
        """Take the end of a trial for whatever reason, and see who waited for it."""
        self._leave(number)
        return self._work(None)

    def _work(self, number: int | None) -> list[PruneDecision]:
        victims: list[PruneDecision] = []
        while number is not None or (number := self._released()) is not None:
            epoch = None if number in self._waiting else self._advance(number)
            if epoch is not None:
                victims.append((number, epoch))
                self._leave(number)
            number = None
        return victims

    def _advance(self, number: int) -> int | None:
        """Take a trial over the rungs it has reached; the epoch of the one it falls at, or None."""
        record = self._records[number]
        while (level := self._level[number]) < len(self._epochs):
            epoch, rung = self._epochs[level], self._rungs[level]
            if record.epoch < epoch and not record.complete:
                return None
            if record.epoch < epoch:  # it had fewer epochs than others, and is done
                return self._skip(number)
            score = record.rows[epoch - 1]["score"]
            if self._settled[number] == level:
                self._settled[number] += 1
                rung.settle(number, score)
            if not rung.ready(number):
                self._waiting.add(number)
                rung.wait(number)
                return None
            if number > 0 and not rung.passes(number, score):
                return epoch
            self._level[number] += 1
        return None

    def _skip(self, number: int) -> None:
        for rung in self._rungs[self._settled[number] :]:
            rung.settle(number, None)
        self._settled[number] = self._level[number] = len(self._rungs)

    def _released(self) -> int | None:
        """A trial whose verdict need not wait any longer."""
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
