"""Searches from their specification to their last file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from supremix.cluster import Executor, WorkerGroupPlan, ray_runtime
from supremix.cluster.interrupts import interrupts
from supremix.cluster.tune.runner import run_studies
from supremix.cluster.tune.trackers import Tracker, make_trackers
from supremix.errors import SearchFailedError, SearchInterrupted
from supremix.progress.notify import notified
from supremix.progress.progress import Listener, Progress
from supremix.runs.folder import RunFolder
from supremix.search.final_evaluation import evaluate_all, write_tables
from supremix.search.prepare import PreparedSearch, find_resources, prepare_search
from supremix.search.session import SearchSession
from supremix.search.spec import SearchSpec
from supremix.storage.locks import locked
from supremix.tuning.ledger.ledger import SESSION, Ledger
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
    try:
        with (
            locked(run.path) as lock,
            Ledger(run.ledger, tell=telling(listen), guard=lock.check) as ledger,
            ray_runtime(spec.address, wheel=spec.wheel),
            interrupts.handled(),
            notified(
                spec.webhook,
                str(run.path),
                spec.resolve_dataset().card.name,
                listen,
                stall=spec.stall,
            ) as told,
        ):
            setting = prepare_search(spec, run, find_resources(spec, told), told)
            with started_executor(setting.plan, told) as executor:
                search(setting, ledger, executor)
    except KeyboardInterrupt as error:
        raise SearchInterrupted(str(run.path)) from error


def telling(listen: Listener) -> Callable[[str], None]:
    """A way for what goes on in the background to say a sentence."""
    return lambda sentence: listen(Progress(message=sentence))


@contextmanager
def started_executor(plan: WorkerGroupPlan, listen: Listener) -> Generator[Executor]:
    """Groups that work until the end of the block, with a folder for what Ray writes of them."""
    listen(Progress(message="starting workers"))
    with (
        tempfile.TemporaryDirectory(prefix="supremix-") as scratch,
        Executor(plan, scratch) as executor,
    ):
        yield executor


def search(setting: PreparedSearch, ledger: Ledger, executor: Executor) -> None:
    """Run the trials that the ledger lacks on a executor, and conclude the search.

    Raises:
        SearchFailedError: Every trial failed, or none was finished within the budget.
    """
    failures = search_all([SearchSession(setting.run, ledger, [setting])], executor)
    if failures:
        raise next(iter(failures.values()))


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
        executor.plan.count, len(works), warm_start=works[0].spec.warm_start
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
    # Of a benchmark only one search may be left to do: it is called as among all of them.
    first, several = works[0], len(works) > 1 or "/" in works[0].part
    trackers = make_trackers(
        tensorboard=first.spec.tensorboard,
        mlflow=first.spec.mlflow,
        run=first.setting.whole.name if several else first.run.path.name,
        names=[work.part.replace("/", "-") for work in works] if several else (),
        warn=telling(first.setting.listen),
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
