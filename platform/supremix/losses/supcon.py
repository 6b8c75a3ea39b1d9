"""Supervised contrast (Khosla et al. 2020, arXiv 2004.11362) with positives by label bin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.checks import (
    check_not_negative,
    check_positive,
    checked_span,
    full_precision,
    nothing,
    prepared,
)
from supremix.losses.common.contrast import evaluate_contrast, group_contrast
from supremix.losses.common.labels import bin_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class SupConLoss:
    """The SupCon loss: SupReMix without mixtures and weights.

    ``L_i = -1/|P_i| sum_{p in P_i} [ s_ip - log sum_{a != i} exp(s_ia) ]``, averaged over the
    anchors that have a positive.

    Args:
        temperature: what similarities are divided by, above 0.
        label_bin: width of the grid on which labels are the same; 0 for exact equality.
        normalize: whether embeddings are brought to unit length first.

    Raises:
        LossInputError: a value is outside what is legal.
    """

    temperature: float = 0.07
    label_bin: float = 1.0
    normalize: bool = True

    def __post_init__(self) -> None:
        check_positive("temperature", self.temperature)
        check_not_negative("label_bin", self.label_bin)

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        anchors: slice | None = None,
    ) -> Tensor:
        """Compute the loss of a batch, as ``supcon_loss``; nothing is drawn from the generator."""
        span = checked_span(embeddings, labels, anchors)
        bins = bin_ids(labels.detach(), self.label_bin)
        with full_precision(embeddings.device):
            z = prepared(embeddings, normalize=self.normalize)
            problem = group_contrast(z, bins, span, self.temperature)
            return nothing(z) if problem is None else evaluate_contrast(z, problem)


def supcon_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    temperature: float = 0.07,
    label_bin: float = 1.0,
    normalize: bool = True,
    anchors: slice | None = None,
) -> Tensor:
    """Compute the SupCon loss of a batch.

    Args:
        embeddings: ``(M, D)`` floating, all views of all images of the batch.
        labels: ``(M,)`` real, in the unit of the task.
        temperature: see ``SupConLoss`` for this and the other settings.
        label_bin: width of the label grid.
        normalize: whether embeddings are brought to unit length.
        anchors: only these rows are anchors, against all M; the values of slices that cover the
            batch add up to the whole-batch loss, and so do the gradients. None for all rows.

    Returns:
        A scalar in float32 (float64 for float64 embeddings), also under autocast; 0 with a
        gradient of 0 when no anchor has a positive. It can be differentiated once.

    Raises:
        LossInputError: shapes or settings are not legal, or a label is not finite.
    """
    loss = SupConLoss(temperature=temperature, label_bin=label_bin, normalize=normalize)
    return loss(embeddings, labels, anchors=anchors)
