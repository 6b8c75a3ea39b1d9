"""A group of worker processes over gloo, for tests that compare it with one process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from supremix.training import Distributed


def on_workers(world: int, folder: Path, work: Callable[..., Any], *args: Any) -> list[Any]:
    """Run work(collective, *args) on every rank of a new process group; the results by rank."""
    context = multiprocessing.get_context("spawn")
    members = [
        context.Process(target=_member, args=(rank, world, str(folder), work, args))
        for rank in range(world)
    ]
    for member in members:
        member.start()
    for member in members:
        member.join(timeout=180)
        if member.is_alive():
            member.kill()
    assert [member.exitcode for member in members] == [0] * world
    return [torch.load(folder / f"rank{rank}", weights_only=True) for rank in range(world)]


def _member(rank: int, world: int, folder: str, work: Callable[..., Any], args: Any) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    try:
        torch.save(work(Distributed(), *args), Path(folder) / f"rank{rank}")
    finally:
        dist.destroy_process_group()
