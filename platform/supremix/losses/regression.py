"""Losses of one prediction and one target, a value for each sample."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from supremix.losses.common.base import Loss, positive
from supremix.losses.common.checks import check_pairs, full_precision, wide


def l1(predictions: Tensor, targets: Tensor) -> Tensor:
    """|prediction - target| of each sample.

    Args:
        predictions: ``(B,)`` floating.
        targets: ``(B,)`` in the same unit.

    Returns:
        ``(B,)`` in float32 (float64 for float64 predictions).

    Raises:
        LossInputError: the shapes are others.
    """
    check_pairs(predictions, targets)
    with full_precision(predictions.device):
        return (wide(predictions) - targets).abs()


def mse(predictions: Tensor, targets: Tensor) -> Tensor:
    """(prediction - target)^2 of each sample; arguments and result as those of ``l1``."""
    check_pairs(predictions, targets)
    with full_precision(predictions.device):
        return (wide(predictions) - targets).square()


@dataclass(frozen=True, slots=True, kw_only=True)
class HuberLoss(Loss):
    """Half the square of an error up to ``delta``, beyond it a line of slope ``delta``.

    Args:
        delta: Error at which the square turns into a line, in the unit of the targets, above 0.

    Raises:
        LossInputError: delta is not legal.
    """

    delta: float = positive(1.0)

    def __call__(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Value of each sample, ``(B,)``; arguments and result as those of ``l1``."""
        check_pairs(predictions, targets)
        with full_precision(predictions.device):
            exact = wide(predictions)
            known = targets.to(exact)
            return functional.huber_loss(exact, known, reduction="none", delta=self.delta)
