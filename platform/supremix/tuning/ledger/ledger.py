"""The ledger: the events of a run, one JSON line each, appended as they happen.

It is the truth of a run. Optuna's journal, Tune's state and the result tables are rebuilt from it
and never read back. On a disk it is one file, which a killed process leaves with at most a torn
last line, which the next reader leaves out. Objects in a bucket cannot be appended to, so there it
is a folder of segments; see `bucket_sink`.

What a search decides is a function of what stands in the ledger. Events that are lost with a
killed driver, or with its storage, are therefore decided again, and the same way; only the epochs
among them are trained again, from the last checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from supremix.errors import RunFolderError
from supremix.storage.paths import Address, is_local, to_path
from supremix.storage.retry import PATIENCE, Tell, storage_errors
from supremix.tuning.ledger.bucket_sink import SegmentSink, read_segments
from supremix.tuning.ledger.file_sink import FileSink, read_lines
from supremix.tuning.ledger.writer import Sink, Writer

Event = dict[str, Any]

SESSION, TRIAL, EPOCH, END, FINAL = "session", "trial", "epoch", "end", "final"
"""Kinds of event: a driver begins; a trial gets its hyperparameters; an epoch of it is done; it
ends; the search is concluded."""

WARM_START = "warm_start"
"""Kind of event: what earlier runs found, from which the search starts."""

PROLONGED = "prolonged"
"""Kind of event: the search was over, and its best trials are to train for more epochs."""

TESTED = "tested"
"""Kind of event: the best hyperparameters, retrained on training and validation data, were tested
on a dataset."""

CLOSE_PATIENCE = 60.0
"""Seconds for which a ledger that is closed by an error waits for a storage that fails."""


def read_events(address: Address) -> list[Event]:
    """Read a ledger, leaving out a torn last line.

    Args:
        address: The file, or the folder of segments; one that is missing has no events.

    Raises:
        RunFolderError: A line before the last one is damaged, so that events are missing, or the
            storage cannot be read.
    """
    path = to_path(address)
    with storage_errors(str(path)):
        if is_local(path) and not path.is_dir():
            lines, _ = read_lines(path)
        else:
            lines, _ = read_segments(path)
    return _parse(lines, str(path))


def since_prolonged(events: Sequence[Event]) -> Sequence[Event]:
    """The events since the trials were last prolonged, which made the conclusions before void."""
    for index in range(len(events) - 1, -1, -1):
        if events[index]["event"] == PROLONGED:
            return events[index + 1 :]
    return events


def conclusion(events: Sequence[Event]) -> Event | None:
    """The last conclusion of a search, unless its trials were prolonged since then."""
    last = next((e for e in reversed(events) if e["event"] in (FINAL, PROLONGED)), None)
    return last if last is not None and last["event"] == FINAL else None


def parse_event(line: bytes, where: str) -> Event:
    """Read a line of a ledger; `where` says which line of which ledger."""
    try:
        return json.loads(line)
    except ValueError as error:
        raise RunFolderError(
            f"{where} is damaged ({error}); the events after it cannot be trusted. Restore it "
            "from a copy, or start a new search."
        ) from error


def _parse(lines: list[bytes], where: str) -> list[Event]:
    return [parse_event(line, f"line {n} of {where}") for n, line in enumerate(lines, start=1)]


class Ledger(AbstractContextManager["Ledger", None]):
    """Appends events to a run's ledger; a context manager.

    A storage that fails is tried again with growing pauses, for `patience` seconds; events wait in
    memory meanwhile, and the search goes on.

    Args:
        address: The file on a disk, which is made when missing and freed of a torn last line, or
            the folder of segments at a remote address (also a copy of one on a disk).
        tell: Called with a sentence when an outage of the storage begins and when it is over, from
            a thread of the ledger's own; None for the log.
        guard: Called before each event; raises where this process may no longer write, as
            `supremix.storage.locks.Lock.check` does.
        patience: Seconds after which a failing storage is given up.

    Raises:
        RunFolderError: The ledger is damaged, or its storage cannot be written to.
    """

    def __init__(
        self,
        address: Address,
        *,
        tell: Tell | None = None,
        guard: Callable[[], None] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.path = to_path(address)
        self._guard = guard
        with storage_errors(str(self.path)):
            sink, lines = self._open()
            self.events: list[Event] = _parse(lines, str(self.path))
            sink.begin(lines)
        self._writer = Writer(sink, str(self.path), tell=tell, patience=patience)

    def _open(self) -> tuple[Sink, list[bytes]]:
        if is_local(self.path) and not self.path.is_dir():
            lines, whole = read_lines(self.path)
            return FileSink(self.path, whole), lines
        lines, names = read_segments(self.path)
        return SegmentSink(self.path, names), lines

    def append(self, kind: str, **content: Any) -> Event:
        """Write an event.

        On a disk it survives the death of this process when this returns, and a decision that of
        the machine, unless the storage fails. In a bucket it is under way then: a decision is
        there within a fraction of a second, an epoch within about one.

        Raises:
            RunFolderError: The storage has failed for too long or refuses, or another process has
                taken the run over.
        """
        if self._guard is not None:
            self._guard()
        event = {"event": kind, **content}
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        # An epoch lost with the whole machine is trained again from the checkpoint; what was
        # decided should not have to be decided again.
        self._writer.put(line, urgent=kind != EPOCH)
        self.events.append(event)
        return event

    def flush(self) -> None:
        """Wait until every event is where it survives this machine.

        Raises:
            RunFolderError: The storage has failed for too long, or refuses.
        """
        self._writer.flush()

    def close(self) -> None:
        """Flush and end; the ledger takes no more events.

        Raises:
            RunFolderError: Some events could not be written.
        """
        self._writer.close()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.close()
        else:
            self._writer.abandon(CLOSE_PATIENCE)
