"""Adaptive contrast (Dai et al. 2022, AdaCon): negatives have to keep a margin by label."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.base import ContrastiveLoss, not_negative, positive
from supremix.losses.common.checks import nothing
from supremix.losses.common.contrast import evaluate_contrast, group_contrast
from supremix.losses.common.errors import LossInputError
from supremix.losses.common.labels import bin_ids, positives_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaConLoss(ContrastiveLoss):
    """The contrastive part of AdaCon: SupCon with a margin on negatives.

    The logit of a negative is ``(cos_ij + m_ij) / temperature`` with
    ``m_ij = margin * |F(y_i) - F(y_j)|``, at most 2, where F is the empirical distribution
    function of the labels, at mid-ranks where labels are equal: the distance of two labels is the
    share of labels between them.
    The paper adds 0.75 times this to a regression loss on a second head.

    Args:
        temperature: what similarities are divided by, above 0; the paper multiplies by 150.
        margin: margin between the two ends of the distribution, at least 0.
        label_bin: width of the grid on which labels are the same; 0 for exact equality.
        reference: the labels whose distribution F is, those of the training set for example, at
            least one and finite; None for the labels of each batch (of all workers).
        normalize: whether embeddings are brought to unit length first.

    Raises:
        LossInputError: a value is outside what is legal.
    """

    temperature: float = positive(1 / 150)
    margin: float = not_negative(2.0)
    label_bin: float = not_negative(1.0)
    reference: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        ContrastiveLoss.__post_init__(self)
        if self.reference is not None:
            values = torch.tensor(self.reference, dtype=torch.float64)
            if not (len(values) and torch.isfinite(values).all()):
                raise LossInputError(
                    f"Expected reference labels that are finite, at least one, found "
                    f"{len(values)} with {int((~torch.isfinite(values)).sum())} that are not. "
                    "Give the labels of the training set, or None for those of each batch."
                )

    def _value(self, z: Tensor, labels: Tensor, span: tuple[int, int]) -> Tensor:
        bins = bin_ids(labels, self.label_bin)
        problem = group_contrast(z, bins, span, self.temperature)
        if problem is None:
            return nothing(z)
        margins = self._margins(labels, bins, span) / self.temperature
        return evaluate_contrast(z, dataclasses.replace(problem, offset=margins.to(z.dtype)))

    def _margins(self, labels: Tensor, bins: Tensor, span: tuple[int, int]) -> Tensor:
        """Margins ``(A, M)``, 0 for positives."""
        if not labels.is_floating_point():
            labels = labels.double()
        known = labels if self.reference is None else labels.new_tensor(self.reference)
        ordered = known.sort().values
        ends = (torch.searchsorted(ordered, labels, right=right) for right in (False, True))
        # Mid-ranks: equal labels lie in the middle of their step.
        quantile = sum(ends, torch.zeros_like(labels)).double() / (2 * len(ordered))
        apart = (quantile[slice(*span)].unsqueeze(1) - quantile).abs_()
        return apart.mul_(self.margin).clamp_(max=2).masked_fill_(positives_of(bins, *span), 0)
