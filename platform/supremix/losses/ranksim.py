"""RankSim (Gong et al. 2022, arXiv 2205.15236): neighbours in label are neighbours in feature.

Ranks are piecewise constant; their gradient is had by blackbox differentiation (Vlastelica et al.
2020, arXiv 1912.02175): with g the gradient in the ranks of a, that in a is
``-(rank(a) - rank(a + lam g)) / lam``.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from supremix.losses.common.base import BatchLoss, positive
from supremix.losses.common.closed_form import closed_form, scaled_product, to_embeddings
from supremix.losses.common.labels import label_gaps, rounding_of
from supremix.losses.common.ranks import row_ranks
from supremix.losses.common.transfer import to_device


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSimLoss(BatchLoss):
    """The RankSim regulariser, to be added to a regression loss.

    For every anchor ``L_i = gamma * mean_j (rank_j(-|y_i - y_j|) - rank_j(cos(v_i, v_j)))^2``,
    ranks as shares of the number of samples, equal ones at their mean rank; the sum over the
    anchors, as published, so that the strength grows with the batch. The perturbation behind the
    gradient is that of an anchor's own loss, gamma included; scaling the result afterwards scales
    the gradient and nothing else.

    Args:
        gamma: weight, above 0.
        lam: strength of the interpolation of the ranks, above 0: small follows single swaps of
            neighbours, large smooths. ``gamma * lam`` decides how far the perturbation reaches.

    Raises:
        LossInputError: a value is outside what is legal.
    """

    gamma: float = positive(100.0)
    lam: float = positive(2.0)

    def _value(self, z: Tensor, labels: Tensor, span: tuple[int, int]) -> Tensor:
        limit = 2 * rounding_of(labels) * float(labels.double().abs().max())
        known = label_gaps(to_device(labels, z.device), *span)
        target = row_ranks(-known, limit).to(z.dtype)
        return closed_form(z, lambda x, wanted: self._solve(x, target, span[0], wanted))

    def _solve(
        self, z: Tensor, target: Tensor, start: int, wanted: bool
    ) -> tuple[Tensor, Tensor | None]:
        rows, count = slice(start, start + len(target)), len(z)
        cosine = scaled_product(z[rows], z.T, 1.0)
        ranks = row_ranks(cosine)
        error = ranks - target
        # Even NaN has a rank: without the second term it would go unseen.
        loss = error.square().sum() * (self.gamma / count) + 0 * cosine.sum()
        if not wanted:
            return loss, None
        moved = cosine.add_(error, alpha=self.lam * self.gamma * 2 / count)
        change = row_ranks(moved).sub_(ranks).div_(self.lam)
        return loss, to_embeddings(change, change, z, start, 1.0)
