"""Rank-N-Contrast (Zha et al. 2023, arXiv 2210.01189) in O(M^2 log M).

For an anchor i and another j, the denominator runs over all k at least as far from i in label as
j is. With the others sorted by that distance, the farthest first, it is a running sum, and so is
what the gradient needs: no triple is ever looked at. Memory O(M^2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.base import ContrastiveLoss, positive
from supremix.losses.common.closed_form import closed_form
from supremix.losses.common.distances import row_distances
from supremix.losses.common.labels import label_gaps, may_hold, rounding_of
from supremix.losses.common.transfer import to_device

# exp of minus this is still a normal float64.
_RANGE = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RnCLoss(ContrastiveLoss):
    """The Rank-N-Contrast loss.

    The mean over all pairs i, j != i of
    ``-log [ exp(-|v_i - v_j| / temperature) / sum_{k != i, d_ik >= d_ij} exp(-|v_i - v_k| /
    temperature) ]``, where d is the distance in label. Distances in label that differ by no more
    than rounding are equal.

    Args:
        temperature: what distances are divided by, above 0.
        normalize: whether embeddings are brought to unit length first; the paper's are not.

    Raises:
        LossInputError: a value is outside what is legal.
    """

    temperature: float = positive(2.0)
    normalize: bool = False

    def _value(self, z: Tensor, labels: Tensor, span: tuple[int, int]) -> Tensor:
        order, same = _by_label_distance(labels, span, z.device)
        return closed_form(
            row_distances(z, *span),
            lambda distance, wanted: _solve(distance, order, same, self.temperature, wanted),
        )


def _solve(
    distance: Tensor, order: Tensor, same: Tensor | None, temperature: float, wanted: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss from the ``(A, M)`` distances of the embeddings, and its gradient in them."""
    level = distance.gather(1, order).double().div_(-temperature)
    denominator = _log_cumsum(level)
    if same is not None:
        # Running sums grow: the one at the end of a run of ties is the least of those to come.
        ends = denominator.masked_fill_(same, torch.inf)
        denominator = ends.flip(1).cummin(1).values.flip(1)
    count = distance.shape[1]
    scale = 1 / (count * (count - 1))
    loss = ((denominator - level).sum() * scale).to(distance.dtype)
    if not wanted:
        return loss, None
    # A k counts in the denominators of all j up to its own distance: a running sum from the near.
    pushed = _log_cumsum(denominator.neg_().flip(1)).flip(1)
    if same is not None:
        starts = pushed[:, 1:].masked_fill_(same[:, :-1], torch.inf)
        pushed = torch.cat((pushed[:, :1], starts), dim=1).cummin(1).values
    change = level.add_(pushed).exp_().sub_(1).mul_(-scale / temperature)
    gradient = torch.zeros_like(distance)
    return loss, gradient.scatter_(1, order, change.to(distance.dtype))


def _by_label_distance(
    labels: Tensor, span: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """Others of each anchor, the farthest first, and whether the next ties: ``(A, M - 1)``."""
    gaps = label_gaps(to_device(labels, device), *span)
    gaps.diagonal(span[0]).fill_(-1)
    gaps, order = gaps.sort(1, descending=True)
    limit = rounding_of(labels) * float(labels.double().abs().max())
    same = gaps[:, :-1] - gaps[:, 1:] <= limit
    # The last of the sorted row is the anchor, and the one before it has no next.
    same[:, -1:] = False
    return order[:, :-1], same if may_hold(same) else None


def _log_cumsum(level: Tensor) -> Tensor:
    """Logarithm of the running sum of exp, along rows of float64."""
    top, low = level.amax(1, keepdim=True), level.amin(1, keepdim=True)
    if not top.is_cuda and bool((top - low < _RANGE).all()):
        # All terms are positive: the plain sum loses nothing, and is many times faster.
        return (level - top).exp_().cumsum_(1).log_().add_(top)
    return level.logcumsumexp(1)
