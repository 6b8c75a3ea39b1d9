"""The ledger: what happened in a run, one JSON line an event, appended as it happens.

It is the truth of a run. Optuna's journal, Tune's state and the result tables are rebuilt from it
and never read back. A process killed while it writes leaves at most a torn last line, which the
next reader sets aside: what it stood for had not happened yet.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from supremix.errors import RunFolderError

Event = dict[str, Any]

SESSION, TRIAL, EPOCH, END, FINAL = "session", "trial", "epoch", "end", "final"
"""Kinds of event: a driver begins; a trial gets its settings; an epoch of it is done; it ends; the
search is concluded."""


def read_events(path: str | Path) -> list[Event]:
    """Read a ledger, leaving out a torn last line.

    Raises:
        RunFolderError: A line before the last one is damaged, so that events are missing.
    """
    path = Path(path)
    if not path.exists():
        return []
    events, _ = _parse(path)
    return events


def _parse(path: Path) -> tuple[list[Event], int]:
    """The events and the length in bytes of the whole lines they stand on."""
    events: list[Event] = []
    whole = 0
    for number, line in _lines(path):
        try:
            event = json.loads(line)
        except ValueError as error:
            raise RunFolderError(
                f"line {number} of {path} is damaged ({error}); the events after it cannot be "
                "trusted. Restore the file from a copy, or start a new search."
            ) from error
        events.append(event)
        whole += len(line)
    return events, whole


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):  # a line without its end was torn by a kill
                yield number, line


class Ledger:
    """Appends events to a run's ledger; a context manager.

    Args:
        path: The file; made when missing. A torn last line is cut off.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.events: list[Event] = []
        if self.path.exists():
            self.events, whole = _parse(self.path)
            os.truncate(self.path, whole)
        self._file = self.path.open("ab")

    def append(self, kind: str, **content: Any) -> Event:
        """Write an event; when this returns it survives the death of this process."""
        event = {"event": kind, **content}
        self._file.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        if kind != EPOCH:
            # An epoch lost with the whole machine is trained again from the checkpoint; what was
            # decided must not be.
            os.fsync(self._file.fileno())
        self.events.append(event)
        return event

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
