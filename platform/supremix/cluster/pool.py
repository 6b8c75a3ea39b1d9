"""The pool: leases gangs to trials and carries orders to them.

One asyncio actor per run. It holds no data and trains nothing: a trial asks it to have an order
executed, rank 0 of every gang asks it for the next one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from supremix.cluster.order import Message, Order, Outcome

ATTEMPTS = 3
"""Deliveries of one order before its trial is given up: the workers died under it each time."""


@dataclass(slots=True)
class _Job:
    number: int
    order: Order
    answer: asyncio.Future[Outcome]
    deliveries: int = 0


@dataclass(slots=True)
class _Seat:
    """One gang as the pool sees it."""

    lease: str | None = None
    job: _Job | None = None
    lost: str | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)


class GangPool:
    """Leases gangs to trials, at most one trial a gang.

    Run it as a Ray actor (`supremix.cluster.crew` does). Every method is a coroutine.

    Args:
        gangs: Number of gangs there will be, numbered from 0.
    """

    def __init__(self, gangs: int) -> None:
        self._seats = [_Seat() for _ in range(gangs)]
        self._change = asyncio.Condition()
        self._closed = False
        self._count = 0

    async def execute(self, order: Order) -> Outcome:
        """Have an order executed by the gang of its trial, leasing one when it has none.

        The lease is taken here, at a trial's first order, and asking again gives the same gang:
        Tune may prepare an actor for a trial and then hand the trial to another one.
        """
        seat = await self._lease(order.key)
        if isinstance(seat, str):
            return Outcome(failure=seat)
        if seat.job is not None:
            # The trial's actor died with an order under way; its successor asks once more.
            await asyncio.wait([seat.job.answer])
        self._count += 1
        job = _Job(self._count, order, asyncio.get_running_loop().create_future())
        seat.job = job
        seat.asked.set()
        return await asyncio.shield(job.answer)

    async def release(self, key: str) -> None:
        """Free the gang of a trial; a trial without one is not an error."""
        async with self._change:
            for seat in self._seats:
                if seat.lease == key:
                    seat.lease = None
            self._change.notify_all()

    async def exchange(
        self, gang: int, number: int, outcome: Outcome | None, patience: float
    ) -> Message:
        """Take a gang's outcome (of order `number`, None at first) and give it the next order.

        An order that was delivered and not answered is delivered again: its workers died.
        Waits at most `patience` seconds for an order.
        """
        seat = self._seats[gang]
        if outcome is not None and seat.job is not None and seat.job.number == number:
            await self._settle(seat, outcome)
        if seat.job is None and not self._closed:
            seat.asked.clear()
            try:
                await asyncio.wait_for(seat.asked.wait(), patience)
            except TimeoutError:
                return Message(kind="quit" if self._closed else "wait")
        return await self._deliver(seat)

    async def lost(self, gang: int, reason: str) -> None:
        """Note that a gang has ended for good; its trial fails, none is leased to it again."""
        seat = self._seats[gang]
        seat.lost = reason
        if seat.job is not None:
            await self._settle(seat, Outcome(failure=f"its gang was lost: {reason}"))
        async with self._change:
            self._change.notify_all()

    async def close(self) -> None:
        """Tell every gang to quit, at its next exchange."""
        self._closed = True
        for seat in self._seats:
            seat.asked.set()
        async with self._change:
            self._change.notify_all()

    async def leases(self) -> list[str | None]:
        """The trial that holds each gang, in the order of the gangs."""
        return [seat.lease for seat in self._seats]

    async def _lease(self, key: str) -> _Seat | str:
        async with self._change:
            while True:
                refusal = self._refusal()
                if refusal is not None:
                    return refusal
                seat = self._find(key) or self._find(None)
                if seat is not None:
                    seat.lease = key
                    return seat
                await self._change.wait()

    def _refusal(self) -> str | None:
        if self._closed:
            return "the pool is closed"
        if all(seat.lost for seat in self._seats):
            return f"no gang is left; the last one ended with: {self._seats[-1].lost}"
        return None

    def _find(self, key: str | None) -> _Seat | None:
        """The living gang leased to `key`, or a free one that has nothing under way."""
        for seat in self._seats:
            busy = key is None and seat.job is not None
            if seat.lease == key and not seat.lost and not busy:
                return seat
        return None

    async def _settle(self, seat: _Seat, outcome: Outcome) -> None:
        job, seat.job = seat.job, None
        if job is not None and not job.answer.done():
            job.answer.set_result(outcome)
        async with self._change:
            self._change.notify_all()

    async def _deliver(self, seat: _Seat) -> Message:
        if self._closed:
            return Message(kind="quit")
        job = seat.job
        if job is None:
            return Message(kind="wait")
        job.deliveries += 1
        if job.deliveries > ATTEMPTS:
            reason = f"the workers died {ATTEMPTS} times during epoch {job.order.epoch}"
            await self._settle(seat, Outcome(failure=reason))
            return Message(kind="wait")
        return Message(kind="work", number=job.number, order=job.order)
