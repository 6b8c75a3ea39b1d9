"""Value and gradient of the SupReMix loss in closed form, from the Gram matrix.

With ``S_ij = z_i . z_j / temperature``, real logits are entries of S, Mix-neg logits
``lam S_ii + (1 - lam) S_ik``, Mix-pos logits ``a S_ij + (1 - a) S_ik``. The derivative of an
anchor's loss in a logit is its share of the denominator, less ``1 / |P_i|`` for a positive, so one
pass gives the gradient in S, and one or two products with the embeddings the gradient in z. What
is kept for the backward pass is that gradient, ``(M, D)``, and no matrix of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.closed_form import closed_form, scaled_product, to_embeddings
from supremix.losses.supremix.pairs import Rectangles, Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureContrast:
    """One evaluation of the loss: everything but the embeddings.

    Made of labels on the CPU, and then brought to the device of the embeddings as a whole.

    Args:
        temperature: what similarities are divided by.
        stop_gradient: whether mixtures are constants.
        start: batch row of the first anchor.
        stop: batch row after the last anchor.
        share: ``(A,)`` weight of each anchor's loss; 0 where it has no positive.
        rate: ``(A,)`` the same over the number of its positives.
        target: ``(A, M)`` gradient in the real logits of the mean of the positives' logits, times
            the anchor's share, negative.
        bin: ``(A, M)`` bool, who is of an anchor's bin, itself among them.
        excess: ``(A, M)`` what weights of the real terms of the denominator exceed 1 by or, with
            Mix-neg, ``(A, 2 M)``, of the Mix-neg terms after them; None for weights of 1.
        keep: ``(A, M)`` share of the other in Mix-neg, ``1 - lam``; None without Mix-neg.
        pairs: The pairs of Mix-pos.
    """

    temperature: float
    stop_gradient: bool
    start: int
    stop: int
    share: Tensor
    rate: Tensor
    target: Tensor
    bin: Tensor
    excess: Tensor | None
    keep: Tensor | None
    pairs: list[Rectangles | Samples]


def evaluate(embeddings: Tensor, problem: MixtureContrast) -> Tensor:
    """Sum of the losses of the anchors over the number of all anchors that have a positive."""
    return closed_form(embeddings, lambda z, wanted: _solve(z, problem, wanted=wanted))


def _solve(z: Tensor, problem: MixtureContrast, *, wanted: bool) -> tuple[Tensor, Tensor | None]:
    """The loss and, if wanted, its gradient in z."""
    count = len(z)
    terms = z.new_empty(len(problem.bin), count if problem.keep is None else 2 * count)
    real, hard = terms[:, :count], terms[:, count:]
    scaled_product(z[problem.start : problem.stop], z.T, problem.temperature, out=real)
    own = real.diagonal(problem.start)
    if problem.keep is not None:
        torch.lerp(own.unsqueeze(1), real, problem.keep, out=hard)
        hard.masked_fill_(problem.bin, -torch.inf)
    pull = (real * problem.target).sum()
    levels = [part.levels(real) for part in problem.pairs]
    own.fill_(-torch.inf)
    # The one maximum of an anchor's whole softmax: Mix-pos logits lie between real ones.
    shift = terms.amax(1, keepdim=True)
    terms.sub_(shift).exp_()
    if problem.excess is not None:
        terms.addcmul_(terms, problem.excess)
    denominator = terms.sum(1)
    mixed: list[tuple[Tensor, Tensor]] = []
    for part, level in zip(problem.pairs, levels, strict=True):
        rows = part.rows
        exponential, linear = part.sums(level, shift if rows is None else shift[rows])
        pull += (level * linear).sum()
        _add_rows(denominator, rows, exponential.sum(1))
        mixed.append((exponential, linear))
    logarithm = denominator.log().add_(shift.squeeze(1))
    loss = torch.dot(problem.share, logarithm).add_(pull)
    if not wanted:
        return loss, None
    push = (problem.share / denominator).unsqueeze(1)
    terms.mul_(push)
    real.add_(problem.target)
    mixture = _mixture_gradient(real, hard, mixed, push, problem)
    # Where the gradient stops at a mixture, only the anchor's side is left of it.
    near = real if mixture is None else mixture.add_(real)
    far = real if problem.stop_gradient else near
    return loss, to_embeddings(near, far, z, problem.start, problem.temperature)


def _add_rows(total: Tensor, rows: Tensor | None, values: Tensor) -> None:
    if rows is None:
        total.add_(values)
    else:
        total.index_add_(0, rows, values)


def _mixture_gradient(
    real: Tensor,
    hard: Tensor,
    mixed: list[tuple[Tensor, Tensor]],
    push: Tensor,
    problem: MixtureContrast,
) -> Tensor | None:
    """The gradient of the loss in the similarities that make up mixtures, ``(A, M)``."""
    if problem.keep is None and not mixed:
        return None
    if problem.keep is None:
        total = torch.zeros_like(real)
    else:
        total = hard * problem.keep
        total.diagonal(problem.start).add_(hard.sub_(total).sum(1))
    for part, (exponential, linear) in zip(problem.pairs, mixed, strict=True):
        rows = part.rows
        if rows is None:
            total.scatter_add_(1, part.columns, torch.addcmul(linear, exponential, push))
        else:
            values = torch.addcmul(linear, exponential, push[rows])
            total.index_put_((rows.unsqueeze(1), part.columns), values, accumulate=True)
    return total
