"""How much of a positive another label is, by its distance: the kernels of y-Aware and exp."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.base import ContrastiveLoss, positive
from supremix.losses.common.errors import LossInputError
from supremix.losses.common.labels import label_gaps

KERNELS = ("rbf", "gaussian", "cauchy")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelLoss(ContrastiveLoss):
    """Base class of the losses with a kernel of the label distance; its bandwidth is sigma."""

    temperature: float = positive(0.1)
    sigma: float = positive(math.nan)
    kernel: str = "rbf"

    def __post_init__(self) -> None:
        ContrastiveLoss.__post_init__(self)
        if self.kernel not in KERNELS:
            raise LossInputError(
                f"Expected a kernel among {', '.join(KERNELS)}, found {self.kernel!r}. "
                "Choose one of them."
            )


def log_kernel(distance: Tensor, kernel: str, sigma: float) -> Tensor:
    """Logarithm of the weight of a label distance d, at most 0.

    ``rbf``: exp(-d^2 / 2 sigma^2). ``gaussian``: the standard normal density of d / sigma, which
    is the same over sqrt(2 pi), so that even an equal label is a positive by 0.4 only.
    ``cauchy``: 1 / (1 + d^2 / sigma^2).

    Args:
        distance: any shape, at least 0.
        kernel: one of ``KERNELS``.
        sigma: bandwidth, in the unit of the distance, above 0.
    """
    square = (distance / sigma).square()
    if kernel == "cauchy":
        return -torch.log1p(square)
    level = square.mul_(-0.5)
    return level.sub_(0.5 * math.log(2 * math.pi)) if kernel == "gaussian" else level


def label_weights(
    labels: Tensor, span: tuple[int, int], kernel: str, sigma: float
) -> tuple[Tensor, Tensor]:
    """Weights of all rows for the anchors ``span``, and the same divided by their sum.

    The sum leaves the anchor itself out. Where all weights of an anchor are too small for a
    floating point number, their shares still are what they are: the nearest label gets most.

    Args:
        labels: ``(M,)``, M of at least 2.
        span: batch rows ``(start, stop)`` of the anchors.
        kernel: one of ``KERNELS``.
        sigma: bandwidth in the unit of the labels.

    Returns:
        Weights within [0, 1] and shares, float64, ``(A, M)``; the share of the anchor is 0.
    """
    level = log_kernel(label_gaps(labels, *span), kernel, sigma)
    weight = level.exp()
    level.diagonal(span[0]).fill_(-torch.inf)
    return weight, level.softmax(1)
