"""Ordinal entropy (Zhang et al. 2023, arXiv 2301.08915): spread the labels, hold each together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from supremix.losses.common.base import BatchLoss, not_negative
from supremix.losses.common.checks import check_positive, nothing
from supremix.losses.common.distances import row_distances
from supremix.losses.common.labels import bin_ids
from supremix.losses.common.transfer import to_device

# Squared distances below so many roundings are none; several sums make up a centre.
_ROUNDING = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdinalEntropyLoss(BatchLoss):
    """The ordinal entropy regulariser, to be added to a regression loss.

    With z at unit length and the centre c_b the mean of z over the samples of label bin b, brought
    to unit length, of C bins in the batch,
    ``tightness * mean_i |z_i - c_b(i)| - spread * mean_{b != b'} |y_b - y_b'| / label_scale *
    |c_b - c_b'|``, where y_b is the mean label of the bin. A sample alone in its bin is its centre.

    Args:
        spread: Weight of the distances between centres, at least 0.
        tightness: Weight of the distances from the own centre, at least 0.
        label_bin: Width of the grid on which labels are the same; 0 for exact equality.
        label_scale: Label distance that counts as 1, above 0; None for the largest among the bins
            of the batch, so that the weights lie within [0, 1] (the published way for images).

    Raises:
        LossInputError: A value is not legal.
    """

    spread: float = not_negative(1.0)
    tightness: float = not_negative(1.0)
    label_bin: float = not_negative(1.0)
    label_scale: float | None = None

    def __post_init__(self) -> None:
        BatchLoss.__post_init__(self)
        if self.label_scale is not None:
            check_positive("label_scale", self.label_scale)

    def _value(self, z: Tensor, labels: Tensor, span: tuple[int, int]) -> Tensor:
        bins = bin_ids(labels, self.label_bin)
        size = torch.bincount(bins)
        mine = bins[slice(*span)]
        bins, own, single, rates, apart = to_device(
            (bins, mine, size[mine] == 1, self._rates(labels, bins, size), 1 / size[mine].double()),
            z.device,
        )
        total = z.new_zeros(len(size), z.shape[1]).index_add(0, bins, z)
        centres = functional.normalize(total, dim=1, eps=1e-8)
        offset = z[slice(*span)] - centres[own]
        # What is at its centre up to rounding has no direction to it.
        here = offset.detach().square().sum(1) <= _ROUNDING * torch.finfo(z.dtype).eps
        held = torch.linalg.vector_norm(offset.masked_fill((single | here).unsqueeze(1), 0), dim=1)
        value = self.tightness * held.sum() / len(z)
        if rates is None:
            return value + nothing(centres)
        # A bin's distances from the others are shared out evenly among its samples.
        rows = (rates.to(z.dtype) * row_distances(centres, 0, len(size))).sum(1)
        return value - self.spread * (rows[own] * apart.to(z.dtype)).sum()

    def _rates(self, labels: Tensor, bins: Tensor, size: Tensor) -> Tensor | None:
        """The weights of the distances of centres, ``(C, C)`` float64; None of one bin."""
        count = len(size)
        if count < 2:
            return None
        values = labels.double()
        middle = torch.zeros(count, dtype=torch.float64)
        middle = middle.index_add(0, bins, values - values.mean()) / size
        weight = (middle.unsqueeze(1) - middle).abs()
        most = float(weight.max()) if self.label_scale is None else self.label_scale
        return weight / (most * count * (count - 1))
