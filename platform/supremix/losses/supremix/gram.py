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
from supremix.losses.common.labels import Neighbours
from supremix.losses.supremix.pairs import PairSums, no_pairs, pair_sums


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureContrast:
    """One evaluation of the loss: everything but the embeddings.

    Args:
        temperature: what similarities are divided by.
        label_scale: unit of label distance in the weights; None for weights of 1.
        stop_gradient: whether mixtures are constants.
        bins: ``(M,)`` bin of every label.
        positives: ``(M,)`` number of positives of each, real and mixed.
        effective: how many of the M have a positive, at least 1.
        neighbours: Label neighbours of all M; None without Mix-pos.
        uniform: ``(A, cap)`` by which pairs beyond the cap are chosen; None for all pairs.
        keep: ``(A, M)`` share of the other in Mix-neg, ``1 - lam``; None without Mix-neg.
        values: ``(M,)`` float64 labels.
        start: batch row of the first anchor.
        stop: batch row after the last anchor.
    """

    temperature: float
    label_scale: float | None
    stop_gradient: bool
    bins: Tensor
    positives: Tensor
    effective: int
    neighbours: Neighbours | None
    uniform: Tensor | None
    keep: Tensor | None
    values: Tensor
    start: int
    stop: int


def evaluate(embeddings: Tensor, problem: MixtureContrast) -> Tensor:
    """Sum of the losses of the anchors over the number of all anchors that have a positive."""
    return closed_form(embeddings, lambda z, wanted: _solve(z, problem, wanted=wanted))


def _solve(z: Tensor, problem: MixtureContrast, *, wanted: bool) -> tuple[Tensor, Tensor | None]:
    """The loss and, if wanted, its gradient in z."""
    rows = slice(problem.start, problem.stop)
    real = scaled_product(z[rows], z.T, problem.temperature)
    same = problem.bins[rows].unsqueeze(1) == problem.bins
    hard = _shifted(real, same, problem)
    same.diagonal(problem.start).fill_(False)
    pull = torch.where(same, real, 0).sum(1)
    mixed = no_pairs(real)
    if problem.neighbours is not None:
        mixed = pair_sums(real, problem.neighbours, problem.start, problem.uniform)
    real.exp_()
    _weigh(real, hard, same, problem)
    denominator = real.sum(1) + mixed.exponential
    if hard is not None:
        denominator += hard.sum(1)
    count = problem.positives[rows].to(z.dtype)
    share = (count > 0).to(z.dtype) / problem.effective
    count.clamp_(min=1)
    loss = (share * (denominator.log() - (pull + mixed.logit) / count)).sum()
    if not wanted:
        return loss, None
    push, pull = share / denominator, share / count
    real.mul_(push.unsqueeze(1)).addcmul_(same.to(z.dtype), pull.unsqueeze(1), value=-1)
    mixture = _mixture_gradient(real, hard, mixed, push, pull, problem)
    # Where the gradient stops at a mixture, only the anchor's side is left of it.
    near = real if mixture is None else real + mixture
    far = real if problem.stop_gradient else near
    return loss, to_embeddings(near, far, z, problem.start, problem.temperature)


def _shifted(real: Tensor, same: Tensor, problem: MixtureContrast) -> Tensor | None:
    """Subtract from all logits of an anchor, in place, the one maximum of its whole softmax.

    Mix-pos logits lie between real ones, so the maximum is among the real and Mix-neg logits.
    Excluded entries, the anchor itself and Mix-neg of its positives, become minus infinity.
    Returns the ``(A, M)`` Mix-neg logits, None without Mix-neg.
    """
    hard = None
    own = real.diagonal(problem.start)
    if problem.keep is not None:
        hard = torch.lerp(own.unsqueeze(1), real, problem.keep).masked_fill_(same, -torch.inf)
    own.fill_(-torch.inf)
    shift = real.amax(1, keepdim=True)
    if hard is not None:
        shift = torch.maximum(shift, hard.amax(1, keepdim=True))
        hard.sub_(shift)
    real.sub_(shift)
    return hard


def _weigh(real: Tensor, hard: Tensor | None, same: Tensor, problem: MixtureContrast) -> None:
    """Distance magnifying and exp of the Mix-neg logits, in place."""
    if hard is not None:
        hard.exp_()
    if problem.label_scale is None:
        return
    rows = slice(problem.start, problem.stop)
    labels = (problem.values / problem.label_scale).to(real.dtype)
    distance = (labels[rows].unsqueeze(1) - labels).abs_().masked_fill_(same, 0)
    real.addcmul_(real, distance)
    if hard is not None and problem.keep is not None:
        hard.addcmul_(hard, distance.mul_(problem.keep))


def _mixture_gradient(
    real: Tensor,
    hard: Tensor | None,
    mixed: PairSums,
    push: Tensor,
    pull: Tensor,
    problem: MixtureContrast,
) -> Tensor | None:
    """The gradient of the loss in the similarities that make up mixtures, ``(A, M)``."""
    if hard is None and not mixed.parts:
        return None
    if hard is None or problem.keep is None:
        total = torch.zeros_like(real)
    else:
        hard.mul_(push.unsqueeze(1))
        whole = hard.sum(1)
        total = hard.mul_(problem.keep)
        total.diagonal(problem.start).add_(whole - total.sum(1))
    for part in mixed.parts:
        values = part.exponential * push[part.rows] - part.linear * pull[part.rows]
        total.index_put_((part.rows, part.columns), values, accumulate=True)
    return total
