"""Isolation of a training from the random state and the threads of its process."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import deterministic


@contextmanager
def isolated(
    device: torch.device, threads: int | None, *, deterministic: bool = False
) -> Generator[None]:
    """Inside, torch's global generators may be seeded and the thread count is the one given.

    Both are put back at the end.

    Args:
        device: Device that is computed on.
        threads: CPU threads; None keeps the process's count.
        deterministic: Whether a GPU gives the same bits each time; a CPU does anyway. An operation
            for which torch has no such kernel is an error.
    """
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            if deterministic and device.type == "cuda":
                with _same_bits():
                    yield
            else:
                yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _same_bits() -> Generator[None]:
    """Inside, the kernels of CUDA are those that give the same bits each time."""
    # cuBLAS reads it when the process computes its first product.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    known = torch.are_deterministic_algorithms_enabled()
    memory: Any = deterministic  # a module that makes its attributes itself
    filled, chosen = memory.fill_uninitialized_memory, torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    # No memory is read before it is written.
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(known)
        torch.backends.cudnn.benchmark = chosen
        memory.fill_uninitialized_memory = filled
