"""A ledger's trials as an Optuna study in a journal file, for optuna-dashboard and Optuna's plots.

The search itself has no use for it: it is made on demand from the ledger and kept up to date from
there. What was written is never rewritten.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from supremix.tuning.ledger.ledger import END, EPOCH, SESSION, TRIAL, Event
from supremix.tuning.ledger.records import State, TrialRecord, apply_event
from supremix.tuning.study.history import searched
from supremix_spaces import Space

_STATES: Mapping[State, TrialState] = {
    "running": TrialState.RUNNING,
    "finished": TrialState.COMPLETE,
    # A stopped trial's last error was measured at an earlier epoch than a finished one's.
    "pruned": TrialState.PRUNED,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class _Backend(JournalFileBackend):
    """A journal with one writer, made again at will: it needs no lock, and waits for no disk."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._path = Path(path)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines, all at once."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._path.open("ab") as file:
            file.write(text.encode())


def open_journal(path: str | Path) -> BaseStorage:
    """Optuna's storage in a journal file, which is made where there is none."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return JournalStorage(_Backend(str(path)))


@dataclass(slots=True)
class _Trial:
    """A trial of the ledger, and what the journal has of it."""

    record: TrialRecord
    began: datetime
    ended: datetime | None = None
    trial_id: int | None = None
    """Its identifier in the storage; None before it is written."""
    written: int = 0
    """Epochs that the storage has."""
    trained: float = 0.0
    """Seconds, with those of epochs that do not count."""


class JournalStudy:
    """One run's ledger as an Optuna study whose trials have the ledger's numbers.

    Args:
        storage: Optuna's storage.
        name: Name of the study, new in the storage.
        space: Space that is searched; parameters with one value are no parameters to Optuna.
    """

    def __init__(self, storage: BaseStorage, name: str, space: Space) -> None:
        self._storage, self._space = storage, space
        self._study = storage.create_new_study([StudyDirection.MINIMIZE], name)
        self._records: dict[int, TrialRecord] = {}
        self._alive: dict[int, _Trial] = {}
        self._session, self._behind, self._clock = 0.0, 0.0, 0.0

    def follow(self, events: Iterable[Event]) -> int:
        """Take further events of the ledger, in their order.

        What began and ended within them is written at once: the trials so far of a long search
        cost one write each.

        Returns:
            How many events they were.
        """
        count = 0
        for event in events:
            count += 1
            self._take(event)
        for trial in list(self._alive.values()):
            self._write(trial)
        return count

    def _take(self, event: Event) -> None:
        kind, number = event["event"], event.get("number", -1)
        self._clock = max(self._clock, event.get("clock", 0.0))
        if kind == SESSION:
            self._session, self._behind = event.get("time", 0.0), self._clock
        elif kind == TRIAL:
            apply_event(self._records, event)
            self._alive[number] = _Trial(self._records[number], began=self._now())
        elif kind in (EPOCH, END) and number in self._alive:
            trial = self._alive[number]
            apply_event(self._records, event)
            trial.trained += event["row"].get("seconds", 0.0) if kind == EPOCH else 0.0
            trial.ended = self._now() if kind == END else None

    def _now(self) -> datetime:
        """When the last event was, as far as the ledger tells."""
        return datetime.fromtimestamp(self._session + self._clock - self._behind, UTC)

    def _write(self, trial: _Trial) -> None:
        if trial.trial_id is None:
            trial.trial_id = self._storage.create_new_trial(self._study, self._frozen(trial))
        elif trial.ended is None:
            self._write_epochs(trial, trial.trial_id)
        else:
            self._write_end(trial, trial.trial_id)
        trial.written = max(trial.written, trial.record.epoch)
        if trial.ended is not None:
            del self._alive[trial.record.number], self._records[trial.record.number]

    def _write_epochs(self, trial: _Trial, trial_id: int) -> None:
        for row in trial.record.rows[trial.written :]:
            self._storage.set_trial_intermediate_value(trial_id, row["epoch"], row["error"])

    def _write_end(self, trial: _Trial, trial_id: int) -> None:
        self._write_epochs(trial, trial_id)
        # Epochs trained while the pruner's decision was awaited were written and do not count.
        for epoch in range(trial.record.epoch + 1, trial.written + 1):
            self._storage.set_trial_intermediate_value(trial_id, epoch, math.nan)
        for name, value in _attributes(trial).items():
            self._storage.set_trial_user_attr(trial_id, name, value)
        state, value = _outcome(trial.record)
        self._storage.set_trial_state_values(trial_id, state, None if value is None else [value])

    def _frozen(self, trial: _Trial) -> FrozenTrial:
        record = trial.record
        params, distributions = searched(self._space, record.config)
        state, value = _outcome(record)
        return FrozenTrial(
            number=record.number,
            trial_id=record.number,
            state=state,
            value=value,
            datetime_start=trial.began,
            datetime_complete=trial.ended,
            params=params,
            distributions=distributions,
            user_attrs=_attributes(trial),
            system_attrs={},
            intermediate_values={row["epoch"]: row["error"] for row in record.rows},
        )


def _outcome(record: TrialRecord) -> tuple[TrialState, float | None]:
    state, error = _STATES[record.state], record.error
    if state == TrialState.COMPLETE and (error is None or math.isnan(error)):
        return TrialState.FAIL, None  # Optuna takes no NaN for a value
    known = error is not None and not math.isnan(error)
    return state, error if known and state in (TrialState.COMPLETE, TrialState.PRUNED) else None


def _attributes(trial: _Trial) -> dict[str, Any]:
    """The user attributes of a trial."""
    record = trial.record
    attributes: dict[str, Any] = {
        "trial": record.number,
        "replicate_of": record.replicate_of,
        "seed": record.seed,
        "dataset": record.rows[-1].get("dataset") if record.rows else None,
    }
    if trial.ended is not None:
        ending = {"state": record.state, "reason": record.reason, "epochs": record.epoch}
        attributes |= {**ending, "seconds": round(trial.trained, 3)}
    return {name: value for name, value in attributes.items() if value is not None}
