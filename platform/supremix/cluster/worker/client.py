"""A worker's client of the pool."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import Any

import ray
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    GetTimeoutError,
    RayError,
    TaskCancelledError,
)

from supremix.cluster.log_capture import clip, stacks
from supremix.cluster.members import Member, memory_kills
from supremix.cluster.messages import Message, WorkerResult

POLL = 10.0
"""Seconds a worker group waits for a request before it asks again; far below a process group's
timeout."""

REPORT_TIMEOUT = 5.0
"""Seconds a worker that ends itself takes to say why."""

HUNG = 70
"""Exit code of a worker that ended itself because its work hung."""

logger = logging.getLogger(__name__)


class PoolClient:
    """The calls of one worker to the pool.

    Args:
        pool: Handle of the pool's actor.
        worker_group: Number of the worker's worker group.
        key: Key of its set of workers, the same on all ranks.
        rank: Its rank.
    """

    def __init__(self, pool: Any, worker_group: int, key: str, rank: int) -> None:
        self._pool, self._worker_group, self._key, self._rank = pool, worker_group, key, rank
        self._number = 0

    def join(self, world: int) -> bool:
        """Tell the pool that this worker has started, and where; False: it is not needed."""
        context = ray.get_runtime_context()
        member = Member(
            rank=self._rank,
            node=context.get_node_id(),
            actor=context.current_actor,
            kills=memory_kills(),
        )
        return ray.get(self._pool.join.remote(self._worker_group, self._key, world, member))

    def give_up(self, reason: str) -> None:
        """Tell the pool that this worker group can never work here, and why."""
        ray.get(self._pool.give_up.remote(self._worker_group, reason))

    def exchange(self, result: WorkerResult | None) -> Message:
        """Hand over the result of the last request, and wait for the next (rank 0 alone)."""
        arguments = self._worker_group, self._key, self._number, result, POLL
        try:
            return ray.get(self._pool.exchange.remote(*arguments))
        except (ActorDiedError, ActorUnavailableError, TaskCancelledError):
            return Message(kind="quit")  # the run is over

    def begin(self, number: int) -> None:
        """Note the number of the request that is executed from now on."""
        self._number = number

    def agree(self, text: str) -> bool:
        """Whether every rank reports this text on the request that is executed."""
        arguments = self._worker_group, self._key, self._number, self._rank, text
        try:
            return ray.get(self._pool.agree.remote(*arguments))
        except RayError:
            return False  # then the workers end, which is always right

    def answered(self, timeout: float) -> None:
        """Return when the pool has the result of the request that was executed, or can't say."""
        arguments = self._worker_group, self._key, self._number, timeout
        with contextlib.suppress(RayError):
            ray.get(self._pool.answered.remote(*arguments))

    def fault(self, text: str, memory: bool, log: str) -> None:
        """Say why this worker, and with it its worker group's others, is about to end."""
        arguments = self._worker_group, self._key, text, memory, clip(log)
        try:
            ray.get(self._pool.fault.remote(*arguments), timeout=REPORT_TIMEOUT)
        except (RayError, GetTimeoutError) as error:
            logger.warning("the pool does not know of %r: %s", text, error)

    def end(self, reason: str) -> None:
        """End this process, since it hangs and nothing less would help."""
        where = stacks()
        logger.error("%s; this worker ends itself. Its stacks:\n%s", reason, where)
        self.fault(reason, False, where)
        os._exit(HUNG)
