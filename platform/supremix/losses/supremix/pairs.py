"""The Mix-pos part: mixtures of a neighbour below and a neighbour above the anchor's label.

A mixture ``a z_j + (1 - a) z_k`` meets the anchor i in ``a S_ij + (1 - a) S_ik``: the pairs of an
anchor are a rectangle, left run times right run, filled from two rows of the Gram matrix. Chunks
of anchors with alike neighbours are done at once, padded to the largest window among them.

Everything the loss needs of a rectangle is a sum over it: the total of the exponentials, and for
each neighbour the sum of the coefficients (``linear``) and of coefficient times exponential
(``exponential``). Values and gradient both follow from these, so no rectangle outlives its chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from supremix.losses.common.labels import Neighbours

# Elements of a chunk. The CPU's was the fastest of 2^13 to 2^20 at M = 512; the GPU's is a guess,
# made large because there launches are what costs.
_CPU_CHUNK = 1 << 17
_GPU_CHUNK = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPart:
    """Sums over the pairs of some anchors, by neighbour.

    Args:
        rows: ``(C, 1)`` rows of the Gram matrix.
        columns: ``(C, n)`` columns of the neighbours.
        linear: ``(C, n)`` sum of the neighbour's mixing coefficient over its pairs.
        exponential: ``(C, n)`` sum of coefficient times exponential over its pairs.
    """

    rows: Tensor
    columns: Tensor
    linear: Tensor
    exponential: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSums:
    """Sums over the pairs of all anchors: ``(A,)`` of the logits and of their exponentials."""

    logit: Tensor
    exponential: Tensor
    parts: list[PairPart]

    def add(self, part: PairPart, level: Tensor) -> None:
        """Add what one side of a chunk contributes; ``level`` are the neighbours' logits.

        The two coefficients of a pair make 1, so the sides' sums make those of the pairs.
        """
        rows = part.rows.squeeze(1)
        self.exponential.index_add_(0, rows, part.exponential.sum(1))
        self.logit.index_add_(0, rows, (level * part.linear).sum(1))
        self.parts.append(part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a chunk: columns, gaps to the anchor's label, logits, and what is no padding."""

    columns: Tensor
    gap: Tensor
    level: Tensor
    valid: Tensor


def no_pairs(gram: Tensor) -> PairSums:
    """Sums over no pair at all, for the anchors of ``gram``."""
    zero = gram.new_zeros(len(gram))
    return PairSums(logit=zero, exponential=zero.clone(), parts=[])


