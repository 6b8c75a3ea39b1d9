"""What the labels of a batch alone decide: who is a positive of whom, and the neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def rounding_of(labels: Tensor) -> float:
    """How far, relative to its size, a label may lie from the number it was meant to be.

    A label of 1.15 is 22.999999999999996 bins of 0.05 in floating point. What is this close below
    the edge of a bin is taken to be on it, and a gap this close to the window to be the window.
    """
    exact = labels.dtype == torch.float64 or not labels.is_floating_point()
    return 2 * torch.finfo(torch.float64 if exact else torch.float32).eps


def may_hold(mask: Tensor) -> bool:
    """Whether any of a mask is true; on a GPU, which one would have to wait for, always yes."""
    return mask.is_cuda or bool(mask.any())


def grid_steps(labels: Tensor, label_bin: float) -> Tensor:
    """Which step of the label grid each label falls on, ``(M,)`` float64 whole numbers.

    Args:
        labels: ``(M,)``, finite, in the unit of the task.
        label_bin: width of a bin in the same unit, above 0; step k is
            ``[k * width, (k + 1) * width)``.
    """
    steps = labels.double() / label_bin
    return torch.floor(steps + rounding_of(labels) * steps.abs())


def bin_ids(labels: Tensor, label_bin: float) -> Tensor:
    """Number the bins of the label grid: two labels are "the same" when their ids are equal.

    Args:
        labels: ``(M,)``, finite, in the unit of the task.
        label_bin: width of a bin in the same unit; bins are ``[k * width, (k + 1) * width)``.
            0 means exact equality.

    Returns:
        ``(M,)`` int64 ids from 0, in the order of the labels.
    """
    values = grid_steps(labels, label_bin) if label_bin > 0 else labels.double()
    ordered, order = torch.sort(values)
    rises = torch.ones_like(order)
    rises[:1] = 0
    rises[1:] = ordered[1:] != ordered[:-1]
    return torch.empty_like(order).scatter_(0, order, rises.cumsum(0))


def label_gaps(labels: Tensor, start: int, stop: int) -> Tensor:
    """Distances in label of the anchors from all, ``(A, M)`` float64."""
    values = labels.double()
    return (values[start:stop].unsqueeze(1) - values).abs_()


def positives_of(groups: Tensor, start: int, stop: int) -> Tensor:
    """Who is of an anchor's group and not the anchor itself, ``(A, M)`` bool.

    Args:
        groups: ``(M,)`` int64 number of each row's group, from 0.
        start: batch row of the first anchor.
        stop: batch row after the last anchor.
    """
    same = groups[start:stop].unsqueeze(1) == groups
    same.diagonal(start).fill_(False)
    return same


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The neighbours of every anchor in label, of other bins, as runs of positions in ``order``.

    Args:
        values: ``(M,)`` float64 labels, in the batch's order.
        order: ``(M,)`` batch rows sorted by label.
        left: ``(2, M)`` run ``[start, stop)`` of the labels below the anchor's, within the window.
        right: ``(2, M)`` run of the labels above it.
    """

    values: Tensor
    order: Tensor
    left: Tensor
    right: Tensor

    @property
    def sizes(self) -> tuple[Tensor, Tensor]:
        """Lengths ``(M,)`` of the left and of the right run."""
        return self.left[1] - self.left[0], self.right[1] - self.right[0]

    @property
    def pairs(self) -> Tensor:
        """``(M,)`` number of Mix-pos pairs of every anchor."""
        left, right = self.sizes
        return left * right


def find_neighbours(labels: Tensor, window: float, bins: Tensor) -> Neighbours:
    """Find the runs of labels of other bins strictly within ``window`` of each label.

    The window compares the labels themselves: a mixture of Mix-pos has exactly the anchor's label.

    Args:
        labels: ``(M,)``, finite.
        window: Reach in the unit of the labels.
        bins: ``(M,)`` ids of ``bin_ids``. Both parents of a mixture are negatives of the anchor:
            labels of its own bin are positives, and left out.
    """
    values = labels.double()
    ordered, order = torch.sort(values, stable=True)
    rounding = rounding_of(labels)
    reach = window * (1 - rounding) - rounding * values.abs()
    stop = torch.searchsorted(ordered, values + reach)
    start = torch.searchsorted(ordered, values - reach, right=True)
    sorted_bins = bins[order]
    below = torch.searchsorted(sorted_bins, bins)
    above = torch.searchsorted(sorted_bins, bins, right=True)
    # With an empty window (0) the outer ends pass the inner ones.
    left = torch.stack((torch.minimum(start, below), below))
    right = torch.stack((above, torch.maximum(stop, above)))
    return Neighbours(values=values, order=order, left=left, right=right)
