"""Ordinal entropy (Zhang et al. 2023, arXiv 2301.08915): spread the labels, hold each together."""

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
from supremix.losses.common.distances import row_distances
from supremix.losses.common.labels import bin_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdinalEntropyLoss:
    """The ordinal entropy regulariser, to be added to a regression loss.

    With z at unit length and the centre c_b the mean of z over the samples of label bin b, of C
    bins in the batch,
    ``tightness * mean_i |z_i - c_b(i)| - spread * mean_{b != b'} |y_b - y_b'| / label_scale *
    |c_b - c_b'|``, where y_b is the mean label of the bin.

    Args:
        spread: weight of the distances between centres, at least 0.
        tightness: weight of the distances from the own centre, at least 0.
        label_bin: width of the grid on which labels are the same; 0 for exact equality.
        label_scale: label distance that counts as 1, above 0.

    Raises:
        LossInputError: a value is outside what is legal.
    """

    spread: float = 1e-3
    tightness: float = 1e-3
    label_bin: float = 1.0
    label_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("spread", "tightness", "label_bin"):
            check_not_negative(name, getattr(self, name))
        check_positive("label_scale", self.label_scale)

    def __call__(
        self,
        features: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        anchors: slice | None = None,
    ) -> Tensor:
        """Compute the loss of a batch, as ``ordinal_entropy_loss``; nothing is drawn."""
        start, stop = checked_span(features, labels, anchors)
        bins = bin_ids(labels.detach(), self.label_bin)
        with full_precision(features.device):
            z = prepared(features, normalize=True)
            if len(z) == 0:
                return nothing(z)
            size = torch.bincount(bins).to(z.dtype)
            centres = z.new_zeros(len(size), z.shape[1]).index_add(0, bins, z)
            centres = centres / size.unsqueeze(1)
            own = bins[start:stop]
            apart = torch.linalg.vector_norm(z[start:stop] - centres[own], dim=1)
            held = apart.sum() / len(z)
            return self.tightness * held - self.spread * self._apart(centres, labels, bins, own)

    def _apart(self, centres: Tensor, labels: Tensor, bins: Tensor, own: Tensor) -> Tensor:
        """The anchors' part in the weighted distance of centres.

        A bin's distances from the others are shared out evenly among its samples.
        """
        count = len(centres)
        if count < 2:
            return nothing(centres)
        size = torch.bincount(bins)
        values = labels.detach().double()
        middle = torch.zeros(count, dtype=torch.float64, device=values.device)
        middle = middle.index_add(0, bins, values - values.mean()) / size
        weight = (middle.unsqueeze(1) - middle).abs() / self.label_scale
        distance = row_distances(centres, 0, count)
        rows = (weight.to(distance) * distance).sum(1) / (count * (count - 1))
        return (rows / size)[own].sum()


def ordinal_entropy_loss(
    features: Tensor,
    labels: Tensor,
    *,
    spread: float = 1e-3,
    tightness: float = 1e-3,
    label_bin: float = 1.0,
    label_scale: float = 1.0,
    anchors: slice | None = None,
) -> Tensor:
    """Compute the ordinal entropy regulariser of a batch.

    Args:
        features: ``(M, D)`` floating, what the head of the network sees.
        labels: ``(M,)`` real, in the unit of the task.
        spread: see ``OrdinalEntropyLoss`` for this and the other settings.
        tightness: weight of the distances from the own centre.
        label_bin: width of the label grid.
        label_scale: unit of label distance.
        anchors: only these rows' part of the loss; the values of slices that cover the batch add
            up to the whole-batch loss, and so do the gradients. None for all rows.

    Returns:
        A scalar in float32 (float64 for float64 features), also under autocast; it can be
        negative. It can be differentiated once.

    Raises:
        LossInputError: shapes or settings are not legal, or a label is not finite.
    """
    loss = OrdinalEntropyLoss(
        spread=spread, tightness=tightness, label_bin=label_bin, label_scale=label_scale
    )
    return loss(features, labels, anchors=anchors)
