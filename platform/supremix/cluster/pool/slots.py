"""The pool's state: trials and their jobs, groups and their slots. No waiting, no Ray."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from supremix.cluster.log_capture import clip
from supremix.cluster.members import Group
from supremix.cluster.messages import WorkerRequest, WorkerResult

ATTEMPTS = 3
"""Deliveries of one order before its trial is given up: the workers died under it each time."""

ADVICE = "give it a smaller batch size, or compute its batches in pieces (--chunk)"


@dataclass(slots=True)
class Fault:
    """Why a delivery of an order came to nothing.

    Args:
        text: In words.
        memory: Whether it was a lack of memory.
        log: What the worker had to say.
        kills: What `memory_kills` said on the workers' nodes when they began, by node.
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
    """An order with the future of its outcome, and what became of its deliveries so far."""

    number: int
    order: WorkerRequest
    trial: Trial
    answer: asyncio.Future[WorkerResult]
    deliveries: int = 0
    faults: list[Fault] = field(default_factory=list[Fault])

    @property
    def spent(self) -> bool:
        """Whether it was delivered as often as any order is."""
        return self.deliveries >= ATTEMPTS

    def failure(self) -> WorkerResult:
        """The outcome of a job that is given up."""
        causes = "; ".join(dict.fromkeys(fault.text for fault in self.faults))
        memory = any(fault.memory for fault in self.faults)
        advice = f". Out of memory: {ADVICE}" if memory else ""
        text = f"{causes} (epoch {self.order.epoch}, tried {self.deliveries} times){advice}"
        return WorkerResult(failure=text, memory=memory)

    def end(self, outcome: WorkerResult) -> None:
        """Answer who waits; what befell earlier deliveries goes to the log."""
        if self.trial.job is self:
            self.trial.job = None
        if not self.answer.done():
            said = "".join(f"{fault.text}\n{fault.log}" for fault in self.faults)
            self.answer.set_result(replace(outcome, log=clip(said + outcome.log)))


@dataclass(slots=True)
class Trial:
    """A trial that the pool works for, at a slot or waiting for one."""

    key: str
    slot: Slot | None = None
    job: Job | None = None
    begun: bool = False
    released: bool = False


@dataclass(slots=True)
class Slot:
    """One worker group as the pool sees it.

    Args:
        number: The worker group's number.
        group: Its workers, None while it has none that can be given work.
        trial: The trial that has leased it.
        job: What its workers have to do; of a trial that has been released where `trial` is None.
        delivered: Whether they have been given it.
        left: What ended its last group.
        gone: Why it will never have workers again, None while it may.
        answered: Outcomes it has given.
        asked: Set when there is something for its workers.
    """

    number: int
    group: Group | None = None
    trial: Trial | None = None
    job: Job | None = None
    delivered: bool = False
    left: Fault | None = None
    gone: str | None = None
    answered: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def free(self) -> bool:
        """Whether a trial can be given to it."""
        idle = self.trial is None and self.job is None
        return idle and self.group is not None and not self.group.draining

    def holds(self, key: str) -> bool:
        """Whether its workers are those of this key."""
        return self.group is not None and self.group.key == key

    def take(self, trial: Trial) -> None:
        """Lease it to a trial that has a job."""
        self.trial, trial.slot, trial.begun = trial, self, True
        self.job, self.delivered = trial.job, False
        self.asked.set()

    def vacate(self) -> Job | None:
        """Take its trial and job away from it; returns the job, if there was one."""
        job, trial = self.job, self.trial
        self.job = self.trial = None
        self.delivered = False
        if trial is not None:
            trial.slot = None
        self.asked.set()
        return job


class Queue:
    """Trials with a job that wait for a group: those that have begun before those that have not."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Trial] = OrderedDict()

    def put(self, trial: Trial) -> None:
        """Let a trial wait."""
        self._waiting[trial.key] = trial
        self._waiting.move_to_end(trial.key, last=not trial.begun)

    def drop(self, trial: Trial) -> None:
        """Let a trial wait no more, if it did."""
        self._waiting.pop(trial.key, None)

    def fill(self, slots: Iterable[Slot]) -> None:
        """Give the free slots to those who wait."""
        for slot in slots if self._waiting else ():
            if not self._waiting:
                return
            if slot.free:
                slot.take(self._waiting.popitem(last=False)[1])

    def empty(self) -> list[Trial]:
        """Let nobody wait any more; returns those who did."""
        trials = list(self._waiting.values())
        self._waiting.clear()
        return trials
