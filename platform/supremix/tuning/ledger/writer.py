"""A thread that writes the lines of a ledger, and tries again where the storage fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from supremix.errors import RunFolderError
from supremix.storage.retry import Tell, explanation, failures, with_retries


class Sink(Protocol):
    """The storage of a ledger's lines."""

    immediate: bool
    """Whether a line is handed on at once, and waited for."""

    def begin(self, lines: Sequence[bytes]) -> None:
        """Get ready to write after these lines, which are there already."""
        ...

    def write(self, lines: Sequence[bytes], *, urgent: bool) -> None:
        """Write lines so that they survive this process, and urgent ones the machine.

        After an error the same lines come again; they must not stand there twice.
        """
        ...

    def close(self) -> None:
        """Let go of the storage."""
        ...


@dataclass(frozen=True, slots=True)
class _Item:
    line: bytes
    urgent: bool
    due: float


class _Abandoned(Exception):
    """The lines that are left are given up."""


class Writer:
    """A thread that writes lines in their order, in groups.

    Args:
        sink: The storage.
        what: Name of what it writes, for messages.
        tell: Called with a sentence at an outage; None for the log.
        patience: Seconds after which an outage is too long.
        linger: Seconds for which a line that is not urgent may wait for others.
    """

    def __init__(
        self,
        sink: Sink,
        what: str,
        *,
        tell: Tell | None = None,
        patience: float,
        linger: float = 1.0,
    ) -> None:
        self._sink, self._what = sink, what
        self._tell, self._patience = tell, patience
        self._linger = 0.0 if sink.immediate else linger
        self._change = threading.Condition()
        self._waiting: list[_Item] = []
        self._put = self._done = 0
        self._outage = self._hurry = self._closed = self._abandoned = False
        self._error: str | None = None
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def put(self, line: bytes, *, urgent: bool) -> None:
        """Take a line; where the sink is immediate, wait for it, but not through an outage."""
        with self._change:
            self._check()
            if self._sink.immediate and self._write_here(line, urgent):
                return
            now = time.monotonic()
            self._waiting.append(_Item(line, urgent, now + (0.0 if urgent else self._linger)))
            self._put += 1
            mine = self._put
            self._change.notify_all()
            if self._sink.immediate:
                self._change.wait_for(lambda: self._done >= mine or self._outage or self._over)
                self._check()

    def _write_here(self, line: bytes, urgent: bool) -> bool:
        """Write without the thread, which is faster; False where the thread has to write it."""
        if self._put != self._done or self._outage:
            return False
        try:
            self._sink.write([line], urgent=urgent)
        except failures():
            return False
        self._put += 1
        self._done += 1
        return True

    def flush(self) -> None:
        """Wait until everything is written and survives the machine.

        Raises:
            RunFolderError: It cannot be.
        """
        if self._sink.immediate:
            self.put(b"", urgent=True)  # what was not urgent before goes with it
        self._wait(None)
        with self._change:
            self._check()

    def close(self) -> None:
        """Flush and end the thread; at the second time there is nothing left to do.

        Raises:
            RunFolderError: Not everything could be written.
        """
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._end()

    def abandon(self, seconds: float) -> None:
        """End the thread, with a storage that fails after so many seconds, and say what is lost."""
        self._wait(seconds)
        self._end()
        lost = self._put - self._done
        if lost:
            say = self._tell or logging.getLogger("supremix").warning
            say(f"the last {lost} events of {self._what} could not be written")

    @property
    def _over(self) -> bool:
        return self._error is not None or self._abandoned

    def _check(self) -> None:
        if self._error is not None:
            raise RunFolderError(self._error)
        if self._closed:
            raise RunFolderError(f"{self._what} is closed. Open it again to append.")

    def _wait(self, seconds: float | None) -> None:
        with self._change:
            self._hurry = True
            self._change.notify_all()
            self._change.wait_for(lambda: self._done >= self._put or self._over, seconds)
            self._hurry = False

    def _end(self) -> None:
        with self._change:
            self._closed = True
            self._abandoned = self._done < self._put
            self._change.notify_all()
        # A request that hangs ends with the process: the thread is a daemon.
        self._thread.join(10.0)

    def _work(self) -> None:
        try:
            while group := self._next():
                self._deliver(group)
        except _Abandoned:
            return
        except RunFolderError as error:
            self._fail(str(error))
        except failures() as error:
            self._fail(explanation(self._what, error))
        finally:
            self._sink.close()

    def _next(self) -> list[_Item]:
        """The lines that are to go together, once it is time; none at the end."""
        with self._change:
            while not self._closed:
                due = min((item.due for item in self._waiting), default=None)
                left = None if due is None else due - time.monotonic()
                if left is not None and (left <= 0 or self._hurry):
                    break
                self._change.wait(left)
            group, self._waiting = self._waiting, []
            return [] if self._abandoned else group

    def _deliver(self, group: list[_Item]) -> None:
        lines, urgent = [item.line for item in group], any(item.urgent for item in group)
        with_retries(
            lambda: self._sink.write(lines, urgent=urgent),
            self._what,
            patience=self._patience,
            tell=self._tell,
            pause=self._pause,
        )
        with self._change:
            self._outage = False
            self._done += len(group)
            self._change.notify_all()

    def _pause(self, seconds: float) -> None:
        with self._change:
            self._outage = True
            self._change.notify_all()
            if self._change.wait_for(lambda: self._abandoned, seconds):
                raise _Abandoned

    def _fail(self, why: str) -> None:
        with self._change:
            self._error = why
            self._change.notify_all()
