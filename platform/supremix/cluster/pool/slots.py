"""The pool's state: leases of trials, their jobs, slots of worker groups. No waiting, no Ray."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from supremix.cluster.log_capture import clip
from supremix.cluster.members import WorkerSet
from supremix.cluster.messages import WorkerRequest, WorkerResult

ATTEMPTS = 3
"""Deliveries of one request before its trial fails: the workers died under it each time."""

ADVICE = "give it a smaller batch size, or compute its batches in pieces (--chunk)"


@dataclass(slots=True)
class Fault:
    """The reason why a delivery of a request had no result.

    Args:
        text: The reason.
        memory: Whether it was a lack of memory.
        log: The worker's log.
        kills: The values of `memory_kills` when the workers started, by node.
    """

    text: str
    memory: bool = False
    log: str = ""
    kills: dict[str, int] = field(default_factory=dict[str, int])

    def compare(self, node: str, kills: int) -> None:
        """Take a later count of the kernel's kills on a node as evidence."""
        if kills > self.kills.get(node, kills) and not self.memory:
            self.memory = True
            self.text += ", and the kernel had killed a process for a lack of memory"


@dataclass(slots=True)
class Job:
    """A request with the future of its result, and the faults of its deliveries so far."""

    number: int
    request: WorkerRequest
    lease: TrialLease
    result: asyncio.Future[WorkerResult]
    deliveries: int = 0
    faults: list[Fault] = field(default_factory=list[Fault])

    @property
    def exhausted(self) -> bool:
        """Whether it was delivered as often as any request is."""
        return self.deliveries >= ATTEMPTS

    def fail(self) -> None:
        """Resolve an exhausted job with its faults."""
        causes = "; ".join(dict.fromkeys(fault.text for fault in self.faults))
        memory = any(fault.memory for fault in self.faults)
        advice = f". Out of memory: {ADVICE}" if memory else ""
        text = f"{causes} (epoch {self.request.epoch}, tried {self.deliveries} times){advice}"
        self.resolve(WorkerResult(failure=text, out_of_memory=memory))

    def resolve(self, result: WorkerResult) -> None:
        """Set the result; the faults of earlier deliveries are added to its log."""
        if self.lease.job is self:
            self.lease.job = None
        if not self.result.done():
            faults = "".join(f"{fault.text}\n{fault.log}" for fault in self.faults)
            self.result.set_result(replace(result, log=clip(faults + result.log)))


@dataclass(slots=True)
class TrialLease:
    """A trial that the pool works for, with a slot or waiting for one."""

    key: str
    slot: Slot | None = None
    job: Job | None = None
    started: bool = False
    released: bool = False


@dataclass(slots=True)
class Slot:
    """One worker group as the pool sees it.

    Args:
        number: The worker group's number.
        workers: Its workers, None while it has none that can be given work.
        lease: The trial that has leased it.
        job: Job of its workers; of a trial that was released where `lease` is None.
        delivered: Whether they have been given it.
        fault: Fault that ended its last workers.
        closed: Reason why it will never have workers again, None while it may.
        results: Number of results that it has given.
        wake: Set when there is something for its workers.
    """

    number: int
    workers: WorkerSet | None = None
    lease: TrialLease | None = None
    job: Job | None = None
    delivered: bool = False
    fault: Fault | None = None
    closed: str | None = None
    results: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def draining(self) -> bool:
        """Whether the removal of a node of its workers was announced."""
        return self.workers is not None and self.workers.draining

    @property
    def free(self) -> bool:
        """Whether a trial can lease it."""
        idle = self.lease is None and self.job is None
        return idle and self.workers is not None and not self.workers.draining

    def holds(self, key: str) -> bool:
        """Whether its workers are those of this key."""
        return self.workers is not None and self.workers.key == key

    def assign(self, lease: TrialLease) -> None:
        """Lease it to a trial that has a job."""
        self.lease, lease.slot, lease.started = lease, self, True
        self.job, self.delivered = lease.job, False
        self.wake.set()

    def vacate(self) -> Job | None:
        """Take its trial and job away; returns the job, if there was one."""
        job, lease = self.job, self.lease
        self.job = self.lease = None
        self.delivered = False
        if lease is not None:
            lease.slot = None
        self.wake.set()
        return job


class Queue:
    """Trials with a job that wait for a slot: started ones before those that have not started."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, TrialLease] = OrderedDict()

    def put(self, lease: TrialLease) -> None:
        """Add a trial."""
        self._waiting[lease.key] = lease
        self._waiting.move_to_end(lease.key, last=not lease.started)

    def drop(self, lease: TrialLease) -> None:
        """Remove a trial, if it waits."""
        self._waiting.pop(lease.key, None)

    def fill(self, slots: Iterable[Slot]) -> None:
        """Assign the free slots to the trials that wait."""
        for slot in slots:
            if not self._waiting:
                return
            if slot.free:
                slot.assign(self._waiting.popitem(last=False)[1])

    def clear(self) -> list[TrialLease]:
        """Remove all trials; returns them."""
        leases = list(self._waiting.values())
        self._waiting.clear()
        return leases
