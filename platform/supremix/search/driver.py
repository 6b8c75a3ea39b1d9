"""Searches from their specification to their last file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from supremix.cluster import Executor, WorkerGroupPlan
from supremix.cluster.tune.runner import run_studies
from supremix.cluster.tune.trackers import Tracker, make_trackers
from supremix.errors import SearchFailedError
from supremix.progress.progress import Listener, Progress, messages
from supremix.runs.folder import RunFolder
from supremix.search.final_evaluation import evaluate_all, write_tables
from supremix.search.prepare import (
    check_pretrained,
    find_resources,
    kept_identity,
    prepare_search,
)
from supremix.search.prolonging import as_prolonged, keep_length, prolong
from supremix.search.session import SearchSession
from supremix.search.settling import settle_lengths
from supremix.search.shared_session import shared_session
from supremix.search.spec import SearchSpec
from supremix.tuning.ledger.ledger import SESSION
from supremix.tuning.study.scheduler import ScheduledStudy, StudyScheduler, concurrent_studies


def run_search(
    spec: SearchSpec, run: RunFolder, listen: Listener, *, prolonged_to: int | None = None
) -> None:
    """Run or go on with a search; everything it finds is in the run folder afterwards.

    Args:
        spec: Its specification.
        run: Its run folder.
        listen: Called with a `Progress` at every step.
        prolonged_to: Epochs that the best trials of a finished search are prolonged to.

    Raises:
        USER_ERRORS: Something is wrong with the request; nothing was trained.
        SearchFailedError: Every trial failed, or none was finished within the budget.
        SearchInterrupted: Ctrl-C or SIGTERM; the search can be resumed.
    """
    check_pretrained(spec, run)
    name = spec.resolve_dataset().card.name
    with shared_session(run.path, (), spec, name, listen) as session:
        tell = session.listen
        ledger = session.ledger(run, tell)
        resources = find_resources(spec, tell, kept_identity(run))
        prepared = prepare_search(spec, run, resources, tell)
        [settled] = settle_lengths([[prepared]])
        if prolonged_to is not None:
            prolong(ledger, as_prolonged(settled[0], ledger.events), prolonged_to)
        searching = SearchSession(run, ledger, settled)
        keep_length(searching.first)
        with started_executor(prepared.plan, tell) as executor:
            failures = search_all([searching], executor)
        if failures:
            raise failures[run.name]


@contextmanager
def started_executor(plan: WorkerGroupPlan, listen: Listener) -> Generator[Executor]:
    """Groups that work until the end of the block, with a folder for what Ray writes of them."""
    listen(Progress(message="starting workers"))
    with (
        tempfile.TemporaryDirectory(prefix="supremix-") as scratch,
        Executor(plan, scratch) as executor,
    ):
        yield executor


def search_all(
    sessions: Sequence[SearchSession], executor: Executor, concurrent: int | None = None
) -> dict[str, SearchFailedError]:
    """Run the trials that the ledgers of several searches lack, and evaluate each search.

    Args:
        sessions: The searches, in the order in which they begin.
        executor: The worker groups.
        concurrent: Number of searches at the same time; None for what suits their number.

    Returns:
        The errors of the searches without a result, by the names of their runs.
    """
    if concurrent is None:
        warm_start = bool(sessions[0].spec.warm_start)
        concurrent = concurrent_studies(executor.plan.count, len(sessions), warm_start=warm_start)
    limit = concurrent
    parts = [
        ScheduledStudy(
            lambda k=k, session=session: session.open(limit, sessions[: max(0, k + 1 - limit)])
        )
        for k, session in enumerate(sessions)
    ]

    def watch(part: int, number: int | None, log: str) -> None:
        sessions[part].watch(number, log)

    storage = f"{executor.storage}/{sessions[0].run.path.name}"
    templates = [session.template for session in sessions]
    with _trackers(sessions) as trackers, _sessions_noted(sessions, limit):
        run_studies(StudyScheduler(parts, limit), executor, templates, watch, storage, trackers)
        return evaluate_all(sessions, executor)


@contextmanager
def _trackers(sessions: Sequence[SearchSession]) -> Generator[list[Tracker]]:
    """The trackers that are asked for: TensorBoard, MLflow, Weights & Biases."""
    # Of a grid only one search may be left to do: it is named as among all of them.
    session = sessions[0]
    several = session.first.grid_path != session.run.path
    trackers = make_trackers(
        tensorboard=session.spec.tensorboard,
        mlflow=session.spec.mlflow,
        wandb=session.spec.wandb,
        run=session.first.grid_path.name if several else session.run.path.name,
        names=[one.path_in_grid.replace("/", "-") for one in sessions] if several else (),
        warn=messages(session.first.listen),
    )
    try:
        yield trackers
    finally:
        for tracker in trackers:
            tracker.close()


@contextmanager
def _sessions_noted(sessions: Sequence[SearchSession], concurrent: int) -> Generator[None]:
    """Note in the ledgers that a session begins; an interrupted one still writes its tables."""
    for session in sessions:
        plan = session.first.plan
        session.ledger.append(
            SESSION,
            worker_groups=plan.count,
            workers=plan.workers,
            cpus=plan.cpus,
            gpus=plan.gpus,
            concurrent_studies=concurrent,
            time=round(time.time(), 3),
        )
    try:
        yield
    except KeyboardInterrupt:
        for session in sessions:
            write_tables(session)
        raise
    finally:
        for session in sessions:
            session.close()
