"""The end of a search: the best settings are used once more, and everything is written down."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

from supremix.cluster import Crew, Order, Outcome
from supremix.errors import SearchFailedError
from supremix.progress import Progress
from supremix.runs import FINAL_KEY
from supremix.search.ledger import FINAL
from supremix.search.record import TrialRecord, read_records
from supremix.setting import Setting
from supremix.tables import write_leg_tables, write_run_tables
from supremix.training.persistence import persistently
from supremix.work import Work
from supremix_reports import embedding_picture

_DRAWING = threading.Lock()
"""Pictures of searches that are concluded beside each other are drawn one after the other."""

Row = dict[str, Any]


def conclude(work: Work, crew: Crew) -> None:
    """Predict with the best trial, retrain its settings and judge them once; write it all down.

    Raises:
        SearchFailedError: Every trial failed, or none was finished within the budget.
    """
    if not any(event["event"] == FINAL for event in work.ledger.events):
        study = work.study
        best = None if study is None else study.best
        if study is None or best is None:
            write_tables(work)
            raise SearchFailedError(_why_none(work))
        rows = [row for leg in range(len(work.settings)) for row in _judge(work, leg, crew, best)]
        work.ledger.append(FINAL, trial=best.number, predictions=rows, clock=study.clock.now())
    write_tables(work)


def write_tables(work: Work) -> None:
    """Write the tables of what a search has found so far."""
    events = work.ledger.events
    if len(work.settings) > 1:
        write_leg_tables(work.run, work.settings, work.bench, events, unit=work.unit)
        return
    one = work.setting
    write_run_tables(one.run, one.spec, one.store, one.space, events, training=one.labels)


def _judge(work: Work, leg: int, crew: Crew, best: TrialRecord) -> list[Row]:
    """Predictions of the best settings on one dataset: validation, and test where it is asked."""
    setting = work.settings[leg]
    rows: list[Row] = []
    for place, record in enumerate(_models(work, best)):
        first = place == 0
        order = work.bench.leg_order(
            record,
            leg,
            predict=("val",),
            export=str(setting.run.model) if first and not setting.spec.judge else None,
            embed="val" if first else None,
        )
        what = f"trial {best.number}" if record is best else f"trial {best.number}, new seed"
        setting.listen(Progress(message=f"validating {what}", unit=setting.store.card.unit))
        outcome = _succeed(crew.execute(order))
        _draw(setting, best, outcome)
        seed = setting.spec.seed if record.seed is None else record.seed
        rows += [{**row, "seed": seed} for row in outcome.predictions]
    if setting.spec.judge:
        rows += _retrain(work, leg, crew, best)
    return [{**row, "dataset": setting.store.card.name} for row in rows]


def _models(work: Work, best: TrialRecord) -> list[TrialRecord]:
    """Those that trained the best settings with new seeds; where there are none, the best trial.

    The best trial's own error is the least of many, and flatters.
    """
    records = read_records(work.ledger.events).values()
    anew = [r for r in records if r.confirms == best.number and r.state == "finished"]
    return anew or [best]


def _draw(setting: Setting, best: TrialRecord, outcome: Outcome) -> None:
    """The picture of the best settings' features on validation."""
    card, embedding = setting.store.card, outcome.embedding
    if embedding is None:
        return
    address = str(setting.run.embedding)
    with _DRAWING:
        persistently(
            lambda: embedding_picture(
                embedding["features"],
                embedding["target"],
                address,
                label=card.target,
                unit=card.unit,
                title=f"{card.name}: features of trial {best.number}'s settings on validation",
            ),
            address,
        )


def _retrain(work: Work, leg: int, crew: Crew, best: TrialRecord) -> list[Row]:
    setting = work.settings[leg]
    # Validation has done its work; its images are too many to leave out of the final model.
    task = dataclasses.replace(setting.task, fit_on=("train", "val"), judge_on=None)
    name = FINAL_KEY if len(work.settings) == 1 else f"{FINAL_KEY}.{leg}"
    total, epoch, outcome = 1, 0, Outcome()
    longest: float | None = None
    while epoch < total:
        epoch += 1
        last = outcome.total == epoch
        order = Order(
            key=work.bench.key(name),
            task=task,
            config=work.bench.settings(best.config, leg),
            checkpoint=f"{work.run.checkpoints}/{name}.pt",
            epoch=epoch,
            predict=("test",) if last else (),
            export=str(setting.run.model) if last else None,
            limit=work.bench.patience(longest),
        )
        outcome = _succeed(crew.execute(order))
        total = outcome.total
        longest = max(longest or 0.0, (outcome.row or {}).get("seconds", 0.0))
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


def _why_none(work: Work) -> str:
    records = list(read_records(work.ledger.events).values())
    failed = [record for record in records if record.state == "failed"]
    if failed and len(failed) == len(records):
        return (
            f"all {len(records)} trials failed; the last one: {failed[-1].reason}. The reasons of "
            f"all are in {work.run.path}/trials.parquet."
        )
    return (
        f"no trial was finished within the budget ({len(records)} begun, {len(failed)} failed). "
        "Give more time, or fewer epochs a trial."
    )
