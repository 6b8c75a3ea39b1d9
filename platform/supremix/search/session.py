"""A search under way: its run folder, its ledger and its study."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from supremix.cluster.tune.trial_template import TrialTask, TrialTemplate
from supremix.progress.progress import Progress, messages, study_progress
from supremix.runs.folder import RunFolder, final_key
from supremix.runs.trial_log import TrialLogs
from supremix.search.earlier_runs import (
    EarlierSearch,
    earlier_search,
    find_earlier_searches,
    warm_start_from,
)
from supremix.search.prepare import PreparedSearch
from supremix.search.prolonging import as_prolonged, prolongable
from supremix.search.spec import SearchSpec
from supremix.tuning.ledger.ledger import (
    SESSION,
    TESTED,
    WARM_START,
    Event,
    Ledger,
    conclusion,
    since_prolonged,
)
from supremix.tuning.ledger.records import TrialRecord, read_records, trial_key
from supremix.tuning.study.scheduler import parallel_trials
from supremix.tuning.study.study import Study
from supremix.tuning.study.warm_start import WarmStart

SWEEP = 5.0
"""Seconds between two looks for checkpoints that nobody needs any more."""


class SearchSession:
    """One search under way.

    Args:
        run: Run folder.
        ledger: Ledger of the run, open.
        prepared: The prepared search, or one for each dataset of a joint objective; the first gives
            the space that hyperparameters are drawn from.
        unit: Unit of the trials' errors; None for that of the dataset.
    """

    def __init__(
        self,
        run: RunFolder,
        ledger: Ledger,
        prepared: Sequence[PreparedSearch],
        *,
        unit: str | None = None,
    ) -> None:
        self.run, self.ledger = run, ledger
        self.prepared = tuple(as_prolonged(one, ledger.events) for one in prepared)
        self._as_planned = prepared[0]
        self.unit = unit or self.prepared[0].store.card.unit
        self.study: Study | None = None
        self.writing = threading.Lock()
        """Held while one of several threads of the final evaluation writes an event."""
        self._swept = 0.0
        self._longest: float | None = None
        self._listen = self.first.listen
        self._logs = TrialLogs(run.path, messages(self._listen))

    @property
    def first(self) -> PreparedSearch:
        """The search prepared on the first dataset, or the only one."""
        return self.prepared[0]

    @property
    def path_in_grid(self) -> str:
        """Path of its run folder in that of the grid it is part of; else the folder's name."""
        grid_path = str(self.first.grid_path)
        return str(self.run.path).removeprefix(grid_path).strip("/") or self.run.path.name

    @property
    def spec(self) -> SearchSpec:
        """The specification, on the first dataset."""
        return self.first.spec

    @property
    def epochs(self) -> int:
        """Epochs of a trial on each dataset."""
        return self.first.task.epochs

    @cached_property
    def template(self) -> TrialTemplate:
        """Everything that its trials have in common."""
        space = self.first.space
        tasks = [
            TrialTask(
                dataset=prepared.store.card.name,
                task=prepared.task,
                reference=prepared.reference,
                spaces=None if prepared is self.first else (space, prepared.space),
            )
            for prepared in self.prepared
        ]
        rungs = self.spec.stopping_rule().rungs(self._as_planned.task.epochs, len(self.prepared))
        return TrialTemplate(
            run=self.run.name,
            tasks=tuple(tasks),
            epochs=self.epochs,
            checkpoints=str(self.run.checkpoints),
            limit=self.spec.epoch_limit,
            rungs=frozenset(rungs.epochs),
        )

    def open(self, concurrent: int = 1, others: Sequence[SearchSession] = ()) -> Study:
        """Begin the study, or resume it from the ledger.

        Args:
            concurrent: Number of searches that share the worker groups.
            others: Searches of the same group whose trials have ended, as a warm start.
        """
        learned = self._warm_start(others) if self.spec.warm_start else WarmStart()
        points = self.spec.starting_points(self.first.space)
        self.study = Study(
            space=self.first.space,
            seed=self.spec.seed,
            ledger=_LoggedLedger(self.ledger, self._logs),
            config=self.spec.study_config(
                epochs=self._as_planned.task.epochs,
                datasets=len(self.prepared),
                parallel=parallel_trials(*self._first_session(concurrent)),
                gpus=self.first.plan.group_gpus,
            ),
            warm_start=dataclasses.replace(learned, points=(*points, *learned.points)),
        )
        finals = {final_key(number) for number in range(len(self.test_seeds))}
        self.run.sweep(self._needed(self.study) | finals)
        return self.study

    @property
    def best(self) -> TrialRecord | None:
        """The trial with the best hyperparameters, once all have ended; None if none finished."""
        final = conclusion(self.ledger.events)
        if final is not None:
            return read_records(self.ledger.events).get(final["trial"])
        return self.study.best if self.study is not None else None

    @property
    def _best_number(self) -> int | None:
        final = conclusion(self.ledger.events)
        if final is not None:
            return final["trial"]
        best = None if self.study is None else self.study.best
        return None if best is None else best.number

    @property
    def test_seeds(self) -> tuple[int, ...]:
        """Seeds with which the best hyperparameters are tested; none if the test is turned off."""
        spec = self.spec
        return tuple(spec.seed + k for k in range(spec.test_seeds)) if spec.test else ()

    @property
    def is_validated(self) -> bool:
        """Whether the best trial is named, and its validation split predicted."""
        return conclusion(self.ledger.events) is not None

    def is_tested(self, seed: int, index: int = 0) -> bool:
        """Whether the best hyperparameters were tested with a seed, on the dataset of an index."""
        wanted = self._best_number, seed, self.prepared[index].store.card.name
        return any(
            (event["trial"], event["seed"], event["dataset"]) == wanted
            for event in since_prolonged(self.ledger.events)
            if event["event"] == TESTED
        )

    @property
    def is_evaluated(self) -> bool:
        """Whether nothing is left to be trained."""
        datasets = range(len(self.prepared))
        return self.is_validated and all(
            self.is_tested(seed, index) for seed in self.test_seeds for index in datasets
        )

    def watch(self, number: int | None, log: str) -> None:
        """Report progress, and keep the log of a trial.

        Args:
            number: Index of the trial that did an epoch; None for one that has ended.
            log: Text that its worker logged.
        """
        study = self.study
        if study is None:
            return
        if number is not None:
            self._logs.note(number, log)
            last = study.records[number].rows[-1:]
            seconds = [row["seconds"] for row in last]
            self._longest = max([*seconds, self._longest or 0.0]) if seconds else self._longest
        self._listen(study_progress(study, self.spec.budget(), self.unit, self._longest))
        if time.monotonic() > self._swept + SWEEP:
            self._swept = time.monotonic()
            self.run.sweep(self._needed(study))

    def close(self) -> None:
        """Write the lines of its trials' logs that are not written yet."""
        self._logs.close()

    def _first_session(self, concurrent: int) -> tuple[int, int]:
        """Worker groups of the run's first session, and the searches that shared them."""
        # The study decides as with these for good, so that a resumed search decides the same.
        for event in self.ledger.events:
            if event["event"] == SESSION:
                return event["worker_groups"], event["concurrent_studies"]
        return self.first.plan.count, concurrent

    def _needed(self, study: Study) -> set[str]:
        """Names of the checkpoints that may still be needed."""
        kept = [record.number for record in (study.best, study.compared) if record is not None]
        numbers = (*study.running, *study.replicates, *kept)
        return {trial_key(number) for number in numbers} | self._prolongable(study)

    def end(self) -> None:
        """Delete the checkpoints that are of no more use, once everything is evaluated."""
        kept = set[str]() if self.study is None else self._prolongable(self.study)
        self.run.sweep(kept, wait=True)

    def _prolongable(self, study: Study) -> set[str]:
        # With a joint objective a trial goes through several datasets, one after the other.
        if len(self.prepared) > 1:
            return set()
        return {trial_key(int(n)) for n in prolongable(self.first, study.records.values())}

    def as_earlier_search(self) -> EarlierSearch | None:
        """This search as a warm start for others: its trials, without their replicates."""
        if self.study is None:
            return None
        tried = [r for r in self.study.records.values() if r.replicate_of is None]
        return earlier_search(self.run.name, self.first.store.card, self.first.space, tried)

    def _warm_start(self, others: Sequence[SearchSession]) -> WarmStart:
        """The warm start that the ledger notes, else one from the earlier searches there are."""
        for event in self.ledger.events:
            if event["event"] == WARM_START:
                return WarmStart.from_event(event)
        found = [one for session in others if (one := session.as_earlier_search()) is not None]
        grid_path = self.first.grid_path
        method = self.spec.resolve_method().name
        warm_start = warm_start_from(
            self.first.store.card,
            self.first.space,
            [*found, *find_earlier_searches(grid_path.parent, method, excluded=grid_path)],
        )
        self.ledger.append(WARM_START, **warm_start.to_event())
        if warm_start.trials:
            sources = ", ".join(dict.fromkeys(learned.dataset for learned in warm_start.trials))
            self._listen(Progress(message=f"warm start from earlier searches on {sources}"))
        return warm_start


class _LoggedLedger:
    """A ledger whose events are also written into the trials' logs."""

    def __init__(self, ledger: Ledger, logs: TrialLogs) -> None:
        self._ledger, self._logs = ledger, logs

    @property
    def events(self) -> list[Event]:
        return self._ledger.events

    def append(self, kind: str, **content: Any) -> Event:
        event = self._ledger.append(kind, **content)
        self._logs.take(event)
        return event
