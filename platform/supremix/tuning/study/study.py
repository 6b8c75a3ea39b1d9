"""The study: which settings to try next, which trial to stop. Knows the ledger, not Tune.

Every decision follows from the trials' numbers, settings and rows alone, never from which result
arrived first: see `windows` for what a proposal may know and `pruning` for whom a trial is
compared with. So a seed and a number of parallel trials give one table of configurations, and a
study built upon an existing ledger, or one that lacks its last events, goes on to the same end.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from supremix.errors import RunFolderError
from supremix.tuning.ledger.ledger import END, EPOCH, TRIAL, Event
from supremix.tuning.ledger.records import (
    State,
    TrialRecord,
    apply_event,
    best_record,
    confirmed,
    last_error,
)
from supremix.tuning.study.budget import Clock
from supremix.tuning.study.config import NEW_SEEDS, WAIT, LedgerLike, Proposal, StudyConfig, Wait
from supremix.tuning.study.halving import Halving, PruneDecision
from supremix.tuning.study.history import History
from supremix.tuning.study.sampler import Sampler, Tpe, draw_seed, startup_trials
from supremix.tuning.study.trial_index import Course
from supremix.tuning.study.warm_start import WarmStart
from supremix_spaces import Space


class Study:
    """A search over one space, upon one ledger.

    Args:
        space: What to search. Its defaults are the first point tried.
        seed: Of the sampler. Trial n's draw is seeded by (seed, n).
        ledger: The run's ledger, with what happened so far.
        rules: Budget, rungs and the like.
        prior: What earlier searches found.
        sampler: Draws the settings; None for TPE.
    """

    def __init__(
        self,
        *,
        space: Space,
        seed: int,
        ledger: LedgerLike,
        rules: StudyConfig,
        prior: WarmStart | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        self.records: dict[int, TrialRecord] = {}
        self.space, self.rules = space, rules
        self.gpu_seconds = 0.0
        self._seed, self._ledger = seed, ledger
        self._prior = prior or WarmStart()
        self._startup = startup_trials(rules.budget.trials)
        self._sampler = sampler or Tpe(space, seed, self._startup)
        self._windows = rules.windows()
        self._history = History(space, self._windows)
        self._halving = Halving(rules.rungs, rules.lead or rules.parallel)
        self._state = Course()
        self.clock = Clock(max((event.get("clock", 0.0) for event in ledger.events), default=0.0))
        self._owed: dict[int, Event] | None = {}
        self._replay()

    @property
    def ended(self) -> bool:
        """Whether nothing is left to be proposed and nothing runs."""
        return not self._state.running and self._closed() and self._next_confirmation() is None

    @property
    def searched(self) -> bool:
        """Whether every trial of the search has ended; confirming ones may be left."""
        return self._closed() and not self._searching()

    @property
    def states(self) -> Mapping[str, int]:
        """How many trials are in each state."""
        return {**self._state.ends, "running": len(self._state.running)}

    @property
    def running(self) -> list[int]:
        """Numbers of the trials under way."""
        return sorted(self._state.running)

    @property
    def best(self) -> TrialRecord | None:
        """The trial whose settings are best so far, see `best_record`; found without a search."""
        leaders = [self.records[number] for _, number in self._state.finished[: self._leaders]]
        confirming = [self.records[number] for number in self._state.confirming]
        return best_record([*leaders, *confirming])

    def error_of(self, record: TrialRecord) -> float:
        """Error of a trial's settings: the mean with new seeds where they were trained anew."""
        means = confirmed(self.records[number] for number in self._state.confirming)
        return means.get(record.number, last_error(record))

    @property
    def planned(self) -> int:
        """Trials beyond those of the budget: the ones that train the best settings anew."""
        limit = self.rules.budget.trials
        finalists = self.rules.finalists if limit is None else min(self.rules.finalists, limit)
        if self.searched:
            finalists = min(finalists, len(self._state.finished))
        return finalists * self.rules.seeds

    @property
    def confirming(self) -> list[int]:
        """Numbers of the trials that train the best settings anew."""
        return list(self._state.confirming)

    def ask(self) -> Proposal | Wait | None:
        """The next trial to run, running ones of a resumed study first.

        Returns:
            A proposal; `WAIT` when a running trial has to tell first what it comes to; None when
            there will be no more.
        """
        closed = self._closed()
        while self._state.again:
            record = self.records[self._state.again.pop(0)]
            if record.state == "running" and not record.complete:
                if closed and record.role == "search" and self._spent() is not None:
                    self.finish(record.number, "stopped", self._spent())
                    continue
                return _proposal(record)
        return self._confirm() if closed else self._propose()

    def observe(self, number: int, row: Mapping[str, Any], total: int) -> bool:
        """Take an epoch's row of a trial.

        Returns:
            Whether the trial is to stop: it is pruned, complete, or the budget is used up. Rows of
            a trial that has ended are of no account.
        """
        record = self.records[number]
        if record.state != "running":
            return True
        # Not before: a trial is proposed long before the worker group that trains it has started.
        self.clock.start(row["seconds"])
        self._write(EPOCH, number=number, row=_scored(record, row), total=total)
        self._settle(self._observed(record))
        if record.state == "running" and not record.complete and record.role == "search":
            spent = self._spent()
            if spent is not None:
                self.finish(number, "stopped", spent)
        return record.state != "running" or record.complete

    def finish(self, number: int, state: State, reason: str | None = None) -> None:
        """End a trial; ending it twice is not an error, the first end counts."""
        record = self.records[number]
        if record.state == "running":
            self._settle(self._end(record, state, reason, record.epoch))

    def _closed(self) -> bool:
        """Whether no more settings are to be tried."""
        limit = self.rules.budget.trials
        return (limit is not None and self._state.searched >= limit) or self._spent() is not None

    def _spent(self) -> str | None:
        return self.rules.budget.spent(self.clock.now(), self.gpu_seconds)

    def _propose(self) -> Proposal | Wait:
        number = self._state.searched
        if not self._may_know(number):
            return WAIT
        self._history.advance(number, self.records)
        config = self._settings(number)
        self._write(TRIAL, number=number, config=config, role="search")
        self._begun(self.records[number])
        return _proposal(self.records[number])

    def _settings(self, number: int) -> dict[str, Any]:
        if number == 0:
            return self.space.defaults()
        if number <= len(self._prior.points):
            return self._prior.points[number - 1]
        past = self._history.trials()
        if self._history.scores >= self._startup:  # a prior in place of random draws costs later on
            past += self._prior.shown(self.space, self._history)
        return self._sampler.propose(number, past)

    def _may_know(self, number: int) -> bool:
        """Whether all that proposal `number` may know is there."""
        *rungs, end = (number - distance for distance in self._windows.distances)
        known = all(self._halving.settled(level, n) for level, n in enumerate(rungs) if n >= 0)
        return known and self._state.frontier > end

    def _confirm(self) -> Proposal | Wait | None:
        """The next of the trainings with new seeds, once every trial of the search has ended."""
        if self._searching():
            return WAIT
        following = self._next_confirmation()
        if following is None:
            return None
        self._write(TRIAL, **following)
        record = self.records[following["number"]]
        self._begun(record)
        return _proposal(record)

    def _searching(self) -> bool:
        return any(self.records[number].role == "search" for number in self._state.running)

    def _next_confirmation(self) -> dict[str, Any] | None:
        known = [self.records[number].replicate_of for number in self._state.confirming]
        for _, number in self._state.finished[: self.rules.finalists]:
            done = known.count(number)
            if done < self.rules.seeds:
                return {
                    "number": len(self.records),
                    "config": self.records[number].config,
                    "role": "confirm",
                    "replicate_of": number,
                    # The same new seeds for every finalist: luck is dealt to all alike.
                    "seed": draw_seed(self._seed, NEW_SEEDS + done),
                }
        return None

    def _observed(self, record: TrialRecord) -> list[PruneDecision]:
        self.gpu_seconds += record.rows[-1]["seconds"] * self.rules.gpus
        return self._halving.observe(record.number) if record.role == "search" else []

    def _settle(self, victims: Iterable[PruneDecision]) -> None:
        """End those that are given up, then those that are done and need wait for no verdict."""
        falling = deque(victims)
        while True:
            while falling:
                number, epoch = falling.popleft()
                reason = f"behind other trials after epoch {epoch}"
                falling.extend(self._end(self.records[number], "pruned", reason, epoch))
            done = next(filter(self._done, sorted(self._state.complete)), None)
            if done is None:
                return
            record = self.records[done]
            falling.extend(self._end(record, "finished", None, record.epoch))

    def _done(self, number: int) -> bool:
        """Whether a complete trial needs wait for no verdict."""
        return self.records[number].role == "confirm" or self._halving.passed(number)

    def _end(
        self, record: TrialRecord, state: State, reason: str | None, epoch: int
    ) -> list[PruneDecision]:
        self.clock.start()
        self._write(END, number=record.number, state=state, reason=reason, epoch=epoch)
        return self._ended(record.number)

    @property
    def _leaders(self) -> int:
        return max(1, self.rules.finalists)

    def _ended(self, number: int) -> list[PruneDecision]:
        """Note the end of a trial; those that fall because their verdict waited for it."""
        self._state.end(self.records[number])
        return self._halving.end(number)

    def _begun(self, record: TrialRecord) -> None:
        self._state.begin(record)
        if record.role == "search":
            self._halving.begin(record)

    def _write(self, kind: str, **content: Any) -> None:
        content["clock"] = round(self.clock.now(), 3)
        if self._owed is None:
            self._apply(self._ledger.append(kind, **content))
        else:  # an end found while the ledger is read: it may stand there further down
            self._owed[content["number"]] = {"event": kind, **content}
            self._apply(self._owed[content["number"]])

    def _apply(self, event: Event) -> None:
        apply_event(self.records, event)
        if event["event"] == EPOCH:
            self._state.observe(self.records[event["number"]])

    def _replay(self) -> None:
        """Go through the ledger as it was written.

        An end that follows from it and is not there, because the process was killed between the
        two, is written now.
        """
        for event in list(self._ledger.events):
            self._replay_event(event)
        owed, self._owed = self._owed, None
        for event in (owed or {}).values():
            self._ledger.append(event.pop("event"), **event)
        self._state.again = sorted(self._state.running)

    def _replay_event(self, event: Event) -> None:
        kind = event["event"]
        if kind == TRIAL:
            if event.get("role", "search") == "search":
                self._history.advance(event["number"], self.records)
            self._apply(event)
            self._begun(self.records[event["number"]])
        elif kind == EPOCH:
            self._check_epoch(event)
            self._apply(event)
            self._settle(self._observed(self.records[event["number"]]))
        elif kind == END:
            self._replay_end(event)

    def _check_epoch(self, event: Event) -> None:
        record = self.records[event["number"]]
        if record.state != "running" or "score" not in event["row"]:
            raise RunFolderError(
                f"epoch {event['row']['epoch']} of trial {record.number} does not follow from what "
                "the ledger has before it: it was written under other rules (by another version "
                "of supremix, or with other options). Go on with it as it was begun, or start a "
                "new search."
            )

    def _replay_end(self, event: Event) -> None:
        number = event["number"]
        if self._owed is not None:
            self._owed.pop(number, None)
        if self.records[number].state == "running":
            self._apply(event)
            self._settle(self._ended(number))


def _scored(record: TrialRecord, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the trial's score: the least error it has shown so far.

    Rungs compare scores: just after a change of stage the error of a good trial is worse than it
    was before, and that would be held against it.
    """
    score = row.get("score", row["error"])
    if record.rows:
        former = record.rows[-1]["score"]
        score = score if "score" in row or former > score or math.isnan(former) else former
    return {**row, "score": score}


def _proposal(record: TrialRecord) -> Proposal:
    return Proposal(
        number=record.number,
        config=record.config,
        epoch=record.epoch,
        role=record.role,
        replicate_of=record.replicate_of,
        seed=record.seed,
    )
