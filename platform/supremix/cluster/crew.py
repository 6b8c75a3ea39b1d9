"""The gangs of one run with their pool: started together, watched, ended together."""

from __future__ import annotations

import contextlib
import time
from types import TracebackType
from typing import Any

import ray
from ray.exceptions import RayError

from supremix.cluster.gang import start_gang
from supremix.cluster.order import Order, Outcome
from supremix.cluster.plan import GangPlan
from supremix.cluster.pool import GangPool

GRACE = 15.0
"""Seconds gangs get to end by themselves before they are killed."""


class Crew:
    """Starts a plan's gangs and their pool; a context manager that leaves nothing behind.

    Args:
        plan: Gangs and their size.
        storage: Folder for what Ray Train writes of a gang (no results, no checkpoints).
    """

    def __init__(self, plan: GangPlan, storage: str) -> None:
        self.plan = plan
        self.storage = storage
        self.pool: Any = None
        self._gangs: dict[int, ray.ObjectRef[None]] = {}

    def __enter__(self) -> Crew:
        concurrency = 1000 + 10 * self.plan.gangs
        actor = ray.remote(GangPool).options(num_cpus=0, max_concurrency=concurrency)
        self.pool = actor.remote(self.plan.gangs)
        for gang in range(self.plan.gangs):
            self._gangs[gang] = start_gang(self.pool, gang, self.plan, self.storage)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A gang in the middle of an epoch is not worth waiting for when the run was cut short.
        self.end(grace=GRACE if error is None else 1.0)

    def execute(self, order: Order) -> Outcome:
        """Have an order executed and wait for it (for the driver; trials ask the pool)."""
        outcome: Outcome = ray.get(self.pool.execute.remote(order))
        ray.get(self.pool.release.remote(order.key))
        return outcome

    def check(self) -> None:
        """Tell the pool of gangs whose task has died without a word."""
        ended, _ = ray.wait(
            list(self._gangs.values()), num_returns=len(self._gangs), timeout=0, fetch_local=False
        )
        for gang, reference in list(self._gangs.items()):
            if reference in ended:
                del self._gangs[gang]
                ray.get(self.pool.lost.remote(gang, _why(reference)))

    def end(self, grace: float = GRACE) -> None:
        """End every gang: in order within `grace` seconds, then by force."""
        if self.pool is None:
            return
        deadline = time.monotonic() + grace
        with contextlib.suppress(RayError):
            ray.get(self.pool.close.remote(), timeout=grace)
        if self._gangs:
            left = max(0.0, deadline - time.monotonic())
            running = ray.wait(
                list(self._gangs.values()), num_returns=len(self._gangs), timeout=left
            )[1]
            for reference in running:
                ray.cancel(reference, force=True)
        ray.kill(self.pool)
        self._gangs, self.pool = {}, None


def _why(reference: ray.ObjectRef[None]) -> str:
    try:
        ray.get(reference)
    except RayError as error:
        return str(error).splitlines()[0]
    return "it ended before it was told to"
