"""Losses of one prediction and one target, a value for each sample."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from supremix.losses.common.checks import check_pairs, check_positive, full_precision, wide


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


def huber(predictions: Tensor, targets: Tensor, *, delta: float = 1.0) -> Tensor:
    """Half the square of an error up to ``delta``, beyond it a line of slope ``delta``.

    Args:
        predictions: ``(B,)`` floating.
        targets: ``(B,)`` in the same unit.
        delta: error at which square turns into line, in that unit, above 0.

    Returns:
        ``(B,)`` in float32 (float64 for float64 predictions).

    Raises:
        LossInputError: the shapes are others, or delta is not legal.
    """
    check_positive("delta", delta)
    check_pairs(predictions, targets)
    with full_precision(predictions.device):
        exact = wide(predictions)
        return functional.huber_loss(exact, targets.to(exact), reduction="none", delta=delta)


@dataclass(frozen=True, slots=True, kw_only=True)
class HuberLoss:
    """``huber`` with its setting.

    Args:
        delta: error at which square turns into line, in the unit of the targets, above 0.

    Raises:
        LossInputError: delta is not legal.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        check_positive("delta", self.delta)

    def __call__(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """``(B,)``, one value a sample."""
        return huber(predictions, targets, delta=self.delta)
