"""Ordinal entropy (Zhang et al. 2023, arXiv 2301.08915): spread the labels, hold each together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.base import BatchLoss, not_negative, positive
from supremix.losses.common.checks import nothing
from supremix.losses.common.distances import row_distances
from supremix.losses.common.labels import bin_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdinalEntropyLoss(BatchLoss):
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

    spread: float = not_negative(1e-3)
    tightness: float = not_negative(1e-3)
    label_bin: float = not_negative(1.0)
    label_scale: float = positive(1.0)

    def _value(self, z: Tensor, labels: Tensor, span: tuple[int, int]) -> Tensor:
        bins = bin_ids(labels, self.label_bin)
        size = torch.bincount(bins).to(z.dtype)
        centres = z.new_zeros(len(size), z.shape[1]).index_add(0, bins, z)
        centres = centres / size.unsqueeze(1)
        own = bins[slice(*span)]
        apart = torch.linalg.vector_norm(z[slice(*span)] - centres[own], dim=1)
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
        values = labels.double()
        middle = torch.zeros(count, dtype=torch.float64, device=values.device)
        middle = middle.index_add(0, bins, values - values.mean()) / size
        weight = (middle.unsqueeze(1) - middle).abs() / self.label_scale
        distance = row_distances(centres, 0, count)
        rows = (weight.to(distance) * distance).sum(1) / (count * (count - 1))
        return (rows / size)[own].sum()
