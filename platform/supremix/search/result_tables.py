"""The result tables of a run, made from its ledger and the predictions that its workers wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from upath import UPath

from supremix.cluster.tune.trial_template import TrialTemplate
from supremix.errors import RunFolderError
from supremix.runs.folder import RunFolder
from supremix.search.cohort import cohort_rows
from supremix.search.prepare import PreparedSearch, splits_of
from supremix.storage.paths import write_bytes
from supremix.storage.retry import storage_errors, with_retries
from supremix.training.artifacts.format import CALIBRATION, DESCRIPTION
from supremix.tuning.ledger.ledger import (
    END,
    EPOCH,
    FINAL,
    TESTED,
    TRIAL,
    Event,
    Ledger,
    conclusion,
    read_events,
    since_prolonged,
)
from supremix.tuning.ledger.records import LENGTHS, TrialRecord, read_records, trial_row
from supremix_reports import (
    Calibration,
    LabelDensity,
    LabelScale,
    TableError,
    convergence,
    defaults_row,
    interval_rows,
    mae_rows,
    read_file,
    read_table,
    write_summary,
    write_table,
)
from supremix_reports.statistics.conformal.calibration import PredictedBy

Row = dict[str, Any]

_NOT_CURVES = ("measures", "dataset", "ratio", "score")
"""Values of an epoch that are no columns of the table ``curves``: the measures, which have a table
of their own, and of a joint objective the dataset and what the trial's error is made of."""


def write_search_tables(prepared: PreparedSearch, events: Iterable[Event]) -> None:
    """Write trials, curves, measures, cohort, predictions and mae as Parquet, and the summary.

    Trials under way (the search was interrupted) appear as stopped. Storage that fails for a while
    is waited for.

    Args:
        prepared: The search.
        events: Events of its ledger.

    Raises:
        RunFolderError: The storage fails for too long, or refuses.
        SchemaError: A row has a column that its table does not have.
    """
    happened = list(events)
    _retrying(prepared.run, lambda: _write(prepared, happened))


def _retrying(run: RunFolder, write: Callable[[], None]) -> None:
    with storage_errors(str(run.path)):
        with_retries(write, f"the tables in {run.path}")


def _write(prepared: PreparedSearch, events: list[Event]) -> None:
    spec, card, source = prepared.spec, prepared.store.card, prepared.source
    records = _records(events)
    folder, unit = str(prepared.run.path), card.unit
    trials = [
        _trial(record, seed=spec.seed, unit=unit, **source) | _convergence(record)
        for record in records
    ]
    write_table(folder, "trials", trials)
    write_table(folder, "curves", [row for r in records for row in _curve(r, source)])
    write_table(folder, "measures", [row for r in records for row in _measures(r, source)])
    cohort = cohort_rows(prepared.store, splits_of(spec, prepared.store), run=prepared.run.name)
    write_table(folder, "cohort", cohort)
    density = LabelDensity.of(prepared.labels, card.label_bin)
    files = prediction_files(events, card.name)
    if files:
        predictions = _predictions(prepared.run, files)
        write_table(folder, "predictions", predictions.to_dicts())
        rows = mae_rows(read_table(folder, "predictions"), unit=unit, density=density)
        write_table(folder, "mae", rows)
        write_table(folder, "defaults", _defaults(prepared, events))
        # The final model is trained on validation as well, unless there is no test.
        by = "trials" if spec.test else "model"
        intervals = calibrate(prepared.run.model, predictions, prepared.labels, by, unit=unit)
        write_table(folder, "intervals", intervals)
    words = {
        "label_regions": density.describe(unit),
        "copies": prepared.copies,
        "final_length": _final_length(prepared),
    }
    asked = {**spec.to_dict(), "epochs": prepared.task.epochs}
    write_summary(folder, {**asked, **words, "space": prepared.space.to_dict()})


