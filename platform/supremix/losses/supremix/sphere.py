"""The SupReMix loss with mixtures brought to unit length, on autograd.

A mixture ``m = a z_j + (1 - a) z_k`` meets the anchor in ``z_i . m / |m|``, and
``|m|^2 = a^2 S_jj + (1 - a)^2 S_kk + 2 a (1 - a) S_jk`` with S the Gram matrix of the whole batch,
so here too no mixture is built. But the lengths belong to pairs: a rectangle of Mix-pos no longer
falls apart into sums over its sides, and its logits may exceed all real ones. Chunks of anchors
are done one at a time, in the backward pass again: memory is O(M^2) plus a chunk, time three
times that of mixtures as they are at M = 512, six times at 2048.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from supremix.losses.common.labels import Neighbours, positives_of
from supremix.losses.supremix.gram import MixtureContrast
from supremix.losses.supremix.pairs import (
    chunk_limit,
    chunks,
    rectangle_shares,
    share_between,
    side,
    split_anchors,
    strata,
)

# Least square of a length: below it, a mixture of opposite ends is rounding.
_LEAST = 1e-12


def evaluate_on_sphere(z: Tensor, problem: MixtureContrast) -> Tensor:
    """Sum of the losses of the anchors over the number of all anchors that have a positive."""
    rows = slice(problem.start, problem.stop)
    fixed = z.detach() if problem.stop_gradient else z
    gram = fixed @ fixed.T
    meets = z[rows] @ fixed.T
    same = positives_of(problem.bins, problem.start, problem.stop)
    own = torch.zeros_like(same)
    own.diagonal(problem.start).fill_(True)
    distance = _distance(problem, z).masked_fill_(same, 0)
    real = z[rows] @ z.T / problem.temperature
    pull = real.masked_fill(~same, 0).sum(1)
    push = (real + distance.log1p()).masked_fill(own, -torch.inf).logsumexp(1)
    if problem.keep is not None:
        hard = _hard(meets, gram, problem.keep, problem)
        hard = hard + (problem.keep * distance).log1p()
        # An anchor all of whose others are positives has no Mix-neg.
        hard = torch.cat((hard.masked_fill(same | own, -torch.inf), push.unsqueeze(1)), dim=1)
        push = hard.logsumexp(1)
    if problem.neighbours is not None:
        mixed, level = _mixed(meets, gram, problem.neighbours, problem)
        pull, push = pull + level, torch.logaddexp(push, mixed)
    count = problem.positives[rows].to(z.dtype)
    share = (count > 0).to(z.dtype) / problem.effective
    return (share * (push - pull / count.clamp(min=1))).sum()


def _distance(problem: MixtureContrast, z: Tensor) -> Tensor:
    """What weights exceed 1 by, ``(A, M)``."""
    rows = slice(problem.start, problem.stop)
    if problem.label_scale is None:
        return z.new_zeros(problem.stop - problem.start, len(z))
    labels = (problem.values / problem.label_scale).to(z.dtype)
    return (labels[rows].unsqueeze(1) - labels).abs_()


def _length(share: Tensor, one: Tensor, other: Tensor, between: Tensor) -> Tensor:
    """|share z_one + (1 - share) z_other| from squared lengths and product of the two."""
    rest = 1 - share
    square = share.square() * one + rest.square() * other + 2 * share * rest * between
    return square.clamp(min=_LEAST).sqrt()


def _hard(meets: Tensor, gram: Tensor, keep: Tensor, problem: MixtureContrast) -> Tensor:
    """Mix-neg logits ``(A, M)``."""
    rows = slice(problem.start, problem.stop)
    squares = gram.diagonal()
    length = _length(1 - keep, squares[rows].unsqueeze(1), squares, gram[rows])
    own = meets.diagonal(problem.start).unsqueeze(1)
    return torch.lerp(own, meets, keep) / (length * problem.temperature)


def _mixed(
    meets: Tensor, gram: Tensor, neighbours: Neighbours, problem: MixtureContrast
) -> tuple[Tensor, Tensor]:
    """Of the Mix-pos logits of each anchor: logarithm of the sum of exp, and sum; ``(A,)``."""
    uniform, limit = problem.uniform, chunk_limit(meets)
    cap = None if uniform is None else uniform.shape[1]
    full, over = split_anchors(neighbours, problem.start, len(meets), cap)
    works = [(rows, _rectangle) for rows in chunks(full, limit)]
    step = max(1, limit // (cap or 1))
    works += [(over[i : i + step], _chosen) for i in range(0, len(over), step)]
    total = meets.new_full((len(meets),), -torch.inf)
    level = meets.new_zeros(len(meets))
    for rows, work in works:
        flat = torch.tensor(rows, device=meets.device)
        answer = checkpoint(
            work,
            meets,
            gram,
            neighbours,
            problem,
            flat,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        part = cast("tuple[Tensor, Tensor]", answer)
        total = total.index_copy(0, flat, part[0])
        level = level.index_copy(0, flat, part[1])
    return total, level


def _rectangle(
    meets: Tensor, gram: Tensor, neighbours: Neighbours, problem: MixtureContrast, flat: Tensor
) -> tuple[Tensor, Tensor]:
    """Both sums over all pairs of the anchors ``flat``."""
    rows = flat.unsqueeze(1)
    left = side(meets, neighbours, neighbours.left, problem.start, rows)
    right = side(meets, neighbours, neighbours.right, problem.start, rows)
    share = rectangle_shares(left, right)
    below, above = left.columns.unsqueeze(2), right.columns.unsqueeze(1)
    squares = gram.diagonal()
    length = _length(share, squares[below], squares[above], gram[below, above])
    logit = torch.lerp(right.level.unsqueeze(1), left.level.unsqueeze(2), share)
    logit = logit / (length * problem.temperature)
    padded = ~(left.valid.unsqueeze(2) & right.valid.unsqueeze(1))
    total = logit.masked_fill(padded, -torch.inf).flatten(1).logsumexp(1)
    return total, logit.masked_fill(padded, 0).sum((1, 2))


def _chosen(
    meets: Tensor, gram: Tensor, neighbours: Neighbours, problem: MixtureContrast, flat: Tensor
) -> tuple[Tensor, Tensor]:
    """Both sums over the pairs of the anchors ``flat``, estimated from those chosen."""
    rows = flat.unsqueeze(1)
    anchors = rows + problem.start
    uniform = cast("Tensor", problem.uniform)[flat]
    (below, above), size = strata(neighbours, anchors, uniform)
    share = share_between(neighbours, anchors, (below, above)).to(meets.dtype)
    squares = gram.diagonal()
    length = _length(share, squares[below], squares[above], gram[below, above])
    logit = torch.lerp(meets[rows, above], meets[rows, below], share)
    logit = logit / (length * problem.temperature)
    weight = size.to(logit.dtype)
    return (logit + weight.log()).logsumexp(1), (logit * weight).sum(1)
