"""The way of tensors to a device: packed into one copy that the host does not wait for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

T = TypeVar("T")

# Of the starts of the packed tensors, for the widest loads of a GPU.
_ALIGNMENT = 64


def to_device(value: T, device: torch.device) -> T:
    """Bring all tensors in a value to a device.

    On CUDA those on the CPU go together, in one copy from pinned memory. It waits for nothing,
    and nothing waits for it but what uses them.

    Args:
        value: A tensor, or tensors in tuples, lists, dictionaries and dataclasses; any depth.
        device: Where they shall be.

    Returns:
        The value with its tensors there; what is no tensor is as it was.
    """
    return packed(value, device)()


def packed(value: T, device: torch.device) -> Callable[[], T]:
    """Do the host's part of `to_device`, which may be done in another thread.

    The pinned memory is of torch's allocator, which keeps what was freed, and gives it away again
    once the copies from it have ended: a few pieces go round.

    Returns:
        A function that brings the value to the device; to be called once, on the device's stream.
    """
    if device.type != "cuda":
        return lambda: cast(T, _each(value, lambda tensor: tensor.to(device)))
    found: list[Tensor] = []
    _each(value, lambda tensor: found.append(tensor) or tensor)
    tensors = [one for one in found if one.device.type == "cpu"]
    if not tensors:
        return lambda: value
    sizes = [tensor.numel() * tensor.element_size() for tensor in tensors]
    steps = [math.ceil(size / _ALIGNMENT) * _ALIGNMENT for size in sizes]
    host = torch.empty(sum(steps), dtype=torch.uint8, pin_memory=True)
    for tensor, part in zip(tensors, _parts(host, tensors, sizes, steps), strict=True):
        part.copy_(tensor)

    def send() -> T:
        moved = iter(_parts(host.to(device, non_blocking=True), tensors, sizes, steps))
        return cast(T, _each(value, lambda t: next(moved) if t.device.type == "cpu" else t))

    return send


def _parts(
    memory: Tensor, tensors: list[Tensor], sizes: list[int], steps: list[int]
) -> list[Tensor]:
    """The parts of packed memory, as the tensors they hold or shall hold."""
    pieces = zip(memory.split(steps), tensors, sizes, strict=True)
    return [piece[:size].view(like.dtype).view(like.shape) for piece, like, size in pieces]


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The value with each of its tensors changed, in a fixed order."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)([_each(item, change) for item in cast("list[Any]", value)])
    if isinstance(value, dict):
        return {key: _each(item, change) for key, item in cast("dict[Any, Any]", value).items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        held = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: _each(held[name], change) for name in held})
    return value
