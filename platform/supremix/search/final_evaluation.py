"""The final evaluation of a search: validation and test of the best hyperparameters, result tables.

Predictions are written into the run folder by the workers that make them; the ledger notes the
files, and the tables are put together from these.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from supremix.cluster import Executor, PredictionRequest, WorkerRequest, WorkerResult
from supremix.errors import SearchFailedError
from supremix.progress.progress import DONE, Progress, study_progress
from supremix.runs.folder import final_key
from supremix.search.prepare import PreparedSearch
from supremix.search.result_tables import write_joint_search_tables, write_search_tables
from supremix.search.session import SearchSession
from supremix.storage.retry import with_retries
from supremix.tuning.ledger.ledger import FINAL, TESTED
from supremix.tuning.ledger.records import TrialRecord, read_records, trial_key
from supremix_reports import embedding_picture, embedding_rows, read_best_error, write_table

_DRAWING = threading.Lock()
"""Held while a figure is drawn: matplotlib draws one at a time."""

Evaluation = Callable[[], None]


def evaluate_all(
    sessions: Sequence[SearchSession], executor: Executor
) -> dict[str, SearchFailedError]:
    """Validate the best trials, retrain and test their hyperparameters, write all tables.

    The trainings of all searches run in parallel, as many at a time as there are worker groups.

    Args:
        sessions: The searches, whose trials have ended.
        executor: The worker groups.

    Returns:
        The errors of the searches without a result, by the names of their runs.
    """
    threads = ThreadPoolExecutor(executor.plan.count, thread_name_prefix="evaluate")
    errors: dict[str, SearchFailedError] = {}
    try:
        begun = [
            (one, [threads.submit(evaluate) for evaluate in _evaluations(one, executor)])
            for one in sessions
        ]
        for session, futures in begun:
            error = _finish(session, futures)
            if error is not None:
                errors[session.run.name] = error
    finally:
        # After an interrupt the threads end with the worker groups that they wait for.
        threads.shutdown(wait=False, cancel_futures=True)
    return errors


def _evaluations(session: SearchSession, executor: Executor) -> list[Evaluation]:
    """What is left to do: the validation, and a final training for each test seed and dataset."""
    best = session.best
    if best is None:
        return []
    found: list[Evaluation] = []
    if not session.is_validated:
        found.append(functools.partial(_validate, session, executor, best))
    return found + [
        functools.partial(_test, session, index, executor, best, number)
        for number, seed in enumerate(session.test_seeds)
        for index in range(len(session.prepared))
        if not session.is_tested(seed, index)
    ]


def _finish(session: SearchSession, futures: Sequence[Future[None]]) -> SearchFailedError | None:
    """Wait for a search's evaluations, and write its tables."""
    failures = [] if session.best is not None else [SearchFailedError(_why_none(session))]
    for future in futures:
        try:
            future.result()
        except SearchFailedError as error:
            failures.append(error)
    write_tables(session)
    if failures:
        return failures[0]
    session.end()
    if session.study is not None:
        progress = study_progress(session.study, session.spec.budget(), session.unit)
        session.first.listen(dataclasses.replace(progress, message=DONE, **_best_error(session)))
    return None


def _best_error(session: SearchSession) -> dict[str, Any]:
    """The error of the best hyperparameters in the tables; of a joint objective there is none."""
    best = session.best
    new_seeds = best is not None and _trainings(session, best) != [best]
    error = read_best_error(str(session.run.path), new_seeds=new_seeds)
    return {} if error is None else {"best_error": error.value, "best_basis": error.basis}


def write_tables(session: SearchSession) -> None:
    """Write the tables of what a search has found so far."""
    events = session.ledger.events
    if len(session.prepared) > 1:
        write_joint_search_tables(
            session.run, session.prepared, session.template, events, unit=session.unit
        )
    else:
        write_search_tables(session.first, events)


def _validate(session: SearchSession, executor: Executor, best: TrialRecord) -> None:
    """Predict the validation splits with the best hyperparameters, and note that they are best.

    The defaults predict them as well, or where these are the best the best of the other trials.
    """
    other = None if session.study is None else session.study.compared
    noted, *compared = (
        {
            "trial": record.number,
            "predictions": {
                prepared.store.card.name: _validate_on(session, index, executor, record, best)
                for index, prepared in enumerate(session.prepared)
            },
        }
        for record in (best, other)
        if record is not None
    )
    clock = {} if session.study is None else {"clock": session.study.clock.now()}
    with session.writing:
        session.ledger.append(FINAL, **noted, compared=next(iter(compared), None), **clock)


