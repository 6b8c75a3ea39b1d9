"""Groups of worker processes over gloo, for tests that compare them with one process."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from supremix.training import Distributed

_CONTEXT = multiprocessing.get_context("spawn")
_COUNT = itertools.count()
SECONDS = 300.0


class _Member:
    """A process that stays for the next tests: to start it takes longer than most of them."""

    def __init__(self) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def wait(self) -> str:
        """What went wrong with the job that is next to end; empty where all is well."""
        if not self.pipe.poll(SECONDS):
            return f"not done in {SECONDS:g} s"
        try:
            self.pipe.recv()
        except EOFError:
            self.process.join()
            return f"ended with {self.process.exitcode}"
        return ""


_members: list[_Member] = []


def on_workers(world: int, folder: Path, work: Callable[..., Any], *args: Any) -> list[Any]:
    """Run work(collective, *args) on every rank of a new process group; the results by rank."""
    return begin_on_workers(world, folder, work, *args)()


def begin_on_workers(
    world: int, folder: Path, work: Callable[..., Any], *args: Any
) -> Callable[[], list[Any]]:
    """The same beside what the caller does meanwhile; what is returned waits for the results.

    Several may be begun, and are waited for in that order.
    """
    while len(_members) < world:
        _members.append(_Member())
    place, members = folder / f"group{next(_COUNT)}", _members[:world]
    place.mkdir()
    for rank, member in enumerate(members):
        member.pipe.send((rank, world, str(place), work, args))

    def wait() -> list[Any]:
        problems = [problem for member in members if (problem := member.wait())]
        if problems:
            _end()
        assert not problems, problems
        return [torch.load(place / f"rank{rank}", weights_only=True) for rank in range(world)]

    return wait


def _end() -> None:
    """Peers of a worker that failed may wait for it for ever."""
    for member in _members:
        member.process.kill()
        member.process.join()
    _members.clear()


def _serve(pipe: Connection) -> None:
    torch.set_num_threads(1)
    while True:
        try:
            job = pipe.recv()
        except EOFError:  # the tests are over
            return
        _do(*job)  # with an error the process ends, which the others cannot do without
        pipe.send(None)


def _do(rank: int, world: int, place: str, work: Callable[..., Any], args: Any) -> None:
    meeting = f"file://{place}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    try:
        torch.save(work(Distributed(), *args), Path(place) / f"rank{rank}")
    finally:
        dist.destroy_process_group()
