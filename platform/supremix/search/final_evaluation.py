"""The end of a search: the best settings are used once more, and everything is written down."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from supremix.cluster import Executor, WorkerRequest, WorkerResult
from supremix.errors import SearchFailedError
from supremix.progress.progress import DONE, Progress, study_progress
from supremix.runs.folder import final_key
from supremix.search.prepare import PreparedSearch
from supremix.search.result_tables import write_leg_tables, write_run_tables
from supremix.search.session import SearchSession
from supremix.storage.retry import with_retries
from supremix.tuning.ledger.ledger import FINAL, TESTED
from supremix.tuning.ledger.records import TrialRecord, read_records
from supremix_reports import embedding_picture, embedding_rows, write_table

_DRAWING = threading.Lock()
"""Pictures of searches that are concluded beside each other are drawn one after the other."""

Row = dict[str, Any]
Job = Callable[[], None]


def conclude_all(
    works: Sequence[SearchSession], executor: Executor
) -> dict[str, SearchFailedError]:
    """Predict with the best trials, retrain their settings, judge them once; write it all down.

    The trainings of all searches go on beside each other, as many at a time as there are worker
    groups.

    Returns:
        The searches, by their run's name, that came to no result, and why.
    """
    threads = ThreadPoolExecutor(executor.plan.count, thread_name_prefix="conclude")
    found: dict[str, SearchFailedError] = {}
    try:
        begun = [(work, [threads.submit(job) for job in _jobs(work, executor)]) for work in works]
        for work, futures in begun:
            error = _conclude(work, futures)
            if error is not None:
                found[work.run.name] = error
    finally:
        # After an interrupt the threads end with the worker groups that they wait for.
        threads.shutdown(wait=False, cancel_futures=True)
    return found


def _jobs(work: SearchSession, executor: Executor) -> list[Job]:
    """What is to be done still: the validation, and a final training for each test seed."""
    best = work.best
    if best is None:
        return []
    legs = range(len(work.settings))
    first: list[Job] = []
    if not work.validated:
        first.append(functools.partial(_validate_all, work, executor, best))
    return first + [
        functools.partial(_test, work, leg, executor, best, place)
        for place, seed in enumerate(work.test_seeds)
        for leg in legs
        if not work.tested(seed, leg)
    ]


def _conclude(work: SearchSession, futures: Sequence[Future[None]]) -> SearchFailedError | None:
    """Wait for what a search's end takes, and write everything down."""
    failures = [] if work.best is not None else [SearchFailedError(_why_none(work))]
    for future in futures:
        try:
            future.result()
        except SearchFailedError as error:
            failures.append(error)
    write_tables(work)
    if failures:
        return failures[0]
    work.run.sweep(set())
    if work.study is not None:
        progress = study_progress(work.study, work.spec.budget(), work.unit)
        work.setting.listen(dataclasses.replace(progress, message=DONE))
    return None


def write_tables(work: SearchSession) -> None:
    """Write the tables of what a search has found so far."""
    events = work.ledger.events
    if len(work.settings) > 1:
        write_leg_tables(work.run, work.settings, work.template, events, unit=work.unit)
        return
    one = work.setting
    write_run_tables(one.run, one.spec, one.store, one.space, events, training=one.labels)


def _validate_all(work: SearchSession, executor: Executor, best: TrialRecord) -> None:
    """Measure the best settings on the validation splits, and note that they are the best."""
    rows = [
        row for leg in range(len(work.settings)) for row in _validate(work, leg, executor, best)
    ]
    clock = {} if work.study is None else {"clock": work.study.clock.now()}
    # The ledger takes one event at a time; what is done at the end is done when it will.
    with work.writing:
        work.ledger.append(FINAL, trial=best.number, predictions=rows, **clock)


