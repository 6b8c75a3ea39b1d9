"""The pool alone, without Ray: workers and nodes that die, freeze, lack memory or drain."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from pool_steps import ask, asked, join, pool_of, request, result, settle

from supremix.cluster.members import Death, Member
from supremix.cluster.messages import LOG_LIMIT, WorkerResult
from supremix.cluster.pool.consensus import Consensus
from supremix.cluster.pool.health import HealthMonitor
from supremix.cluster.pool.pool import ATTEMPTS, WorkerGroupPool

NONE: frozenset[str] = frozenset()


def test_a_request_whose_workers_die_is_delivered_again_then_given_up() -> None:
    async def story() -> None:
        pool = WorkerGroupPool(1)
        (waiting,) = await asked(pool, "a", epoch=4)
        for attempt in range(ATTEMPTS):
            key = await join(pool, 0, f"group {attempt}")
            assert (await ask(pool, 0, key=key)).request == request("a", epoch=4)  # and they die
        await join(pool, 0, "the last group")
        found = await waiting
        assert found.failure == "its workers died (epoch 4, tried 3 times)"
        assert not found.cluster_failure

    asyncio.run(story())


def test_the_kernels_count_of_kills_shows_a_lack_of_memory() -> None:
    async def story() -> None:
        pool = WorkerGroupPool(1)
        (waiting,) = await asked(pool, "a")
        for attempt in range(ATTEMPTS + 1):
            key = await join(pool, 0, f"group {attempt}", "node", kills=attempt)
            await ask(pool, 0, key=key)
        found = await waiting
        assert found.out_of_memory
        assert "the kernel had killed a process for a lack of memory" in str(found.failure)
        assert "smaller batch size" in str(found.failure)

    asyncio.run(story())


def test_a_lack_of_memory_is_tried_again_on_the_same_worker_group() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (waiting,) = await asked(pool, "a")
        short = WorkerResult(
            failure="out of memory: much", out_of_memory=True, retryable=True, log="here\n"
        )
        message = await ask(pool, 0)
        for _ in range(ATTEMPTS - 1):
            message = await ask(pool, 0, message.number, short)
            assert message.request == request("a")
        assert (await ask(pool, 0, message.number, short)).kind == "wait"
        found = await waiting
        assert found.failure is not None
        assert found.failure.startswith("out of memory: much (epoch 1, tried 3 times)")
        assert (found.out_of_memory, found.retryable) == (True, False)
        assert found.log == "out of memory: much\nhere\n" * ATTEMPTS

    asyncio.run(story())


def test_a_success_after_a_fault_has_the_fault_in_its_log() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (waiting,) = await asked(pool, "a")
        await ask(pool, 0)
        long = "x" * LOG_LIMIT
        await pool.fault(0, "group-0", "hung: no epoch 1 within 5 s", False, f"{long}\nhere\n")
        key = await join(pool, 0, "next")
        message = await ask(pool, 0, key=key)
        await ask(pool, 0, message.number, replace(result(), log="fine\n"), key=key)
        found = await waiting
        assert found.failure is None
        assert found.log == "here\nfine\n"

    asyncio.run(story())


def test_a_trial_goes_on_elsewhere_when_its_node_dies() -> None:
    async def story() -> None:
        pool = await pool_of(2)
        a, b = await asked(pool, "a", "b")
        await ask(pool, 0)
        number = (await ask(pool, 1)).number
        assert await pool.update_nodes(frozenset({"node-0"}), NONE) == 1
        assert await pool.leases() == [None, "b"]
        (c,) = await asked(pool, "c")
        await ask(pool, 1, number, result())
        await b
        await pool.release("b")
        # The one that has begun comes before the one that has not.
        assert await pool.leases() == [None, "a"]
        message = await ask(pool, 1)
        assert message.request == request("a")
        await ask(pool, 1, message.number, result())
        assert await a == replace(result(), log="its node died\n")
        assert not c.done()
        await join(pool, 0, "new", "node-2")
        assert await pool.leases() == ["c", "a"]
        c.cancel()

    asyncio.run(story())


def test_a_group_over_two_nodes_ends_with_either() -> None:
    async def story() -> None:
        pool = WorkerGroupPool(1)
        for rank, node in enumerate(("here", "there")):
            await pool.join(0, "group", 2, Member(rank=rank, node=node))
        assert [one.node for one in (await pool.members())[0]] == ["here", "there"]
        assert await pool.update_nodes(frozenset({"elsewhere"}), NONE) == 1
        assert await pool.update_nodes(frozenset({"there"}), NONE) == 0
        assert await pool.members() == [[]]

    asyncio.run(story())


def test_a_node_that_drains_gets_no_request_after_the_one_under_way() -> None:
    async def story() -> None:
        pool = await pool_of(2)
        (first,) = await asked(pool, "a")
        number = (await ask(pool, 0)).number
        drained = frozenset({"node-0"})
        assert await pool.update_nodes(NONE, drained) == 2
        assert await pool.leases() == ["a", None]  # the epoch under way is not lost
        assert (await ask(pool, 0, number, result())).kind == "leave"
        assert await first == result()
        (second,) = await asked(pool, "a", epoch=2)
        assert await pool.leases() == [None, "a"]
        assert (await ask(pool, 1)).request == request("a", 2)
        second.cancel()

    asyncio.run(story())


def test_an_idle_worker_group_leaves_a_node_that_drains() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        waiting = asyncio.create_task(pool.exchange(0, "group-0", 0, None, 60.0))
        await settle()
        await pool.update_nodes(NONE, frozenset({"node-0"}))
        assert (await waiting).kind == "leave"

    asyncio.run(story())


def test_a_lost_worker_group_works_again_when_it_comes_back() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (waiting,) = await asked(pool, "a")
        number = (await ask(pool, 0)).number
        assert await pool.lost(0, "its controller was killed") == 0
        assert (await ask(pool, 0, number, result())).kind == "wait"  # of workers taken for dead
        assert not waiting.done()
        key = await join(pool, 0, "new")
        message = await ask(pool, 0, key=key)
        await ask(pool, 0, message.number, result(), key=key)
        assert "its controller was killed" in (await waiting).log
        assert await pool.lost(0, "again") == 1

    asyncio.run(story())


def test_every_trial_fails_when_no_worker_group_will_come_back() -> None:
    async def story() -> None:
        pool = await pool_of(2)
        a, b = await asked(pool, "a", "b")
        await ask(pool, 0)
        await pool.give_up(0, "its node is gone")
        assert not a.done()
        await pool.give_up(1, "so is this")
        for found in (await a, await b, await pool.execute(request("c"))):
            assert "no worker group is left; the last one ended with: so is this" in str(
                found.failure
            )
            assert found.cluster_failure
        assert await pool.lost(0, "it was asked to") is None
        assert not await pool.join(0, "new", 1, Member(rank=0, node="node-0"))

    asyncio.run(story())


@pytest.mark.parametrize(
    ("said", "alike"),
    [
        (["NaN", "NaN"], [True, True]),
        (["NaN", "connection closed"], [False, False]),
        (["NaN"], [False]),
    ],
)
def test_ranks_agree_only_when_all_say_the_same(said: list[str], alike: list[bool]) -> None:
    async def story() -> None:
        pool = WorkerGroupPool(1, consensus=Consensus(timeout=0.05))
        for rank in (0, 1):
            await pool.join(0, "group", 2, Member(rank=rank, node="here"))
        answers: list[Coroutine[Any, Any, bool]] = [
            pool.agree(0, "group", 1, rank, text) for rank, text in enumerate(said)
        ]
        assert await asyncio.gather(*answers) == alike
        assert not await pool.agree(0, "another group", 1, 0, "NaN")

    asyncio.run(story())


class Workers:
    """Workers that die or freeze on demand."""

    def __init__(self) -> None:
        self.death: Death | None = None
        self.frozen = False
        self.killed: list[int] = []

    async def ping(self, member: Member) -> Death | None:
        if self.frozen:
            await asyncio.Event().wait()
        return self.death

    async def kill(self, member: Member) -> None:
        self.killed.append(member.rank)


@pytest.mark.parametrize("fault", ["dead", "frozen"])
def test_a_worker_that_dies_or_freezes_is_noticed_by_itself(fault: str) -> None:
    async def story() -> None:
        workers = Workers()
        pool = WorkerGroupPool(1, HealthMonitor(workers, frozen=0.02, interval=0.001))
        await join(pool, 0)
        (waiting,) = await asked(pool, "a")
        for attempt in range(ATTEMPTS):
            key = await join(pool, 0, f"group {attempt}")
            assert (await ask(pool, 0, key=key)).request == request("a")
            workers.death = Death(text="by a signal") if fault == "dead" else None
            workers.frozen = fault == "frozen"
            while (await pool.members())[0]:
                await asyncio.sleep(0.001)
            workers.death, workers.frozen = None, False
        failure = str((await waiting).failure)
        if fault == "dead":
            assert failure.startswith("its workers died: by a signal (epoch 1")
            assert not workers.killed
        else:
            assert failure.startswith("frozen: a worker did not answer for 0.02 s (epoch 1")
            assert workers.killed == [0] * ATTEMPTS

    asyncio.run(story())
