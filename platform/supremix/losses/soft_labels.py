"""Regression as a distribution over label bins (Peng et al. 2021, SFCN)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from supremix.losses.common.base import Loss, positive
from supremix.losses.common.checks import (
    check_batch,
    check_finite_labels,
    check_positive,
    full_precision,
    wide,
)
from supremix.losses.common.errors import LossInputError
from supremix.losses.common.transfer import to_device

_MOST_BINS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftLabels(Loss):
    """A grid of label bins, the targets on it, the loss and the prediction.

    A label y becomes the probabilities that N(y, sigma) gives each bin, divided by that of the
    whole grid; the network gives K logits; the prediction is the expectation of the bin centres.

    Args:
        low: left edge of the first bin, in the unit of the labels.
        high: right edge of the last one, above low; the last bin reaches it or passes it.
        label_bin: width of a bin, above 0.
        sigma: standard deviation of the soft label, above 0.

    Raises:
        LossInputError: a value is outside what is legal.
    """

    low: float
    high: float
    label_bin: float = positive(1.0)
    sigma: float = positive(1.0)

    def __post_init__(self) -> None:
        Loss.__post_init__(self)
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise LossInputError(
                f"Expected low < high, both finite, found {self.low} and {self.high}. "
                "Give the range of the labels."
            )
        bins = (self.high - self.low) / self.label_bin
        if bins > _MOST_BINS:
            raise LossInputError(
                f"Expected at most {_MOST_BINS} bins, found {bins:g}. Choose wider bins."
            )

    @classmethod
    def covering(cls, labels: Tensor, *, label_bin: float = 1.0, sigma: float = 1.0) -> SoftLabels:
        """The grid that reaches three sigma beyond the labels, ``(N,)``, on whole bins.

        Raises:
            LossInputError: there is no label, one is not finite, or a setting is not legal.
        """
        check_positive("label_bin", label_bin)
        check_positive("sigma", sigma)
        if labels.numel() == 0:
            raise LossInputError("Expected labels to cover, found none. Give those to train on.")
        check_finite_labels(labels)
        values = labels.double()
        low = math.floor((float(values.min()) - 3 * sigma) / label_bin) * label_bin
        high = math.ceil((float(values.max()) + 3 * sigma) / label_bin) * label_bin
        return cls(low=low, high=high, label_bin=label_bin, sigma=sigma)

    @property
    def count(self) -> int:
        """K, the number of bins, which is the number of logits."""
        # A range of 2.3 is 23.000000000000004 bins of 0.1.
        return max(1, math.ceil((self.high - self.low) / self.label_bin - 1e-9))

    def centres(self) -> Tensor:
        """Labels ``(K,)`` float64 in the middle of the bins."""
        return self.low + self.label_bin * (torch.arange(self.count, dtype=torch.float64) + 0.5)

    def targets(self, labels: Tensor) -> Tensor:
        """Probabilities of the bins for labels ``(B,)``: ``(B, K)`` float64, rows sum to 1.

        They are computed on the CPU, see `BatchLoss` for labels that are not there.

        Raises:
            LossInputError: a label is not finite or outside the grid.
        """
        values = labels.detach().cpu().double()
        check_finite_labels(values)
        edges = self.low + self.label_bin * torch.arange(self.count + 1, dtype=torch.float64)
        outside = int(((values < edges[0]) | (values > edges[-1])).sum())
        if outside:
            raise LossInputError(
                f"Expected labels within [{float(edges[0]):g}, {float(edges[-1]):g}], found "
                f"{outside} of {len(labels)} outside. Choose low and high that cover them."
            )
        reach = (edges - values.unsqueeze(1)) / self.sigma
        mass = torch.special.ndtr(reach).diff(dim=1)
        return mass / mass.sum(1, keepdim=True)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Divergence of the predicted from the soft distribution, KL(soft || predicted).

        Args:
            logits: ``(B, K)`` floating.
            labels: ``(B,)`` in the unit of the grid.

        Returns:
            ``(B,)`` in float32 (float64 for float64 logits), at least 0.

        Raises:
            LossInputError: the shapes are others, or a label is not finite or outside the grid.
        """
        self._check(logits)
        check_batch(logits, labels)
        with full_precision(logits.device):
            predicted = wide(logits).log_softmax(1)
            soft = to_device(self.targets(labels).to(predicted.dtype), logits.device)
            return functional.kl_div(predicted, soft, reduction="none").sum(1)

    def expectation(self, logits: Tensor) -> Tensor:
        """Predictions ``(B,)`` from logits ``(B, K)``: the mean of the predicted distribution."""
        self._check(logits)
        with full_precision(logits.device):
            exact = wide(logits)
            return exact.softmax(1) @ to_device(self.centres().to(exact.dtype), exact.device)

    def _check(self, logits: Tensor) -> None:
        if logits.ndim != 2 or logits.shape[1] != self.count:
            raise LossInputError(
                f"Expected logits of shape (B, {self.count}), one for each bin, found "
                f"{tuple(logits.shape)}. Give the head as many outputs as the grid has bins."
            )
