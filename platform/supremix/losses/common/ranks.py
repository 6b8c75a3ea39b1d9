"""Ranks within rows, ties at their mean rank."""

from __future__ import annotations

import torch
from torch import Tensor

from supremix.losses.common.labels import may_hold


def row_ranks(values: Tensor, tolerance: float = 0.0) -> Tensor:
    """Rank of every element in its row, as a share of the row's length.

    The largest has rank 1/n, the smallest 1; equal elements share the mean of their ranks.

    Args:
        values: ``(A, n)``.
        tolerance: neighbours that differ by no more than this are equal.

    Returns:
        ``(A, n)`` in the type of the values, within (0, 1].
    """
    count = values.shape[1]
    ordered, order = values.sort(1, descending=True)
    rank = torch.arange(1, count + 1, device=values.device).expand_as(order)
    same = ordered[:, :-1] - ordered[:, 1:] <= tolerance
    if may_hold(same):
        first = rank.clone()
        first[:, 1:].masked_fill_(same, 0)
        last = rank.clone()
        last[:, :-1].masked_fill_(same, count)
        rank = (first.cummax(1).values + last.flip(1).cummin(1).values.flip(1)) / 2
    return torch.empty_like(values).scatter_(1, order, rank.to(values.dtype) / count)
