"""Monitoring the workers of a worker group until one of them is dead or frozen."""

from __future__ import annotations

import asyncio

from supremix.cluster.members import Death, Member, ProcessControl, WorkerSet

PING_INTERVAL = 1.0
"""Seconds between two pings of a worker."""

FROZEN = 60.0
"""Seconds a worker's process may leave a ping without an answer before it is killed. Its main
thread has nothing to do but to answer, so a process that is silent for so long was stopped, or
swapped out."""


class HealthMonitor:
    """Notices the death of a worker, and kills workers that are frozen.

    Args:
        control: Pings and kills workers.
        frozen: Seconds without an answer after which a worker is killed.
        interval: Seconds between two pings of a worker.
    """

    def __init__(
        self, control: ProcessControl, frozen: float = FROZEN, interval: float = PING_INTERVAL
    ) -> None:
        self._control, self._frozen, self._interval = control, frozen, interval

    async def death(self, workers: WorkerSet) -> Death:
        """Wait until a worker dies; returns how."""
        while True:
            await asyncio.sleep(self._interval)
            members = list(workers.members.values())
            for death in await asyncio.gather(*map(self._examine, members)):
                if death is not None:
                    return death

    async def _examine(self, member: Member) -> Death | None:
        try:
            death = await asyncio.wait_for(self._control.ping(member), self._frozen)
        except TimeoutError:
            await self._control.kill(member)
            return Death(text=f"frozen: a worker did not answer for {self._frozen:g} s")
        if death is None:
            return None
        return Death(text=f"its workers died: {death.text}", memory=death.memory)
