"""Losses whose gradient is computed along with their value, and the products they share.

Kept for the backward pass is that gradient alone, of the size of what the loss depends on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def closed_form(x: Tensor, solve: Callable[[Tensor, bool], tuple[Tensor, Tensor | None]]) -> Tensor:
    """Make a scalar of ``x`` that can be differentiated once.

    Args:
        x: what the loss depends on.
        solve: ``solve(x, wanted)`` gives the value, and its gradient in x where that is wanted.

    Returns:
        The value; its gradient is linear in the gradient that comes in.
    """
    return _Closed.apply(x, solve)


class _Closed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, solve: Callable[[Tensor, bool], tuple[Tensor, Tensor | None]]
    ) -> Tensor:
        value, gradient = solve(x, ctx.needs_input_grad[0])
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad, None


def scaled_product(
    left: Tensor, right: Tensor, temperature: float, *, out: Tensor | None = None
) -> Tensor:
    """``left @ right / temperature`` in one go (beta = 0 leaves the first argument out)."""
    return torch.addmm(left.new_empty(1), left, right, beta=0, alpha=1 / temperature, out=out)


def to_embeddings(near: Tensor, far: Tensor, z: Tensor, start: int, temperature: float) -> Tensor:
    """Carry a gradient from similarities over to embeddings.

    Args:
        near: ``(A, M)`` gradient in ``z_i . z_j / temperature`` as it reaches the anchor i.
        far: ``(A, M)`` the same as it reaches the other, j.
        z: ``(M, D)`` embeddings.
        start: batch row of the first anchor.
        temperature: what similarities are divided by.

    Returns:
        ``(M, D)``.
    """
    if len(near) == len(z):
        return scaled_product(near + far.T, z, temperature)
    rows = slice(start, start + len(near))
    gradient = scaled_product(far.T, z[rows], temperature)
    gradient[rows] += scaled_product(near, z, temperature)
    return gradient
