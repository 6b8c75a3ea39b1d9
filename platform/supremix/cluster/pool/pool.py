"""The pool: leases worker groups to trials and carries orders to them, whatever befalls the groups.

One asyncio actor per run. It holds no data and trains nothing: a trial asks it to have an order
executed, rank 0 of every worker group asks it for the next one. A trial keeps its worker group
until it is released. When the worker group's workers end, the trial goes to whichever worker group
is free first, which may be the same one with new workers, and its order is given again.
"""

from __future__ import annotations

import asyncio

from supremix.cluster.members import Group, Member
from supremix.cluster.messages import Message, WorkerRequest, WorkerResult
from supremix.cluster.pool.consensus import Consensus
from supremix.cluster.pool.health import HealthMonitor
from supremix.cluster.pool.slots import ATTEMPTS as ATTEMPTS
from supremix.cluster.pool.slots import Fault, Job, Queue, Slot, Trial


class WorkerGroupPool:
    """Leases worker groups to trials, at most one trial a worker group.

    Run it as a Ray actor (`supremix.cluster.executor` does). Every method is a coroutine.

    Args:
        worker_groups: Number of worker groups there will be, numbered from 0.
        guard: Looks after workers; None where nobody shall (then a death is noticed when the
            worker group comes back with other workers).
    """

    def __init__(self, worker_groups: int, guard: HealthMonitor | None = None) -> None:
        self._slots = [Slot(number) for number in range(worker_groups)]
        self._trials: dict[str, Trial] = {}
        self._queue = Queue()
        self._guard, self._consensus = guard, Consensus()
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._closed = False
        self._count = 0

    # For trials

    async def execute(self, order: WorkerRequest) -> WorkerResult:
        """Have an order executed by the worker group of its trial, leasing one when it has none.

        The lease is taken here, at a trial's first order, and asking again gives the same worker
        group: Tune may prepare an actor for a trial and then hand the trial to another one.
        """
        if order.ahead and order.key not in self._trials:
            return WorkerResult(failure="its trial was released", cluster=True)
        while (trial := self._trials.setdefault(order.key, Trial(order.key))).job is not None:
            # The trial's actor died with an order under way; its successor asks once more.
            await asyncio.wait([trial.job.answer])
        refusal = self._refusal()
        if refusal is not None:
            return WorkerResult(failure=refusal, cluster=True)
        self._count += 1
        answer = asyncio.get_running_loop().create_future()
        job = trial.job = Job(self._count, order, trial, answer)
        if trial.slot is not None:
            trial.slot.take(trial)
        else:
            self._queue.put(trial)
            self._queue.fill(self._slots)
        return await asyncio.shield(job.answer)

    async def release(self, key: str) -> None:
        """Free the worker group of a trial; a trial without one is not an error."""
        trial = self._trials.pop(key, None)
        if trial is None:
            return
        trial.released = True
        self._queue.drop(trial)
        if trial.slot is not None:
            trial.slot.trial = None
            trial.slot = None
        elif trial.job is not None:
            trial.job.end(WorkerResult(failure="its trial was released", cluster=True))
        self._queue.fill(self._slots)

    # For the workers of worker groups

    async def join(self, worker_group: int, key: str, world: int, member: Member) -> bool:
        """Note a worker of a worker group `key`, which has `world` of them; False: go home."""
        slot = self._slots[worker_group]
        if slot.gone is not None:
            return False
        if slot.group is None or not slot.holds(key):
            self._leave(slot, Fault("its workers died"))
            group = slot.group = Group(key, world)
            if self._guard is not None:
                watch = self._watch(self._guard, slot, group)
                self._watches[key] = asyncio.create_task(watch)
        slot.group.members[member.rank] = member
        if slot.left is not None:
            slot.left.compare(member.node, member.kills)
        self._queue.fill(self._slots)
        return True

    async def exchange(
        self,
        worker_group: int,
        key: str,
        number: int,
        outcome: WorkerResult | None,
        patience: float,
    ) -> Message:
        """Take the outcome of a worker group (of order `number`, None at first), give the next.

        An order that was delivered and not answered is delivered again: its workers died.
        Waits at most `patience` seconds for an order.
        """
        slot = self._slots[worker_group]
        job = slot.job if slot.holds(key) else None
        if outcome is not None and job is not None and job.number == number:
            self._take(slot, job, outcome)
        if self._closed:
            return Message(kind="quit")
        if slot.job is None and not self._drains(slot):
            slot.asked.clear()
            try:
                await asyncio.wait_for(slot.asked.wait(), patience)
            except TimeoutError:
                return Message(kind="quit" if self._closed else "wait")
        return self._deliver(slot, key)

    async def fault(self, worker_group: int, key: str, text: str, memory: bool, log: str) -> None:
        """Note that a group is about to end, and why; it is given nothing any more."""
        slot = self._slots[worker_group]
        if slot.holds(key):
            self._leave(slot, Fault(text, memory, log))

    async def agree(self, worker_group: int, key: str, number: int, rank: int, text: str) -> bool:
        """Whether all workers of a group say the same of order `number`; waits for the others."""
        slot = self._slots[worker_group]
        if slot.group is None or not slot.holds(key):
            return False
        return await self._consensus.among((key, number), slot.group.world, rank, text)

    # For the executor

    async def look(self, dead: frozenset[str], draining: frozenset[str]) -> int:
        """Take in which nodes are gone or announced to go; returns how many groups are there.

        A worker group with a worker on a dead node has lost its group. One on a node that drains
        gets no order after the one under way.
        """
        for slot in self._slots:
            group = slot.group
            if group is not None and group.on(dead):
                self._leave(slot, Fault("its node died"))
            elif group is not None and group.on(draining) and not group.draining:
                group.draining = True
                if not slot.delivered:
                    self._again(slot.vacate())
        self._queue.fill(self._slots)
        return sum(slot.group is not None for slot in self._slots)

    async def lost(self, worker_group: int, reason: str) -> int | None:
        """Note that a worker group's controller has ended.

        Returns:
            How many outcomes the worker group has given so far; None where it was given up.
        """
        slot = self._slots[worker_group]
        if slot.group is not None:
            self._leave(slot, Fault(f"its worker group was lost: {reason}"))
        return slot.answered if slot.gone is None else None

    async def give_up(self, worker_group: int, reason: str) -> None:
        """Note that a worker group will not come back; when none will, every trial fails."""
        slot = self._slots[worker_group]
        slot.gone = reason
        if slot.group is not None:
            self._leave(slot, Fault(f"its worker group was lost: {reason}"))
        refusal = self._refusal()
        if refusal is not None:
            self._refuse(refusal)

    async def close(self) -> None:
        """Tell every worker group to quit, at its next exchange."""
        self._closed = True
        self._refuse("the pool is closed")
        for slot in self._slots:
            slot.asked.set()

    async def leases(self) -> list[str | None]:
        """The trial that holds each worker group, in the order of the worker groups."""
        return [slot.trial.key if slot.trial is not None else None for slot in self._slots]

    async def members(self) -> list[list[Member]]:
        """The workers of each group, by rank; none for a group that has none at the moment."""
        groups = [slot.group.members if slot.group is not None else {} for slot in self._slots]
        return [[members[rank] for rank in sorted(members)] for members in groups]

    def _refusal(self) -> str | None:
        if self._closed:
            return "the pool is closed"
        if all(slot.gone for slot in self._slots):
            return f"no worker group is left; the last one ended with: {self._slots[-1].gone}"
        return None

    def _refuse(self, reason: str) -> None:
        for trial in self._queue.empty():
            if trial.job is not None:
                trial.job.end(WorkerResult(failure=reason, cluster=True))

    def _drains(self, slot: Slot) -> bool:
        return slot.group is not None and slot.group.draining

    def _take(self, slot: Slot, job: Job, outcome: WorkerResult) -> None:
        """Take in what a worker group answers; what may pass is tried again there."""
        slot.answered += 1
        slot.delivered = False
        if outcome.again:
            job.faults.append(Fault(str(outcome.failure), outcome.memory, outcome.log))
            if not job.spent:
                return
            outcome = job.failure()
        slot.job = None
        job.end(outcome)
        self._queue.fill(self._slots)

    def _deliver(self, slot: Slot, key: str) -> Message:
        if self._closed:
            return Message(kind="quit")
        if not slot.holds(key):
            return Message(kind="wait")  # these workers are taken for dead; their end is near
        if self._drains(slot) and not slot.delivered:
            self._leave(slot, None)
            return Message(kind="leave")
        job = slot.job
        if job is None:
            return Message(kind="wait")
        job.deliveries += 1
        slot.delivered = True
        return Message(kind="work", number=job.number, order=job.order)

    def _leave(self, slot: Slot, fault: Fault | None) -> None:
        """A worker group has lost its workers: its trial goes to whichever group is free first."""
        group, slot.group = slot.group, None
        if group is None:
            return
        watch = self._watches.pop(group.key, None)
        if watch is not None and watch is not asyncio.current_task():
            watch.cancel()
        delivered, job = slot.delivered, slot.vacate()
        if fault is not None:
            fault.kills = {member.node: member.kills for member in group.members.values()}
            slot.left = fault
            if job is not None and delivered:
                job.faults.append(fault)
        self._again(job)

    def _again(self, job: Job | None) -> None:
        """Let a job that has lost its worker group wait for another, or give it up."""
        if job is not None and job.spent:
            job.end(job.failure())
        elif job is not None and job.trial.released:
            job.end(WorkerResult(failure="its trial was released", cluster=True))
        elif job is not None:
            refusal = self._refusal()
            if refusal is not None:
                job.end(WorkerResult(failure=refusal, cluster=True))
            else:
                self._queue.put(job.trial)
        self._queue.fill(self._slots)

    async def _watch(self, guard: HealthMonitor, slot: Slot, group: Group) -> None:
        death = await guard.death(group)
        if slot.group is group:
            self._leave(slot, Fault(death.text, death.memory))
