"""y-Aware contrast (Dufumier et al. 2021, arXiv 2106.08808): near labels attract by a kernel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from supremix.losses.common.base import positive
from supremix.losses.common.contrast import Contrast, evaluate_contrast
from supremix.losses.common.kernels import KernelLoss, label_weights
from supremix.losses.common.transfer import to_device


@dataclass(frozen=True, slots=True, kw_only=True)
class YAwareLoss(KernelLoss):
    """The y-Aware InfoNCE loss.

    ``L_i = -sum_j (w_ij / sum_l w_il) log [ exp(s_ij) / sum_{k != i} exp(s_ik) ]`` over the
    others j, l of the anchor, averaged over all anchors; w is a kernel of the label distance.

    Args:
        temperature: Number that similarities are divided by, above 0.
        sigma: Bandwidth of the kernel, in the unit of the labels, above 0.
        kernel: "rbf" (the paper's), "gaussian" or "cauchy". Since weights are divided by their
            sum, "gaussian" gives the same as "rbf" here.
        normalize: Whether embeddings are brought to unit length first.

    Raises:
        LossInputError: A value is not legal.
    """

    sigma: float = positive(5.0)

    def _value(self, z: Tensor, labels: Tensor, span: tuple[int, int]) -> Tensor:
        labels = to_device(labels, z.device)
        _, target = label_weights(labels, span, self.kernel, self.sigma)
        problem = Contrast.of_all(z, target, span, self.temperature)
        return evaluate_contrast(z, problem)
