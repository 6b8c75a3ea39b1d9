"""Balanced MSE (Ren et al. 2022, arXiv 2203.16427), the batch-based Monte Carlo form.

The squared error treats every label alike, however rare, and so is biased towards frequent ones.
Here a prediction has to be nearer to its own target than to the other targets of the batch, which
takes the frequency of labels out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.base import Loss, positive
from supremix.losses.common.checks import (
    anchor_range,
    check_finite_labels,
    check_pairs,
    full_precision,
    nothing,
    wide,
)
from supremix.losses.common.transfer import to_device


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancedMSELoss(Loss):
    """The balanced squared error.

    ``L_i = -2 sigma^2 log [ exp(-(p_i - y_i)^2 / 2 sigma^2) / sum_j exp(-(p_i - y_j)^2 /
    2 sigma^2) ]``, the sum over all targets of the batch, averaged over the samples.

    Args:
        sigma: standard deviation of the noise of a prediction, in the unit of the targets,
            above 0.

    Raises:
        LossInputError: sigma is not legal.
    """

    sigma: float = positive(1.0)

    def __call__(
        self,
        predictions: Tensor,
        targets: Tensor,
        *,
        generator: torch.Generator | None = None,
        anchors: slice | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            predictions: ``(B,)`` floating, of the whole batch.
            targets: ``(B,)`` real and finite, in the same unit, on the CPU (see `BatchLoss`).
            generator: Not used.
            anchors: Only these rows' predictions are compared, with the targets of all; slices
                that cover the batch add up to its loss, and so do the gradients. None for all.

        Returns:
            A scalar in float32 (float64 for float64 predictions), 0 for a batch of one.

        Raises:
            LossInputError: Shapes do not fit, or a target is not finite.
        """
        check_pairs(predictions, targets)
        known = targets.detach().cpu()
        check_finite_labels(known)
        start, stop = anchor_range(anchors, len(targets))
        with full_precision(predictions.device):
            exact = wide(predictions)
            if len(exact) == 0:
                return nothing(exact)
            known = to_device(known.to(exact.dtype), exact.device)
            scale = 2 * self.sigma**2
            level = (exact[start:stop].unsqueeze(1) - known).square() / -scale
            own = level.diagonal(start)
            return scale * (level.logsumexp(1) - own).sum() / len(exact)
