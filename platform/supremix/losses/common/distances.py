"""Euclidean distances between rows, as exact as subtracting them and as fast as a product.

``|a - b|^2 = |a|^2 + |b|^2 - 2 a.b`` cancels where a is close to b. So it is computed in float64
and after subtracting the mean row, which leaves distances as they are. The gradient of a distance
of 0 is taken to be 0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Squares this small beside the lengths they are the difference of are rounding.
_ROUNDING = 16 * torch.finfo(torch.float64).eps


def row_distances(x: Tensor, start: int, stop: int) -> Tensor:
    """Distances of some rows from all.

    Args:
        x: ``(M, D)`` floating.
        start: first of the rows.
        stop: row after the last.

    Returns:
        ``(stop - start, M)`` in the type of x; it can be differentiated once.
    """
    return _Distances.apply(x, start, stop)


class _Distances(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, start: int, stop: int) -> Tensor:
        wide = _centred(x)
        length = wide.square().sum(1)
        bound = length[start:stop].unsqueeze(1) + length
        square = torch.addmm(bound, wide[start:stop], wide.T, alpha=-2)
        square.masked_fill_(square <= bound.mul_(_ROUNDING), 0)
        distance = square.sqrt_().to(x.dtype)
        ctx.save_for_backward(x, distance)
        ctx.span = start, stop
        return distance

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor, None, None]:
        x, distance = ctx.saved_tensors
        rows = slice(*ctx.span)
        wide = _centred(x)
        rate = grad.double() / distance.double().masked_fill(distance == 0, torch.inf)
        gradient = rate.sum(0).unsqueeze(1) * wide - rate.T @ wide[rows]
        gradient[rows] += rate.sum(1).unsqueeze(1) * wide[rows] - rate @ wide
        return gradient.to(x.dtype), None, None


def _centred(x: Tensor) -> Tensor:
    wide = x.double()
    return wide - wide.mean(0)
