"""The result tables of a run, made from its ledger."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from supremix.runs import RunFolder
from supremix.search.ledger import FINAL, Event
from supremix.search.record import TrialRecord, read_records, trial_row
from supremix.spec import SearchSpec
from supremix_datasets import Store
from supremix_reports import column_names, write_summary, write_table
from supremix_spaces import Space

Row = dict[str, Any]


def write_run_tables(
    run: RunFolder, spec: SearchSpec, store: Store, space: Space, events: Iterable[Event]
) -> None:
    """Write trials, curves and predictions as Parquet, and the summary made of them.

    Trials that are under way (the search was interrupted) stand there as stopped.
    """
    events = list(events)
    records = sorted(read_records(events).values(), key=lambda record: record.number)
    source = {
        "run": run.name,
        "dataset": store.card.name,
        "method": spec.resolve_method().name,
    }
    unit, folder = store.card.unit, str(run.path)
    trials = [_trial(record, seed=spec.seed, unit=unit, **source) for record in records]
    write_table(folder, "trials", trials)
    write_table(folder, "curves", [row for r in records for row in _curve(r, source)])
    final = [event for event in events if event["event"] == FINAL]
    if final:
        common = {**source, "trial": final[-1]["trial"], "seed": spec.seed}
        write_table(folder, "predictions", [{**common, **r} for r in final[-1]["predictions"]])
    write_summary(folder, {**spec.to_dict(), "space": space.to_dict()})


def _trial(record: TrialRecord, **common: Any) -> Row:
    row = trial_row(record, **common)
    if record.state == "running":
        row |= {"state": "stopped", "reason": "the search was interrupted"}
    return row


def _curve(record: TrialRecord, source: Row) -> list[Row]:
    known = set(column_names("curves"))
    common = {**source, "trial": record.number}
    return [{**common, **{k: v for k, v in row.items() if k in known}} for row in record.rows]
