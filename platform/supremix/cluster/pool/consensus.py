"""Consensus of the ranks of a worker group on an error, without a collective operation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

TIMEOUT = 10.0
"""Seconds that ranks with the same error may report it one after the other."""


@dataclass(slots=True)
class _Votes:
    texts: dict[int, str] = field(default_factory=dict[int, str])
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False


class Consensus:
    """Collects a text from each rank, and answers every rank whether all texts are the same.

    Args:
        timeout: Seconds a rank waits for the others.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._votes: dict[tuple[str, int], _Votes] = {}

    async def among(self, topic: tuple[str, int], world: int, rank: int, text: str) -> bool:
        """Vote `text` on a topic as `rank` of `world`; True when all voted the same in time."""
        votes = self._votes.setdefault(topic, _Votes())
        votes.texts[rank] = text
        if len(votes.texts) == world:
            votes.complete.set()
        try:
            await asyncio.wait_for(votes.complete.wait(), self._timeout)
        except TimeoutError:
            votes.closed = True  # a later vote gets a no as well
        self._votes.pop(topic, None)
        return not votes.closed and len(set(votes.texts.values())) == 1
