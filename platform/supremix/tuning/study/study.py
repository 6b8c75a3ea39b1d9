"""The study: it proposes hyperparameters and prunes trials. Knows no Ray.

Every decision follows from the trials' numbers, hyperparameters and rows alone, never from which
result arrived first: see `lookback` for what a proposal may know and `pruning` for which trials are
compared. So a seed and a number of parallel trials give one table of trials, and a study built upon
an existing ledger, or one that lacks its last events, goes on to the same end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from supremix.tuning.ledger.ledger import END, EPOCH, PROLONGED, TRIAL, Event
from supremix.tuning.ledger.records import (
    State,
    TrialRecord,
    apply_event,
    basis_of,
    best_record,
    compared_record,
    error_of,
)
from supremix.tuning.study.budget import Clock
from supremix.tuning.study.config import WAIT, LedgerLike, Proposal, StudyConfig, Wait
from supremix.tuning.study.history import History
from supremix.tuning.study.pruning import PruneDecision, Pruning, scored
from supremix.tuning.study.replay import ReplayedLedger, check_epoch
from supremix.tuning.study.sampler import SAMPLERS, Sampler, draw_seed, startup_trials
from supremix.tuning.study.trial_index import TrialIndex
from supremix.tuning.study.warm_start import WarmStart
from supremix_reports.tables.ranking import DEFAULTS
from supremix_spaces import Space

NEW_SEEDS = 10**9
"""The first of the numbers that the seeds of replicates are drawn by; no trial has it."""


class Study:
    """A search over one space, upon one ledger.

    Args:
        space: The space to search. Its defaults are the first point tried.
        seed: Seed of the sampler; trial n's draw is seeded by (seed, n).
        ledger: The run's ledger, with the events so far.
        config: Budget, stopping rule and the like.
        warm_start: Points that are tried first, and trials of earlier searches.
        sampler: Draws hyperparameters; None for the sampler that `config` names.
    """

    def __init__(
        self,
        *,
        space: Space,
        seed: int,
        ledger: LedgerLike,
        config: StudyConfig,
        warm_start: WarmStart | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        self.records: dict[int, TrialRecord] = {}
        self.space, self.config = space, config
        self.gpu_seconds = 0.0
        self._seed, self._ledger = seed, ReplayedLedger(ledger)
        self._warm_start = warm_start or WarmStart()
        self._startup = startup_trials(config.budget.trials)
        self._sampler = sampler or SAMPLERS[config.sampler](space, seed, self._startup)
        self._lookback = config.lookback
        self._history = History(space, self._lookback)
        self._pruning = Pruning(config.pruner, config.rungs, config.lead or config.parallel)
        self._index = TrialIndex()
        self._prolonged = False
        self.clock = Clock(self._ledger.clock)
        for event in self._ledger.replay():
            self._replay(event)
        self._index.resumed = sorted(self._index.running)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to be proposed and nothing runs."""
        return not self._index.running and self._closed() and self._next_replicate() is None

    @property
    def searched(self) -> bool:
        """Whether every trial of the search has ended; replicates may be left."""
        return self._closed() and not self._searching()

    @property
    def states(self) -> Mapping[str, int]:
        """The number of trials in each state."""
        return {**self._index.ends, "running": len(self._index.running)}

    @property
    def running(self) -> list[int]:
        """Numbers of the trials under way."""
        return sorted(self._index.running)

    @property
    def replicates(self) -> list[int]:
        """Numbers of the trials that train the best hyperparameters with new seeds."""
        return list(self._index.replicates)

    @property
    def planned_replicates(self) -> int:
        """Replicates that there will be, beyond the trials of the budget."""
        limit, most = self.config.budget.trials, self.config.finalists
        count = len(self._finalists()) if self.searched else min(most, limit or most)
        return count * self.config.replicates

    @property
    def best(self) -> TrialRecord | None:
        """The best trial so far, see `best_record`; found without looking at all of them."""
        return best_record(self._leaders())

    @property
    def compared(self) -> TrialRecord | None:
        """The trial that the best one is compared with, see `compared_record`."""
        best = self.best
        return None if best is None else compared_record(self._leaders(), best.number)

    def error_of(self, record: TrialRecord) -> float:
        """Error of a trial's hyperparameters: the mean of its replicates where it has some."""
        return error_of(record, self._replicate_records())

    def basis_of(self, record: TrialRecord) -> str:
        """What that error was measured on, in words."""
        return basis_of(record, self._replicate_records())

    def ask(self) -> Proposal | Wait | None:
        """The next trial to run, running ones of a resumed study first.

        Returns:
            A proposal; `WAIT` when a running trial has to report first; None when there will be no
            more.
        """
        closed = self._closed()
        while self._index.resumed:
            record = self.records[self._index.resumed.pop(0)]
            if record.state == "running" and not record.complete:
                spent = self._spent() if closed and record.replicate_of is None else None
                if spent is None:
                    return Proposal.of(record)
                self.finish(record.number, "stopped", spent)
        return self._replicate() if closed else self._propose()

    def observe(self, number: int, row: Mapping[str, Any], total: int) -> bool:
        """Take an epoch's row of a trial.

        Args:
            number: Index of the trial in the study.
            row: The row: ``epoch``, ``error``, ``seconds``, and others for the tables.
            total: Epochs of the whole trial.

        Returns:
            Whether the trial is to stop: it is pruned, complete, or the budget is used up. Rows of
            a trial that has ended change nothing.
        """
        record = self.records[number]
        if record.state != "running":
            return True
        # Not before: a trial is proposed long before the worker group that trains it has started.
        self.clock.start(row["seconds"])
        self._write(EPOCH, number=number, row=scored(record, row), total=total)
        self._prune(self._observed(record))
        if record.state == "running" and not record.complete and record.replicate_of is None:
            spent = self._spent()
            if spent is not None:
                self.finish(number, "stopped", spent)
        return record.state != "running" or record.complete

    def finish(self, number: int, state: State, reason: str | None = None) -> None:
        """End a trial; ending it twice is not an error, the first end counts."""
        record = self.records[number]
        if record.state == "running":
            self._prune(self._end(record, state, reason, record.epoch))

    def _closed(self) -> bool:
        """Whether no more hyperparameters are to be tried."""
        limit = self.config.budget.trials
        return (
            self._prolonged
            or (limit is not None and self._index.searched >= limit)
            or self._spent() is not None
        )

    def _spent(self) -> str | None:
        # The budget is one of finding hyperparameters: those that are prolonged are found.
        return (
            None
            if self._prolonged
            else self.config.budget.spent(self.clock.now(), self.gpu_seconds)
        )

    def _propose(self) -> Proposal | Wait:
        number = self._index.searched
        if not self._may_know(number):
            return WAIT
        self._history.advance(number, self.records)
        return self._begin(number=number, config=self._draw(number))

    def _draw(self, number: int) -> dict[str, Any]:
        if number == 0:
            return self.space.defaults()
        if number <= len(self._warm_start.points):
            return self._warm_start.points[number - 1]
        past = self._history.trials()
        # In place of the random draws, trials of others would cost more later than they gain.
        if self._history.scores >= self._startup:
            past += self._warm_start.shown(self.space, self._history)
        return self._sampler.propose(number, past)

    def _may_know(self, number: int) -> bool:
        """Whether all that proposal `number` may know is there."""
        *rungs, end = (number - distance for distance in self._lookback.distances)
        known = all(self._pruning.settled(level, n) for level, n in enumerate(rungs) if n >= 0)
        return known and self._index.frontier > end

    def _replicate(self) -> Proposal | Wait | None:
        """The next replicate, once every trial of the search has ended."""
        if self._searching():
            return WAIT
        following = self._next_replicate()
        return None if following is None else self._begin(**following)

    def _searching(self) -> bool:
        return any(self.records[number].replicate_of is None for number in self._index.running)

    def _next_replicate(self) -> dict[str, Any] | None:
        known = [record.replicate_of for record in self._replicate_records()]
        for number in self._finalists():
            done = known.count(number)
            if done < self.config.replicates:
                return {
                    "number": len(self.records),
                    "config": self.records[number].config,
                    "replicate_of": number,
                    # The same new seeds for each of the best: luck is dealt to all alike.
                    "seed": draw_seed(self._seed, NEW_SEEDS + done),
                }
        return None

    def _leaders(self) -> list[TrialRecord]:
        """The finalists and their replicates."""
        return [*(self.records[number] for number in self._finalists()), *self._replicate_records()]

    def _finalists(self) -> list[int]:
        """The trials whose hyperparameters are trained again: the best ones, and the defaults."""
        # However their own trial ended: whatever the search found is measured by the defaults.
        defaults = self.space.defaults()
        best = (n for _, n in self._index.finished if self.records[n].config != defaults)
        return [DEFAULTS, *islice(best, self.config.top_k)] if self._index.finished else []

    def _replicate_records(self) -> list[TrialRecord]:
        return [self.records[number] for number in self._index.replicates]

    def _begin(self, **content: Any) -> Proposal:
        self._write(TRIAL, **content)
        record = self.records[content["number"]]
        self._begun(record)
        return Proposal.of(record)

    def _begun(self, record: TrialRecord) -> None:
        self._index.begin(record)
        if record.replicate_of is None:
            self._pruning.begin(record)

    def _observed(self, record: TrialRecord) -> list[PruneDecision]:
        self.gpu_seconds += record.rows[-1]["seconds"] * self.config.gpus
        if self._prolonged or record.replicate_of is not None:
            return []
        return self._pruning.observe(record.number)

    def _prune(self, decisions: Iterable[PruneDecision]) -> None:
        """End the trials that are given up, then those that are complete and past every rung."""
        given_up = deque(decisions)
        while True:
            while given_up:
                number, epoch = given_up.popleft()
                reason = f"behind other trials after epoch {epoch}"
                given_up.extend(self._end(self.records[number], "pruned", reason, epoch))
            done = next(filter(self._decided, sorted(self._index.complete)), None)
            if done is None:
                return
            record = self.records[done]
            given_up.extend(self._end(record, "finished", None, record.epoch))

    def _decided(self, number: int) -> bool:
        """Whether no decision on a complete trial is awaited."""
        return self.records[number].replicate_of is not None or self._pruning.passed(number)

    def _end(
        self, record: TrialRecord, state: State, reason: str | None, epoch: int
    ) -> list[PruneDecision]:
        self.clock.start()
        self._write(END, number=record.number, state=state, reason=reason, epoch=epoch)
        return self._ended(record)

    def _ended(self, record: TrialRecord) -> list[PruneDecision]:
        """Note the end of a trial; the trials given up whose decision waited for it."""
        self._index.end(record)
        return self._pruning.end(record.number)

    def _write(self, kind: str, **content: Any) -> None:
        self._apply(self._ledger.write(kind, **content, clock=round(self.clock.now(), 3)))

    def _apply(self, event: Event) -> None:
        apply_event(self.records, event)
        if event["event"] == EPOCH:
            self._index.observe(self.records[event["number"]])

    def _replay(self, event: Event) -> None:
        """Take an event of an earlier session."""
        kind = event["event"]
        if kind == TRIAL:
            if event.get("replicate_of") is None:
                self._history.advance(event["number"], self.records)
            self._apply(event)
            self._begun(self.records[event["number"]])
        elif kind == EPOCH:
            record = self.records[event["number"]]
            check_epoch(record, event)
            self._apply(event)
            self._prune(self._observed(record))
        elif kind == END and self.records[event["number"]].state == "running":
            self._apply(event)
            self._prune(self._ended(self.records[event["number"]]))
        elif kind == PROLONGED:
            self._apply(event)
            self._prolong()

    def _prolong(self) -> None:
        """Let the trials that are prolonged run again; nothing new is proposed any more."""
        self._prolonged, self._index = True, TrialIndex()
        for record in self.records.values():
            self._index.begin(record)
            if record.state != "running":
                self._index.end(record)
