"""What the tests of the pool do with it: worker groups that join and ask, requests under way."""

from __future__ import annotations

import asyncio
from typing import Any

from supremix.cluster.members import Member
from supremix.cluster.messages import Message, WorkerRequest, WorkerResult
from supremix.cluster.pool.pool import WorkerGroupPool


def request(key: str, epoch: int = 1) -> WorkerRequest:
    task: Any = None
    return WorkerRequest(key=key, task=task, config={}, checkpoint="", epoch=epoch)


def result(epoch: int = 1) -> WorkerResult:
    return WorkerResult(row={"epoch": epoch}, total=9)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def join(
    pool: WorkerGroupPool, worker_group: int, key: str = "", node: str = "", kills: int = 0
) -> str:
    """A group of one worker; returns its key."""
    key = key or f"group-{worker_group}"
    await pool.join(
        worker_group, key, 1, Member(rank=0, node=node or f"node-{worker_group}", kills=kills)
    )
    return key


async def ask(
    pool: WorkerGroupPool,
    worker_group: int,
    number: int = 0,
    done: WorkerResult | None = None,
    key: str = "",
) -> Message:
    return await pool.exchange(worker_group, key or f"group-{worker_group}", number, done, 0.0)


async def pool_of(worker_groups: int) -> WorkerGroupPool:
    pool = WorkerGroupPool(worker_groups)
    for worker_group in range(worker_groups):
        await join(pool, worker_group)
    return pool


async def asked(
    pool: WorkerGroupPool, *keys: str, epoch: int = 1
) -> list[asyncio.Task[WorkerResult]]:
    """Requests under way, one for each trial."""
    tasks = [asyncio.create_task(pool.execute(request(key, epoch))) for key in keys]
    await settle()
    return tasks
