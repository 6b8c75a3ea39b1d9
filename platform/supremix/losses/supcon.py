"""Supervised contrast (Khosla et al. 2020, arXiv 2004.11362) with positives by label bin."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from supremix.losses.common.base import ContrastiveLoss, not_negative, positive
from supremix.losses.common.contrast import contrast_groups
from supremix.losses.common.labels import bin_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class SupConLoss(ContrastiveLoss):
    """The SupCon loss: SupReMix without mixtures and weights.

    ``L_i = -1/|P_i| sum_{p in P_i} [ s_ip - log sum_{a != i} exp(s_ia) ]``, averaged over the
    anchors that have a positive.

    Args:
        temperature: Number that similarities are divided by, above 0.
        label_bin: Width of the grid on which labels are the same; 0 for exact equality.
        normalize: Whether embeddings are brought to unit length first.

    Raises:
        LossInputError: A value is not legal.
    """

    temperature: float = positive(0.07)
    label_bin: float = not_negative(1.0)

    def _value(self, z: Tensor, labels: Tensor, span: tuple[int, int]) -> Tensor:
        return contrast_groups(z, bin_ids(labels, self.label_bin), span, self.temperature)
