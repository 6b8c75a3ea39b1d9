"""Counts of a ledger's events, kept up event by event in little memory."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from supremix.tuning.ledger.ledger import (
    END,
    EPOCH,
    FINAL,
    PROLONGED,
    SESSION,
    TESTED,
    TRIAL,
    Event,
)
from supremix.tuning.ledger.records import TrialRecord, apply_event
from supremix_reports.tables.ranking import DEFAULTS

FAILURES = 3
"""How many of the last failures are kept with their reasons."""


@dataclass(kw_only=True, slots=True)
class RunCounters:
    """Counts of a run's trials, epochs and time.

    Of an ended trial its last row is kept, and its hyperparameters where they may still be the
    best: a hundred thousand trials have to fit into the memory of the process that monitors.
    """

    records: dict[int, TrialRecord] = field(default_factory=dict[int, TrialRecord])
    states: Counter[str] = field(default_factory=Counter[str])
    failures: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    epochs: int = 0
    searched: int = 0
    """Trials of the search, without replicates."""
    longest: float = 0.0
    """Seconds of the longest epoch."""
    clock: float = 0.0
    """Seconds of search used."""
    worker_groups: int = 0
    """Of the last session."""
    best: int | None = None
    """Number of the trial whose hyperparameters are named best; None before that."""
    tested: int = 0
    """Times that the best hyperparameters were evaluated on a test split."""
    sessions: list[float] = field(default_factory=list[float])
    """When each began, in s since 1970, as far as it is known."""
    busy_seconds: float = 0.0
    """Seconds of all epochs together."""
    _gpus: float = 0.0
    """GPUs of a worker group."""
    _group_seconds: float = 0.0
    _gpu_seconds: float = 0.0

    @property
    def busy_share(self) -> float | None:
        """Share of the worker groups' time that went into epochs, 0 to 1; None before the first."""
        return min(1.0, self.busy_seconds / self._group_seconds) if self._group_seconds else None

    @property
    def gpu_hours(self) -> float:
        """Hours that GPUs trained, added up over all GPUs."""
        return self._gpu_seconds / 3600

    @property
    def epochs_per_hour(self) -> float | None:
        """Epochs of all worker groups in an hour of search; None before the first."""
        return self.epochs / self.clock * 3600 if self.clock else None

    @property
    def running(self) -> list[TrialRecord]:
        """The trials under way, by number."""
        alive = [record for record in self.records.values() if record.state == "running"]
        return sorted(alive, key=lambda record: record.number)

    def take(self, event: Event) -> None:
        """Take one more event of the ledger."""
        kind = event["event"]
        if kind != FINAL:  # whose clock ran on while the model was trained
            passed = max(0.0, event.get("clock", 0.0) - self.clock)
            self.clock += passed
            self._group_seconds += passed * self.worker_groups
        if kind == END and self.records[event["number"]].state != "running":
            return
        apply_event(self.records, event)
        if kind == SESSION:
            self._begin(event)
        elif kind == TRIAL:
            self.states["running"] += 1
            self.searched += event.get("replicate_of") is None
        elif kind == EPOCH:
            self._count(event["row"].get("seconds", 0.0))
        elif kind == END:
            self._end(self.records[event["number"]])
        elif kind == PROLONGED:
            self.best = None
            self.states = Counter(record.state for record in self.records.values())
        elif kind == TESTED:
            self.tested += 1
        elif kind == FINAL:
            self.best = event["trial"]

    def _begin(self, event: Event) -> None:
        self.worker_groups = event["worker_groups"]
        self.sessions.append(event.get("time", 0.0))
        self._gpus = event.get("workers", 1) * event.get("gpus", 0.0)

    def _count(self, seconds: float) -> None:
        self.epochs += 1
        self.busy_seconds += seconds
        self._gpu_seconds += seconds * self._gpus
        self.longest = max(self.longest, seconds)

    def _end(self, record: TrialRecord) -> None:
        self.states["running"] -= 1
        self.states[record.state] += 1
        del record.rows[:-1]
        if record.state != "finished" and record.number != DEFAULTS:
            record.config = {}
        if record.state == "failed":
            reason = record.reason or "no reason is known"
            self.failures = [*self.failures, (record.number, reason)][-FAILURES:]


def finite(value: float | None) -> float | None:
    """`value`, or None where it is no number that could be shown."""
    return value if value is not None and math.isfinite(value) else None
