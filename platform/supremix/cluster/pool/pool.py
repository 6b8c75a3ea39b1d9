"""The pool: leases worker groups to trials and delivers requests to them, in spite of faults.

One asyncio actor per run. It holds no data and trains nothing: a trial asks it to have a request
executed, rank 0 of every worker group asks it for the next one. A trial keeps its worker group
until it is released. When the worker group's workers die, the trial goes to the worker group that
is free first, which may be the same one with new workers, and its request is delivered again.
"""

from __future__ import annotations

import asyncio

from supremix.cluster.members import Member, WorkerSet
from supremix.cluster.messages import Message, WorkerRequest, WorkerResult
from supremix.cluster.pool.consensus import Consensus
from supremix.cluster.pool.health import HealthMonitor
from supremix.cluster.pool.slots import ATTEMPTS as ATTEMPTS
from supremix.cluster.pool.slots import Fault, Job, Queue, Slot, TrialLease

RELEASED, CLOSED = "its trial was released", "the pool is closed"


class WorkerGroupPool:
    """Leases worker groups to trials, at most one trial per worker group.

    Run it as a Ray actor (`supremix.cluster.executor` does). Every method is a coroutine.

    Args:
        count: Number of worker groups there will be, numbered from 0.
        monitor: Monitors workers; None for no monitoring (then a death is noticed when the worker
            group joins with other workers).
        consensus: Compares the errors of a worker group's ranks.
    """

    def __init__(
        self,
        count: int,
        monitor: HealthMonitor | None = None,
        consensus: Consensus | None = None,
    ) -> None:
        self._slots = [Slot(number) for number in range(count)]
        self._leases: dict[str, TrialLease] = {}
        self._queue = Queue()
        self._monitor, self._consensus = monitor, consensus or Consensus()
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._closed = False
        self._jobs = 0

    # For trials

    async def execute(self, request: WorkerRequest) -> WorkerResult:
        """Have a request executed by the worker group of its trial, leasing one when it has none.

        The lease is taken here, at a trial's first request, and asking again gives the same worker
        group: Tune may prepare an actor for a trial and then hand the trial to another one.
        """
        if request.speculative and request.key not in self._leases:
            return _refused(RELEASED)
        while (
            lease := self._leases.setdefault(request.key, TrialLease(request.key))
        ).job is not None:
            # The trial's actor died with a request under way; its successor asks once more.
            await asyncio.wait([lease.job.result])
        refusal = self._refusal()
        if refusal is not None:
            return _refused(refusal)
        self._jobs += 1
        result = asyncio.get_running_loop().create_future()
        job = lease.job = Job(self._jobs, request, lease, result)
        if lease.slot is not None:
            lease.slot.assign(lease)
        else:
            self._queue.put(lease)
            self._queue.fill(self._slots)
        return await asyncio.shield(job.result)

    async def release(self, key: str) -> None:
        """Free the worker group of a trial; a trial without one is not an error."""
        lease = self._leases.pop(key, None)
        if lease is None:
            return
        lease.released = True
        self._queue.drop(lease)
        if lease.slot is not None:
            lease.slot.lease = None
            lease.slot = None
        elif lease.job is not None:
            lease.job.resolve(_refused(RELEASED))
        self._queue.fill(self._slots)

    # For the workers of worker groups

    async def join(self, worker_group: int, key: str, world: int, member: Member) -> bool:
        """Add a worker to the set `key` of `world` workers; False where it shall end."""
        slot = self._slots[worker_group]
        if slot.closed is not None:
            return False
        if slot.workers is None or not slot.holds(key):
            self._lose(slot, Fault("its workers died"))
            workers = slot.workers = WorkerSet(key, world)
            if self._monitor is not None:
                watch = self._watch(self._monitor, slot, workers)
                self._watches[key] = asyncio.create_task(watch)
        slot.workers.members[member.rank] = member
        if slot.fault is not None:
            slot.fault.compare(member.node, member.kills)
        self._queue.fill(self._slots)
        return True

    async def exchange(
        self,
        worker_group: int,
        key: str,
        number: int,
        result: WorkerResult | None,
        timeout: float,
    ) -> Message:
        """Take a worker group's result of request `number` (None at first), give the next request.

        A request that was delivered and not answered is delivered again: its workers died.
        Waits at most `timeout` seconds for a request.
        """
        slot = self._slots[worker_group]
        job = slot.job if slot.holds(key) else None
        if result is not None and job is not None and job.number == number:
            self._receive(slot, job, result)
        if slot.job is None and not slot.draining and not self._closed:
            slot.wake.clear()
            try:
                await asyncio.wait_for(slot.wake.wait(), timeout)
            except TimeoutError:
                return Message(kind="quit" if self._closed else "wait")
        return self._deliver(slot, key)

    async def answered(self, worker_group: int, key: str, number: int, timeout: float) -> None:
        """Return when there is a result of request `number`, or after some seconds."""
        slot = self._slots[worker_group]
        job = slot.job if slot.holds(key) else None
        if job is not None and job.number == number:
            await asyncio.wait([job.result], timeout=timeout)

    async def fault(self, worker_group: int, key: str, text: str, memory: bool, log: str) -> None:
        """Note that a set of workers is about to end, and why; it is given nothing any more."""
        slot = self._slots[worker_group]
        if slot.holds(key):
            self._lose(slot, Fault(text, memory, log))

    async def agree(self, worker_group: int, key: str, number: int, rank: int, text: str) -> bool:
        """Whether all ranks report the same text on request `number`; waits for the others."""
        slot = self._slots[worker_group]
        if slot.workers is None or not slot.holds(key):
            return False
        return await self._consensus.among((key, number), slot.workers.world, rank, text)

    # For the executor

    async def update_nodes(self, dead: frozenset[str], draining: frozenset[str]) -> int:
        """Take in which nodes are dead or draining; returns how many worker groups have workers.

        A worker group with a worker on a dead node has lost its workers. One on a node that drains
        gets no request after the one under way.
        """
        for slot in self._slots:
            workers = slot.workers
            if workers is not None and workers.on(dead):
                self._lose(slot, Fault("its node died"))
            elif workers is not None and workers.on(draining) and not workers.draining:
                workers.draining = True
                if not slot.delivered:
                    self._requeue(slot.vacate())
        self._queue.fill(self._slots)
        return sum(slot.workers is not None for slot in self._slots)

    async def lost(self, worker_group: int, reason: str) -> int | None:
        """Note that a worker group's controller has ended.

        Returns:
            How many results the worker group has given so far; None where it was given up.
        """
        slot = self._slots[worker_group]
        self._lose(slot, Fault(f"its worker group was lost: {reason}"))
        return slot.results if slot.closed is None else None

    async def give_up(self, worker_group: int, reason: str) -> None:
        """Note that a worker group will not come back; when none will, every trial fails."""
        slot = self._slots[worker_group]
        slot.closed = reason
        self._lose(slot, Fault(f"its worker group was lost: {reason}"))
        refusal = self._refusal()
        if refusal is not None:
            self._refuse(refusal)

    async def close(self) -> None:
        """Tell every worker group to quit, at its next exchange."""
        self._closed = True
        self._refuse(CLOSED)
        for slot in self._slots:
            slot.wake.set()

    async def leases(self) -> list[str | None]:
        """The trial that has leased each worker group, in the order of the worker groups."""
        return [slot.lease.key if slot.lease is not None else None for slot in self._slots]

    async def members(self) -> list[list[Member]]:
        """The workers of each worker group, by rank; none for one that has none at the moment."""
        sets = [slot.workers.members if slot.workers is not None else {} for slot in self._slots]
        return [[members[rank] for rank in sorted(members)] for members in sets]

    def _refusal(self) -> str | None:
        if self._closed:
            return CLOSED
        if all(slot.closed for slot in self._slots):
            return f"no worker group is left; the last one ended with: {self._slots[-1].closed}"
        return None

    def _refuse(self, reason: str) -> None:
        for lease in self._queue.clear():
            if lease.job is not None:
                lease.job.resolve(_refused(reason))

    def _receive(self, slot: Slot, job: Job, result: WorkerResult) -> None:
        """Take in a worker group's result; after a failure that may pass it tries again."""
        slot.results += 1
        slot.delivered = False
        if result.retryable:
            job.faults.append(Fault(str(result.failure), result.out_of_memory, result.log))
            if not job.exhausted:
                return
            job.fail()
        else:
            job.resolve(result)
        slot.job = None
        self._queue.fill(self._slots)

    def _deliver(self, slot: Slot, key: str) -> Message:
        if self._closed:
            return Message(kind="quit")
        if not slot.holds(key):
            return Message(kind="wait")  # these workers are taken for dead; their end is near
        if slot.draining and not slot.delivered:
            self._lose(slot, None)
            return Message(kind="leave")
        job = slot.job
        if job is None:
            return Message(kind="wait")
        job.deliveries += 1
        slot.delivered = True
        return Message(kind="work", number=job.number, request=job.request)

    def _lose(self, slot: Slot, fault: Fault | None) -> None:
        """Note that a worker group has lost its workers; its trial goes to the next free one."""
        workers, slot.workers = slot.workers, None
        if workers is None:
            return
        watch = self._watches.pop(workers.key, None)
        if watch is not None and watch is not asyncio.current_task():
            watch.cancel()
        delivered, job = slot.delivered, slot.vacate()
        if fault is not None:
            fault.kills = {member.node: member.kills for member in workers.members.values()}
            slot.fault = fault
            if job is not None and delivered:
                job.faults.append(fault)
        self._requeue(job)

    def _requeue(self, job: Job | None) -> None:
        """Let a job that has lost its worker group wait for another, or resolve it."""
        if job is not None:
            refusal = RELEASED if job.lease.released else self._refusal()
            if job.exhausted:
                job.fail()
            elif refusal is not None:
                job.resolve(_refused(refusal))
            else:
                self._queue.put(job.lease)
        self._queue.fill(self._slots)

    async def _watch(self, monitor: HealthMonitor, slot: Slot, workers: WorkerSet) -> None:
        death = await monitor.death(workers)
        if slot.workers is workers:
            self._lose(slot, Fault(death.text, death.memory))


def _refused(reason: str) -> WorkerResult:
    return WorkerResult(failure=reason, cluster_failure=True)
