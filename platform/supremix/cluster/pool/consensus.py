"""Whether all ranks of a group say the same, found out beside all collective operations."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

CONSENSUS = 10.0
"""Seconds that ranks with the same error may come one after the other."""


@dataclass(slots=True)
class _Votes:
    texts: dict[int, str] = field(default_factory=dict[int, str])
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False


class Consensus:
    """Collects what each rank says of one matter, and tells every rank whether all said the same.

    Args:
        patience: Seconds a rank waits for the others.
    """

    def __init__(self, patience: float = CONSENSUS) -> None:
        self._patience = patience
        self._matters: dict[tuple[str, int], _Votes] = {}

    async def among(self, matter: tuple[str, int], world: int, rank: int, text: str) -> bool:
        """Say `text` of a matter as `rank` of `world`; True when all of them said it in time."""
        votes = self._matters.setdefault(matter, _Votes())
        votes.texts[rank] = text
        if len(votes.texts) == world:
            votes.complete.set()
        try:
            await asyncio.wait_for(votes.complete.wait(), self._patience)
        except TimeoutError:
            votes.closed = True  # who comes later is told no as well
        self._matters.pop(matter, None)
        return not votes.closed and len(set(votes.texts.values())) == 1
