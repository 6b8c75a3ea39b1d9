"""Feature distribution smoothing, FDS (Yang et al. 2021, arXiv 2102.09554).

Features of near labels should be distributed alike. For every label bin the mean and variance of
the features are tracked from epoch to epoch and smoothed over neighbouring bins; a feature is then
moved from its bin's own distribution to the smoothed one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from supremix.losses.common.checks import check_batch, check_finite_labels, check_positive
from supremix.losses.common.errors import LossInputError
from supremix.losses.common.transfer import to_device
from supremix.losses.density import smoothed, smoothing_window

# By how much the variance of a feature may be changed at most, as in the paper's experiments.
_LEAST, _MOST = 0.1, 10.0
_MOST_BINS = 100_000
# A variance this small relative to the square of the mean is rounding.
_ROUNDING = 1e-12


class FeatureSmoothing(nn.Module):
    """Calibrates features in training; leaves them as they are in evaluation.

    In every epoch each step calls the module and ``collect``; after the epoch comes ``finish``.
    From the epoch ``start`` on, features are calibrated with the statistics of the epochs before.
    Everything that changes is in its state, so a checkpoint of the module resumes, also half way
    through an epoch.

    Args:
        width: D, the number of features.
        low: left edge of the first bin, in the unit of the labels.
        high: right edge of the last one, above low; labels beyond count to the outer bins.
        label_bin: width of a bin, above 0.
        kernel: of the smoothing, see ``smoothing_window``.
        size: bins it spans, odd.
        sigma: its width in bins.
        momentum: part of the running statistics that an epoch keeps, within [0, 1).
        start: epochs to pass before features are calibrated, at least 1.

    Raises:
        LossInputError: an argument is not legal.
    """

    mean: Tensor
    variance: Tensor
    seen: Tensor
    total: Tensor
    squares: Tensor
    counts: Tensor

    def __init__(
        self,
        width: int,
        *,
        low: float,
        high: float,
        label_bin: float = 1.0,
        kernel: str = "gaussian",
        size: int = 5,
        sigma: float = 2.0,
        momentum: float = 0.9,
        start: int = 1,
    ) -> None:
        super().__init__()
        check_positive("label_bin", label_bin)
        check_positive("high - low", high - low)
        check_positive("width", width)
        count = (high - low) / label_bin
        if not 0 <= momentum < 1 or start < 1 or count > _MOST_BINS:
            raise LossInputError(
                f"Expected 0 <= momentum < 1, start of at least 1 and at most {_MOST_BINS} bins, "
                f"found {momentum}, {start} and {count:g}. Change what is outside."
            )
        self.low, self.label_bin = low, label_bin
        self.momentum, self.start = momentum, start
        # A range of 2.3 is 23.000000000000004 bins of 0.1.
        self.bins = max(1, math.ceil(count - 1e-9))
        self.window = smoothing_window(kernel, size=size, sigma=sigma)
        self.epochs = 0
        shape, double = (self.bins, width), torch.float64
        for name in ("mean", "total", "squares"):
            self.register_buffer(name, torch.zeros(shape, dtype=double))
        self.register_buffer("variance", torch.ones(shape, dtype=double))
        self.register_buffer("seen", torch.zeros(self.bins, dtype=torch.bool))
        self.register_buffer("counts", torch.zeros(self.bins, dtype=double))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Calibrate features ``(B, D)`` of labels ``(B,)``; the same shape and type.

        A feature keeps its gradient, times the factor its standard deviation is changed by. One
        that does not vary in its bin stays as it is, as published.

        Raises:
            LossInputError: the two do not form a batch.
        """
        if not self.training or self.epochs < self.start:
            return features
        index = self._bin_of(features, labels)
        mean, variance = self._smooth()
        # A bin never seen, and a feature that does not vary in its bin, has no distribution of its
        # own to be moved from.
        known = self.seen.unsqueeze(1) & (self.variance > _ROUNDING * self.mean.square())
        ratio = variance / torch.where(known, self.variance, 1.0)
        scale = torch.where(known, ratio.clamp_(_LEAST, _MOST).sqrt_(), 1.0)
        offset = torch.where(known, mean - scale * self.mean, 0.0)
        with torch.autocast(device_type=features.device.type, enabled=False):
            moved = features.double() * scale[index] + offset[index]
        return moved.to(features.dtype)

    def collect(self, features: Tensor, labels: Tensor) -> None:
        """Count uncalibrated features ``(B, D)`` of labels ``(B,)`` in for this epoch.

        Raises:
            LossInputError: the two do not form a batch.
        """
        index = self._bin_of(features, labels)
        exact = features.detach().double()
        self.counts.index_add_(0, index, torch.ones_like(index, dtype=torch.float64))
        self.total.index_add_(0, index, exact)
        self.squares.index_add_(0, index, exact.square())

    def finish(self, reduce: Callable[[Tensor], Tensor] | None = None) -> None:
        """End an epoch: bring the running statistics up to date.

        Args:
            reduce: the sum of a tensor over all workers, such as ``Collective.sum``; None for
                one process.
        """
        parts = (self.counts, self.total, self.squares)
        counts, total, squares = parts if reduce is None else tuple(reduce(p) for p in parts)
        here = counts > 0
        size = counts.clamp(min=1).unsqueeze(1)
        mean = total / size
        # Unbiased, as far as one sample allows.
        variance = (squares / size - mean.square()).clamp_(min=0) * size / (size - 1).clamp(min=1)
        keep = torch.where(self.seen, self.momentum, 0.0)
        keep = torch.where(here, keep, 1.0).unsqueeze(1)
        self.mean.mul_(keep).add_((1 - keep) * mean)
        self.variance.mul_(keep).add_((1 - keep) * variance)
        self.seen |= here
        self.epochs += 1
        for part in parts:
            part.zero_()

    def get_extra_state(self) -> Tensor:
        """The number of epochs that have ended; no buffer, which one would wait for on a GPU."""
        return torch.tensor(self.epochs)

    def set_extra_state(self, state: Tensor) -> None:
        """Load it."""
        self.epochs = int(state)

    def _smooth(self) -> tuple[Tensor, Tensor]:
        """Means and variances ``(K, D)`` over neighbouring bins; bins never seen do not count."""
        seen = self.seen.double().unsqueeze(1)
        weight = smoothed(seen, self.window).clamp_(min=1e-12)
        mean = smoothed(self.mean * seen, self.window) / weight
        return mean, smoothed(self.variance * seen, self.window) / weight

    def _bin_of(self, features: Tensor, labels: Tensor) -> Tensor:
        check_batch(features, labels)
        known = labels.detach().cpu()
        check_finite_labels(known)
        if features.shape[1] != self.mean.shape[1]:
            raise LossInputError(
                f"Expected {self.mean.shape[1]} features, found {features.shape[1]}. "
                "Give the width of the features at construction."
            )
        steps = torch.floor((known.double() - self.low) / self.label_bin + 1e-9)
        return to_device(steps.clamp_(0, self.bins - 1).long(), features.device)
