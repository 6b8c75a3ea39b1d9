"""The pool alone, without Ray: leases, repeated deliveries, worker groups that go and come back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from supremix.cluster.members import Death, Member
from supremix.cluster.messages import LOG_LIMIT, Message, WorkerRequest, WorkerResult
from supremix.cluster.pool.health import HealthMonitor
from supremix.cluster.pool.pool import ATTEMPTS, WorkerGroupPool
from supremix.errors import SpecError

NONE: frozenset[str] = frozenset()


def order(key: str, epoch: int = 1) -> WorkerRequest:
    task: Any = None
    return WorkerRequest(key=key, task=task, config={}, checkpoint="", epoch=epoch)


def outcome(epoch: int = 1) -> WorkerResult:
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
    """Orders under way, one for each trial."""
    tasks = [asyncio.create_task(pool.execute(order(key, epoch))) for key in keys]
    await settle()
    return tasks


def test_an_order_reaches_a_gang_and_its_outcome_comes_back() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (waiting,) = await asked(pool, "a")
        message = await ask(pool, 0)
        assert message.kind == "work"
        assert message.order == order("a")
        assert (await ask(pool, 0, message.number, outcome())).kind == "wait"
        assert await waiting == outcome()

    asyncio.run(story())


def test_an_order_waits_for_the_first_gang_that_is_there() -> None:
    async def story() -> None:
        pool = WorkerGroupPool(2)
        (waiting,) = await asked(pool, "a")
        assert await pool.leases() == [None, None]
        await join(pool, 1)
        assert await pool.leases() == [None, "a"]
        assert (await ask(pool, 1)).order == order("a")
        assert not waiting.done()
        waiting.cancel()

    asyncio.run(story())


def test_a_trial_keeps_its_gang_until_it_is_released() -> None:
    async def story() -> None:
        pool = await pool_of(2)
        first = await asked(pool, "a", "b")
        numbers = [(await ask(pool, worker_group)).number for worker_group in (0, 1)]
        for worker_group, number in enumerate(numbers):
            await ask(pool, worker_group, number, outcome())
        await asyncio.gather(*first)
        (third,) = await asked(pool, "c")
        assert await pool.leases() == ["a", "b"]
        assert not third.done()
        await pool.release("b")
        await settle()
        assert await pool.leases() == ["a", "c"]
        assert (await ask(pool, 1)).order == order("c")
        third.cancel()

    asyncio.run(story())


def test_an_order_whose_workers_die_is_delivered_again_then_given_up() -> None:
    async def story() -> None:
        pool = WorkerGroupPool(1)
        (waiting,) = await asked(pool, "a", epoch=4)
        for attempt in range(ATTEMPTS):
            key = await join(pool, 0, f"group {attempt}")
            assert (await ask(pool, 0, key=key)).order == order("a", epoch=4)  # and they die
        await join(pool, 0, "the last group")
        result = await waiting
        assert result.failure == "its workers died (epoch 4, tried 3 times)"
        assert not result.cluster

    asyncio.run(story())


def test_what_the_kernel_says_of_memory_is_told() -> None:
    async def story() -> None:
        pool = WorkerGroupPool(1)
        (waiting,) = await asked(pool, "a")
        for attempt in range(ATTEMPTS + 1):
            key = await join(pool, 0, f"group {attempt}", "node", kills=attempt)
            await ask(pool, 0, key=key)
        result = await waiting
        assert result.memory
        assert "the kernel had killed a process for a lack of memory" in str(result.failure)
        assert "smaller batch size" in str(result.failure)

    asyncio.run(story())


def test_a_lack_of_memory_is_tried_again_on_the_same_gang() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (waiting,) = await asked(pool, "a")
        short = WorkerResult(failure="out of memory: much", memory=True, again=True, log="here\n")
        message = await ask(pool, 0)
        for _ in range(ATTEMPTS - 1):
            message = await ask(pool, 0, message.number, short)
            assert message.order == order("a")
        assert (await ask(pool, 0, message.number, short)).kind == "wait"
        result = await waiting
        assert result.failure is not None
        assert result.failure.startswith("out of memory: much (epoch 1, tried 3 times)")
        assert (result.memory, result.again) == (True, False)
        assert result.log == "out of memory: much\nhere\n" * ATTEMPTS

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
        await ask(pool, 0, message.number, replace(outcome(), log="fine\n"), key=key)
        result = await waiting
        assert result.failure is None
        assert result.log == "here\nfine\n"

    asyncio.run(story())


def test_a_trial_goes_on_elsewhere_when_its_node_dies() -> None:
    async def story() -> None:
        pool = await pool_of(2)
        a, b = await asked(pool, "a", "b")
        await ask(pool, 0)
        number = (await ask(pool, 1)).number
        assert await pool.look(frozenset({"node-0"}), NONE) == 1
        assert await pool.leases() == [None, "b"]
        (c,) = await asked(pool, "c")
        await ask(pool, 1, number, outcome())
        await b
        await pool.release("b")
        # The one that has begun comes before the one that has not.
        assert await pool.leases() == [None, "a"]
        message = await ask(pool, 1)
        assert message.order == order("a")
        await ask(pool, 1, message.number, outcome())
        assert await a == replace(outcome(), log="its node died\n")
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
        assert await pool.look(frozenset({"elsewhere"}), NONE) == 1
        assert await pool.look(frozenset({"there"}), NONE) == 0
        assert await pool.members() == [[]]

    asyncio.run(story())


def test_a_node_that_drains_gets_no_order_after_the_one_under_way() -> None:
    async def story() -> None:
        pool = await pool_of(2)
        (first,) = await asked(pool, "a")
        number = (await ask(pool, 0)).number
        drained = frozenset({"node-0"})
        assert await pool.look(NONE, drained) == 2
        assert await pool.leases() == ["a", None]  # the epoch under way is not lost
        assert (await ask(pool, 0, number, outcome())).kind == "leave"
        assert await first == outcome()
        (second,) = await asked(pool, "a", epoch=2)
        assert await pool.leases() == [None, "a"]
        assert (await ask(pool, 1)).order == order("a", 2)
        second.cancel()

    asyncio.run(story())


def test_an_idle_gang_leaves_a_node_that_drains() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        waiting = asyncio.create_task(pool.exchange(0, "group-0", 0, None, 60.0))
        await settle()
        await pool.look(NONE, frozenset({"node-0"}))
        assert (await waiting).kind == "leave"

    asyncio.run(story())


def test_a_lost_gang_works_again_when_it_comes_back() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (waiting,) = await asked(pool, "a")
        number = (await ask(pool, 0)).number
        assert await pool.lost(0, "its controller was killed") == 0
        assert (await ask(pool, 0, number, outcome())).kind == "wait"  # of workers taken for dead
        assert not waiting.done()
        key = await join(pool, 0, "new")
        message = await ask(pool, 0, key=key)
        await ask(pool, 0, message.number, outcome(), key=key)
        assert "its controller was killed" in (await waiting).log
        assert await pool.lost(0, "again") == 1

    asyncio.run(story())


def test_every_trial_fails_when_no_gang_will_come_back() -> None:
    async def story() -> None:
        pool = await pool_of(2)
        a, b = await asked(pool, "a", "b")
        await ask(pool, 0)
        await pool.give_up(0, "its node is gone")
        assert not a.done()
        await pool.give_up(1, "so is this")
        for result in (await a, await b, await pool.execute(order("c"))):
            assert "no worker group is left; the last one ended with: so is this" in str(
                result.failure
            )
            assert result.cluster
        assert await pool.lost(0, "it was told to") is None
        assert not await pool.join(0, "new", 1, Member(rank=0, node="node-0"))

    asyncio.run(story())


def test_an_outcome_of_another_order_is_not_taken() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (waiting,) = await asked(pool, "a")
        message = await ask(pool, 0)
        again = await ask(pool, 0, message.number + 7, outcome())
        assert again.order == order("a")
        assert not waiting.done()
        await ask(pool, 0, message.number, outcome(5))
        assert await waiting == outcome(5)

    asyncio.run(story())


def test_a_released_gang_that_is_still_busy_is_not_leased() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (first,) = await asked(pool, "a")
        message = await ask(pool, 0)
        await pool.release("a")
        (second,) = await asked(pool, "b")
        assert await pool.leases() == [None]
        assert (await ask(pool, 0, message.number, outcome())).order == order("b")
        assert await first == outcome()
        second.cancel()

    asyncio.run(story())


def test_an_order_ahead_leases_no_gang_to_a_trial_that_has_been_released() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (first,) = await asked(pool, "a")
        message = await ask(pool, 0)
        await ask(pool, 0, message.number, outcome())
        assert await first == outcome()

        ahead = asyncio.create_task(pool.execute(replace(order("a", 2), ahead=True)))
        await settle()
        assert (await ask(pool, 0)).order == replace(order("a", 2), ahead=True)
        await pool.release("a")  # the worker group is busy with it still, and free afterwards
        (other,) = await asked(pool, "b")
        assert not (await pool.leases())[0]
        await ask(pool, 0, message.number + 1, outcome(2))
        assert await ahead == outcome(2)
        assert await pool.leases() == ["b"]
        other.cancel()

        late = await pool.execute(replace(order("a", 3), ahead=True))
        assert late.cluster
        assert "was released" in str(late.failure)
        assert await pool.leases() == ["b"]

    asyncio.run(story())


def test_a_trial_that_is_released_while_it_waits_is_answered() -> None:
    async def story() -> None:
        pool = WorkerGroupPool(1)
        (waiting,) = await asked(pool, "a")
        await pool.release("a")
        assert (await waiting).cluster
        await join(pool, 0)
        assert await pool.leases() == [None]

    asyncio.run(story())


def test_an_order_asked_twice_is_executed_twice_one_after_the_other() -> None:
    async def story() -> None:
        pool = await pool_of(2)
        first, second = await asked(pool, "a", "a")
        number = (await ask(pool, 0)).number
        assert (await ask(pool, 1)).kind == "wait"
        await ask(pool, 0, number, outcome(1))
        assert await first == outcome(1)
        await settle()
        message = await ask(pool, 0)
        assert message.number != number
        await ask(pool, 0, message.number, outcome(2))
        assert await second == outcome(2)

    asyncio.run(story())


def test_a_closed_pool_sends_everyone_home() -> None:
    async def story() -> None:
        pool = await pool_of(2)
        waiting = asyncio.create_task(pool.exchange(0, "group-0", 0, None, 60.0))
        await settle()
        await pool.close()
        assert (await waiting).kind == "quit"
        assert (await ask(pool, 1)).kind == "quit"
        assert (await pool.execute(order("a"))).failure == "the pool is closed"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("said", "alike"),
    [
        (["NaN", "NaN"], [True, True]),
        (["NaN", "connection closed"], [False, False]),
        (["NaN"], [False]),
    ],
)
def test_ranks_agree_only_when_all_say_the_same(
    said: list[str], alike: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        pool = WorkerGroupPool(1)
        pool._consensus._patience = 0.05
        for rank in (0, 1):
            await pool.join(0, "group", 2, Member(rank=rank, node="here"))
        answers: list[Coroutine[Any, Any, bool]] = [
            pool.agree(0, "group", 1, rank, text) for rank, text in enumerate(said)
        ]
        assert await asyncio.gather(*answers) == alike
        assert not await pool.agree(0, "another group", 1, 0, "NaN")

    asyncio.run(story())


class Workers:
    """Workers that die or freeze when told to."""

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
        pool = WorkerGroupPool(1, HealthMonitor(workers, frozen=0.02, ping=0.001))
        await join(pool, 0)
        (waiting,) = await asked(pool, "a")
        for attempt in range(ATTEMPTS):
            key = await join(pool, 0, f"group {attempt}")
            assert (await ask(pool, 0, key=key)).order == order("a")
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


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(SpecError, match="more than 0 seconds, or None"):
        replace(order("a"), limit=limit)
