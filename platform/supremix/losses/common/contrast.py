"""The contrast that most losses are: a softmax over the others against target shares.

With ``s_ij = z_i . z_j / temperature``, targets t that sum to 1 over the others of an anchor (or
to 0 where it has none), slopes c and offsets b,

    L_i = log sum_{j != i} exp(c_ij s_ij + b_ij) - sum_j t_ij s_ij.

SupCon, SimCLR, y-Aware, exp, AdaCon and ConR differ in t, c and b alone, which depend on labels
and not on embeddings. Time O(M^2 D), memory O(M^2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.checks import nothing
from supremix.losses.common.closed_form import closed_form, scaled_product, to_embeddings
from supremix.losses.common.labels import positives_of
from supremix.losses.common.transfer import to_device


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One evaluation: everything but the embeddings, for A anchors among M rows.

    Args:
        temperature: what similarities are divided by.
        start: batch row of the first anchor.
        target: ``(A, M)`` shares t, 0 for the anchor itself.
        share: ``(A,)`` weight of each anchor's loss; 0 leaves it out.
        slope: ``(A, M)`` factors c of the logits in the softmax; None for 1.
        offset: ``(A, M)`` what is added to them, b; minus infinity leaves one out, but not all
            of a row. None for 0.
    """

    temperature: float
    start: int
    target: Tensor
    share: Tensor
    slope: Tensor | None = None
    offset: Tensor | None = None

    @classmethod
    def of_all(
        cls, z: Tensor, target: Tensor, span: tuple[int, int], temperature: float
    ) -> Contrast:
        """The mean over all anchors, with plain logits in the softmax."""
        share = z.new_full((span[1] - span[0],), 1 / len(z))
        return cls(temperature=temperature, start=span[0], target=target.to(z.dtype), share=share)


def evaluate_contrast(embeddings: Tensor, problem: Contrast) -> Tensor:
    """The weighted sum of the anchors' losses; needs M of at least 2."""
    there = to_device(problem, embeddings.device)
    return closed_form(embeddings, lambda z, wanted: _solve(z, there, wanted))


def _solve(z: Tensor, problem: Contrast, wanted: bool) -> tuple[Tensor, Tensor | None]:
    rows = slice(problem.start, problem.start + len(problem.target))
    logits = scaled_product(z[rows], z.T, problem.temperature)
    pull = (logits * problem.target).sum(1)
    if problem.slope is not None:
        logits.mul_(problem.slope)
    if problem.offset is not None:
        logits.add_(problem.offset)
    logits.diagonal(problem.start).fill_(-torch.inf)
    push = logits.logsumexp(1)
    loss = torch.dot(problem.share, push.sub(pull))
    if not wanted:
        return loss, None
    change = logits.sub_(push.unsqueeze(1)).exp_()
    if problem.slope is not None:
        change.mul_(problem.slope)
    change.sub_(problem.target).mul_(problem.share.unsqueeze(1))
    return loss, to_embeddings(change, change, z, problem.start, problem.temperature)


def group_contrast(
    z: Tensor, groups: Tensor, span: tuple[int, int], temperature: float
) -> Contrast | None:
    """The contrast in which an anchor's positives, all alike, are the others of its group.

    Args:
        z: ``(M, D)`` embeddings, for their type alone.
        groups: ``(M,)`` int64 number of each row's group, from 0, on the CPU.
        span: batch rows ``(start, stop)`` of the anchors.
        temperature: what similarities are divided by.

    Returns:
        The mean over all anchors that have a positive; None when there is none in the batch.
    """
    count = torch.bincount(groups)[groups] - 1
    effective = int((count > 0).sum())
    if effective == 0:
        return None
    own = count[slice(*span)].to(z.dtype)
    same = positives_of(groups, *span)
    return Contrast(
        temperature=temperature,
        start=span[0],
        target=same / own.clamp(min=1).unsqueeze(1),
        share=(own > 0).to(z.dtype) / effective,
    )


def contrast_groups(z: Tensor, groups: Tensor, span: tuple[int, int], temperature: float) -> Tensor:
    """The value of `group_contrast`, 0 where no anchor has a positive."""
    problem = group_contrast(z, groups, span, temperature)
    return nothing(z) if problem is None else evaluate_contrast(z, problem)
