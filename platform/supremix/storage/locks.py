"""Keeping other processes from a run folder, on a disk or at a remote address."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from filelock import FileLock, Timeout
from upath import UPath

from supremix.errors import RunFolderError
from supremix.storage.paths import (
    Address,
    discard,
    is_local,
    probe,
    read_bytes,
    to_path,
    write_bytes,
)
from supremix.storage.retry import failures, may_pass, storage_errors

LOCK = ".lock"

REFRESH = 3.0
"""Seconds between two signs of life of whoever holds a remote run folder."""

STALE = 15.0
"""Seconds without one after which it counts as dead, as watched on the clock of the one who asks:
the clocks of two machines are never compared."""


class Lock:
    """The lock that `locked` gives: it knows whether the folder is still this process's."""

    def check(self) -> None:
        """Raise where another process has taken the folder over.

        Raises:
            RunFolderError: It has.
        """


class Lease(Lock):
    """An object next to the run that names its holder, and changes as long as the holder lives.

    Args:
        folder: The run folder.
        refresh: Seconds between two signs of life.
        stale: Seconds without one after which a holder counts as dead.
    """

    def __init__(self, folder: UPath, *, refresh: float = REFRESH, stale: float = STALE) -> None:
        self._folder, self._path = folder, folder / LOCK
        self._refresh, self._stale = refresh, stale
        self._me = uuid.uuid4().hex
        self._beats = 0
        self._over = threading.Event()
        self._thief: str | None = None
        self._thread = threading.Thread(target=self._live, name="lease", daemon=True)

    def take(self) -> None:
        """Take the folder, after watching whether its holder, if any, is alive.

        Raises:
            RunFolderError: Another process is at it, or the storage cannot be used.
        """
        with storage_errors(str(self._folder)):
            wait = self._refresh / 3
            found = self._read()
            if found is not None:
                self._watch(found)
                # A holder that was only slow may be writing: it must have seen us before we begin.
                wait = self._refresh
            self._beat()
            time.sleep(wait)  # of several who came at once, the last to write has it
            found = self._read()
            if found is None or found.get("uuid") != self._me:
                raise RunFolderError(_taken(self._folder, found or {}))
        self._thread.start()

    def check(self) -> None:
        """Raise where another process has taken the folder over.

        Raises:
            RunFolderError: It has.
        """
        if self._thief is not None:
            raise RunFolderError(
                f"another process ({self._thief}) has taken over {self._folder}, since this one "
                f"gave no sign of life for {self._stale:.0f} s. Leave the run to that one, or stop "
                "it and go on by --resume."
            )

    def release(self) -> None:
        """Let others have the folder."""
        self._over.set()
        self._thread.join(2 * self._refresh)
        if self._thief is not None:
            return
        try:
            found = self._read()
            if found is not None and found.get("uuid") == self._me:
                discard(self._path)
        except failures() as error:
            # The next one will wait for a sign of life in vain, and take the folder then.
            logging.getLogger("supremix").warning("%s could not be deleted: %s", self._path, error)

    def _watch(self, found: dict[str, Any]) -> None:
        """Wait until the holder counts as dead."""
        began = time.monotonic()
        while time.monotonic() - began < self._stale:
            time.sleep(self._refresh / 3)
            seen = self._read()
            if seen is None:
                return  # it was let go
            if seen != found:
                raise RunFolderError(_taken(self._folder, seen))

    def _live(self) -> None:
        while not self._over.wait(self._refresh):
            try:
                found = self._read()
                if found is not None and found.get("uuid") != self._me:
                    self._thief = _who(found)
                    return
                if not self._over.is_set():
                    self._beat()
            except failures() as error:
                if not may_pass(error):
                    logging.getLogger("supremix").warning("%s: %s", self._path, error)

    def _beat(self) -> None:
        self._beats += 1
        content = {
            "uuid": self._me,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "beat": self._beats,
        }
        write_bytes(self._path, json.dumps(content).encode())

    def _read(self) -> dict[str, Any] | None:
        try:
            return json.loads(read_bytes(self._path))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}


def _who(found: dict[str, Any]) -> str:
    return f"pid {found.get('pid', '?')} on {found.get('host', '?')}"


def _taken(folder: UPath, found: dict[str, Any]) -> str:
    return f"another process ({_who(found)}) is working on {folder}. Wait for it, or stop it first."


@contextmanager
def locked(folder: Address, **times: float) -> Generator[Lock]:
    """Keep other processes from a run folder.

    On a disk that is a lock that goes with the process that holds it, also when that is killed. At
    a remote address it is an object that its holder changes every `REFRESH` seconds; one that has
    not changed for `STALE` seconds is taken over. That the folder can be written to is seen first.

    Args:
        folder: The run folder.
        times: `refresh` and `stale` in s, in place of those, at a remote address.

    Yields:
        The lock; its `check` is what a `Ledger` takes as its guard.

    Raises:
        RunFolderError: Another one is at it, or it cannot be written to.
    """
    path = to_path(folder)
    if not is_local(path):
        lease = Lease(path, **times)
        probe(path)
        lease.take()
        try:
            yield lease
        finally:
            lease.release()
        return
    lock = FileLock(str(path / LOCK), timeout=1)
    with storage_errors(str(path)):
        try:
            lock.acquire()
        except Timeout as error:
            raise RunFolderError(
                f"another process is working on {path}. Wait for it, or stop it first."
            ) from error
    try:
        yield Lock()
    finally:
        lock.release()