def calibrate(
    model: UPath, predictions: pl.DataFrame, labels: Any, predicted_by: PredictedBy, *, unit: str
) -> list[Row]:
    """Keep the predictions on validation with a model; returns the rows of ``intervals``.

    The networks that made them were trained on the training split alone, so they calibrate.

    Args:
        model: Folder of the model; nothing is kept where there is none.
        predictions: Rows of the table ``predictions`` of one method on one dataset.
        labels: (N,) labels of the training split.
        predicted_by: Whether the model is the networks that predicted validation, or was trained
            again.
        unit: Unit of the label.
    """
    known, tested = (predictions.filter(pl.col("split") == split) for split in ("val", "test"))
    calibration = Calibration.of(known, LabelScale.of(labels), predicted_by)
    if (model / DESCRIPTION).is_file():
        write_bytes(model / CALIBRATION, json.dumps(calibration.to_dict()).encode())
    source = {name: known[name][0] for name in ("run", "dataset", "method")} | {"split": "test"}
    return [source | row for row in interval_rows(calibration.of_one(), tested, unit=unit)]


def _final_length(prepared: PreparedSearch) -> str:
    """The length of the final training, where it is longer than a trial."""
    final = prepared.final_training_epochs
    if not prepared.spec.test or final == prepared.task.epochs:
        return ""
    return str(prepared.trained_images.length(final))


def _records(events: Iterable[Event]) -> list[TrialRecord]:
    return sorted(read_records(events).values(), key=lambda record: record.number)


def prediction_files(events: Sequence[Event], dataset: str) -> list[str]:
    """Names of a dataset's files of predictions: those of validation, then of test by seed.

    Args:
        events: Events of the ledger.
        dataset: Name of the dataset.

    Returns:
        The names of the files, which lie in the folder ``predictions`` of the dataset's run; none
        before the best trial is named.
    """
    final = conclusion(events)
    if final is None:
        return []
    tested = [
        event
        for event in since_prolonged(events)
        if event["event"] == TESTED
        and (event["trial"], event["dataset"]) == (final["trial"], dataset)
    ]
    last = [file for e in sorted(tested, key=lambda e: e["seed"]) for file in e["predictions"]]
    return [*final["predictions"].get(dataset, ()), *last]


def _defaults(prepared: PreparedSearch, events: Sequence[Event]) -> list[Row]:
    """The best hyperparameters against the defaults; where these are best, the best others."""
    card = prepared.store.card
    final = conclusion(events)
    compared = None if final is None else final["compared"]
    if final is None or compared is None:
        return []
    defaults, found = (
        _predictions(prepared.run, one["predictions"][card.name])
        for one in sorted((final, compared), key=lambda one: one["trial"])
    )
    return [defaults_row(found, defaults, unit=card.unit)]


def _predictions(run: RunFolder, files: Iterable[str]) -> pl.DataFrame:
    try:
        return pl.concat([read_file(str(run.predictions / file), "predictions") for file in files])
    except TableError as error:
        raise RunFolderError(
            f"predictions that the ledger of {run.path} notes cannot be read: {error} Restore the "
            "file from a copy of the run, or start a new search."
        ) from error


def _trial(record: TrialRecord, **common: Any) -> Row:
    row = trial_row(record, **common)
    if record.state == "running":
        row |= {"state": "stopped", "reason": "the search was interrupted"}
    return row


def _convergence(record: TrialRecord) -> Row:
    if record.state != "finished":
        return {}
    return convergence([record.rows], record.config).columns()


def _curve(record: TrialRecord, source: Row) -> list[Row]:
    return [curve_row(row, **source, trial=record.number) for row in record.rows]


def curve_row(row: Mapping[str, Any], **common: Any) -> Row:
    """The row of the table ``curves`` for an epoch, with columns that all its rows share."""
    return common | {name: value for name, value in row.items() if name not in _NOT_CURVES}


def _measures(record: TrialRecord, source: Row) -> list[Row]:
    """A row for each measure, of the epochs after which they were taken."""
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