def _validate_on(
    session: SearchSession, index: int, executor: Executor, record: TrialRecord, best: TrialRecord
) -> list[str]:
    """Have the validation split of one dataset predicted; returns the files in its run folder."""
    prepared = session.prepared[index]
    files: list[str] = []
    for number, training in enumerate(_trainings(session, record)):
        first = number == 0 and record is best
        seed = prepared.spec.seed if training.seed is None else training.seed
        files.append(f"{trial_key(training.number)}-val.parquet")
        request = session.template.task_request(
            training,
            index,
            predict=_prediction_request(prepared, record, "val", seed, files[-1]),
            export=(
                prepared.run.network(number) if record is best and not prepared.spec.test else None
            ),
            embed="val" if first else None,
        )
        what = f"trial {record.number}" + ("" if training is record else ", new seed")
        prepared.listen(Progress(message=f"validating {what}", unit=prepared.store.card.unit))
        _write_embedding(prepared, record, _succeed(executor.execute(request)))
    return files


def _prediction_request(
    prepared: PreparedSearch, best: TrialRecord, split: str, seed: int, file: str
) -> PredictionRequest:
    return PredictionRequest(
        splits=(split,),
        address=str(prepared.run.predictions / file),
        columns={**prepared.source, "trial": best.number, "seed": seed},
    )


def _trainings(session: SearchSession, record: TrialRecord) -> list[TrialRecord]:
    """The trainings of a trial's hyperparameters with new seeds; without any, the trial itself."""
    # The best trial's own error is the least of many, and so optimistically biased.
    records = read_records(session.ledger.events).values()
    replicates = [r for r in records if r.replicate_of == record.number and r.state == "finished"]
    return replicates or [record]


def _write_embedding(prepared: PreparedSearch, best: TrialRecord, result: WorkerResult) -> None:
    """Write the features of the validation split as a table and as a figure."""
    card, embedding = prepared.store.card, result.embedding
    if embedding is None:
        return
    features, target = embedding["features"], embedding["target"]
    rows = embedding_rows(
        features, target, **prepared.source, trial=best.number, split="val", unit=card.unit
    )
    folder, figure = str(prepared.run.path), str(prepared.run.embedding)
    title = f"{card.name}: features of trial {best.number}'s hyperparameters on validation"
    with_retries(lambda: write_table(folder, "embedding", rows), folder)

    def draw() -> None:
        embedding_picture(features, target, figure, label=card.target, unit=card.unit, title=title)

    with _DRAWING:
        with_retries(draw, figure)


def _test(
    session: SearchSession, index: int, executor: Executor, best: TrialRecord, number: int
) -> None:
    """Retrain the best hyperparameters with a test seed, test them on one dataset, and note it."""
    prepared, seed = session.prepared[index], session.test_seeds[number]
    file = f"{trial_key(best.number)}-test-{seed}.parquet"
    name = final_key(number, index if len(session.prepared) > 1 else None)
    request = WorkerRequest(
        key=session.template.key(name),
        task=prepared.final_task(seed),
        config=session.template.config_for(best.config, index),
        checkpoint=f"{session.run.checkpoints}/{name}.pt",
        epoch=1,
    )
    last = dataclasses.replace(
        request,
        predict=_prediction_request(prepared, best, "test", seed, file),
        export=prepared.run.network(number),
    )
    _train(session, prepared, executor, request, last, _retraining(session, best, seed))
    with session.writing:
        session.ledger.append(
            TESTED,
            trial=best.number,
            seed=seed,
            dataset=prepared.store.card.name,
            predictions=[file],
        )


def _retraining(session: SearchSession, best: TrialRecord, seed: int) -> str:
    more = f", seed {seed}" if len(session.test_seeds) > 1 else ""
    return f"retraining trial {best.number} on training and validation data{more}"


def _train(
    session: SearchSession,
    prepared: PreparedSearch,
    executor: Executor,
    request: WorkerRequest,
    last: WorkerRequest,
    message: str,
) -> None:
    """Have every epoch of a training done: the last one as `last`, the others as `request`."""
    epoch, total = 0, 1
    longest: float | None = None
    while epoch < total:
        epoch += 1
        due = dataclasses.replace(
            last if epoch > 1 and epoch == total else request,
            epoch=epoch,
            limit=session.template.time_limit(longest),
        )
        result = _succeed(executor.execute(due))
        total = result.total
        longest = max(longest or 0.0, (result.row or {}).get("seconds", 0.0))
        unit = prepared.store.card.unit
        prepared.listen(Progress(message=message, done=epoch, total=total, unit=unit))


def _succeed(result: WorkerResult) -> WorkerResult:
    if result.failure is not None:
        raise SearchFailedError(
            f"the final evaluation of the best hyperparameters failed: {result.failure}. Their "
            "trial's numbers are in trials.parquet; resume the run to try again."
        )
    return result


def _why_none(session: SearchSession) -> str:
    records = list(read_records(session.ledger.events).values())
    failed = [record for record in records if record.state == "failed"]
    if failed and len(failed) == len(records):
        return (
            f"all {len(records)} trials failed; the last one: {failed[-1].reason}. The reasons of "
            f"all are in {session.run.path}/trials.parquet."
        )
    return (
        f"no trial was finished within the budget ({len(records)} begun, {len(failed)} failed). "
        "Give more time, or fewer epochs a trial."
    )
