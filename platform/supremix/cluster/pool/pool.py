"""The pool: leases gangs to trials and carries orders to them, whatever befalls the gangs.

One asyncio actor per run. It holds no data and trains nothing: a trial asks it to have an order
executed, rank 0 of every gang asks it for the next one. A trial keeps its gang until it is
released. When the gang's workers end, the trial goes to whichever gang is free first, which may
be the same one with new workers, and its order is given again.
"""

from __future__ import annotations

import asyncio

from supremix.cluster.members import Group, Member
from supremix.cluster.messages import Message, Order, Outcome
from supremix.cluster.pool.consensus import Consent
from supremix.cluster.pool.health import Guard
from supremix.cluster.pool.slots import ATTEMPTS as ATTEMPTS
from supremix.cluster.pool.slots import Fault, Job, Queue, Seat, Trial


class GangPool:
    """Leases gangs to trials, at most one trial a gang.

    Run it as a Ray actor (`supremix.cluster.executor` does). Every method is a coroutine.

    Args:
        gangs: Number of gangs there will be, numbered from 0.
        guard: Looks after workers; None where nobody shall (then a death is noticed when the
            gang comes back with other workers).
    """

    def __init__(self, gangs: int, guard: Guard | None = None) -> None:
        self._seats = [Seat(number) for number in range(gangs)]
        self._trials: dict[str, Trial] = {}
        self._queue = Queue()
        self._guard, self._consent = guard, Consent()
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._closed = False
        self._count = 0

    # For trials

    async def execute(self, order: Order) -> Outcome:
        """Have an order executed by the gang of its trial, leasing one when it has none.

        The lease is taken here, at a trial's first order, and asking again gives the same gang:
        Tune may prepare an actor for a trial and then hand the trial to another one.
        """
        if order.ahead and order.key not in self._trials:
            return Outcome(failure="its trial was released", cluster=True)
        while (trial := self._trials.setdefault(order.key, Trial(order.key))).job is not None:
            # The trial's actor died with an order under way; its successor asks once more.
            await asyncio.wait([trial.job.answer])
        refusal = self._refusal()
        if refusal is not None:
            return Outcome(failure=refusal, cluster=True)
        self._count += 1
        answer = asyncio.get_running_loop().create_future()
        job = trial.job = Job(self._count, order, trial, answer)
        if trial.seat is not None:
            trial.seat.take(trial)
        else:
            self._queue.put(trial)
            self._queue.fill(self._seats)
        return await asyncio.shield(job.answer)

    async def release(self, key: str) -> None:
        """Free the gang of a trial; a trial without one is not an error."""
        trial = self._trials.pop(key, None)
        if trial is None:
            return
        trial.released = True
        self._queue.drop(trial)
        if trial.seat is not None:
            trial.seat.trial = None
            trial.seat = None
        elif trial.job is not None:
            trial.job.end(Outcome(failure="its trial was released", cluster=True))
        self._queue.fill(self._seats)

    # For the workers of gangs

    async def join(self, gang: int, key: str, world: int, member: Member) -> bool:
        """Note a worker of a gang's group `key`, which has `world` of them; False: go home."""
        seat = self._seats[gang]
        if seat.gone is not None:
            return False
        if seat.group is None or not seat.holds(key):
            self._leave(seat, Fault("its workers died"))
            group = seat.group = Group(key, world)
            if self._guard is not None:
                watch = self._watch(self._guard, seat, group)
                self._watches[key] = asyncio.create_task(watch)
        seat.group.members[member.rank] = member
        if seat.left is not None:
            seat.left.compare(member.node, member.kills)
        self._queue.fill(self._seats)
        return True

    async def exchange(
        self, gang: int, key: str, number: int, outcome: Outcome | None, patience: float
    ) -> Message:
        """Take the outcome of a gang's group (of order `number`, None at first), give the next.

        An order that was delivered and not answered is delivered again: its workers died.
        Waits at most `patience` seconds for an order.
        """
        seat = self._seats[gang]
        job = seat.job if seat.holds(key) else None
        if outcome is not None and job is not None and job.number == number:
            self._take(seat, job, outcome)
        if self._closed:
            return Message(kind="quit")
        if seat.job is None and not self._drains(seat):
            seat.asked.clear()
            try:
                await asyncio.wait_for(seat.asked.wait(), patience)
            except TimeoutError:
                return Message(kind="quit" if self._closed else "wait")
        return self._deliver(seat, key)

    async def fault(self, gang: int, key: str, text: str, memory: bool, log: str) -> None:
        """Note that a group is about to end, and why; it is given nothing any more."""
        seat = self._seats[gang]
        if seat.holds(key):
            self._leave(seat, Fault(text, memory, log))

    async def agree(self, gang: int, key: str, number: int, rank: int, text: str) -> bool:
        """Whether all workers of a group say the same of order `number`; waits for the others."""
        seat = self._seats[gang]
        if seat.group is None or not seat.holds(key):
            return False
        return await self._consent.among((key, number), seat.group.world, rank, text)

    # For the crew

    async def look(self, dead: frozenset[str], draining: frozenset[str]) -> int:
        """Take in which nodes are gone or announced to go; returns how many gangs are there.

        A gang with a worker on a dead node has lost its group. One on a node that drains gets no
        order after the one under way.
        """
        for seat in self._seats:
            group = seat.group
            if group is not None and group.on(dead):
                self._leave(seat, Fault("its node died"))
            elif group is not None and group.on(draining) and not group.draining:
                group.draining = True
                if not seat.delivered:
                    self._again(seat.vacate())
        self._queue.fill(self._seats)
        return sum(seat.group is not None for seat in self._seats)

    async def lost(self, gang: int, reason: str) -> int | None:
        """Note that a gang's controller has ended.

        Returns:
            How many outcomes the gang has given so far; None where it was given up.
        """
        seat = self._seats[gang]
        if seat.group is not None:
            self._leave(seat, Fault(f"its gang was lost: {reason}"))
        return seat.answered if seat.gone is None else None

    async def give_up(self, gang: int, reason: str) -> None:
        """Note that a gang will not come back; when none will, every trial fails."""
        seat = self._seats[gang]
        seat.gone = reason
        if seat.group is not None:
            self._leave(seat, Fault(f"its gang was lost: {reason}"))
        refusal = self._refusal()
        if refusal is not None:
            self._refuse(refusal)

    async def close(self) -> None:
        """Tell every gang to quit, at its next exchange."""
        self._closed = True
        self._refuse("the pool is closed")
        for seat in self._seats:
            seat.asked.set()

    async def leases(self) -> list[str | None]:
        """The trial that holds each gang, in the order of the gangs."""
        return [seat.trial.key if seat.trial is not None else None for seat in self._seats]

    async def members(self) -> list[list[Member]]:
        """The workers of each gang, by rank; none for a gang that has none at the moment."""
        groups = [seat.group.members if seat.group is not None else {} for seat in self._seats]
        return [[members[rank] for rank in sorted(members)] for members in groups]

    def _refusal(self) -> str | None:
        if self._closed:
            return "the pool is closed"
        if all(seat.gone for seat in self._seats):
            return f"no gang is left; the last one ended with: {self._seats[-1].gone}"
        return None

    def _refuse(self, reason: str) -> None:
        for trial in self._queue.empty():
            if trial.job is not None:
                trial.job.end(Outcome(failure=reason, cluster=True))

    def _drains(self, seat: Seat) -> bool:
        return seat.group is not None and seat.group.draining

    def _take(self, seat: Seat, job: Job, outcome: Outcome) -> None:
        """Take in what a gang answers; what may pass is tried again there."""
        seat.answered += 1
        seat.delivered = False
        if outcome.again:
            job.faults.append(Fault(str(outcome.failure), outcome.memory, outcome.log))
            if not job.spent:
                return
            outcome = job.failure()
        seat.job = None
        job.end(outcome)
        self._queue.fill(self._seats)

    def _deliver(self, seat: Seat, key: str) -> Message:
        if self._closed:
            return Message(kind="quit")
        if not seat.holds(key):
            return Message(kind="wait")  # these workers are taken for dead; their end is near
        if self._drains(seat) and not seat.delivered:
            self._leave(seat, None)
            return Message(kind="leave")
        job = seat.job
        if job is None:
            return Message(kind="wait")
        job.deliveries += 1
        seat.delivered = True
        return Message(kind="work", number=job.number, order=job.order)

    def _leave(self, seat: Seat, fault: Fault | None) -> None:
        """A gang has lost its workers: its trial goes to whichever gang is free first."""
        group, seat.group = seat.group, None
        if group is None:
            return
        watch = self._watches.pop(group.key, None)
        if watch is not None and watch is not asyncio.current_task():
            watch.cancel()
        delivered, job = seat.delivered, seat.vacate()
        if fault is not None:
            fault.kills = {member.node: member.kills for member in group.members.values()}
            seat.left = fault
            if job is not None and delivered:
                job.faults.append(fault)
        self._again(job)

    def _again(self, job: Job | None) -> None:
        """Let a job that has lost its gang wait for another, or give it up."""
        if job is not None and job.spent:
            job.end(job.failure())
        elif job is not None and job.trial.released:
            job.end(Outcome(failure="its trial was released", cluster=True))
        elif job is not None:
            refusal = self._refusal()
            if refusal is not None:
                job.end(Outcome(failure=refusal, cluster=True))
            else:
                self._queue.put(job.trial)
        self._queue.fill(self._seats)

    async def _watch(self, guard: Guard, seat: Seat, group: Group) -> None:
        death = await guard.death(group)
        if seat.group is group:
            self._leave(seat, Fault(death.text, death.memory))
