"""The operations of a group of workers that a training needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


class Collective(Protocol):
    """A group of workers. All members call the same operations in the same order."""

    @property
    def rank(self) -> int:
        """Rank of this worker, 0 <= rank < world."""
        ...

    @property
    def world(self) -> int:
        """Number of workers."""
        ...

    def gather(self, x: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        """All workers' rows in rank order, (Σ n_r, ...), differentiable.

        The gradient of a row is the sum over all workers of its gradients, sent back to the
        worker that owns the row. Sizes (rows of each worker) are exchanged when not given.
        """
        ...

    def sum(self, x: Tensor) -> Tensor:
        """The elementwise sum over the workers; no gradient."""
        ...

    def broadcast(self, value: T) -> T:
        """Rank 0's value, on every worker; any picklable value."""
        ...

    def collect(self, value: T) -> list[T]:
        """Every worker's value, in rank order, on every worker; any picklable value."""
        ...

    def barrier(self) -> None:
        """Return when all workers have arrived."""
        ...


class Solo:
    """A group of one."""

    rank: int = 0
    world: int = 1

    def gather(self, x: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        """X itself."""
        return x

    def sum(self, x: Tensor) -> Tensor:
        """X itself."""
        return x

    def broadcast(self, value: T) -> T:
        """The value itself."""
        return value

    def collect(self, value: T) -> list[T]:
        """The value itself, in a list."""
        return [value]

    def barrier(self) -> None:
        """Nothing to wait for."""


class Distributed:
    """The members of a `torch.distributed` process group, which the caller has initialised.

    Args:
        group: The process group; the default one when None.

    Attributes:
        tensors: The process group that exchanges tensors; None for the default one.
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        if not dist.is_initialized():
            raise RuntimeError(
                "Distributed needs an initialised torch.distributed process group; call "
                "torch.distributed.init_process_group first, or use Solo"
            )
        self.group = self.tensors = group
        self.rank = dist.get_rank(group)
        self.world = dist.get_world_size(group)

    def gather(self, x: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        """All workers' rows in rank order, differentiable."""
        known = tuple(self.collect(len(x)) if sizes is None else sizes)
        return cast(Tensor, _Gather.apply(x, known, self.rank, self.tensors))

    def sum(self, x: Tensor) -> Tensor:
        """The elementwise sum over the workers."""
        total = x.detach().clone()
        dist.all_reduce(total, group=self.tensors)
        return total

    def broadcast(self, value: T) -> T:
        """Rank 0's value on every worker."""
        box: list[Any] = [value]
        source = dist.get_global_rank(self.group, 0) if self.group is not None else 0
        dist.broadcast_object_list(box, src=source, group=self.group)
        return cast(T, box[0])

    def collect(self, value: T) -> list[T]:
        """Every worker's value on every worker."""
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self.group)
        return cast("list[T]", values)

    def barrier(self) -> None:
        """Return when all workers have arrived."""
        dist.barrier(group=self.group)

    def exchange_tensors_over(self, backend: str, *, timeout: timedelta) -> None:
        """Exchange tensors over another backend from now on, all else as before. Collective.

        Args:
            backend: "nccl" for tensors on GPUs.
            timeout: Longest wait for the other workers.
        """
        ranks = None if self.group is None else dist.get_process_group_ranks(self.group)
        self.tensors = dist.new_group(ranks, timeout=timeout, backend=backend)


class _Gather(torch.autograd.Function):
    """Concatenate the workers' rows; backward sums the gradients and keeps the own rows."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, sizes: tuple[int, ...], rank: int, group: dist.ProcessGroup | None
    ) -> Tensor:
        ctx.start, ctx.size, ctx.group = sum(sizes[:rank]), sizes[rank], group
        # Collectives want equal shapes: pad to the longest, cut after.
        padded = x.new_zeros(max(sizes), *x.shape[1:])
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded, group=group)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        total: Tensor = grad_outputs[0].contiguous().clone()
        dist.all_reduce(total, group=ctx.group)
        return total[ctx.start : ctx.start + ctx.size], None, None, None


def share(count: int, rank: int, world: int) -> slice:
    """The rows of `count` that fall to a worker: contiguous, sizes differing by at most one.

    >>> [share(7, rank, 3) for rank in range(3)]
    [slice(0, 3, None), slice(3, 5, None), slice(5, 7, None)]
    """
    base, extra = divmod(count, world)
    start = rank * base + min(rank, extra)
    return slice(start, start + base + (rank < extra))


def shares(count: int, world: int) -> tuple[int, ...]:
    """How many rows fall to each worker."""
    return tuple(s.stop - s.start for s in (share(count, r, world) for r in range(world)))
