"""The result tables of a run, made from its ledger."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy.typing as npt

from supremix.runs import RunFolder
from supremix.search.ledger import FINAL, Event
from supremix.search.record import TrialRecord, read_records, trial_row
from supremix.spec import SearchSpec
from supremix_datasets import Store
from supremix_reports import (
    LabelDensity,
    column_names,
    mae_rows,
    read_table,
    write_summary,
    write_table,
)
from supremix_spaces import Space

Row = dict[str, Any]


def write_run_tables(
    run: RunFolder,
    spec: SearchSpec,
    store: Store,
    space: Space,
    events: Iterable[Event],
    *,
    training: npt.ArrayLike,
) -> None:
    """Write trials, curves, measures, predictions and mae as Parquet, and the summary made of them.

    Trials that are under way (the search was interrupted) stand there as stopped.

    Args:
        run: Where to.
        spec: What was asked for.
        store: The images.
        space: What was searched.
        events: The ledger's.
        training: ``(N,)`` labels that the trials were fitted to, in the card's unit.
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
    write_table(folder, "measures", [row for r in records for row in _measures(r, source)])
    density = LabelDensity.of(training, store.card.label_bin)
    final = [event for event in events if event["event"] == FINAL]
    if final:
        common = {**source, "trial": final[-1]["trial"], "seed": spec.seed}
        write_table(folder, "predictions", [{**common, **r} for r in final[-1]["predictions"]])
        rows = mae_rows(read_table(folder, "predictions"), unit=unit, density=density)
        write_table(folder, "mae", rows)
    words = {"label_regions": density.describe(unit)}
    write_summary(folder, {**spec.to_dict(), **words, "space": space.to_dict()})


def _trial(record: TrialRecord, **common: Any) -> Row:
    row = trial_row(record, **common)
    if record.state == "running":
        row |= {"state": "stopped", "reason": "the search was interrupted"}
    return row


def _curve(record: TrialRecord, source: Row) -> list[Row]:
    known = set(column_names("curves"))
    common = {**source, "trial": record.number}
    return [{**common, **{k: v for k, v in row.items() if k in known}} for row in record.rows]


def _measures(record: TrialRecord, source: Row) -> list[Row]:
    """A row a measure, of the epochs after which they were taken."""
    rows: list[Row] = []
    for row in record.rows:
        taken = dict(row.get("measures", {}))
        common = {
            **source,
            "trial": record.number,
            "epoch": row["epoch"],
            "stage": row["stage"],
            "split": taken.pop("split", None),
        }
        rows += [{**common, "measure": name, "value": value} for name, value in taken.items()]
    return rows
