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
from supremix.search.prepare import find_resources, prepare_search
from supremix.search.session import SearchSession
from supremix.search.shared_session import shared_session
from supremix.search.spec import SearchSpec
from supremix.tuning.ledger.ledger import SESSION
from supremix.tuning.study.scheduler import ScheduledStudy, StudyScheduler, concurrent_studies


def run_search(spec: SearchSpec, run: RunFolder, listen: Listener) -> None:
    """Run or go on with a search; everything it finds is in the run folder afterwards.

    Args:
        spec: What to search.
        run: Its folder, created.
        listen: Told of every step.

    Raises:
        USER_ERRORS: Something is wrong with the request; nothing was trained.
        SearchFailedError: Every trial failed, or none was finished within the budget.
        SearchInterrupted: Ctrl-C or SIGTERM; the search can be resumed.
    """
    name = spec.resolve_dataset().card.name
    with shared_session(run.path, (), spec, name, listen) as session:
        tell = session.listen
        ledger = session.ledger(run, tell)
        prepared = prepare_search(spec, run, find_resources(spec, tell), tell)
        work = SearchSession(run, ledger, [prepared])
        with started_executor(prepared.plan, tell) as executor:
            failures = search_all([work], executor)
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
    works: Sequence[SearchSession], executor: Executor, abreast: int | None = None
) -> dict[str, SearchFailedError]:
    """Run the trials that the ledgers of several searches lack, and conclude each search.

    Args:
        works: The searches, in the order in which they begin.
        executor: The worker groups.
        abreast: How many are worked on at the same time; None for what suits their number.

    Returns:
        The searches, by their run's name, that came to no result, and why.
    """
    together = concurrent_studies(
        executor.plan.count, len(works), warm_start=bool(works[0].spec.warm_start)
    )
    if abreast is not None:
        together = abreast
    parts = [
        ScheduledStudy(
            lambda k=k, work=work: work.open(together, works[: max(0, k + 1 - together)])
        )
        for k, work in enumerate(works)
    ]

    def watch(part: int, number: int | None, log: str) -> None:
        works[part].watch(number, log)

    storage = f"{executor.storage}/{works[0].run.path.name}"
    templates = [work.template for work in works]
    with _trackers(works) as trackers, _session(works, together):
        run_studies(StudyScheduler(parts, together), executor, templates, watch, storage, trackers)
        return evaluate_all(works, executor)


@contextmanager
def _trackers(works: Sequence[SearchSession]) -> Generator[list[Tracker]]:
    """TensorBoard and MLflow, where they are asked for."""
    # Of a grid only one search may be left to do: it is named as among all of them.
    first = works[0]
    several = first.setting.whole != first.run.path
    trackers = make_trackers(
        tensorboard=first.spec.tensorboard,
        mlflow=first.spec.mlflow,
        run=first.setting.whole.name if several else first.run.path.name,
        names=[work.part.replace("/", "-") for work in works] if several else (),
        warn=messages(first.setting.listen),
    )
    try:
        yield trackers
    finally:
        for tracker in trackers:
            tracker.close()


@contextmanager
def _session(works: Sequence[SearchSession], abreast: int) -> Generator[None]:
    """Note that work on searches begins; their tables are written also when it is interrupted."""
    for work in works:
        plan = work.setting.plan
        work.ledger.append(
            SESSION,
            worker_groups=plan.count,
            workers=plan.workers,
            cpus=plan.cpus,
            gpus=plan.gpus,
            abreast=abreast,
            time=round(time.time(), 3),
        )
    try:
        yield
    except KeyboardInterrupt:
        for work in works:
            write_tables(work)
        raise
    finally:
        for work in works:
            work.close()
