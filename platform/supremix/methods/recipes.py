"""Recipes: additions of an end-to-end stage to the comparison of predictions with targets.

A recipe is a plan made of a configuration alone. `bind` gives it what it needs to know of the data
(the labels to be fitted and their scale), once, before the first step.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from supremix._errors import ConfigError
from supremix.losses import DensityWeights, FeatureSmoothing, LossInputError, SoftLabels
from supremix.methods.mixing import Mixing
from supremix.models.scaling import TargetScale


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelStats:
    """Labels of the samples to fit, and the scale that the network fits them on.

    Attributes:
        labels: (N,) float64 on the CPU, in the task's unit.
        scale: Standardisation between that unit and what the network fits.
    """

    labels: Tensor
    scale: TargetScale

    def length(self, size: float) -> float:
        """A distance in the task's unit on the scale of the targets, at the median label."""
        return self.scale.length(size, float(self.labels.median()))


@dataclass(frozen=True, kw_only=True, slots=True)
class GlobalBatch:
    """The batch of all workers, M views of images, as an additional term sees it.

    Attributes:
        features: (M, F), with their gradients; embeddings where the recipe has a projection.
        labels: (M,) float64 in the task's unit.
        predictions: (M,) in the task's unit, without gradient.
        anchors: Rows of this worker; a term's values over all workers add up to the batch's.
        generator: Generator of the step, in the same state on every worker.
    """

    features: Tensor
    labels: Tensor
    predictions: Tensor
    anchors: slice
    generator: torch.Generator


BoundTerm = Callable[[GlobalBatch], Tensor]


@runtime_checkable
class Bindable(Protocol):
    """A loss or term that has to know the labels before it can be called."""

    def bind(self, stats: LabelStats) -> Callable[..., Tensor]:
        """The function that is called in every step."""
        ...


def bound(loss: Callable[..., Tensor] | Bindable, stats: LabelStats) -> Callable[..., Tensor]:
    """The loss as it is called, bound to the labels where it has to know them."""
    return loss.bind(stats) if isinstance(loss, Bindable) else loss


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
            **asdict(self),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftBins:
    """A head of label bins, and the loss on its logits, see `supremix.losses.SoftLabels`.

    Args:
        label_bin: Width of a bin, in the task's unit.
        sigma: Standard deviation of the soft label, in the same unit.
    """

    label_bin: float
    sigma: float

    def __post_init__(self) -> None:
        SoftLabels(low=0.0, high=self.label_bin, label_bin=self.label_bin, sigma=self.sigma)

    def grid(self, stats: LabelStats) -> SoftLabels:
        """The bins: three sigma beyond the labels, not below 0 where logarithms are fitted."""
        grid = SoftLabels.covering(stats.labels, label_bin=self.label_bin, sigma=self.sigma)
        if stats.scale.transform != "log" or grid.low >= 0:
            return grid
        return SoftLabels(low=0.0, high=grid.high, label_bin=self.label_bin, sigma=self.sigma)

    def frequency(self, stats: LabelStats) -> Tensor:
        """(K,) the mean soft label of the samples to fit."""
        grid = self.grid(stats)
        total = torch.zeros(grid.count, dtype=torch.float64)
        # In parts: all samples times all bins is a lot of memory.
        for part in stats.labels.split(4096):
            total += grid.targets(part).sum(0)
        return total / len(stats.labels)

    def bind(self, stats: LabelStats) -> Callable[..., Tensor]:
        """loss(logits (B, K), labels (B,) in the task's unit) -> (B,)."""
        return self.grid(stats).loss


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Additions of a regression stage to its loss.

    Args:
        mixing: Mixing of inputs or features, and of their targets.
        density: Weights of the samples.
        smoothing: Smoothing of the distribution of features.
        terms: Terms that are added to the loss; each is `BoundTerm`, or gives one when bound.
        bins: A head of label bins instead of a linear one; the stage's loss then takes logits
            and labels.
        coupled: Whether the stage's loss is loss(predictions (M,), targets (M,), *, anchors) ->
            scalar, of the whole batch.
        projection_dim: Width of a projection head, whose embeddings the terms then see instead of
            features; None for no such head.
        views: Augmented views that a step takes of each image; the loss is the mean over them.

    Raises:
        ConfigError: Parts that exclude one another.
    """

    mixing: Mixing | None = None
    density: DensityWeights | None = None
    smoothing: Smoothing | None = None
    terms: tuple[Any, ...] = ()
    bins: SoftBins | None = None
    coupled: bool = False
    projection_dim: int | None = None
    views: int = 1

    def __post_init__(self) -> None:
        if self.views < 1 or (self.views > 1 and self.mixing is not None):
            raise ConfigError(
                f"a step takes at least one view of each image, and one where images are mixed, "
                f"found views={self.views} with mixing={self.mixing}"
            )
        if self.coupled and not (self.density is None and self.bins is None):
            raise ConfigError(
                "a loss of the whole batch has no value for each sample to be weighted, and takes "
                "predictions, not logits; leave density and bins out"
            )

    def check(self, stats: LabelStats) -> None:
        """Raise ConfigError where a part cannot be used on this data."""
        with legal():
            if self.density is not None:
                self.density(stats.labels)
            if self.smoothing is not None:
                self.smoothing.build(1, stats.labels)
            for term in self.terms:
                bound(term, stats)
            if self.bins is not None:
                self.bins.grid(stats)


@contextmanager
def legal() -> Generator[None]:
    """Turn what a loss refuses into a ConfigError."""
    try:
        yield
    except LossInputError as error:
        raise ConfigError(str(error)) from error
