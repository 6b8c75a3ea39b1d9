"""A ledger that lives in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from supremix.tuning.ledger.ledger import Event


class MemoryLedger:
    """A ledger that lives in memory.

    Args:
        events: The events of earlier sessions.
    """

    def __init__(self, events: Sequence[Event] = ()) -> None:
        self.events: list[Event] = list(events)

    def append(self, kind: str, **content: Any) -> Event:
        """Note an event."""
        event = {"event": kind, **content}
        self.events.append(event)
        return event
