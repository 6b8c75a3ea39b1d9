"""RankSim (Gong et al. 2022, arXiv 2205.15236): neighbours in label are neighbours in feature.

Ranks are piecewise constant; their gradient is had by blackbox differentiation (Vlastelica et al.
2020, arXiv 1912.02175): with g the gradient in the ranks of a, that in a is
``-(rank(a) - rank(a + lam g)) / lam``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.checks import (
    check_positive,
    checked_span,
    full_precision,
    nothing,
    prepared,
)
from supremix.losses.common.closed_form import closed_form, scaled_product, to_embeddings
from supremix.losses.common.labels import label_gaps, rounding_of
from supremix.losses.common.ranks import row_ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSimLoss:
    """The RankSim regulariser, to be added to a regression loss.

    For every anchor ``L_i = gamma * mean_j (rank_j(-|y_i - y_j|) - rank_j(cos(v_i, v_j)))^2``,
    ranks as shares of the number of samples, equal ones at their mean rank; then the mean over
    anchors (the paper sums), so that gamma does not depend on the size of the batch. The
    perturbation behind the gradient is that of an anchor's own loss, gamma included; scaling the
    result afterwards scales the gradient and nothing else.

    Args:
        gamma: weight, above 0.
        lam: strength of the interpolation of the ranks, above 0: small follows single swaps of
            neighbours, large smooths. ``gamma * lam`` decides how far the perturbation reaches.

    Raises:
        LossInputError: a value is outside what is legal.
    """

    gamma: float = 100.0
    lam: float = 2.0

    def __post_init__(self) -> None:
        check_positive("gamma", self.gamma)
        check_positive("lam", self.lam)

    def __call__(
        self,
        features: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        anchors: slice | None = None,
    ) -> Tensor:
        """Compute the loss of a batch, as ``ranksim_loss``; nothing is drawn."""
        span = checked_span(features, labels, anchors)
        with full_precision(features.device):
            z = prepared(features, normalize=True)
            if len(z) < 2:
                return nothing(z)
            limit = 2 * rounding_of(labels) * float(labels.double().abs().max())
            wanted_ranks = row_ranks(-label_gaps(labels.detach(), *span), limit).to(z.dtype)
            return closed_form(z, lambda x, wanted: self._solve(x, wanted_ranks, span[0], wanted))

    def _solve(
        self, z: Tensor, target: Tensor, start: int, wanted: bool
    ) -> tuple[Tensor, Tensor | None]:
        rows, count = slice(start, start + len(target)), len(z)
        cosine = scaled_product(z[rows], z.T, 1.0)
        ranks = row_ranks(cosine)
        error = ranks - target
        # Even NaN has a rank: without the second term it would go unseen.
        loss = error.square().sum() * (self.gamma / count**2) + 0 * cosine.sum()
        if not wanted:
            return loss, None
        moved = cosine.add_(error, alpha=self.lam * self.gamma * 2 / count)
        change = row_ranks(moved).sub_(ranks).div_(self.lam * count)
        return loss, to_embeddings(change, change, z, start, 1.0)


def ranksim_loss(
    features: Tensor,
    labels: Tensor,
    *,
    gamma: float = 100.0,
    lam: float = 2.0,
    anchors: slice | None = None,
) -> Tensor:
    """Compute the RankSim regulariser of a batch.

    Args:
        features: ``(M, D)`` floating, what the head of the network sees.
        labels: ``(M,)`` real, in any unit: only the order of their distances counts.
        gamma: see ``RankSimLoss`` for this and the other setting.
        lam: strength of the interpolation.
        anchors: only these rows are anchors, against all M; the values of slices that cover the
            batch add up to the whole-batch loss, and so do the gradients. None for all rows.

    Returns:
        A scalar in float32 (float64 for float64 features), also under autocast; 0 for fewer than
        two features. It can be differentiated once.

    Raises:
        LossInputError: shapes or settings are not legal, or a label is not finite.
    """
    return RankSimLoss(gamma=gamma, lam=lam)(features, labels, anchors=anchors)
