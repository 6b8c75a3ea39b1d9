"""The end of a search: the best settings are used once more, and everything is written down."""

from __future__ import annotations

import dataclasses
from typing import Any

from supremix.cluster import Crew, Order, Outcome
from supremix.errors import SearchFailedError
from supremix.progress import Progress
from supremix.runs import RunFolder
from supremix.search.ledger import FINAL, Ledger
from supremix.search.record import TrialRecord, best_record
from supremix.search.study import Study
from supremix.search.tuning import Bench
from supremix.setting import Setting
from supremix.tables import write_run_tables
from supremix_reports import embedding_picture

FINAL_KEY = "final"
"""Key and checkpoint name of the last training, on training and validation data."""


def conclude(setting: Setting, ledger: Ledger, study: Study, crew: Crew, bench: Bench) -> None:
    """Predict with the best trial, retrain its settings and judge them once; write it all down.

    Raises:
        SearchFailedError: Every trial failed, or none was finished within the budget.
    """
    if not any(event["event"] == FINAL for event in ledger.events):
        best = best_record(study.records.values())
        if best is None:
            write_tables(setting, ledger)
            raise SearchFailedError(_why_none(study, setting.run))
        judged = _judge(setting, crew, bench, best)
        ledger.append(FINAL, trial=best.number, predictions=judged, clock=study.clock.now())
    write_tables(setting, ledger)


def write_tables(setting: Setting, ledger: Ledger) -> None:
    """Write the tables of what a search has found so far."""
    write_run_tables(
        setting.run,
        setting.spec,
        setting.store,
        setting.space,
        ledger.events,
        training=setting.labels,
    )


def _judge(setting: Setting, crew: Crew, bench: Bench, best: TrialRecord) -> list[dict[str, Any]]:
    spec, unit = setting.spec, setting.store.card.unit
    model = str(setting.run.model)
    setting.listen(Progress(message=f"validating trial {best.number}", unit=unit))
    export = None if spec.judge else model
    order = bench.order(
        best.number, best.config, best.epoch, predict=("val",), export=export, embed="val"
    )
    outcome = _succeed(crew.execute(order))
    _draw(setting, best, outcome)
    rows = outcome.predictions
    if spec.judge:
        rows += _retrain(setting, crew, bench, best, model)
    return rows


def _draw(setting: Setting, best: TrialRecord, outcome: Outcome) -> None:
    """The picture of the best trial's features on validation."""
    card, embedding = setting.store.card, outcome.embedding
    if embedding is not None:
        embedding_picture(
            embedding["features"],
            embedding["target"],
            str(setting.run.embedding),
            label=card.target,
            unit=card.unit,
            title=f"{card.name}: features of trial {best.number} on validation",
        )


def _retrain(
    setting: Setting, crew: Crew, bench: Bench, best: TrialRecord, model: str
) -> list[dict[str, Any]]:
    # Validation has done its work; its images are too many to leave out of the final model.
    task = dataclasses.replace(setting.task, fit_on=("train", "val"), judge_on=None)
    checkpoint = str(setting.run.checkpoints / f"{FINAL_KEY}.pt")
    total, epoch, outcome = 1, 0, Outcome()
    while epoch < total:
        epoch += 1
        last = outcome.total == epoch
        order = Order(
            key=bench.key(FINAL_KEY),
            task=task,
            config=best.config,
            checkpoint=checkpoint,
            epoch=epoch,
            predict=("test",) if last else (),
            export=model if last else None,
        )
        outcome = _succeed(crew.execute(order))
        total = outcome.total
        message = f"retraining trial {best.number} on training and validation data"
        setting.listen(
            Progress(message=message, done=epoch, total=total, unit=setting.store.card.unit)
        )
    return outcome.predictions


def _succeed(outcome: Outcome) -> Outcome:
    if outcome.failure is not None:
        raise SearchFailedError(
            f"the best settings could not be used again: {outcome.failure}. Their trial's numbers "
            "are in trials.parquet; resume the run to try once more."
        )
    return outcome


def _why_none(study: Study, run: RunFolder) -> str:
    records = list(study.records.values())
    failed = [record for record in records if record.state == "failed"]
    if failed and len(failed) == len(records):
        return (
            f"all {len(records)} trials failed; the last one: {failed[-1].reason}. The reasons of "
            f"all are in {run.path}/trials.parquet."
        )
    return (
        f"no trial was finished within the budget ({len(records)} begun, {len(failed)} failed). "
        "Give more time, or fewer epochs a trial."
    )
