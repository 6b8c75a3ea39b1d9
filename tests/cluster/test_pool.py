"""The pool alone, without Ray: leases, requests that reach a worker group, results, releases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pool_steps import ask, asked, join, pool_of, request, result, settle

from supremix.cluster.pool.pool import WorkerGroupPool
from supremix.errors import SpecError


def test_a_request_reaches_a_worker_group_and_its_result_comes_back() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (waiting,) = await asked(pool, "a")
        message = await ask(pool, 0)
        assert message.kind == "work"
        assert message.request == request("a")
        assert (await ask(pool, 0, message.number, result())).kind == "wait"
        assert await waiting == result()

    asyncio.run(story())


def test_a_request_waits_for_the_first_worker_group_that_joins() -> None:
    async def story() -> None:
        pool = WorkerGroupPool(2)
        (waiting,) = await asked(pool, "a")
        assert await pool.leases() == [None, None]
        await join(pool, 1)
        assert await pool.leases() == [None, "a"]
        assert (await ask(pool, 1)).request == request("a")
        assert not waiting.done()
        waiting.cancel()

    asyncio.run(story())


def test_a_trial_keeps_its_worker_group_until_it_is_released() -> None:
    async def story() -> None:
        pool = await pool_of(2)
        first = await asked(pool, "a", "b")
        numbers = [(await ask(pool, worker_group)).number for worker_group in (0, 1)]
        for worker_group, number in enumerate(numbers):
            await ask(pool, worker_group, number, result())
        await asyncio.gather(*first)
        (third,) = await asked(pool, "c")
        assert await pool.leases() == ["a", "b"]
        assert not third.done()
        await pool.release("b")
        await settle()
        assert await pool.leases() == ["a", "c"]
        assert (await ask(pool, 1)).request == request("c")
        third.cancel()

    asyncio.run(story())


def test_a_result_of_another_request_is_ignored() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (waiting,) = await asked(pool, "a")
        message = await ask(pool, 0)
        again = await ask(pool, 0, message.number + 7, result())
        assert again.request == request("a")
        assert not waiting.done()
        await ask(pool, 0, message.number, result(5))
        assert await waiting == result(5)

    asyncio.run(story())


def test_a_released_worker_group_that_is_still_busy_is_not_leased() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (first,) = await asked(pool, "a")
        message = await ask(pool, 0)
        await pool.release("a")
        (second,) = await asked(pool, "b")
        assert await pool.leases() == [None]
        assert (await ask(pool, 0, message.number, result())).request == request("b")
        assert await first == result()
        second.cancel()

    asyncio.run(story())


def test_a_speculative_request_leases_nothing_to_a_trial_that_has_been_released() -> None:
    async def story() -> None:
        pool = await pool_of(1)
        (first,) = await asked(pool, "a")
        message = await ask(pool, 0)
        await ask(pool, 0, message.number, result())
        assert await first == result()

        ahead = asyncio.create_task(pool.execute(replace(request("a", 2), speculative=True)))
        await settle()
        assert (await ask(pool, 0)).request == replace(request("a", 2), speculative=True)
        await pool.release("a")  # the worker group is busy with it still, and free afterwards
        (other,) = await asked(pool, "b")
        assert not (await pool.leases())[0]
        await ask(pool, 0, message.number + 1, result(2))
        assert await ahead == result(2)
        assert await pool.leases() == ["b"]
        other.cancel()

        late = await pool.execute(replace(request("a", 3), speculative=True))
        assert late.cluster_failure
        assert "was released" in str(late.failure)
        assert await pool.leases() == ["b"]

    asyncio.run(story())


def test_a_trial_that_is_released_while_it_waits_is_answered() -> None:
    async def story() -> None:
        pool = WorkerGroupPool(1)
        (waiting,) = await asked(pool, "a")
        await pool.release("a")
        assert (await waiting).cluster_failure
        await join(pool, 0)
        assert await pool.leases() == [None]

    asyncio.run(story())


def test_a_request_made_twice_is_executed_twice_one_after_the_other() -> None:
    async def story() -> None:
        pool = await pool_of(2)
        first, second = await asked(pool, "a", "a")
        number = (await ask(pool, 0)).number
        assert (await ask(pool, 1)).kind == "wait"
        await ask(pool, 0, number, result(1))
        assert await first == result(1)
        await settle()
        message = await ask(pool, 0)
        assert message.number != number
        await ask(pool, 0, message.number, result(2))
        assert await second == result(2)

    asyncio.run(story())


def test_a_closed_pool_tells_every_worker_group_to_quit() -> None:
    async def story() -> None:
        pool = await pool_of(2)
        waiting = asyncio.create_task(pool.exchange(0, "group-0", 0, None, 60.0))
        await settle()
        await pool.close()
        assert (await waiting).kind == "quit"
        assert (await ask(pool, 1)).kind == "quit"
        assert (await pool.execute(request("a"))).failure == "the pool is closed"

    asyncio.run(story())


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(SpecError, match="more than 0 seconds, or None"):
        replace(request("a"), limit=limit)
