"""Exponential kernel weighting (Barbano et al. 2023, arXiv 2211.08326)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from supremix.losses.common.base import positive
from supremix.losses.common.contrast import Contrast, evaluate_contrast
from supremix.losses.common.kernels import KernelLoss, label_weights
from supremix.losses.common.transfer import to_device


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpLoss(KernelLoss):
    """The exp loss: attraction by a kernel of the label distance, repulsion by what is left of it.

    ``L_i = -sum_k (w_ik / sum_l w_il) log [ exp(s_ik) / sum_{t != i} exp(s_it (1 - w_it)) ]``,
    averaged over all anchors. It can be negative. The published figures belong to code that
    subtracts each row's largest similarity inside ``exp(s_it (1 - w_it))``, where, unlike in a
    plain softmax, it does not cancel; this is the formula of the paper.

    Args:
        temperature: Number that similarities are divided by, above 0.
        sigma: Bandwidth of the kernel, in the unit of the labels, above 0.
        kernel: "rbf" exp(-d^2 / 2 sigma^2), "gaussian" the same over sqrt(2 pi), or "cauchy"
            1 / (1 + d^2 / sigma^2).
        normalize: Whether embeddings are brought to unit length first.

    Raises:
        LossInputError: A value is not legal.
    """

    sigma: float = positive(2.0)

    def _value(self, z: Tensor, labels: Tensor, span: tuple[int, int]) -> Tensor:
        labels = to_device(labels, z.device)
        weight, target = label_weights(labels, span, self.kernel, self.sigma)
        problem = Contrast.of_all(z, target, span, self.temperature)
        return evaluate_contrast(z, replace(problem, slope=(1 - weight).to(z.dtype)))
