"""Label density (Yang et al. 2021, arXiv 2102.09554): weights against imbalance (LDS).

Labels are continuous: how rare one is shows in the labels around it. So the histogram of the
labels is smoothed before its inverse becomes a weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.checks import check_finite_labels, check_positive
from supremix.losses.common.errors import LossInputError
from supremix.losses.common.labels import grid_steps

_KERNELS = ("gaussian", "triangular", "laplace")
REWEIGHTINGS = ("inverse", "sqrt_inverse")
_MOST_BINS = 1_000_000
_CLIP = (5, 1000)


def smoothing_window(kernel: str = "gaussian", *, size: int = 5, sigma: float = 2.0) -> Tensor:
    """Weights of neighbouring bins, symmetric, summing to 1.

    Args:
        kernel: "gaussian" exp(-k^2 / 2 sigma^2), "laplace" exp(-|k| / sigma), or "triangular",
            which falls in a line to 0 one bin beyond the ends and has no sigma.
        size: number of bins, odd, at least 1.
        sigma: width in bins, above 0.

    Returns:
        ``(size,)`` float64.

    Raises:
        LossInputError: an argument is not legal.
    """
    if kernel not in _KERNELS:
        raise LossInputError(
            f"Expected a kernel among {', '.join(_KERNELS)}, found {kernel!r}. Choose one of them."
        )
    if size < 1 or size % 2 == 0:
        raise LossInputError(
            f"Expected an odd size of at least 1, found {size}. Choose 1, 3, 5, ..."
        )
    check_positive("sigma", sigma)
    half = size // 2
    offset = torch.arange(-half, half + 1, dtype=torch.float64)
    if kernel == "gaussian":
        weight = torch.exp(-offset.square() / (2 * sigma**2))
    elif kernel == "laplace":
        weight = torch.exp(-offset.abs() / sigma)
    else:
        weight = half + 1 - offset.abs()
    return weight / weight.sum()


def smoothed(rows: Tensor, window: Tensor) -> Tensor:
    """Run a window of odd size over the first dimension; beyond the ends there is nothing.

    Args:
        rows: ``(K, ...)`` float64.
        window: ``(size,)`` from ``smoothing_window``.

    Returns:
        The shape of ``rows``.
    """
    half, count = len(window) // 2, len(rows)
    padded = rows.new_zeros(count + 2 * half, *rows.shape[1:])
    padded[half : half + count] = rows
    total = torch.zeros_like(rows)
    for offset, weight in enumerate(window.tolist()):
        total += weight * padded[offset : offset + count]
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityWeights:
    """Weights for the losses of samples, the larger the rarer labels like theirs are (LDS).

    Args:
        label_bin: Width of the bins of the histogram, above 0; they are
            ``[k * width, (k + 1) * width)``.
        kernel: Kernel of the smoothing, see ``smoothing_window``.
        size: Number of bins it spans, odd.
        sigma: Its width in bins.
        reweight: "inverse" of the smoothed density, or "sqrt_inverse", its square root. For
            "inverse" the counts of all bins between the outermost labels are first clipped to 5 to
            1000, as published: else a rare label outweighs all others.

    Raises:
        LossInputError: A value is not legal.
    """

    label_bin: float = 1.0
    kernel: str = "gaussian"
    size: int = 5
    sigma: float = 2.0
    reweight: str = "sqrt_inverse"

    def __post_init__(self) -> None:
        check_positive("label_bin", self.label_bin)
        smoothing_window(self.kernel, size=self.size, sigma=self.sigma)
        if self.reweight not in REWEIGHTINGS:
            raise LossInputError(
                f"Expected reweight among {', '.join(REWEIGHTINGS)}, found {self.reweight!r}. "
                "Choose one of them."
            )

    def __call__(self, labels: Tensor) -> Tensor:
        """The weights of the samples of a training set.

        Args:
            labels: ``(N,)``, N of at least 1, in the unit of the task.

        Returns:
            ``(N,)`` float64 above 0, their mean 1.

        Raises:
            LossInputError: A label is not finite, there is none, or they span too many bins.
        """
        window = smoothing_window(self.kernel, size=self.size, sigma=self.sigma)
        bins = _bins(labels, self.label_bin)
        counts = torch.bincount(bins).double()
        if self.reweight == "inverse":
            counts.clamp_(*_CLIP)
        density = smoothed(counts, window.to(labels.device))[bins]
        weight = 1 / density
        if self.reweight == "sqrt_inverse":
            weight = weight.sqrt()
        return weight / weight.mean()


def _bins(labels: Tensor, width: float) -> Tensor:
    """Bin of each label, counted from that of the smallest."""
    if labels.ndim != 1 or len(labels) == 0:
        raise LossInputError(
            f"Expected labels of shape (N,), N of at least 1, found {tuple(labels.shape)}. "
            "Give the labels of the training set."
        )
    check_finite_labels(labels)
    steps = grid_steps(labels.detach(), width)
    span = float(steps.max() - steps.min())
    if span > _MOST_BINS:
        raise LossInputError(
            f"Expected labels that span at most {_MOST_BINS} bins, found {span:g}. "
            "Choose wider bins."
        )
    return (steps - steps.min()).long()
