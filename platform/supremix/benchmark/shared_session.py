"""What a driver holds while it works on several runs in one folder."""

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
from supremix.progress.progress import Listener, Progress
from supremix.runs.folder import RunFolder
from supremix.runs.grids import BENCHMARK
from supremix.search.driver import telling
from supremix.search.spec import SearchSpec
from supremix.storage.locks import Lock, locked
from supremix.storage.paths import is_local
from supremix.tuning.ledger.ledger import Ledger

AT_ONCE = 16
"""Runs that are locked beside each other."""


class SharedSession:
    """Several runs that one driver has for itself.

    Args:
        listen: Told of every step, by one thread at a time.
        locks: Of the folder and of the runs.
        ledgers: What closes the ledgers at the end.
    """

    def __init__(
        self, listen: Listener, locks: Sequence[Lock], ledgers: contextlib.ExitStack
    ) -> None:
        self.listen, self._locks, self._ledgers = listen, locks, ledgers

    def check(self) -> None:
        """Make sure that no other process has taken one of the runs over.

        Raises:
            RunFolderError: One has.
        """
        for lock in self._locks:
            lock.check()

    def ledger(self, run: RunFolder, listen: Listener) -> Ledger:
        """A run's ledger, open until the work is over."""
        return self._ledgers.enter_context(
            Ledger(run.ledger, tell=telling(listen), guard=self.check)
        )


@contextlib.contextmanager
def together(
    folder: UPath,
    runs: Sequence[RunFolder],
    spec: SearchSpec,
    names: str,
    listen: Listener,
) -> Generator[SharedSession]:
    """Hold several runs, the cluster, and the ear of who listens, for the time of the block.

    Args:
        folder: Of the whole.
        runs: In it, created.
        spec: Of one of them; they have the same machine and webhook.
        names: What they are, for people.
        listen: Told of every step.

    Raises:
        SearchInterrupted: Ctrl-C or SIGTERM came; the runs can be gone on with.
    """
    try:
        with (
            contextlib.ExitStack() as held,
            ray_runtime(spec.address, wheel=spec.wheel),
            interrupts.handled(),
            notified(spec.webhook, str(folder), names, listen, stall=spec.stall) as told,
            contextlib.ExitStack() as ledgers,
        ):
            whole = held.enter_context(locked(folder))
            yield SharedSession(_one_at_a_time(told), [whole, *_locks(runs, held)], ledgers)
    except KeyboardInterrupt as error:
        command = "benchmark" if BENCHMARK.is_in(folder) else "search"
        raise SearchInterrupted(str(folder), command) from error


def _locks(runs: Sequence[RunFolder], held: contextlib.ExitStack) -> list[Lock]:
    """Lock the runs; beside each other at a remote address, where each takes seconds.

    Raises:
        RunFolderError: Another process is at work in one of them; the others are let go.
    """
    if all(is_local(run.path) for run in runs):
        return [held.enter_context(locked(run.path)) for run in runs]
    adding = threading.Lock()

    def lock(run: RunFolder) -> Lock:
        manager = locked(run.path)
        taken = manager.__enter__()
        with adding:
            held.push(manager)
        return taken

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="lock") as pool:
        return list(pool.map(lock, runs))


def part_of(listen: Listener, part: str) -> Listener:
    """A listener that names the run which a step belongs to."""

    def tell(progress: Progress) -> None:
        listen(dataclasses.replace(progress, part=part))

    return tell


def _one_at_a_time(listen: Listener) -> Listener:
    """Searches are concluded in threads; who listens need not know."""
    lock = threading.Lock()

    def tell(progress: Progress) -> None:
        with lock:
            listen(progress)

    return tell