def write_joint_search_tables(
    run: RunFolder,
    datasets: Sequence[PreparedSearch],
    template: TrialTemplate,
    events: Iterable[Event],
    *,
    unit: str,
) -> None:
    """Write the tables of a search with a joint objective: those of all, and each dataset's own.

    The run's own tables have the trials, with the geometric mean of ratios as their error, and
    their curves, dataset by dataset. Each dataset's folder becomes that of an ordinary search,
    whose trials are those trained on that dataset and whose best trial is the best one on all.

    Args:
        run: Run folder of the search.
        datasets: The search prepared on each dataset, in the order of training.
        template: Template of the trials.
        events: Events of the ledger.
        unit: Unit of the joint errors.

    Raises:
        RunFolderError: The storage fails for too long, or refuses.
    """
    happened = list(events)
    _retrying(run, lambda: _write_joint(run, datasets, happened, unit))
    for index, prepared in enumerate(datasets):
        part = list(dataset_events(happened, template, index))
        _keep_ledger(prepared.run, part)
        write_search_tables(prepared, part)


def _write_joint(
    run: RunFolder, datasets: Sequence[PreparedSearch], events: list[Event], unit: str
) -> None:
    names = "+".join(prepared.store.card.name for prepared in datasets)
    source = {**datasets[0].source, "run": run.name, "dataset": names}
    seed, records = datasets[0].spec.seed, _records(events)
    missing = dict.fromkeys(("mae", "rmse", "r2", "pearson"))
    trials = [_trial(r, seed=seed, unit=unit, **source) | missing for r in records]
    curves = [
        {**curve, "dataset": row["dataset"]}
        for record in records
        for curve, row in zip(_curve(record, source), record.rows, strict=True)
    ]
    write_table(str(run.path), "trials", trials)
    write_table(str(run.path), "curves", curves)


def _keep_ledger(run: RunFolder, events: list[Event]) -> None:
    """Write the ledger of a dataset's folder, once the best trial is named."""
    if any(event["event"] == FINAL for event in events) and not read_events(run.ledger):
        with Ledger(run.ledger) as ledger:
            for event in events:
                content = dict(event)
                ledger.append(content.pop("event"), **content)


def dataset_events(events: Iterable[Event], template: TrialTemplate, index: int) -> Iterator[Event]:
    """The events of a joint search as those of a search on one of its datasets alone.

    A trial that never reached that dataset is left out; one that left it early was pruned there.

    Args:
        events: Events of the joint search.
        template: Template of its trials.
        index: Index of the dataset.
    """
    happened = list(events)
    low, high = index * template.epochs, (index + 1) * template.epochs
    dataset = template.tasks[index].dataset
    for record in _records(happened):
        rows = record.rows[low:high]
        if not rows:
            continue
        before = record.rows[low - 1] if low else {}
        yield {
            "event": TRIAL,
            "number": record.number,
            "config": template.config_for(record.config, index),
            "replicate_of": record.replicate_of,
            "seed": record.seed,
        }
        for row in rows:
            own = {**row, "epoch": row["epoch"] - low, "error": row["mae"]}
            own |= {name: row[name] - before.get(name, 0) for name in LENGTHS}
            yield {"event": EPOCH, "number": record.number, "row": own, "total": template.epochs}
        complete = len(rows) == template.epochs
        state = "finished" if complete else record.state
        if state != "running":
            reason = None if complete else record.reason
            yield {"event": END, "number": record.number, "state": state, "reason": reason}
    for event in happened:
        if event["event"] == FINAL:
            compared = event["compared"] and _on(dataset, event["compared"])
            yield {**event, **_on(dataset, event), "compared": compared}
        elif event["event"] == TESTED and event["dataset"] == dataset:
            yield event


def _on(dataset: str, noted: Mapping[str, Any]) -> dict[str, Any]:
    """A trial and its files of predictions, on one dataset alone."""
    return {"trial": noted["trial"], "predictions": {dataset: noted["predictions"][dataset]}}
