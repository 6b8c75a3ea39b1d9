"""LDS and FDS: weights of samples and smoothing of features against imbalance of the labels."""

from __future__ import annotations

from dataclasses import dataclass

from supremix.losses import DensityWeights
from supremix.methods.base import from_config, label_bin_of
from supremix.methods.end_to_end import BasedConfig, EndToEnd
from supremix.methods.recipes import Recipe, Smoothing
from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class LDSConfig(BasedConfig):
    """Parameters of label distribution smoothing (Yang 2021) in addition to `BasedConfig`.

    Args:
        reweight: "inverse" of the smoothed density, or "sqrt_inverse"; "none" leaves plain base.
        kernel, size, sigma: Shape of the smoothing, see `supremix.losses.DensityWeights`.
        label_bin: Width of the bins, in the task's unit; None takes the card's.
    """

    reweight: str = "sqrt_inverse"
    kernel: str = "gaussian"
    size: int = 5
    sigma: float = 2.0
    label_bin: float | None = None

    def density(self, card: Card) -> DensityWeights | None:
        """The weights."""
        if self.reweight == "none":
            return None
        return from_config(DensityWeights, self, label_bin=label_bin_of(card))

    def recipe(self, card: Card) -> Recipe:
        """The weights."""
        return Recipe(density=self.density(card))


@dataclass(frozen=True, kw_only=True, slots=True)
class FDSConfig(BasedConfig):
    """Parameters of feature distribution smoothing (Yang 2021) in addition to `BasedConfig`.

    Args:
        kernel, size, sigma, momentum, start: Shape and time of the smoothing, see
            `supremix.losses.FeatureSmoothing`.
        label_bin: Width of the bins, in the task's unit; None takes the card's.
    """

    kernel: str = "gaussian"
    size: int = 5
    sigma: float = 2.0
    momentum: float = 0.9
    start: int = 1
    label_bin: float | None = None

    def recipe(self, card: Card) -> Recipe:
        """The smoothing, and weights if they are switched on."""
        smoothing = from_config(Smoothing, self, label_bin=label_bin_of(card))
        return Recipe(smoothing=smoothing, density=self.density(card))


DENSITIES = (EndToEnd(name="lds", config=LDSConfig), EndToEnd(name="fds", config=FDSConfig))