def pair_sums(
    gram: Tensor, neighbours: Neighbours, start: int, uniform: Tensor | None = None
) -> PairSums:
    """Sum over the Mix-pos pairs of the anchors ``start ... start + A``.

    Args:
        gram: ``(A, M)`` logits of the real samples, less the anchor's shift.
        neighbours: the runs of all M.
        start: batch row of the first anchor.
        uniform: ``(A, cap)`` to choose pairs by where there are more than ``cap``, see ``_sample``.
    """
    sums = no_pairs(gram)
    cap = None if uniform is None else uniform.shape[1]
    limit = chunk_limit(gram)
    full, over = split_anchors(neighbours, start, len(gram), cap)
    for chunk in chunks(full, limit):
        _rectangles(gram, neighbours, start, torch.tensor(chunk, device=gram.device), sums)
    if uniform is not None and over:
        step = max(1, limit // uniform.shape[1])
        for first in range(0, len(over), step):
            rows = torch.tensor(over[first : first + step], device=gram.device)
            _sample(gram, neighbours, start, rows, uniform[rows], sums)
    return sums


def chunk_limit(gram: Tensor) -> int:
    """Pairs to do at once on the device of ``gram``."""
    return _GPU_CHUNK if gram.is_cuda else _CPU_CHUNK


def split_anchors(
    neighbours: Neighbours, start: int, count: int, cap: int | None
) -> tuple[list[tuple[int, int, int]], list[int]]:
    """Anchors to do in full as (row, left, right) in the order of the labels, and those over cap.

    Anchors without a pair are in neither.
    """
    left, right = neighbours.sizes
    sizes = torch.stack((neighbours.order, left[neighbours.order], right[neighbours.order]), dim=1)
    table = cast("list[list[int]]", sizes.tolist())
    full: list[tuple[int, int, int]] = []
    over: list[int] = []
    for anchor, below, above in table:
        row = anchor - start
        if not (0 <= row < count and below and above):
            continue
        if cap is not None and below * above > cap:
            over.append(row)
        else:
            full.append((row, below, above))
    return full, over


def chunks(anchors: list[tuple[int, int, int]], limit: int) -> Iterator[list[int]]:
    """Cut anchors into runs whose padded rectangles hold ``limit`` pairs (one always fits)."""
    rows: list[int] = []
    widest = highest = 0
    for row, below, above in anchors:
        widest, highest = max(widest, below), max(highest, above)
        if rows and (len(rows) + 1) * widest * highest > limit:
            yield rows
            rows, widest, highest = [], below, above
        rows.append(row)
    if rows:
        yield rows


def rectangle_shares(left: Side, right: Side) -> Tensor:
    """The mixing coefficient of the neighbour below in every pair, ``(C, l, r)``.

    A padded neighbour on the left is infinitely far and one on the right at no distance, so that
    the coefficient of a padded pair is 0.
    """
    low = left.gap.masked_fill(~left.valid, torch.inf).unsqueeze(2)
    high = right.gap.masked_fill(~right.valid, 0).unsqueeze(1)
    return high / (low + high)


def _rectangles(
    gram: Tensor, neighbours: Neighbours, start: int, flat: Tensor, sums: PairSums
) -> None:
    """Add every pair of the anchors ``flat``."""
    rows = flat.unsqueeze(1)
    left = side(gram, neighbours, neighbours.left, start, rows)
    right = side(gram, neighbours, neighbours.right, start, rows)
    # Only sums without the coefficient have to leave padding out.
    share = rectangle_shares(left, right)
    weight = torch.lerp(right.level.unsqueeze(1), left.level.unsqueeze(2), share).exp_()
    weight.mul_(left.valid.unsqueeze(2))
    every = weight.sum(1)
    linear = left.valid.sum(1, keepdim=True) - share.sum(1)
    weight.mul_(share)
    below = PairPart(
        rows=rows, columns=left.columns, linear=share.sum(2), exponential=weight.sum(2)
    )
    above = PairPart(
        rows=rows,
        columns=right.columns,
        linear=linear * right.valid,
        exponential=(every - weight.sum(1)) * right.valid,
    )
    sums.add(below, left.level)
    sums.add(above, right.level)


def side(gram: Tensor, neighbours: Neighbours, run: Tensor, start: int, rows: Tensor) -> Side:
    """Gather one side of a chunk, padded by repeating the last neighbour of the run."""
    first, stop = run[0][rows + start], run[1][rows + start]
    runs = first + torch.arange(int((stop - first).max()), device=gram.device)
    columns = neighbours.order[torch.minimum(runs, stop - 1)]
    gap = (neighbours.values[columns] - neighbours.values[rows + start]).abs().to(gram.dtype)
    return Side(columns=columns, gap=gap, level=gram[rows, columns], valid=runs < stop)


def strata(
    neighbours: Neighbours, anchors: Tensor, uniform: Tensor
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Choose pairs of anchors that have more than the cap.

    The pairs of an anchor, counted row by row through its rectangle, are cut into ``cap`` strata
    of (nearly) equal size; one pair is drawn from each and stands for all of its stratum. So no
    pair is drawn twice, and every sum over pairs is estimated without bias.

    Args:
        neighbours: the runs of all M.
        anchors: ``(C, 1)`` batch rows.
        uniform: ``(C, cap)`` within [0, 1).

    Returns:
        Batch rows of the neighbours below and above, and the number of pairs each pair stands
        for, all ``(C, cap)``.
    """
    width, cap = neighbours.sizes[1][anchors], uniform.shape[1]
    edges = torch.arange(cap + 1, device=uniform.device) * neighbours.pairs[anchors] // cap
    size = edges.diff(dim=1)
    chosen = edges[:, :-1] + torch.minimum((uniform * size).long(), size - 1)
    below = neighbours.order[neighbours.left[0][anchors] + chosen // width]
    above = neighbours.order[neighbours.right[0][anchors] + chosen % width]
    return (below, above), size


def share_between(
    neighbours: Neighbours, anchors: Tensor, columns: tuple[Tensor, Tensor]
) -> Tensor:
    """The mixing coefficient of the neighbour below, ``(C, cap)``, float64."""
    values, (below, above) = neighbours.values, columns
    high = values[above] - values[anchors]
    return high / (values[anchors] - values[below] + high)


def _sample(
    gram: Tensor, neighbours: Neighbours, start: int, flat: Tensor, uniform: Tensor, sums: PairSums
) -> None:
    """Estimate the sums of anchors with more pairs than the cap from some, see ``strata``."""
    rows = flat.unsqueeze(1)
    both, size = strata(neighbours, rows + start, uniform)
    share = share_between(neighbours, rows + start, both).to(gram.dtype)
    levels = gram[rows, both[0]], gram[rows, both[1]]
    weight = torch.lerp(levels[1], levels[0], share).exp_() * size
    for columns, part, level in zip(both, (share, 1 - share), levels, strict=True):
        piece = PairPart(rows=rows, columns=columns, linear=part * size, exponential=part * weight)
        sums.add(piece, level)
