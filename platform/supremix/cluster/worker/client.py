"""A worker's side of the talk with the pool."""

from __future__ import annotations

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

PATIENCE = 10.0
"""Seconds a group waits for an order before it asks again; far below a process group's timeout."""

LAST_WORD = 5.0
"""Seconds a worker that ends itself takes to say why."""

HUNG = 70
"""Exit code of a worker that ended itself because its work hung."""

logger = logging.getLogger(__name__)


class PoolClient:
    """What one worker says to the pool.

    Args:
        pool: Handle of the pool's actor.
        worker_group: Number of the worker's worker group.
        key: What its group is called, the same on all ranks.
        rank: Its rank.
    """

    def __init__(self, pool: Any, worker_group: int, key: str, rank: int) -> None:
        self._pool, self._worker_group, self._key, self._rank = pool, worker_group, key, rank
        self._number = 0

    def join(self, world: int) -> bool:
        """Say that this worker is there, where, and how to reach it; False: nobody needs it."""
        context = ray.get_runtime_context()
        member = Member(
            rank=self._rank,
            node=context.get_node_id(),
            actor=context.current_actor,
            kills=memory_kills(),
        )
        return ray.get(self._pool.join.remote(self._worker_group, self._key, world, member))

    def give_up(self, reason: str) -> None:
        """Say that this worker group can never work here, and why."""
        ray.get(self._pool.give_up.remote(self._worker_group, reason))

    def ask(self, outcome: WorkerResult | None) -> Message:
        """Hand over the outcome of the last order, and wait for the next (rank 0 alone)."""
        try:
            return ray.get(
                self._pool.exchange.remote(
                    self._worker_group, self._key, self._number, outcome, PATIENCE
                )
            )
        except (ActorDiedError, ActorUnavailableError, TaskCancelledError):
            return Message(kind="quit")  # the run is over, there is nobody left to work for

    def note(self, number: int) -> None:
        """Note the number of the order that is worked on."""
        self._number = number

    def agree(self, text: str) -> bool:
        """Whether every rank says this text of the order that is worked on."""
        try:
            return ray.get(
                self._pool.agree.remote(
                    self._worker_group, self._key, self._number, self._rank, text
                )
            )
        except RayError:
            return False  # then the group ends, which is always right

    def fault(self, text: str, memory: bool, log: str) -> None:
        """Say why this worker, and with it the group, is about to end."""
        try:
            ray.get(
                self._pool.fault.remote(self._worker_group, self._key, text, memory, clip(log)),
                timeout=LAST_WORD,
            )
        except (RayError, GetTimeoutError) as error:
            logger.warning("the pool was not told %r: %s", text, error)

    def end(self, reason: str) -> None:
        """End this process, since what it does hangs; nothing less would."""
        where = stacks()
        logger.error("%s; this worker ends itself. It was here:\n%s", reason, where)
        self.fault(reason, False, where)
        os._exit(HUNG)
