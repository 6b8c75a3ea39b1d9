"""The result tables of a run, made from its ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy.typing as npt

from supremix.cluster.tune.trial_template import TrialTemplate
from supremix.runs.folder import RunFolder
from supremix.search.prepare import PreparedSearch
from supremix.search.spec import SearchSpec
from supremix.storage.retry import storage_errors, with_retries
from supremix.tuning.ledger.ledger import (
    END,
    EPOCH,
    FINAL,
    TESTED,
    TRIAL,
    Event,
    Ledger,
    read_events,
)
from supremix.tuning.ledger.records import TrialRecord, read_records, trial_row
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

    Storage that fails for a while is waited for.

    Args:
        run: Where to.
        spec: What was asked for.
        store: The images.
        space: What was searched.
        events: The ledger's.
        training: ``(N,)`` labels that the trials were fitted to, in the card's unit.

    Raises:
        RunFolderError: The storage fails for too long, or refuses.
    """
    happened = list(events)
    with storage_errors(str(run.path)):
        with_retries(
            lambda: _write(run, spec, store, space, happened, training),
            f"the tables in {run.path}",
        )


def _write(
    run: RunFolder,
    spec: SearchSpec,
    store: Store,
    space: Space,
    events: list[Event],
    training: npt.ArrayLike,
) -> None:
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
    final = next((event for event in reversed(events) if event["event"] == FINAL), None)
    if final is not None:
        tested = [e for e in events if e["event"] == TESTED and e["trial"] == final["trial"]]
        common = {**source, "seed": spec.seed, "trial": final["trial"]}
        write_table(folder, "predictions", _predictions(final, tested, common))
        rows = mae_rows(read_table(folder, "predictions"), unit=unit, density=density)
        write_table(folder, "mae", rows)
    words = {"label_regions": density.describe(unit)}
    write_summary(folder, {**spec.to_dict(), **words, "space": space.to_dict()})


def _predictions(final: Event, tested: Iterable[Event], common: Row) -> list[Row]:
    """The validation samples first, then the test ones, seed by seed."""
    order = [final, *sorted(tested, key=lambda event: event["seed"])]
    return [{**common, **row} for event in order for row in event["predictions"]]


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


def write_leg_tables(
    run: RunFolder,
    settings: Sequence[PreparedSearch],
    template: TrialTemplate,
    events: Iterable[Event],
    *,
    unit: str,
) -> None:
    """Write the tables of a search with a joint objective: the whole's, and each dataset's own.

    The whole has its trials, with the geometric mean of ratios as their error, and their curves,
    dataset by dataset. Each dataset's folder becomes that of an ordinary search, whose trials are
    the legs on that dataset and whose best trial is the one that is best on all.

    Args:
        run: Of the whole.
        settings: Of the datasets, in the order of the legs.
        template: What the trials share.
        events: The whole's ledger.
        unit: Unit of the whole's errors.

    Raises:
        RunFolderError: The storage fails for too long, or refuses.
    """
    happened = list(events)
    with storage_errors(str(run.path)):
        with_retries(
            lambda: _write_whole(run, settings, happened, unit), f"the tables in {run.path}"
        )
    for leg, setting in enumerate(settings):
        part = list(leg_events(happened, template, leg))
        _keep(setting.run, part)
        write_run_tables(
            setting.run,
            setting.spec,
            setting.store,
            setting.space,
            part,
            training=setting.labels,
        )


def _write_whole(
    run: RunFolder, settings: Sequence[PreparedSearch], events: list[Event], unit: str
) -> None:
    first = settings[0]
    records = sorted(read_records(events).values(), key=lambda record: record.number)
    source = {
        "run": run.name,
        "dataset": "+".join(setting.store.card.name for setting in settings),
        "method": first.spec.resolve_method().name,
    }
    missing = dict.fromkeys(("mae", "rmse", "r2", "pearson"))
    trials = [_trial(r, seed=first.spec.seed, unit=unit, **source) | missing for r in records]
    curves = [row | _of_leg(row, r) for r in records for row in _curve(r, source)]
    write_table(str(run.path), "trials", trials)
    write_table(str(run.path), "curves", curves)


def _keep(run: RunFolder, events: list[Event]) -> None:
    """Make the ledger of a dataset's folder, once the whole is concluded."""
    if any(event["event"] == FINAL for event in events) and not read_events(run.ledger):
        with Ledger(run.ledger) as ledger:
            for event in events:
                content = dict(event)
                ledger.append(content.pop("event"), **content)


def _of_leg(row: Row, record: TrialRecord) -> Row:
    return {"dataset": record.rows[row["epoch"] - 1]["dataset"]}


def leg_events(events: Iterable[Event], template: TrialTemplate, leg: int) -> Iterator[Event]:
    """The events of a joint search as those of one of its datasets alone.

    A trial that never came to that dataset is left out; one that left it early was pruned there.
    """
    low, high = leg * template.epochs, (leg + 1) * template.epochs
    dataset = template.tasks[leg].dataset
    records = read_records(events)
    for record in sorted(records.values(), key=lambda record: record.number):
        rows = record.rows[low:high]
        if not rows:
            continue
        yield {
            "event": TRIAL,
            "number": record.number,
            "config": template.config_for(record.config, leg),
            "replicate_of": record.replicate_of,
            "seed": record.seed,
        }
        for row in rows:
            own = {**row, "epoch": row["epoch"] - low, "error": row["mae"]}
            yield {"event": EPOCH, "number": record.number, "row": own, "total": template.epochs}
        whole = len(rows) == template.epochs
        state = "finished" if whole else record.state
        if state != "running":
            reason = None if whole else record.reason
            yield {"event": END, "number": record.number, "state": state, "reason": reason}
    for event in events:
        if event["event"] in (FINAL, TESTED):
            own = [row for row in event["predictions"] if row["dataset"] == dataset]
            if own or event["event"] == FINAL:
                yield {**event, "predictions": own, **({"leg": 0} if "leg" in event else {})}
