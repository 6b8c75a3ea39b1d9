"""The Mix-pos part: mixtures of a neighbour below and a neighbour above the anchor's label.

A mixture ``a z_j + (1 - a) z_k`` meets the anchor i in ``a S_ij + (1 - a) S_ik``: the pairs of an
anchor are a rectangle, left run times right run, filled from two rows of the Gram matrix. Chunks
of anchors are done at once, padded to the largest window among them.

Which pairs there are is known from the labels, on the CPU: `plan_pairs` makes `Rectangles`, and
`Samples` of anchors with more pairs than the cap. Everything the loss needs of them are two sums
for each neighbour over its pairs: of the mixing coefficients, and of coefficient times exponential.
Values and gradient both follow from these, so no rectangle outlives its chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.labels import Neighbours

# Elements of a chunk. The CPU's was the fastest of 2^13 to 2^20 at M = 512; the GPU's is a guess,
# made large because there launches are what costs.
_CPU_CHUNK = 1 << 17
_GPU_CHUNK = 1 << 24

# The shifted logit of padding: its exponential is nothing beside 1, but no underflow, which is slow
# on a CPU; and unlike infinity times 0 it makes no NaN.
_NEVER = -80.0
# The label distance of padding above; that of padding below is 0.
_NEAR = 1e-30


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The Mix-pos pairs of some anchors.

    Args:
        rows: ``(C,)`` rows of the anchors among the A; None for all of them, in their order.
        columns: ``(C, n)`` batch rows of the neighbours.
    """

    rows: Tensor | None
    columns: Tensor

    def levels(self, gram: Tensor) -> Tensor:
        """Logits ``(C, n)`` of the neighbours."""
        if self.rows is None:
            return gram.gather(1, self.columns)
        return gram[self.rows.unsqueeze(1), self.columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangles(Pairs):
    """All pairs of some anchors: n are L neighbours below and then R above, some of them padding.

    Args:
        below: L.
        gaps: ``(C, L + R)`` distance in label from the anchor.
        padding: ``(C, L + R)`` bool.
        base: ``(C, L + R)``, and
        factor: ``(C, L + R)``: `base + factor * sum of the coefficients below` is the gradient in
            a neighbour's logit of the mean of all positives' logits, times the anchor's share.
    """

    below: int
    gaps: Tensor
    padding: Tensor
    base: Tensor
    factor: Tensor

    def shares(self) -> Tensor:
        """Mixing coefficient of the neighbour below in every pair ``(C, L, R)``.

        1 where the one below is padding, next to 0 where the one above is.
        """
        low = self.gaps[:, : self.below].unsqueeze(2)
        high = self.gaps[:, self.below :].unsqueeze(1)
        return high / (low + high)

    def sums(self, levels: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Sums over the pairs of each neighbour.

        Args:
            levels: ``(C, L + R)`` what `levels` gave.
            shift: ``(C, 1)`` what is subtracted from logits before their exponentials.

        Returns:
            Coefficients times exponentials, and the gradient in the logits of the mean of the
            positives, ``(C, L + R)``.
        """
        shifted, share = (levels - shift).masked_fill_(self.padding, _NEVER), self.shares()
        high, low = shifted[:, self.below :].unsqueeze(1), shifted[:, : self.below].unsqueeze(2)
        weight = torch.lerp(high, low, share).exp_()
        linear, exponential = torch.empty_like(levels), torch.empty_like(levels)
        torch.sum(share, 2, out=linear[:, : self.below])
        torch.sum(share, 1, out=linear[:, self.below :])
        every = weight.sum(1)
        torch.sum(weight.mul_(share), 2, out=exponential[:, : self.below])
        torch.sub(every, weight.sum(1), out=exponential[:, self.below :])
        return exponential, torch.addcmul(self.base, self.factor, linear)


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples(Pairs):
    """Pairs drawn for anchors with more than the cap: n are those below, then those above.

    Args:
        share: ``(C, cap)`` mixing coefficient of the neighbour below.
        size: ``(C, cap)`` number of pairs that each stands for.
        linear: ``(C, 2 cap)`` as what `Rectangles.sums` returns second.
    """

    share: Tensor
    size: Tensor
    linear: Tensor

    def sums(self, levels: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """As `Rectangles.sums`, estimated from the pairs that were drawn."""
        below, above = (levels - shift).chunk(2, dim=1)
        weight = torch.lerp(above, below, self.share).exp_() * self.size
        low = weight * self.share
        return torch.cat((low, weight - low), dim=1), self.linear


def plan_pairs(
    neighbours: Neighbours,
    rate: Tensor,
    start: int,
    *,
    uniform: Tensor | None = None,
    device: torch.device,
) -> list[Rectangles | Samples]:
    """The Mix-pos pairs of the anchors ``start ... start + A``.

    Args:
        neighbours: The runs of all M, on the CPU.
        rate: ``(A,)`` share of each anchor in the loss over its number of positives.
        start: Batch row of the first anchor.
        uniform: ``(A, cap)`` to choose pairs by where there are more than ``cap``, see `_strata`.
        device: Device of the embeddings, by which chunks are made larger or smaller.
    """
    limit = _GPU_CHUNK if device.type == "cuda" else _CPU_CHUNK
    cap = None if uniform is None else uniform.shape[1]
    full, over = split_anchors(neighbours, start, len(rate), cap)
    chunks = _chunks(neighbours, full, start, limit)
    rectangles = [_rectangles(neighbours, rows, start, rate) for rows in chunks]
    if uniform is None or not len(over):
        return [*rectangles]
    parts = over.split(max(1, limit // uniform.shape[1]))
    return [*rectangles, *(_samples(neighbours, r, start, rate, uniform[r]) for r in parts)]


def split_anchors(
    neighbours: Neighbours, start: int, count: int, cap: int | None
) -> tuple[Tensor, Tensor]:
    """Rows of the anchors to do in full and of those over the cap, in the order of the labels.

    Anchors without a pair are in neither.
    """
    order = neighbours.order
    mine = order[(order >= start) & (order < start + count)]
    pairs = neighbours.pairs[mine]
    rows, pairs = mine[pairs > 0] - start, pairs[pairs > 0]
    if cap is None:
        return rows, rows[:0]
    return rows[pairs <= cap], rows[pairs > cap]


def _chunks(
    neighbours: Neighbours, rows: Tensor, start: int, limit: int
) -> Iterator[Tensor | None]:
    """Cut anchors into runs whose padded rectangles hold ``limit`` pairs (one always fits).

    None stands for all anchors, in the order of the batch.
    """
    if not len(rows):
        return
    left, right = (size[rows + start] for size in neighbours.sizes)
    if limit >= _GPU_CHUNK and len(rows) * int(left.max()) * int(right.max()) <= limit:
        yield None
        return
    first, widest, highest = 0, 0, 0
    sizes = torch.stack((left, right), dim=1).tolist()
    for number, (below, above) in enumerate(sizes):
        widest, highest = max(widest, below), max(highest, above)
        if number > first and (number + 1 - first) * widest * highest > limit:
            yield rows[first:number]
            first, widest, highest = number, below, above
    yield rows[first:]


def _rectangles(
    neighbours: Neighbours, rows: Tensor | None, start: int, rate: Tensor
) -> Rectangles:
    known = torch.arange(len(rate)) if rows is None else rows
    anchors = (known + start).unsqueeze(1)
    sides = [_side(neighbours, run, anchors) for run in (neighbours.left, neighbours.right)]
    (low, low_gaps, no_low), (high, high_gaps, no_high) = sides
    below = low.shape[1]
    rates = rate[known].unsqueeze(1)
    zero = rates.new_zeros(len(known), below)
    kept = rates * ~no_high
    return Rectangles(
        rows=rows,
        columns=torch.cat((low, high), dim=1),
        below=below,
        gaps=torch.cat(
            (low_gaps.masked_fill_(no_low, 0), high_gaps.masked_fill_(no_high, _NEAR)), 1
        ).to(rate.dtype),
        padding=torch.cat((no_low, no_high), dim=1),
        # Of one above the coefficients are 1 less those below, and L those of them, padding too.
        base=torch.cat((zero, kept * -below), dim=1),
        factor=torch.cat((-rates * ~no_low, kept), dim=1),
    )


def _side(neighbours: Neighbours, run: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One side of a chunk: columns, gaps to the anchor's label, and what is padding."""
    first, stop = run[0][anchors], run[1][anchors]
    runs = first + torch.arange(max(1, int((stop - first).max())))
    columns = neighbours.order[torch.minimum(runs, (stop - 1).clamp_(min=0))]
    gaps = (neighbours.values[columns] - neighbours.values[anchors]).abs_()
    return columns, gaps, runs >= stop


def _samples(
    neighbours: Neighbours, rows: Tensor, start: int, rate: Tensor, uniform: Tensor
) -> Samples:
    anchors = (rows + start).unsqueeze(1)
    (below, above), size = _strata(neighbours, anchors, uniform)
    values = neighbours.values
    high = values[above] - values[anchors]
    share = (high / (values[anchors] - values[below] + high)).to(rate.dtype)
    size = size.to(rate.dtype)
    pull = -rate[rows].unsqueeze(1) * size
    return Samples(
        rows=rows,
        columns=torch.cat((below, above), dim=1),
        share=share,
        size=size,
        linear=torch.cat((pull * share, pull * (1 - share)), dim=1),
    )


def _strata(
    neighbours: Neighbours, anchors: Tensor, uniform: Tensor
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Choose pairs of anchors that have more than the cap.

    The pairs of an anchor, counted row by row through its rectangle, are cut into ``cap`` strata
    of (nearly) equal size; one pair is drawn from each and stands for all of its stratum. So no
    pair is drawn twice, and every sum over pairs is estimated without bias.

    Args:
        neighbours: The runs of all M.
        anchors: ``(C, 1)`` batch rows.
        uniform: ``(C, cap)`` within [0, 1).

    Returns:
        Batch rows of the neighbours below and above, and the number of pairs each pair stands
        for, all ``(C, cap)``.
    """
    width, cap = neighbours.sizes[1][anchors], uniform.shape[1]
    edges = torch.arange(cap + 1) * neighbours.pairs[anchors] // cap
    size = edges.diff(dim=1)
    chosen = edges[:, :-1] + torch.minimum((uniform * size).long(), size - 1)
    below = neighbours.order[neighbours.left[0][anchors] + chosen // width]
    above = neighbours.order[neighbours.right[0][anchors] + chosen % width]
    return (below, above), size
