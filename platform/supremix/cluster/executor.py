"""The worker groups of one run with their pool: started together, monitored, ended together."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass
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
    first_line,
    remove_orphans,
)
from supremix.cluster.ray_private import draining_nodes
from supremix.cluster.resources import WorkerGroupPlan
from supremix.cluster.worker.group import ENDED_EARLY, start_worker_group, this_node

GRACE = 15.0
"""Seconds worker groups get to end by themselves before they are killed."""

ABSENCE = 600.0
"""Seconds a run waits while the cluster has no room for any of its worker groups."""

FRUITLESS_STARTS = 5
"""Starts of a controller in a row without a result, after which its worker group is given up."""

CHECK_INTERVAL = 1.0
"""Seconds between two checks of nodes and worker groups."""

CLEANUP = 15.0
"""Seconds for Ray to end the controllers that were killed, so that their resources can be freed. It
takes a second or two on a machine that is not very busy."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Starts:
    """The starts of a worker group's controller in a row that led to no result."""

    results: int = 0
    fruitless: int = 0
    due: float = 0.0


class Executor:
    """Starts a plan's worker groups and their pool; a context manager that leaves nothing behind.

    Args:
        plan: The number of worker groups and their size.
        storage: Folder for what Ray Train writes of a worker group (no results, no checkpoints).
        frozen: Seconds a worker's process may leave a ping without an answer before it is killed.

    Attributes:
        pool: Handle of the pool's actor.
        absence: Seconds without any worker group before the run is given up.
    """

    def __init__(self, plan: WorkerGroupPlan, storage: str, *, frozen: float = FROZEN) -> None:
        self.plan = plan
        self.storage = storage
        self.pool: Any = None
        self.absence = ABSENCE
        self._frozen = frozen
        self._controllers: dict[int, ray.ObjectRef[None]] = {}
        self._starts = [_Starts() for _ in range(plan.count)]
        self._waiting: set[int] = set()
        self._last_seen = self._last_check = 0.0
        self._checking, self._ending = threading.Lock(), False

    def __enter__(self) -> Executor:
        actor = ray.remote(WorkerGroupPool).options(
            num_cpus=0,
            max_concurrency=1000 + 10 * self.plan.count,
            scheduling_strategy=this_node(),
        )
        monitor = HealthMonitor(RayProcessControl(), self._frozen)
        self.pool = actor.remote(self.plan.count, monitor)
        self._last_seen = time.monotonic()
        for worker_group in range(self.plan.count):
            self._start(worker_group)
        return self

    def __exit__(self, *raised: object) -> None:
        # Where the run was cut short, the epoch under way is not worth waiting for.
        self.end(grace=GRACE if raised[1] is None else 1.0)

    def execute(self, request: WorkerRequest) -> WorkerResult:
        """Have a request executed and wait for it (for the driver; trials ask the pool)."""
        reference = self.pool.execute.remote(request)
        while not ray.wait([reference], timeout=CHECK_INTERVAL)[0]:
            self.check()
        result: WorkerResult = ray.get(reference)
        ray.get(self.pool.release.remote(request.key))
        return result

    def check(self) -> None:
        """Check nodes and worker groups; cheap, to be called often.

        Tells the pool of nodes that died or drain, restarts worker groups whose controller has
        ended, and gives up when the cluster has had no room for any worker group for long. Of
        several threads one does it; none does once the executor ends.
        """
        if not self._checking.acquire(blocking=False):
            return
        try:
            now = time.monotonic()
            if not self._ending and now >= self._last_check + CHECK_INTERVAL:
                self._last_check = now
                self._check(now)
        finally:
            self._checking.release()

    def _check(self, now: float) -> None:
        self._collect_ended(now)
        due = [k for k in self._waiting if now >= self._starts[k].due]
        if due:
            remove_orphans()
        for worker_group in due:
            self._waiting.remove(worker_group)
            self._start(worker_group)
        present: Any = ray.get(self.pool.update_nodes.remote(dead_nodes(), draining_nodes()))
        if present:
            self._last_seen = now
        elif now > self._last_seen + self.absence:
            reason = (
                f"none has had workers for {self.absence:g} s: the cluster has no room for them, "
                "or they die as they start"
            )
            for worker_group in range(self.plan.count):
                ray.get(self.pool.give_up.remote(worker_group, reason))

    def _collect_ended(self, now: float) -> None:
        """Tell the pool which controllers have ended, and decide when they start again."""
        running = self._still_running(0.0)
        ended = {k: ref for k, ref in self._controllers.items() if ref not in running}
        for worker_group, reference in ended.items():
            del self._controllers[worker_group]
            reason, starts = _why_ended(reference), self._starts[worker_group]
            results: Any = ray.get(self.pool.lost.remote(worker_group, reason))
            if results is None:
                continue
            starts.fruitless = starts.fruitless + 1 if results == starts.results else 0
            starts.results = results
            if starts.fruitless >= FRUITLESS_STARTS:
                ray.get(self.pool.give_up.remote(worker_group, reason))
                continue
            logger.warning("worker group %d has ended (%s) and is restarted", worker_group, reason)
            starts.due = now + 2.0**starts.fruitless
            self._waiting.add(worker_group)

    def _still_running(self, timeout: float) -> set[ray.ObjectRef[None]]:
        """The controllers that have not ended within some seconds."""
        all_ = list(self._controllers.values())
        if not all_:
            return set()
        return set(ray.wait(all_, num_returns=len(all_), timeout=timeout, fetch_local=False)[1])

    def _start(self, worker_group: int) -> None:
        self._controllers[worker_group] = start_worker_group(
            self.pool, worker_group, self.plan, self.storage
        )

    def end(self, grace: float = GRACE) -> None:
        """End every worker group: in order within `grace` seconds, then by force."""
        if self.pool is None:
            return
        deadline = time.monotonic() + grace
        # A thread that is just checking may be waiting for a cluster that has died.
        acquired = self._checking.acquire(timeout=grace)
        self._ending = True
        if acquired:
            self._checking.release()
        with contextlib.suppress(RayError):
            ray.get(self.pool.close.remote(), timeout=grace)
        for reference in self._still_running(max(0.0, deadline - time.monotonic())):
            ray.cancel(reference, force=True)
        # A controller whose task was ended dies a moment later, and may ask for resources until
        # then.
        deadline = time.monotonic() + CLEANUP
        while controllers_left() + remove_orphans() and time.monotonic() < deadline:
            time.sleep(0.1)
        ray.kill(self.pool)
        self._controllers, self.pool = {}, None


def _why_ended(reference: ray.ObjectRef[None]) -> str:
    try:
        ray.get(reference)
    except RayError as error:
        return first_line(error)
    return ENDED_EARLY
