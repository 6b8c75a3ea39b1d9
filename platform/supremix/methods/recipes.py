"""What an end-to-end stage does beside comparing a prediction with its target.

A recipe is a plan made of a configuration alone. What it needs to know of the data (the labels to
be fitted and their scale) it is told by `bind`, once, before the first step.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from supremix._errors import ConfigError
from supremix.losses import FeatureSmoothing, LossInputError, SoftLabels, lds_weights
from supremix.methods.mixing import Mixing
from supremix.models.scaling import TargetScale


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a recipe is told of the data.

    Attributes:
        labels: (N,) float64 on the CPU, of the samples to fit, in the task's unit.
        scale: between that unit and what the network fits.
    """

    labels: Tensor
    scale: TargetScale

    def length(self, size: float) -> float:
        """A distance in the task's unit on the scale of the targets, at the median label."""
        return self.scale.length(size, float(self.labels.median()))


@dataclass(frozen=True, kw_only=True, slots=True)
class GlobalBatch:
    """The batch of all workers, as an additional term sees it.

    Attributes:
        features: (M, F), with their gradients.
        labels: (M,) float64 in the task's unit.
        predictions: (M,) in the task's unit, without gradient.
        anchors: this worker's rows; a term's values over all workers add up to the batch's.
        draws: the step's generator, in the same state on every worker.
    """

    features: Tensor
    labels: Tensor
    predictions: Tensor
    anchors: slice
    draws: torch.Generator


BoundTerm = Callable[[GlobalBatch], Tensor]


@runtime_checkable
class Bindable(Protocol):
    """A loss or term that has to be told of the data before it can be called."""

    def bind(self, facts: Facts) -> Callable[..., Tensor]:
        """What is called in every step."""
        ...


def bound(loss: Callable[..., Tensor] | Bindable, facts: Facts) -> Callable[..., Tensor]:
    """The loss as it is called, told of the data where it wants to be."""
    return loss.bind(facts) if isinstance(loss, Bindable) else loss


@dataclass(frozen=True, kw_only=True, slots=True)
class Density:
    """Weights of samples against imbalance of labels, see `supremix.losses.lds_weights`."""

    label_bin: float
    reweight: str = "sqrt_inverse"
    kernel: str = "gaussian"
    size: int = 5
    sigma: float = 2.0

    def __post_init__(self) -> None:
        # Refuses what the data would meet later.
        self.weights(torch.zeros(1))

    def weights(self, labels: Tensor) -> Tensor:
        """(N,) float64 for labels (N,), their mean 1."""
        return lds_weights(
            labels,
            label_bin=self.label_bin,
            kernel=self.kernel,
            size=self.size,
            sigma=self.sigma,
            reweight=self.reweight,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Smoothing:
    """Smoothing of the features' distribution, see `supremix.losses.FeatureSmoothing`."""

    label_bin: float
    kernel: str = "gaussian"
    size: int = 5
    sigma: float = 2.0
    momentum: float = 0.9
    start: int = 1

    def __post_init__(self) -> None:
        self.build(1, torch.zeros(1))

    def build(self, width: int, labels: Tensor) -> FeatureSmoothing:
        """The module for features (B, width), its bins over the labels (N,)."""
        steps = torch.floor(labels.double() / self.label_bin + 1e-9)
        return FeatureSmoothing(
            width,
            low=float(steps.min()) * self.label_bin,
            high=(float(steps.max()) + 1) * self.label_bin,
            label_bin=self.label_bin,
            kernel=self.kernel,
            size=self.size,
            sigma=self.sigma,
            momentum=self.momentum,
            start=self.start,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftBins:
    """A head of label bins, and the loss on its logits, see `supremix.losses.SoftLabels`.

    Args:
        label_bin: width of a bin, in the task's unit. sigma: of the soft label, likewise.
    """

    label_bin: float
    sigma: float

    def __post_init__(self) -> None:
        SoftLabels(low=0.0, high=self.label_bin, label_bin=self.label_bin, sigma=self.sigma)

    def grid(self, facts: Facts) -> SoftLabels:
        """The bins: three sigma beyond the labels, not below 0 where logarithms are fitted."""
        grid = SoftLabels.covering(facts.labels, label_bin=self.label_bin, sigma=self.sigma)
        if facts.scale.transform != "log" or grid.low >= 0:
            return grid
        return SoftLabels(low=0.0, high=grid.high, label_bin=self.label_bin, sigma=self.sigma)

    def frequency(self, facts: Facts) -> Tensor:
        """(K,) the mean soft label of the samples to fit."""
        grid = self.grid(facts)
        total = torch.zeros(grid.count, dtype=torch.float64)
        # In parts: all samples times all bins is a lot of memory.
        for part in facts.labels.split(4096):
            total += grid.targets(part).sum(0)
        return total / len(facts.labels)

    def bind(self, facts: Facts) -> Callable[..., Tensor]:
        """loss(logits (B, K), labels (B,) in the task's unit) -> (B,)."""
        return self.grid(facts).loss


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What a regression stage does beside its loss.

    Args:
        mixing: of inputs or features, and their targets.
        density: weights of the samples.
        smoothing: of the distribution of features.
        terms: what is added to the loss; each is `BoundTerm`, or gives one when bound.
        bins: a head of label bins instead of a linear one; the stage's loss then takes logits
            and labels.
        coupled: the stage's loss is loss(predictions (M,), targets (M,), *, anchors) -> scalar,
            of the whole batch.

    Raises:
        ConfigError: parts that exclude one another.
    """

    mixing: Mixing | None = None
    density: Density | None = None
    smoothing: Smoothing | None = None
    terms: tuple[Any, ...] = ()
    bins: SoftBins | None = None
    coupled: bool = False

    def __post_init__(self) -> None:
        if self.coupled and not (self.density is None and self.bins is None):
            raise ConfigError(
                "a loss of the whole batch has no value for each sample to be weighted, and takes "
                "predictions, not logits; leave density and bins out"
            )

    def check(self, facts: Facts) -> None:
        """Raise ConfigError where a part cannot be used on this data."""
        with legal():
            if self.density is not None:
                self.density.weights(facts.labels)
            if self.smoothing is not None:
                self.smoothing.build(1, facts.labels)
            for term in self.terms:
                bound(term, facts)
            if self.bins is not None:
                self.bins.grid(facts)


@contextmanager
def legal() -> Generator[None]:
    """Turn what a loss refuses into a ConfigError."""
    try:
        yield
    except LossInputError as error:
        raise ConfigError(str(error)) from error
