"""A study's ledger: replayed to its end, then written to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from supremix.errors import RunFolderError
from supremix.tuning.ledger.ledger import END, Event
from supremix.tuning.ledger.records import TrialRecord
from supremix.tuning.study.config import LedgerLike


class ReplayedLedger:
    """Replays a ledger's events; what is written meanwhile is what must stand in it further down.

    Ends follow from epochs. An end that is found while the ledger is replayed, and is not in it
    because the process was killed between the two, is appended once the replay is over.

    Args:
        ledger: The ledger, with the events of earlier sessions.
    """

    def __init__(self, ledger: LedgerLike) -> None:
        self._ledger = ledger
        self._owed: dict[int, Event] | None = {}
        self.clock = max((event.get("clock", 0.0) for event in ledger.events), default=0.0)
        """Seconds of search that earlier sessions used."""

    def replay(self) -> Iterator[Event]:
        """The events so far; iterate to the end before anything else is done."""
        owed = self._owed or {}
        for event in list(self._ledger.events):
            if event["event"] == END:
                owed.pop(event["number"], None)
            yield event
        self._owed = None
        for event in owed.values():
            content = dict(event)
            self._ledger.append(content.pop("event"), **content)

    def write(self, kind: str, **content: Any) -> Event:
        """Append an event; while the ledger is replayed, expect it there."""
        if self._owed is None:
            return self._ledger.append(kind, **content)
        self._owed[content["number"]] = {"event": kind, **content}
        return self._owed[content["number"]]


def check_epoch(record: TrialRecord, event: Event) -> None:
    """Check that an epoch follows from the decisions before it.

    Raises:
        RunFolderError: The trial has ended by then, or has no score: the configuration is another.
    """
    if record.state != "running" or "score" not in event["row"]:
        raise RunFolderError(
            f"epoch {event['row']['epoch']} of trial {record.number} does not follow from what "
            "the ledger has before it: it was written under other rules (by another version "
            "of supremix, or with other options). Go on with it as it was begun, or start a "
            "new search."
        )
