"""Adaptive contrast (Dai et al. 2022, AdaCon): negatives have to keep a margin by label."""

from __future__ import annotations

import dataclasses
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
from supremix.losses.common.errors import LossInputError
from supremix.losses.common.labels import bin_ids, positives_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaConLoss:
    """The contrastive part of AdaCon: SupCon with a margin on negatives.

    The logit of a negative is ``(cos_ij + m_ij) / temperature`` with
    ``m_ij = margin * |F(y_i) - F(y_j)|``, at most 2, where F is the empirical distribution
    function of the labels: how much apart two labels are is how many labels lie between them.
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

    temperature: float = 1 / 150
    margin: float = 2.0
    label_bin: float = 1.0
    reference: tuple[float, ...] | None = None
    normalize: bool = True

    def __post_init__(self) -> None:
        check_positive("temperature", self.temperature)
        check_not_negative("margin", self.margin)
        check_not_negative("label_bin", self.label_bin)
        if self.reference is not None:
            values = torch.tensor(self.reference, dtype=torch.float64)
            if not (len(values) and torch.isfinite(values).all()):
                raise LossInputError(
                    f"Expected reference labels that are finite, at least one, found "
                    f"{len(values)} with {int((~torch.isfinite(values)).sum())} that are not. "
                    "Give the labels of the training set, or None for those of each batch."
                )

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        anchors: slice | None = None,
    ) -> Tensor:
        """Compute the loss of a batch, as ``adacon_loss``; nothing is drawn from the generator."""
        span = checked_span(embeddings, labels, anchors)
        fixed = labels.detach()
        bins = bin_ids(fixed, self.label_bin)
        with full_precision(embeddings.device):
            z = prepared(embeddings, normalize=self.normalize)
            problem = group_contrast(z, bins, span, self.temperature)
            if problem is None:
                return nothing(z)
            margins = self._margins(fixed, bins, span) / self.temperature
            return evaluate_contrast(z, dataclasses.replace(problem, offset=margins.to(z.dtype)))

    def _margins(self, labels: Tensor, bins: Tensor, span: tuple[int, int]) -> Tensor:
        """Margins ``(A, M)``, 0 for positives."""
        if not labels.is_floating_point():
            labels = labels.double()
        known = labels if self.reference is None else labels.new_tensor(self.reference)
        ordered = known.sort().values
        place = torch.searchsorted(ordered, labels, right=True).double() / len(ordered)
        apart = (place[slice(*span)].unsqueeze(1) - place).abs_()
        return apart.mul_(self.margin).clamp_(max=2).masked_fill_(positives_of(bins, *span), 0)


def adacon_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    temperature: float = 1 / 150,
    margin: float = 2.0,
    label_bin: float = 1.0,
    reference: tuple[float, ...] | None = None,
    normalize: bool = True,
    anchors: slice | None = None,
) -> Tensor:
    """Compute the contrastive part of AdaCon for a batch.

    Args:
        embeddings: ``(M, D)`` floating, all views of all images of the batch.
        labels: ``(M,)`` real, in the unit of the task.
        temperature: see ``AdaConLoss`` for this and the other settings.
        margin: margin between the ends of the distribution of the labels.
        label_bin: width of the label grid.
        reference: labels whose distribution counts.
        normalize: whether embeddings are brought to unit length.
        anchors: only these rows are anchors, against all M; the values of slices that cover the
            batch add up to the whole-batch loss, and so do the gradients. None for all rows.

    Returns:
        A scalar in float32 (float64 for float64 embeddings), also under autocast; 0 with a
        gradient of 0 when no anchor has a positive. It can be differentiated once.

    Raises:
        LossInputError: shapes or settings are not legal, or a label is not finite.
    """
    loss = AdaConLoss(
        temperature=temperature,
        margin=margin,
        label_bin=label_bin,
        reference=reference,
        normalize=normalize,
    )
    return loss(embeddings, labels, anchors=anchors)
