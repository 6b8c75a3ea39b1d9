"""The trials of a run, read from its ledger."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from supremix.tuning.ledger.ledger import END, EPOCH, PROLONGED, TRIAL, Event
from supremix_reports.tables.ranking import (
    DEFAULTS,
    TrialOutcome,
    best_outcome,
    on_validation,
    rank_key,
    replicate_errors,
    replicate_means,
)

State = Literal["running", "finished", "pruned", "stopped", "failed"]
"""A trial runs, has all its epochs behind it, was pruned, was stopped by the budget, or failed."""


LENGTHS = ("steps", "images_seen")
"""Values of an epoch's row that count from the start of the trial."""


@dataclass(kw_only=True, slots=True)
class TrialRecord:
    """A trial as far as the ledger tells."""

    number: int
    config: dict[str, Any]
    replicate_of: int | None = None
    """The trial whose hyperparameters it trains with a new seed; None for a trial of the search."""
    seed: int | None = None
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
    def outcome(self) -> TrialOutcome:
        """The outcome that decides which trial is best."""
        return TrialOutcome(self.number, self.state, self.error, self.replicate_of)

    @property
    def complete(self) -> bool:
        """Whether every epoch is done, also where the ledger has another end."""
        return self.total is not None and self.epoch >= self.total


def trial_key(number: int) -> str:
    """The name of a trial in messages to worker groups and in checkpoint files."""
    return f"{number:05d}"


def read_records(events: Iterable[Event]) -> dict[int, TrialRecord]:
    """Replay the trial events of a ledger, in their order."""
    records: dict[int, TrialRecord] = {}
    for event in events:
        apply_event(records, event)
    return records


def apply_event(records: dict[int, TrialRecord], event: Event) -> None:
    """Bring the records up to date with one more event; others than trials' are passed over.

    A trial that had trained on while a decision was awaited loses the epochs that do not count.
    """
    kind = event["event"]
    if kind == TRIAL:
        record = TrialRecord(
            number=event["number"],
            config=event["config"],
            replicate_of=event.get("replicate_of"),
            seed=event.get("seed"),
        )
        records[record.number] = record
    elif kind == EPOCH:
        record = records[event["number"]]
        record.rows.append(event["row"])
        record.total = event["total"]
    elif kind == END:
        record = records[event["number"]]
        record.state, record.reason = event["state"], event["reason"]
        del record.rows[event.get("epoch", len(record.rows)) :]
    elif kind == PROLONGED:
        for record in [r for r in records.values() if r.state == "finished"]:
            kept = event["trials"].get(str(record.number))
            if kept is not None:
                record.state, record.total = "running", event["epochs"]
                del record.rows[kept:]
            else:
                record.state = "pruned"
                record.reason = f"behind the trials that were prolonged to {event['epochs']} epochs"


def prolonged_trials(
    records: Iterable[TrialRecord], reduction: float, most: int
) -> list[TrialRecord]:
    """The finished trials that deserve more epochs, and their replicates.

    Args:
        records: All trials.
        reduction: The best 1/reduction of the finished trials of the search do, with the defaults,
            and the finalists, which were trained with new seeds.
        most: Number of trials at most, defaults and finalists aside.
    """
    known = list(records)
    ranked = [record.number for record in ranking(known)]
    finalists = {record.replicate_of for record in known} | {DEFAULTS}
    count = min(math.ceil(len(ranked) / reduction), most)
    chosen = {*ranked[:count], *(finalists & set(ranked))}
    return [
        record
        for record in known
        if record.state == "finished" and {record.number, record.replicate_of} & chosen
    ]


def ranking(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The finished trials of the search, least error first; of two equal ones the earlier."""
    finished = [r for r in records if r.state == "finished" and r.replicate_of is None]
    return sorted(finished, key=lambda record: rank_key(record.outcome))


def best_record(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The trial with the best hyperparameters, see `best_outcome`; None where none was finished.

    A trial that was not finished is it only where its hyperparameters were, with a new seed.
    """
    known = {record.number: record for record in records}
    finished = [record for record in known.values() if record.state == "finished"]
    numbers = {r.number if r.replicate_of is None else r.replicate_of for r in finished}
    best = best_outcome(
        record.outcome
        for record in known.values()
        if record.number in numbers or record.state == "finished"
    )
    return None if best is None else known[best.number]


def compared_record(records: Iterable[TrialRecord], best: int) -> TrialRecord | None:
    """The trial that the best one is compared with; None where it was never finished.

    Args:
        records: The trials.
        best: Number of the best trial.

    Returns:
        The defaults; where these are the best, the best of the other trials.
    """
    others = (r for r in records if (DEFAULTS in (r.number, r.replicate_of)) != (best == DEFAULTS))
    return best_record(others)


def error_of(record: TrialRecord, records: Iterable[TrialRecord]) -> float:
    """Error of a finished trial's hyperparameters: the mean of its replicates where it has some."""
    means = replicate_means(other.outcome for other in records)
    return means[record.number] if record.number in means else last_error(record)


def basis_of(record: TrialRecord, records: Iterable[TrialRecord]) -> str:
    """What `error_of` a trial was measured on, in words."""
    errors = replicate_errors(other.outcome for other in records)
    return on_validation(len(errors.get(record.number, ())))


def last_error(record: TrialRecord) -> float:
    """Error of a trial after its last epoch, infinite where that is not a number."""
    error = record.rows[-1]["error"]
    return math.inf if math.isnan(error) else error


def trial_row(record: TrialRecord, **common: Any) -> dict[str, Any]:
    """The record's row of the table ``trials``; `common` gives run, dataset, method, seed, unit."""
    last: Mapping[str, Any] = record.rows[-1] if record.rows else {}
    names = ("error", "mae", "rmse", "r2", "pearson")
    return {
        **common,
        **({} if record.seed is None else {"seed": record.seed}),
        "trial": record.number,
        "replicate_of": record.replicate_of,
        "state": record.state,
        **{name: last.get(name) for name in names},
        "epochs": record.epoch,
        "seconds": sum(row["seconds"] for row in record.rows),
        "reason": record.reason,
        "config": json.dumps(record.config, sort_keys=True),
        **{name: last.get(name) for name in LENGTHS},
    }
