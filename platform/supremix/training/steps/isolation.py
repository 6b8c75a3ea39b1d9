"""Isolation of a training from the random state and the threads of its process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def isolated(device: torch.device, threads: int | None) -> Generator[None]:
    """Inside, torch's global generators may be seeded and the thread count is the one given.

    Both are put back at the end. threads=None keeps the process's count.
    """
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(before)
