"""What every loss checks about its batch and settings before it computes anything."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from supremix.losses.common.errors import LossInputError

# Least length of an embedding that is brought to length 1.
_LEAST = 1e-8


def check_batch(embeddings: Tensor, labels: Tensor) -> None:
    """Check shapes and kinds of a batch.

    Args:
        embeddings: floating, ``(M, D)``.
        labels: real, ``(M,)``, on any device.

    Raises:
        LossInputError: the two do not form a batch.
    """
    if embeddings.ndim != 2 or not embeddings.is_floating_point():
        raise LossInputError(
            f"Expected floating embeddings of shape (M, D), found {_describe(embeddings)}. "
            "Flatten the encoder's output to one row per view."
        )
    if labels.shape != embeddings.shape[:1] or labels.is_complex():
        raise LossInputError(
            f"Expected one label per embedding, shape ({len(embeddings)},), found "
            f"{_describe(labels)}. Repeat the labels once per view, in the order of the views."
        )


def check_finite_labels(labels: Tensor) -> None:
    """Raise LossInputError when a label is NaN or infinite; waits for labels on a GPU."""
    bad = int((~torch.isfinite(labels)).sum())
    if bad:
        raise LossInputError(
            f"Expected finite labels, found {bad} of {len(labels)} that are NaN or infinite. "
            "Drop the samples without a label before batching."
        )


def check_pairs(predictions: Tensor, targets: Tensor) -> None:
    """Raise LossInputError unless there is one floating prediction for each target, ``(B,)``."""
    if predictions.ndim != 1 or not predictions.is_floating_point():
        raise LossInputError(
            f"Expected floating predictions of shape (B,), found {_describe(predictions)}. "
            "Drop the last dimension of a head with one output."
        )
    if targets.shape != predictions.shape:
        raise LossInputError(
            f"Expected one target per prediction, shape ({len(predictions)},), found "
            f"{_describe(targets)}. Give both for the same samples."
        )


def check_positive(name: str, value: float) -> None:
    """Raise LossInputError unless ``value`` is a finite number above zero."""
    if not (math.isfinite(value) and value > 0):
        raise LossInputError(
            f"Expected {name} to be finite and above 0, found {value}. Choose a positive {name}."
        )


def check_not_negative(name: str, value: float) -> None:
    """Raise LossInputError unless ``value`` is a number of at least zero (inf is legal)."""
    if math.isnan(value) or value < 0:
        raise LossInputError(
            f"Expected {name} of at least 0, found {value}. Choose 0 or a positive {name}."
        )


def anchor_range(anchors: slice | None, count: int) -> tuple[int, int]:
    """Turn an anchors argument into ``(start, stop)`` with ``0 <= start <= stop <= count``.

    Raises:
        LossInputError: the slice has a step other than 1.
    """
    if anchors is None:
        return 0, count
    start, stop, step = anchors.indices(count)
    if step != 1:
        raise LossInputError(
            f"Expected anchors as a contiguous slice, found step {step}. "
            "Use slice(start, stop); order the batch so that a rank's rows are together."
        )
    return start, max(start, stop)


def checked_labels(
    embeddings: Tensor, labels: Tensor, anchors: slice | None
) -> tuple[Tensor, tuple[int, int]]:
    """Check a batch with its labels, and turn its anchors into ``(start, stop)``.

    Returns:
        The labels on the CPU, where what follows from them alone is computed (from another device
        they are read, and waited for), and the first anchor and the one after the last.

    Raises:
        LossInputError: shapes, kinds or the slice are not legal, or a label is not finite.
    """
    check_batch(embeddings, labels)
    known = labels.detach().cpu()
    check_finite_labels(known)
    return known, anchor_range(anchors, len(known))


@contextmanager
def full_precision(device: torch.device) -> Generator[None]:
    """Switch autocast off: exponentials of similarities over a temperature overflow half types."""
    with torch.autocast(device_type=device.type, enabled=False):
        yield


def nothing(x: Tensor) -> Tensor:
    """Zero, but still a node that backward can start from: there is nothing to learn from."""
    return (x * 0).sum()


def wide(x: Tensor) -> Tensor:
    """X as float32; float64 stays."""
    return x if x.dtype == torch.float64 else x.float()


def prepared(embeddings: Tensor, *, normalize: bool) -> Tensor:
    """Embeddings as float32 (float64 stays), at unit length when ``normalize``.

    A row of zeros stays a row of zeros, its gradient finite.
    """
    exact = wide(embeddings)
    if not normalize:
        return exact
    return cast(Tensor, _UnitLength.apply(exact))


class _UnitLength(torch.autograd.Function):
    """``x / |x|`` of each row, once differentiable: in a third of the launches of autograd."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_(min=_LEAST)
        unit = x / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> Tensor:
        unit, length = ctx.saved_tensors
        along = (grad * unit).sum(1, keepdim=True)
        return torch.addcmul(grad, unit, along, value=-1).div_(length)


def _describe(tensor: Tensor) -> str:
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"
