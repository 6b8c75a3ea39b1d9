"""The pool alone, without Ray: leases, repeated deliveries, lost gangs."""

from __future__ import annotations

import asyncio
from typing import Any

from supremix.cluster.order import Message, Order, Outcome
from supremix.cluster.pool import ATTEMPTS, GangPool


def order(key: str, epoch: int = 1) -> Order:
    task: Any = None
    return Order(key=key, task=task, config={}, checkpoint="", epoch=epoch)


def outcome(epoch: int = 1) -> Outcome:
    return Outcome(row={"epoch": epoch}, total=9)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def ask(pool: GangPool, gang: int, number: int = 0, done: Outcome | None = None) -> Message:
    return await pool.exchange(gang, number, done, 0.0)


def test_an_order_reaches_a_gang_and_its_outcome_comes_back() -> None:
    async def story() -> None:
        pool = GangPool(1)
        waiting = asyncio.create_task(pool.execute(order("a")))
        await settle()
        message = await ask(pool, 0)
        assert message.kind == "work"
        assert message.order == order("a")
        assert (await ask(pool, 0, message.number, outcome())).kind == "wait"
        assert await waiting == outcome()

    asyncio.run(story())


def test_a_trial_keeps_its_gang_until_it_is_released() -> None:
    async def story() -> None:
        pool = GangPool(2)
        first = [asyncio.create_task(pool.execute(order(key))) for key in "ab"]
        await settle()
        numbers = [(await ask(pool, gang)).number for gang in (0, 1)]
        for gang, number in enumerate(numbers):
            await ask(pool, gang, number, outcome())
        await asyncio.gather(*first)
        third = asyncio.create_task(pool.execute(order("c")))
        await settle()
        assert await pool.leases() == ["a", "b"]
        assert not third.done()
        await pool.release("b")
        await settle()
        assert await pool.leases() == ["a", "c"]
        assert (await ask(pool, 1)).order == order("c")
        third.cancel()

    asyncio.run(story())


def test_an_unanswered_order_is_delivered_again_then_given_up() -> None:
    async def story() -> None:
        pool = GangPool(1)
        waiting = asyncio.create_task(pool.execute(order("a", epoch=4)))
        await settle()
        for _ in range(ATTEMPTS):
            assert (await ask(pool, 0)).order == order("a", epoch=4)  # and the workers die
        assert (await ask(pool, 0)).kind == "wait"
        failure = (await waiting).failure
        assert failure is not None
        assert "died 3 times during epoch 4" in failure

    asyncio.run(story())


def test_a_lost_gang_fails_its_trial_and_the_last_one_every_trial() -> None:
    async def story() -> None:
        pool = GangPool(2)
        first = asyncio.create_task(pool.execute(order("a")))
        await settle()
        await pool.lost(0, "its node is gone")
        assert "its node is gone" in str((await first).failure)
        await pool.release("a")
        second = asyncio.create_task(pool.execute(order("b")))
        await settle()
        assert await pool.leases() == [None, "b"]
        await pool.lost(1, "so is this")
        assert "so is this" in str((await second).failure)
        assert "no gang is left" in str((await pool.execute(order("c"))).failure)

    asyncio.run(story())


def test_an_outcome_of_another_order_is_not_taken() -> None:
    async def story() -> None:
        pool = GangPool(1)
        waiting = asyncio.create_task(pool.execute(order("a")))
        await settle()
        message = await ask(pool, 0)
        again = await ask(pool, 0, message.number + 7, outcome())
        assert again.order == order("a")
        assert not waiting.done()
        await ask(pool, 0, message.number, outcome(5))
        assert await waiting == outcome(5)

    asyncio.run(story())


def test_a_released_gang_that_is_still_busy_is_not_leased() -> None:
    async def story() -> None:
        pool = GangPool(1)
        first = asyncio.create_task(pool.execute(order("a")))
        await settle()
        message = await ask(pool, 0)
        await pool.release("a")
        second = asyncio.create_task(pool.execute(order("b")))
        await settle()
        assert not second.done()
        assert (await ask(pool, 0, message.number, outcome())).kind == "wait"
        await settle()
        assert (await ask(pool, 0)).order == order("b")
        assert await first == outcome()
        second.cancel()

    asyncio.run(story())


def test_a_closed_pool_sends_everyone_home() -> None:
    async def story() -> None:
        pool = GangPool(2)
        waiting = asyncio.create_task(pool.exchange(0, 0, None, 60.0))
        await settle()
        await pool.close()
        assert (await waiting).kind == "quit"
        assert (await ask(pool, 1)).kind == "quit"
        assert (await pool.execute(order("a"))).failure == "the pool is closed"

    asyncio.run(story())
