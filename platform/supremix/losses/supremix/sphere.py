"""The SupReMix loss with mixtures brought to unit length, on autograd.

A mixture ``m = a z_j + (1 - a) z_k`` meets the anchor in ``z_i . m / |m|``, and
``|m|^2 = a^2 S_jj + (1 - a)^2 S_kk + 2 a (1 - a) S_jk`` with S the Gram matrix of the whole batch,
so here too no mixture is built. But the lengths belong to pairs: a rectangle of Mix-pos no longer
falls apart into sums over its sides, and its logits may exceed all real ones. Chunks of anchors
are done one at a time, in the backward pass again: memory is O(M^2) plus a chunk, time three
times that of mixtures as they are at M = 512, six times at 2048.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from supremix.losses.supremix.gram import MixtureContrast
from supremix.losses.supremix.pairs import Rectangles, Samples

# Least square of a length: below it, a mixture of opposite ends is rounding.
_LEAST = 1e-12


def evaluate_on_sphere(z: Tensor, problem: MixtureContrast) -> Tensor:
    """Sum of the losses of the anchors over the number of all anchors that have a positive."""
    rows = slice(problem.start, problem.stop)
    fixed = z.detach() if problem.stop_gradient else z
    gram = fixed @ fixed.T
    meets = z[rows] @ fixed.T
    real = z[rows] @ z.T / problem.temperature
    own = torch.zeros_like(problem.bin)
    own.diagonal(problem.start).fill_(True)
    terms = real.masked_fill(own, -torch.inf)
    if problem.keep is not None:
        hard = _hard(meets, gram, problem.keep, problem).masked_fill(problem.bin, -torch.inf)
        terms = torch.cat((terms, hard), dim=1)
    if problem.excess is not None:
        terms = terms + problem.excess.log1p()
    push = terms.logsumexp(1)
    loss = (real * problem.target).sum()
    if problem.pairs:
        mixed, level = _mixed(meets, gram, problem)
        push = torch.logaddexp(push, mixed)
        loss = loss - (problem.rate * level).sum()
    return loss + (problem.share * push).sum()


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


def _mixed(meets: Tensor, gram: Tensor, problem: MixtureContrast) -> tuple[Tensor, Tensor]:
    """Of the Mix-pos logits of each anchor: logarithm of the sum of exp, and sum; ``(A,)``."""
    total = meets.new_full((len(meets),), -torch.inf)
    level = meets.new_zeros(len(meets))
    for part in problem.pairs:
        work: Callable[..., tuple[Tensor, Tensor]] = (
            _rectangle if isinstance(part, Rectangles) else _chosen
        )
        answer = checkpoint(
            work,
            meets,
            gram,
            part,
            problem.temperature,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        sums = cast("tuple[Tensor, Tensor]", answer)
        if part.rows is None:
            total, level = sums
        else:
            total = total.index_copy(0, part.rows, sums[0])
            level = level.index_copy(0, part.rows, sums[1])
    return total, level


def _rectangle(
    meets: Tensor, gram: Tensor, part: Rectangles, temperature: float
) -> tuple[Tensor, Tensor]:
    """Both sums over all pairs of some anchors."""
    low, high = part.columns[:, : part.below], part.columns[:, part.below :]
    below, above, share = low.unsqueeze(2), high.unsqueeze(1), part.shares()
    levels, squares = part.levels(meets), gram.diagonal()
    length = _length(share, squares[below], squares[above], gram[below, above])
    logit = torch.lerp(
        levels[:, part.below :].unsqueeze(1), levels[:, : part.below].unsqueeze(2), share
    )
    logit = logit / (length * temperature)
    padding = part.padding
    padded = padding[:, : part.below].unsqueeze(2) | padding[:, part.below :].unsqueeze(1)
    total = logit.masked_fill(padded, -torch.inf).flatten(1).logsumexp(1)
    return total, logit.masked_fill(padded, 0).sum((1, 2))


def _chosen(
    meets: Tensor, gram: Tensor, part: Samples, temperature: float
) -> tuple[Tensor, Tensor]:
    """Both sums over the pairs of some anchors, estimated from those drawn."""
    below, above = part.columns.chunk(2, dim=1)
    squares = gram.diagonal()
    length = _length(part.share, squares[below], squares[above], gram[below, above])
    level_below, level_above = part.levels(meets).chunk(2, dim=1)
    logit = torch.lerp(level_above, level_below, part.share) / (length * temperature)
    return (logit + part.size.log()).logsumexp(1), (logit * part.size).sum(1)
