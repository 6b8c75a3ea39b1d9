"""Looking after the workers of a group until one of them is dead or frozen."""

from __future__ import annotations

import asyncio

from supremix.cluster.members import Death, Group, Member, ProcessControl

PING = 1.0
"""Seconds between two looks at whether a worker group's workers are alive."""

FROZEN = 60.0
"""Seconds a worker's process may leave without an answer before it is killed. Its main thread has
nothing to do but to answer, so a process that is silent for so long was stopped, or swapped out."""


class HealthMonitor:
    """Notices the end of a group's workers, and ends those that are frozen.

    Args:
        hands: What is done to workers.
        frozen: Seconds without an answer after which a worker is killed.
        ping: Seconds between two looks at a worker.
    """

    def __init__(self, hands: ProcessControl, frozen: float = FROZEN, ping: float = PING) -> None:
        self._hands, self._frozen, self._ping = hands, frozen, ping

    async def death(self, group: Group) -> Death:
        """How the first worker of a group died; returns when one has."""
        while True:
            await asyncio.sleep(self._ping)
            members = list(group.members.values())
            for death in await asyncio.gather(*map(self._examine, members)):
                if death is not None:
                    return death

    async def _examine(self, member: Member) -> Death | None:
        try:
            death = await asyncio.wait_for(self._hands.ping(member), self._frozen)
        except TimeoutError:
            await self._hands.kill(member)
            return Death(text=f"frozen: a worker did not answer for {self._frozen:g} s")
        if death is None:
            return None
        return Death(text=f"its workers died: {death.text}", memory=death.memory)
