"""ConR (Keramati et al. 2024, arXiv 2309.06651): push apart what is mistaken for one another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.base import Loss, not_negative, positive
from supremix.losses.common.checks import (
    check_pairs,
    check_positive,
    checked_labels,
    full_precision,
    nothing,
    prepared,
)
from supremix.losses.common.contrast import Contrast, evaluate_contrast
from supremix.losses.common.labels import label_gaps, rounding_of
from supremix.losses.common.transfer import to_device


@dataclass(frozen=True, slots=True, kw_only=True)
class ConRLoss(Loss):
    """The ConR regulariser, to be added to a regression loss (the paper's weight for it is 4).

    Positives P_i of an anchor are the others with ``|y_i - y_j| <= window``; negatives N_i are
    farther in label, but predicted within the window: ``|p_i - p_j| <= window``.
    ``L_i = -1/|P_i| sum_{p in P_i} log [ exp(s_ip) / (sum_{q in P_i} exp(s_iq) + sum_{q in N_i}
    exp(push |y_i - y_q|) exp(s_iq)) ]``, 0 for an anchor without positives or without negatives;
    the mean over all anchors, so that it fades as confusions do. Predictions only choose the
    negatives; no gradient reaches them.

    Args:
        temperature: what similarities are divided by, above 0.
        window: label distance up to which samples are alike, in the unit of labels and
            predictions, at least 0.
        push: growth of a negative's weight with its label distance, per that unit, at least 0
            and finite.

    Raises:
        LossInputError: a value is outside what is legal.
    """

    temperature: float = positive(0.07)
    window: float = not_negative(1.0)
    push: float = not_negative(0.01)

    def __post_init__(self) -> None:
        Loss.__post_init__(self)
        if self.push != 0:
            check_positive("push", self.push)

    def __call__(
        self,
        features: Tensor,
        labels: Tensor,
        predictions: Tensor,
        *,
        generator: torch.Generator | None = None,
        anchors: slice | None = None,
    ) -> Tensor:
        """Compute the loss of a batch, see `BatchLoss`.

        Args:
            features: ``(M, D)`` floating, what the head of the network sees.
            labels: ``(M,)`` real and finite.
            predictions: ``(M,)`` floating, in the unit of the labels.
            generator: Not used.
            anchors: Rows that are anchors.
        """
        known, span = checked_labels(features, labels, anchors)
        check_pairs(predictions, labels)
        with full_precision(features.device):
            z = prepared(features, normalize=True)
            if len(z) < 2:
                return nothing(z)
            return evaluate_contrast(z, self._problem(z, known, predictions.detach(), span))

    def _problem(
        self, z: Tensor, labels: Tensor, predictions: Tensor, span: tuple[int, int]
    ) -> Contrast:
        gaps = label_gaps(to_device(labels, z.device), *span)
        rounding = rounding_of(labels) * float(labels.double().abs().max())
        alike = gaps <= self.window + rounding
        mistaken = ~alike & (label_gaps(predictions, *span) <= self.window)
        alike.diagonal(span[0]).fill_(False)
        count = alike.sum(1)
        used = (count > 0) & mistaken.any(1)
        offset = gaps.mul_(self.push).masked_fill_(alike, 0)
        offset.masked_fill_(~(alike | mistaken) & used.unsqueeze(1), -torch.inf)
        return Contrast(
            temperature=self.temperature,
            start=span[0],
            target=alike.to(z.dtype) / count.clamp(min=1).unsqueeze(1),
            share=used.to(z.dtype) / len(labels),
            offset=offset.to(z.dtype),
        )
