"""The liveness of a run: whether a driver is running in its folder, seen without disturbing it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable
from pathlib import Path

from supremix.storage.locks import LOCK, REFRESH, STALE
from supremix.storage.paths import Address, is_local, read_bytes, to_path
from supremix.storage.retry import storage_errors


class Liveness:
    """Looks whether a run folder is held, time and again.

    On a disk the lock itself is asked, in the shared form, so that those who look on do not see
    each other. At a remote address it is the sign of life that tells: the first look waits until
    it has changed, or has not for as long as its holder would count as dead.

    Args:
        folder: The run folder.
        stale: Seconds without a sign of life after which a remote holder counts as dead.
        clock: Seconds that go by.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        folder: Address,
        *,
        stale: float = STALE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = to_path(folder) / LOCK
        self._stale, self._clock, self._sleep = stale, clock, sleep
        self._sign: bytes | None = None
        self._alive = False
        self._since = 0.0

    def look(self) -> bool:
        """Whether the folder is held now.

        Raises:
            RunFolderError: The storage cannot be read.
        """
        if is_local(self._path):
            return _is_locked(Path(str(self._path)))
        with storage_errors(str(self._path)):
            first = self._sign is None
            self._read()
            while first and self._sign is not None and not self._alive and not self._silent():
                self._sleep(REFRESH / 6)
                self._read()
        return self._alive

    def _silent(self) -> bool:
        return self._clock() - self._since >= self._stale

    def _read(self) -> None:
        try:
            sign = read_bytes(self._path)
        except FileNotFoundError:  # nobody is there, or it was let go
            self._sign, self._alive = None, False
            return
        if sign != self._sign:
            # A change is a sign of life; the first thing that is found may be a dead one's.
            self._alive = self._sign is not None
            self._sign, self._since = sign, self._clock()
        elif self._silent():
            self._alive = False


def _is_locked(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
