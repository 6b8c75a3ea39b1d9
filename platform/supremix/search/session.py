"""A search under way: its settings, its ledger, its study, what its trials share."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from supremix.cluster.tune.trial_template import TrialTask, TrialTemplate
from supremix.progress.progress import Progress, study_progress
from supremix.runs.folder import RunFolder, final_key
from supremix.runs.trial_log import TrialLogs
from supremix.search.earlier_runs import Earlier, earlier_in, earlier_of, prior_for
from supremix.search.prepare import PreparedSearch
from supremix.search.spec import SearchSpec
from supremix.tuning.ledger.ledger import FINAL, SESSION, TESTED, WARM_START, Event, Ledger
from supremix.tuning.ledger.records import TrialRecord, read_records, trial_key
from supremix.tuning.study.scheduler import parallel_trials
from supremix.tuning.study.study import Study
from supremix.tuning.study.warm_start import WarmStart

SWEEP = 5.0
"""Seconds between two looks for checkpoints that nobody needs any more."""


class SearchSession:
    """One search under way.

    Args:
        run: Its run folder.
        ledger: Its ledger, open.
        settings: What it stands on: one setting, or one for each dataset of a joint objective, the
            first of which gives the space and the trials' settings.
        unit: Unit of its trials' errors; None for that of its dataset.
    """

    def __init__(
        self,
        run: RunFolder,
        ledger: Ledger,
        settings: Sequence[PreparedSearch],
        *,
        unit: str | None = None,
    ) -> None:
        self.run, self.ledger, self.settings = run, ledger, tuple(settings)
        self.unit = unit or self.settings[0].store.card.unit
        self.study: Study | None = None
        self.writing = threading.Lock()
        """Held while one of several trainings at the end of the search notes what came of it."""
        self._swept = 0.0
        self._longest: float | None = None
        self._logs = TrialLogs(run.path, lambda text: self._listen(Progress(message=text)))

    @property
    def setting(self) -> PreparedSearch:
        """The first of its settings, or the only one."""
        return self.settings[0]

    @property
    def part(self) -> str:
        """Where its folder lies in that of the whole it is a part of."""
        whole = str(self.setting.whole)
        return str(self.run.path).removeprefix(whole).strip("/") or self.run.path.name

    @property
    def spec(self) -> SearchSpec:
        """What is searched, on the first dataset."""
        return self.setting.spec

    @cached_property
    def template(self) -> TrialTemplate:
        """What its trials share."""
        first = self.setting.space
        tasks = [
            TrialTask(
                dataset=setting.store.card.name,
                task=setting.task,
                reference=setting.reference,
                spaces=None if setting is self.setting else (first, setting.space),
            )
            for setting in self.settings
        ]
        return TrialTemplate(
            run=self.run.name,
            tasks=tuple(tasks),
            epochs=self.spec.epochs,
            checkpoints=str(self.run.checkpoints),
            limit=self.spec.epoch_limit,
            rungs=frozenset(self.spec.pruner().rungs(self.spec.epochs, len(self.settings)).epochs),
        )

    def open(self, abreast: int = 1, known: Sequence[SearchSession] = ()) -> Study:
        """Begin, or take up, its study.

        Args:
            abreast: Searches that share the worker groups.
            known: Those of the same campaign whose trials have ended: there may be something to
                learn from them.
        """
        self.study = Study(
            space=self.setting.space,
            seed=self.spec.seed,
            ledger=_Heard(self.ledger, self._logs),
            config=self.spec.study_config(
                datasets=len(self.settings),
                parallel=parallel_trials(*self._first_session(abreast)),
                gpus=self.setting.plan.group_gpus,
            ),
            warm_start=self._prior(known) if self.spec.warm_start else None,
        )
        finals = {final_key(place) for place in range(len(self.test_seeds))}
        self.run.sweep(self._needed(self.study) | finals)
        return self.study

    @property
    def best(self) -> TrialRecord | None:
        """The trial with the best settings, once all have ended; None where none came to an end."""
        final = self._last(FINAL)
        if final is not None:
            return read_records(self.ledger.events).get(final["trial"])
        return self.study.best if self.study is not None else None

    @property
    def _best_number(self) -> int | None:
        final = self._last(FINAL)
        if final is not None:
            return final["trial"]
        best = None if self.study is None else self.study.best
        return None if best is None else best.number

    @property
    def test_seeds(self) -> tuple[int, ...]:
        """Seeds with which the best settings are judged on the test split; none if not asked."""
        spec = self.spec
        return tuple(spec.seed + k for k in range(spec.test_seeds)) if spec.test else ()

    @property
    def is_validated(self) -> bool:
        """Whether the best trial is named, and its validation split predicted."""
        return self._last(FINAL) is not None

    def is_tested(self, seed: int, index: int = 0) -> bool:
        """Whether the best hyperparameters were tested with a seed, on the dataset of an index."""
        wanted = self._best_number, seed, self.settings[index].store.card.name
        return any(
            (event["trial"], event["seed"], event["dataset"]) == wanted
            for event in self.ledger.events
            if event["event"] == TESTED
        )

    @property
    def concluded(self) -> bool:
        """Whether nothing is left to be trained."""
        legs = range(len(self.settings))
        return self.is_validated and all(
            self.is_tested(s, leg) for s in self.test_seeds for leg in legs
        )

    def _last(self, kind: str) -> Event | None:
        return next((e for e in reversed(self.ledger.events) if e["event"] == kind), None)

    def watch(self, number: int | None, log: str) -> None:
        """Take note that a trial has done something (None: it has ended), and what it wrote."""
        study = self.study
        if study is None:
            return
        if number is not None:
            self._logs.note(number, log)
            last = study.records[number].rows[-1:]
            self._longest = max([self._longest or 0.0, *(row["seconds"] for row in last)])
        self._listen(study_progress(study, self.spec.budget(), self.unit, self._longest))
        if time.monotonic() > self._swept + SWEEP:
            self._swept = time.monotonic()
            self.run.sweep(self._needed(study))

    def close(self) -> None:
        """Write what the logs of its trials still wait for."""
        self._logs.close()

    def _listen(self, progress: Progress) -> None:
        self.setting.listen(progress)

    def _first_session(self, abreast: int) -> tuple[int, int]:
        """Worker groups of the run's first session, and the searches that shared them.

        All its decisions go on to reckon with those.
        """
        for event in self.ledger.events:
            if event["event"] == SESSION:
                return event["worker_groups"], event.get("abreast", abreast)
        return self.setting.plan.count, abreast

    def _needed(self, study: Study) -> set[str]:
        """Names of the checkpoints that may still be asked for."""
        numbers = {*study.running, *study.replicates}
        if study.best is not None:
            numbers.add(study.best.number)
        return {trial_key(number) for number in numbers}

    def lesson(self) -> Earlier | None:
        """What others of the campaign may learn: from its trials, whatever confirms them later."""
        if self.study is None:
            return None
        tried = [r for r in self.study.records.values() if r.replicate_of is None]
        return earlier_of(self.run.name, self.setting.store.card, self.setting.space, tried)

    def _prior(self, known: Sequence[SearchSession]) -> WarmStart:
        """What it starts from: as its ledger says, else what there is to learn now."""
        for event in self.ledger.events:
            if event["event"] == WARM_START:
                return WarmStart.from_event(event)
        lessons = [lesson for work in known if (lesson := work.lesson()) is not None]
        whole = self.setting.whole
        method = self.spec.resolve_method().name
        prior = prior_for(
            self.setting.store.card,
            self.setting.space,
            [*lessons, *earlier_in(whole.parent, method, but=whole)],
        )
        self.ledger.append(WARM_START, **prior.to_event())
        if prior.trials:
            sources = ", ".join(dict.fromkeys(learned.dataset for learned in prior.trials))
            self._listen(Progress(message=f"learning from earlier searches on {sources}"))
        return prior


class _Heard:
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
