"""The session that the runs of one driver share: locks, cluster, interrupts, webhook, ledgers."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

from upath import UPath

from supremix.cluster import ray_runtime
from supremix.cluster.interrupts import interrupts
from supremix.errors import SearchInterrupted
from supremix.progress.notify import notified
from supremix.progress.progress import Listener, Progress, messages
from supremix.runs.folder import RunFolder
from supremix.search.spec import SearchSpec
from supremix.storage.locks import Lock, locked
from supremix.storage.paths import is_local
from supremix.tuning.ledger.ledger import Ledger

AT_ONCE = 16
"""Runs that are locked in parallel."""


class SharedSession:
    """Runs that this process has for itself, with a cluster to train them on.

    Args:
        listen: Called with a `Progress` at every step, by one thread at a time.
        locks: Locks of the folders.
        ledgers: Stack that closes the ledgers at the end.
    """

    def __init__(
        self, listen: Listener, locks: Sequence[Lock], ledgers: contextlib.ExitStack
    ) -> None:
        self.listen, self._locks, self._ledgers = listen, locks, ledgers

    def check(self) -> None:
        """Make sure that no other process has taken one of the folders over.

        Raises:
            RunFolderError: One has.
        """
        for lock in self._locks:
            lock.check()

    def ledger(self, run: RunFolder, listen: Listener) -> Ledger:
        """A run's ledger, open until the session ends."""
        return self._ledgers.enter_context(
            Ledger(run.ledger, tell=messages(listen), guard=self.check)
        )


@contextlib.contextmanager
def shared_session(
    folder: UPath,
    runs: Sequence[RunFolder],
    spec: SearchSpec,
    names: str,
    listen: Listener,
    *,
    interrupted: SearchInterrupted | None = None,
) -> Generator[SharedSession]:
    """Lock a folder and runs in it, and connect to the cluster, until the end of the block.

    Args:
        folder: Folder of the run, or of the grid that the runs are part of.
        runs: Runs inside the folder, created.
        spec: Specification of one of them; they share cluster and webhook.
        names: Names of their datasets, for the webhook's messages.
        listen: Called with a `Progress` at every step.
        interrupted: Error to raise on Ctrl-C or SIGTERM; None for a search's.

    Raises:
        RunFolderError: Another process is working on one of the folders.
        SearchInterrupted: Ctrl-C or SIGTERM came; the runs can be resumed.
    """
    try:
        with (
            _locks(folder, runs) as locks,
            ray_runtime(spec.address, wheel=spec.wheel),
            interrupts.handled(),
            notified(spec.webhook, str(folder), names, listen, stall=spec.stall) as tell,
            contextlib.ExitStack() as ledgers,
        ):
            yield SharedSession(_one_at_a_time(tell), locks, ledgers)
    except KeyboardInterrupt as error:
        raise interrupted or SearchInterrupted(str(folder)) from error


@contextlib.contextmanager
def _locks(folder: UPath, runs: Sequence[RunFolder]) -> Generator[list[Lock]]:
    """Lock a folder and its runs; in parallel at a remote address, where each takes seconds."""
    adding = threading.Lock()
    with contextlib.ExitStack() as held:
        folder_lock = held.enter_context(locked(folder))

        def lock(run: RunFolder) -> Lock:
            manager = locked(run.path)
            taken = manager.__enter__()
            with adding:
                held.push(manager)
            return taken

        if is_local(folder):  # a file's lock belongs to the thread that took it
            yield [folder_lock, *map(lock, runs)]
            return
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="lock") as pool:
            locks = list(pool.map(lock, runs))
        yield [folder_lock, *locks]


def named_part(listen: Listener, part: str) -> Listener:
    """A listener that adds the name of the run that a step belongs to."""

    def tell(progress: Progress) -> None:
        listen(dataclasses.replace(progress, part=part))

    return tell


def _one_at_a_time(listen: Listener) -> Listener:
    """Calls a listener from one thread at a time; searches are concluded in several."""
    lock = threading.Lock()

    def tell(progress: Progress) -> None:
        with lock:
            listen(progress)

    return tell
