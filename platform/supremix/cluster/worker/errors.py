"""The kinds of errors of a training: a lack of memory, and what its process does not survive."""

from __future__ import annotations

import traceback
from pathlib import Path

import torch
from torch.distributed import DistError

from supremix.cluster.messages import WorkerResult
from supremix_datasets import StoreError

# torch's allocator on the CPU has no exception of its own.
_NO_HOST_MEMORY = ("can't allocate memory", "not enough memory")
# Where it is not torch's own allocator that found no memory on the GPU.
_NO_DEVICE_MEMORY = ("out of memory", "alloc_failed", "allocation_failed", "failed to cuda calloc")
_OF_DEVICE = ("cuda", "cublas", "cudnn", "nccl", "cusolver", "cusparse")


class RankZeroError(RuntimeError):
    """What rank 0 failed at on behalf of all ranks, which all raise it; its cause is on rank 0."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, of a GPU or of the machine."""
    return lacks_host_memory(error) or lacks_device_memory(error)


def lacks_host_memory(error: BaseException) -> bool:
    """Whether an error says that the machine had not enough memory."""
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(part in text for part in _NO_HOST_MEMORY)


def lacks_device_memory(error: BaseException) -> bool:
    """Whether an error says that a GPU had not enough memory."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return (
        isinstance(error, RuntimeError)
        and any(part in text for part in _OF_DEVICE)
        and any(part in text for part in _NO_DEVICE_MEMORY)
    )


def ends_process(error: BaseException, device: torch.device | None) -> bool:
    """Whether nothing can be trained in this process any more, after an error.

    So it is where a kernel failed (every later call of CUDA repeats its error), where the
    communication of the group is broken, and where the GPU does not answer.
    """
    if isinstance(error, DistError):
        return True
    if isinstance(error, torch.AcceleratorError) and not lacks_device_memory(error):
        return True
    if device is None or device.type != "cuda":
        return False
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return True
    return False


def failure(error: Exception, *, shared: bool) -> WorkerResult:
    """The result of a request that failed.

    Args:
        error: What was raised.
        shared: Whether other processes use the worker's GPU: then a lack of its memory may pass,
            else it would come again.
    """
    if isinstance(error, RankZeroError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, StoreError):
        what = str(error).partition(". ")[0]
        text = (
            f"the prepared images are gone or cannot be read ({what}), and are prepared again when "
            "it is resumed"
        )
        return WorkerResult(failure=text, cluster_failure=True)
    if not lacks_memory(error):
        return WorkerResult(failure=_reason(error))
    text = f"out of memory: {_reason(error)}"
    may_pass = shared or lacks_host_memory(error)
    return WorkerResult(failure=text, out_of_memory=True, retryable=may_pass)


def _reason(error: Exception) -> str:
    """One line for the tables: the error and where in the code it arose."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    text = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {text} ({where})"