def _validate(work: SearchSession, leg: int, executor: Executor, best: TrialRecord) -> list[Row]:
    """Predictions of the best settings on the validation split of one dataset."""
    setting = work.settings[leg]
    rows: list[Row] = []
    for place, record in enumerate(_models(work, best)):
        first = place == 0
        order = work.template.task_request(
            record,
            leg,
            predict=("val",),
            export=str(setting.run.model) if first and not setting.spec.test else None,
            embed="val" if first else None,
        )
        what = f"trial {best.number}" if record is best else f"trial {best.number}, new seed"
        setting.listen(Progress(message=f"validating {what}", unit=setting.store.card.unit))
        outcome = _succeed(executor.execute(order))
        _keep_embedding(setting, best, outcome)
        seed = setting.spec.seed if record.seed is None else record.seed
        rows += _marked(outcome.predictions, setting, seed)
    return rows


def _models(work: SearchSession, best: TrialRecord) -> list[TrialRecord]:
    """Those that trained the best settings with new seeds; where there are none, the best trial.

    The best trial's own error is the least of many, and flatters.
    """
    records = read_records(work.ledger.events).values()
    anew = [r for r in records if r.replicate_of == best.number and r.state == "finished"]
    return anew or [best]


def _keep_embedding(setting: PreparedSearch, best: TrialRecord, outcome: WorkerResult) -> None:
    """The best settings' features on validation, as a table and as a picture."""
    card, embedding = setting.store.card, outcome.embedding
    if embedding is None:
        return
    rows = embedding_rows(
        embedding["features"],
        embedding["target"],
        run=setting.run.name,
        dataset=card.name,
        method=setting.spec.resolve_method().name,
        trial=best.number,
        split="val",
        unit=card.unit,
    )
    folder = str(setting.run.path)
    with_retries(lambda: write_table(folder, "embedding", rows), folder)
    address = str(setting.run.embedding)
    with _DRAWING:
        with_retries(
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


def _test(work: SearchSession, leg: int, executor: Executor, best: TrialRecord, place: int) -> None:
    """Train the best settings once more, judge them on one dataset's test split, and note it."""
    setting, seed = work.settings[leg], work.test_seeds[place]
    outcome = _retrain(work, leg, executor, best, place)
    rows = _marked(outcome.predictions, setting, seed)
    with work.writing:
        work.ledger.append(TESTED, trial=best.number, seed=seed, leg=leg, predictions=rows)


def _retrain(
    work: SearchSession, leg: int, executor: Executor, best: TrialRecord, place: int
) -> WorkerResult:
    setting, seed = work.settings[leg], work.test_seeds[place]
    # Validation has done its work; its images are too many to leave out of the final model.
    task = dataclasses.replace(
        setting.task, train_splits=("train", "val"), eval_split=None, seed=seed
    )
    name = final_key(place, leg if len(work.settings) > 1 else None)
    message = f"retraining trial {best.number} on training and validation data"
    total, epoch, outcome = 1, 0, WorkerResult()
    longest: float | None = None
    while epoch < total:
        epoch += 1
        last = outcome.total == epoch
        order = WorkerRequest(
            key=work.template.key(name),
            task=task,
            config=work.template.config_for(best.config, leg),
            checkpoint=f"{work.run.checkpoints}/{name}.pt",
            epoch=epoch,
            predict=("test",) if last else (),
            export=str(setting.run.model) if last and place == 0 else None,
            limit=work.template.time_limit(longest),
        )
        outcome = _succeed(executor.execute(order))
        total = outcome.total
        longest = max(longest or 0.0, (outcome.row or {}).get("seconds", 0.0))
        more = f", seed {seed}" if len(work.test_seeds) > 1 else ""
        setting.listen(
            Progress(message=message + more, done=epoch, total=total, unit=setting.store.card.unit)
        )
    return outcome


def _marked(rows: Sequence[Row], setting: PreparedSearch, seed: int) -> list[Row]:
    return [{**row, "seed": seed, "dataset": setting.store.card.name} for row in rows]


def _succeed(outcome: WorkerResult) -> WorkerResult:
    if outcome.failure is not None:
        raise SearchFailedError(
            f"the best settings could not be used again: {outcome.failure}. Their trial's numbers "
            "are in trials.parquet; resume the run to try once more."
        )
    return outcome


def _why_none(work: SearchSession) -> str:
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
