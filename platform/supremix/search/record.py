"""What is known of a run's trials, read off its ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from supremix.search.ledger import END, EPOCH, TRIAL, Event

State = Literal["running", "finished", "pruned", "stopped", "failed"]
"""A trial runs, has all its epochs behind it, was pruned, was stopped by the budget, or failed."""


@dataclass(kw_only=True, slots=True)
class TrialRecord:
    """One trial as far as the ledger tells."""

    number: int
    config: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    total: int | None = None
    state: State = "running"
    reason: str | None = None

    @property
    def epoch(self) -> int:
        """Epochs the trial has behind it."""
        return len(self.rows)

    @property
    def error(self) -> float | None:
        """Error after the last epoch, in the task's unit; None before the first."""
        return self.rows[-1]["error"] if self.rows else None

    @property
    def complete(self) -> bool:
        """Whether every epoch is done, whatever the ledger says of its end."""
        return self.total is not None and self.epoch >= self.total


def trial_key(number: int) -> str:
    """What a trial is called where gangs and checkpoint files are concerned."""
    return f"{number:05d}"


def read_records(events: Iterable[Event]) -> dict[int, TrialRecord]:
    """Replay the trial events of a ledger, in their order."""
    records: dict[int, TrialRecord] = {}
    for event in events:
        apply_event(records, event)
    return records


def apply_event(records: dict[int, TrialRecord], event: Event) -> None:
    """Bring the records up to date with one more event; others than trials' are passed over."""
    match event["event"]:
        case kind if kind == TRIAL:
            record = TrialRecord(number=event["number"], config=event["config"])
            records[record.number] = record
        case kind if kind == EPOCH:
            record = records[event["number"]]
            record.rows.append(event["row"])
            record.total = event["total"]
        case kind if kind == END:
            record = records[event["number"]]
            record.state, record.reason = event["state"], event["reason"]
        case _:
            pass


def best_record(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The finished trial with the least error; of two equal ones the earlier."""
    finished = [record for record in records if record.state == "finished"]
    return min(finished, key=lambda r: (r.rows[-1]["error"], r.number), default=None)


def trial_row(record: TrialRecord, **common: Any) -> dict[str, Any]:
    """The record's row of the table ``trials``; `common` gives run, dataset, method, seed, unit."""
    last = record.rows[-1] if record.rows else {}
    names = ("error", "mae", "rmse", "r2", "pearson")
    return {
        **common,
        "trial": record.number,
        "state": record.state,
        **{name: last.get(name) for name in names},
        "epochs": record.epoch,
        "seconds": sum(row["seconds"] for row in record.rows),
        "reason": record.reason,
        "config": json.dumps(record.config, sort_keys=True),
    }
