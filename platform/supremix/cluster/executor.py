"""The worker groups of one run with their pool: started together, watched, ended together."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import ray
from ray.exceptions import RayError

from supremix.cluster.messages import WorkerRequest, WorkerResult
from supremix.cluster.pool.health import FROZEN, HealthMonitor
from supremix.cluster.pool.pool import WorkerGroupPool
from supremix.cluster.pool.ray_control import (
    RayProcessControl,
    controllers_left,
    dead_nodes,
    draining_nodes,
    first_line,
    remove_orphans,
)
from supremix.cluster.resources import WorkerGroupPlan
from supremix.cluster.worker.group import here, start_worker_group

GRACE = 15.0
"""Seconds worker groups get to end by themselves before they are killed."""

ABSENCE = 600.0
"""Seconds a run waits while not one of its worker groups has a place in the cluster."""

FRUITLESS = 5
"""Starts of a group's controller in a row without an order done, after which it is given up."""

LOOK = 1.0
"""Seconds between two looks at nodes and worker groups."""

CLEARING = 15.0
"""Seconds for Ray to end the controllers of groups that were killed, so that their places can be
freed. It takes a second or two on a machine that is not very busy."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Starts:
    """Starts of one worker group that came to nothing, in a row."""

    answered: int = 0
    fruitless: int = 0
    due: float = 0.0


class Executor:
    """Starts a plan's worker groups and their pool; a context manager that leaves nothing behind.

    Args:
        plan: Worker groups and their size.
        storage: Folder for what Ray Train writes of a worker group (no results, no checkpoints).
        frozen: Seconds a worker's process may leave without an answer before it is killed.
        absence: Seconds without any worker group before the run is given up.

    Attributes:
        pool: Handle of the pool's actor.
        present: How many worker groups had workers at the last `check`.
    """

    def __init__(
        self,
        plan: WorkerGroupPlan,
        storage: str,
        *,
        frozen: float = FROZEN,
        absence: float = ABSENCE,
    ) -> None:
        self.plan = plan
        self.storage = storage
        self.pool: Any = None
        self.present = 0
        self._frozen, self._absence = frozen, absence
        self._worker_groups: dict[int, ray.ObjectRef[None]] = {}
        self._down: dict[int, _Starts] = {}
        self._starts = [_Starts() for _ in range(plan.count)]
        self._seen = self._looked = 0.0
        self._checking, self._ending = threading.Lock(), False

    def __enter__(self) -> Executor:
        concurrency = 1000 + 10 * self.plan.count
        actor = ray.remote(WorkerGroupPool).options(
            num_cpus=0, max_concurrency=concurrency, scheduling_strategy=here()
        )
        self.pool = actor.remote(self.plan.count, HealthMonitor(RayProcessControl(), self._frozen))
        self._seen = time.monotonic()
        for worker_group in range(self.plan.count):
            self._start(worker_group)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A worker group in the middle of an epoch is not worth waiting for when the run was cut
        # short.
        self.end(grace=GRACE if error is None else 1.0)

    def execute(self, order: WorkerRequest) -> WorkerResult:
        """Have an order executed and wait for it (for the driver; trials ask the pool)."""
        reference = self.pool.execute.remote(order)
        while not ray.wait([reference], timeout=LOOK)[0]:
            self.check()
        outcome: WorkerResult = ray.get(reference)
        ray.get(self.pool.release.remote(order.key))
        return outcome

    def check(self) -> None:
        """Look after nodes and worker groups; cheap, to be called often.

        Tells the pool of nodes that died or were announced to go, starts worker groups again whose
        controller has ended, and gives up when the cluster has had no place for any worker group
        for long. Of several threads one does it; nobody does once the executor ends.
        """
        if not self._checking.acquire(blocking=False):
            return
        try:
            if not self._ending:
                self._check()
        finally:
            self._checking.release()

    def _check(self) -> None:
        now = time.monotonic()
        if now < self._looked + LOOK:
            return
        self._looked = now
        self._take_leave(now)
        self._start_again(now)
        present: Any = ray.get(self.pool.look.remote(dead_nodes(), draining_nodes()))
        self.present = present
        if self.present:
            self._seen = now
        elif now > self._seen + self._absence:
            self._give_up(
                f"none has had workers for {self._absence:g} s: the cluster has no place for "
                "them, or they die as they start"
            )

    def _take_leave(self, now: float) -> None:
        """Tell the pool of groups whose controller has ended, and when they shall start again."""
        ended = _ended(list(self._worker_groups.values()))
        for worker_group, reference in list(self._worker_groups.items()):
            if reference not in ended:
                continue
            del self._worker_groups[worker_group]
            reason, starts = _why(reference), self._starts[worker_group]
            answered: Any = ray.get(self.pool.lost.remote(worker_group, reason))
            if answered is None:
                continue
            starts.fruitless = starts.fruitless + 1 if answered == starts.answered else 0
            starts.answered = answered
            if starts.fruitless >= FRUITLESS:
                ray.get(self.pool.give_up.remote(worker_group, reason))
                continue
            logger.warning(
                "worker group %d has ended (%s) and is started again", worker_group, reason
            )
            starts.due = now + 2.0**starts.fruitless
            self._down[worker_group] = starts

    def _start_again(self, now: float) -> None:
        due = [worker_group for worker_group, starts in self._down.items() if now >= starts.due]
        if due:
            remove_orphans()
        for worker_group in due:
            del self._down[worker_group]
            self._start(worker_group)

    def _start(self, worker_group: int) -> None:
        self._worker_groups[worker_group] = start_worker_group(
            self.pool, worker_group, self.plan, self.storage
        )

    def _give_up(self, reason: str) -> None:
        for worker_group in range(self.plan.count):
            ray.get(self.pool.give_up.remote(worker_group, reason))

    def end(self, grace: float = GRACE) -> None:
        """End every worker group: in order within `grace` seconds, then by force."""
        if self.pool is None:
            return
        deadline = time.monotonic() + grace
        # A thread that is just looking after the worker groups may be waiting for a cluster that is
        # gone.
        looked = self._checking.acquire(timeout=grace)
        self._ending = True
        if looked:
            self._checking.release()
        with contextlib.suppress(RayError):
            ray.get(self.pool.close.remote(), timeout=grace)
        if self._worker_groups:
            left = max(0.0, deadline - time.monotonic())
            running = ray.wait(
                list(self._worker_groups.values()),
                num_returns=len(self._worker_groups),
                timeout=left,
            )[1]
            for reference in running:
                ray.cancel(reference, force=True)
        _clear()
        ray.kill(self.pool)
        self._worker_groups, self.pool = {}, None


def _clear() -> None:
    """Free the places of worker groups that did not end by themselves.

    A controller whose task was ended dies a moment later, and may ask for a place until then.
    """
    deadline = time.monotonic() + CLEARING
    while controllers_left() + remove_orphans() and time.monotonic() < deadline:
        time.sleep(0.1)


def _ended(references: list[ray.ObjectRef[None]]) -> set[ray.ObjectRef[None]]:
    if not references:
        return set()
    ended, _ = ray.wait(references, num_returns=len(references), timeout=0, fetch_local=False)
    return set(ended)


def _why(reference: ray.ObjectRef[None]) -> str:
    try:
        ray.get(reference)
    except RayError as error:
        return first_line(error)
    return "it ended before it was told to"
