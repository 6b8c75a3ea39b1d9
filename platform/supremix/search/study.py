"""The study: which settings to try next, which trial to stop. Knows the ledger, not Tune.

Every decision is written to the ledger before it is acted on, and a study built upon an existing
ledger takes up where that one ended: ended trials are told to Optuna as they ended, running ones
are proposed again with their settings and their epoch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FixedTrial, TrialState, create_trial

from supremix.search.budget import Budget, Clock
from supremix.search.ledger import END, EPOCH, TRIAL, Ledger
from supremix.search.pruning import Halving
from supremix.search.record import State, TrialRecord, apply_event, read_records
from supremix_spaces import Space

_TOLD: Mapping[State, TrialState] = {
    "finished": TrialState.COMPLETE,
    # A stopped trial's last error was measured at an earlier epoch than a finished one's. PRUNED
    # lets TPE compare it at that epoch; COMPLETE would mix the two.
    "pruned": TrialState.PRUNED,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A trial to run: its number, its settings, and the epochs it has behind it."""

    number: int
    config: dict[str, Any]
    epoch: int = 0


class Study:
    """Optuna's TPE and successive halving over one ledger.

    Args:
        space: What to search. Its defaults are the first point tried.
        seed: Of the sampler. Trial n's sampler is seeded by (seed, n), so a resumed study
            proposes what an uninterrupted one would have.
        ledger: The run's ledger, with what happened so far.
        journal: File for Optuna's journal, rebuilt from the ledger when the study is made.
        name: Of the Optuna study.
        budget: When to stop proposing.
        halving: Decides on pruning; None for never.
        parallel: Trials that run at once.
    """

    def __init__(
        self,
        *,
        space: Space,
        seed: int,
        ledger: Ledger,
        journal: str | Path,
        name: str,
        budget: Budget,
        halving: Halving | None = None,
        parallel: int = 1,
    ) -> None:
        self.records: dict[int, TrialRecord] = read_records(ledger.events)
        self._space, self._seed, self._ledger = space, seed, ledger
        self._budget, self._halving, self._parallel = budget, halving, parallel
        self.clock = Clock(max((event.get("clock", 0.0) for event in ledger.events), default=0.0))
        self._study = _new_study(journal, name)
        self._asked: dict[int, optuna.Trial] = {}
        self._replay()
        self._again = [r for r in self.records.values() if r.state == "running"]

    def ask(self) -> Proposal | None:
        """The next trial to run, running ones of a resumed study first; None at the end."""
        if self._over_time():
            return None
        if self._again:
            return self._propose_again(self._again.pop(0))
        number = len(self.records)
        if self._budget.trials is not None and number >= self._budget.trials:
            return None
        if number == 0:
            self._study.enqueue_trial(_searched(self._space, self._space.defaults()))
        trial = self._ask_optuna(number)
        config = self._space.suggest(trial)
        self._asked[number] = trial
        self._write(TRIAL, number=number, config=config)
        return Proposal(number=number, config=config)

    def observe(self, number: int, row: Mapping[str, Any], total: int) -> bool:
        """Take an epoch's row of a trial; says whether the trial is to stop, which ends it."""
        # Not before: a trial is proposed long before the gang that trains it has started.
        self.clock.start(row["seconds"])
        self._write(EPOCH, number=number, row=dict(row), total=total)
        self._asked[number].report(row["error"], step=row["epoch"])
        verdict = self._verdict(self.records[number])
        if verdict is not None:
            self.finish(number, *verdict)
        return verdict is not None

    def finish(self, number: int, state: State, reason: str | None = None) -> None:
        """End a trial; ending it twice is not an error, the first end counts."""
        record = self.records[number]
        if record.state != "running":
            return
        self.clock.start()
        self._write(END, number=number, state=state, reason=reason)
        value = record.error if state == "finished" else None
        self._study.tell(self._asked.pop(number), value, state=_TOLD[state])

    def _verdict(self, record: TrialRecord) -> tuple[State, str | None] | None:
        # Halving sees every row, so that a study rebuilt from the ledger has seen the same.
        pruned = self._halving is not None and self._halving.stop(record.number, record.rows[-1])
        if record.complete:
            return "finished", None
        if pruned:
            return "pruned", f"behind other trials after epoch {record.epoch}"
        if self._over_time():
            return "stopped", "the time was used up"
        return None

    def _over_time(self) -> bool:
        limit = self._budget.seconds
        return limit is not None and self.clock.now() >= limit

    def _write(self, kind: str, **content: Any) -> None:
        event = self._ledger.append(kind, clock=round(self.clock.now(), 3), **content)
        apply_event(self.records, event)

    def _ask_optuna(self, number: int) -> optuna.Trial:
        # A new sampler each time is cheap and leaves no random state to be lost with the process.
        self._study.sampler = _sampler(self._seed, number, self._budget.trials, self._parallel)
        return self._study.ask()

    def _propose_again(self, record: TrialRecord) -> Proposal:
        self._study.enqueue_trial(_searched(self._space, record.config))
        trial = self._ask_optuna(record.number)
        self._space.suggest(trial)
        for row in record.rows:
            trial.report(row["error"], step=row["epoch"])
        self._asked[record.number] = trial
        return Proposal(number=record.number, config=record.config, epoch=record.epoch)

    def _replay(self) -> None:
        """Show the ledger's epochs to halving in their order, then tell Optuna what ended.

        A trial whose last epoch was written but not what it led to is ended here, as it would
        have been.
        """
        for event in list(self._ledger.events):
            if event["event"] != EPOCH or self._halving is None:
                continue
            record = self.records[event["number"]]
            stop = self._halving.stop(record.number, event["row"])
            last = event["row"]["epoch"] == record.epoch
            if stop and last and record.state == "running" and not record.complete:
                reason = f"behind other trials after epoch {record.epoch}"
                self._write(END, number=record.number, state="pruned", reason=reason)
        for record in self.records.values():
            if record.state == "running" and record.complete:
                self._write(END, number=record.number, state="finished", reason=None)
            if record.state != "running":
                self._study.add_trial(_frozen(self._space, record))


def _new_study(journal: str | Path, name: str) -> optuna.Study:
    path = Path(journal)
    for stale in path.parent.glob(path.name + "*"):  # the journal and a killed writer's lock
        stale.unlink()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the progress display is ours
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.create_study(storage=storage, study_name=name, direction="minimize")


def _sampler(seed: int, number: int, trials: int | None, parallel: int) -> TPESampler:
    startup = 10 if trials is None else min(10, max(4, trials // 4))
    with warnings.catch_warnings():
        # `group` and `constant_liar` are marked experimental; conditional spaces need the first.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(
            seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
            n_startup_trials=startup,
            multivariate=True,
            group=True,
            constant_liar=parallel > 1,
        )


def _searched(space: Space, config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `config` that Optuna knows: what has more than one value."""
    trial = FixedTrial(dict(config))
    _suggest(space, trial)
    return dict(trial.params)


def _frozen(space: Space, record: TrialRecord) -> optuna.trial.FrozenTrial:
    trial = FixedTrial(dict(record.config))
    _suggest(space, trial)
    return create_trial(
        state=_TOLD[record.state],
        value=record.error if record.state == "finished" else None,
        params=dict(trial.params),
        distributions=trial.distributions,
        intermediate_values={row["epoch"]: row["error"] for row in record.rows},
    )


def _suggest(space: Space, trial: FixedTrial) -> None:
    suggest: Callable[[Any], Any] = space.suggest
    suggest(trial)
