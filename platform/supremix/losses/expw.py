"""Exponential kernel weighting (Barbano et al. 2023, arXiv 2211.08326)."""

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
from supremix.losses.common.contrast import Contrast, evaluate_contrast
from supremix.losses.common.kernels import check_kernel, label_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpLoss:
    """The exp loss: attraction by a kernel of the label distance, repulsion by what is left of it.

    ``L_i = -sum_k (w_ik / sum_l w_il) log [ exp(s_ik) / sum_{t != i} exp(s_it (1 - w_it)) ]``,
    averaged over all anchors.

    Args:
        temperature: what similarities are divided by, above 0.
        sigma: bandwidth of the kernel, in the unit of the labels, above 0.
        kernel: "rbf" exp(-d^2 / 2 sigma^2), "gaussian" the same over sqrt(2 pi), or "cauchy"
            1 / (1 + d^2 / sigma^2).
        normalize: whether embeddings are brought to unit length first.

    Raises:
        LossInputError: a value is outside what is legal.
    """

    temperature: float = 0.1
    sigma: float = 2.0
    kernel: str = "rbf"
    normalize: bool = True

    def __post_init__(self) -> None:
        check_positive("temperature", self.temperature)
        check_positive("sigma", self.sigma)
        check_kernel(self.kernel)

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        anchors: slice | None = None,
    ) -> Tensor:
        """Compute the loss of a batch, as ``expw_loss``; nothing is drawn from the generator."""
        span = checked_span(embeddings, labels, anchors)
        with full_precision(embeddings.device):
            z = prepared(embeddings, normalize=self.normalize)
            if len(z) < 2:
                return nothing(z)
            weight, target = label_weights(labels.detach(), span, self.kernel, self.sigma)
            problem = Contrast(
                temperature=self.temperature,
                start=span[0],
                target=target.to(z.dtype),
                share=z.new_full((span[1] - span[0],), 1 / len(z)),
                slope=(1 - weight).to(z.dtype),
            )
            return evaluate_contrast(z, problem)


def expw_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    temperature: float = 0.1,
    sigma: float = 2.0,
    kernel: str = "rbf",
    normalize: bool = True,
    anchors: slice | None = None,
) -> Tensor:
    """Compute the exp loss of a batch.

    Args:
        embeddings: ``(M, D)`` floating, all views of all images of the batch.
        labels: ``(M,)`` real, in the unit of the task.
        temperature: see ``ExpLoss`` for this and the other settings.
        sigma: bandwidth of the kernel.
        kernel: its name.
        normalize: whether embeddings are brought to unit length.
        anchors: only these rows are anchors, against all M; the values of slices that cover the
            batch add up to the whole-batch loss, and so do the gradients. None for all rows.

    Returns:
        A scalar in float32 (float64 for float64 embeddings), also under autocast; 0 with a
        gradient of 0 for fewer than two embeddings. It can be differentiated once. It can be
        negative.

    Raises:
        LossInputError: shapes or settings are not legal, or a label is not finite.
    """
    loss = ExpLoss(temperature=temperature, sigma=sigma, kernel=kernel, normalize=normalize)
    return loss(embeddings, labels, anchors=anchors)
