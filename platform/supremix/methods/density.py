"""LDS and FDS: against imbalance of labels, weights of samples and smoothing of features."""

from __future__ import annotations

from dataclasses import dataclass

from supremix.methods.end_to_end import BasedConfig, EndToEnd, bin_of
from supremix.methods.recipes import Density, Recipe, Smoothing
from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class LDSConfig(BasedConfig):
    """Parameters of label distribution smoothing (Yang 2021), beside those of `BasedConfig`.

    Args:
        reweight: "inverse" of the smoothed density, or "sqrt_inverse"; "none" leaves plain base.
        kernel, size, sigma: of the smoothing, see `supremix.losses.lds_weights`.
        label_bin: width of the bins, in the task's unit; None takes the card's.
    """

    reweight: str = "sqrt_inverse"
    kernel: str = "gaussian"
    size: int = 5
    sigma: float = 2.0
    label_bin: float | None = None

    def density(self, card: Card) -> Density | None:
        """The weights."""
        if self.reweight == "none":
            return None
        return Density(
            label_bin=bin_of(card, self.label_bin),
            reweight=self.reweight,
            kernel=self.kernel,
            size=self.size,
            sigma=self.sigma,
        )

    def recipe(self, card: Card) -> Recipe:
        """The weights."""
        return Recipe(density=self.density(card))


@dataclass(frozen=True, kw_only=True, slots=True)
class FDSConfig(BasedConfig):
    """Parameters of feature distribution smoothing (Yang 2021), beside those of `BasedConfig`.

    Args:
        kernel, size, sigma, momentum, start: see `supremix.losses.FeatureSmoothing`.
        label_bin: width of the bins, in the task's unit; None takes the card's.
    """

    kernel: str = "gaussian"
    size: int = 5
    sigma: float = 2.0
    momentum: float = 0.9
    start: int = 1
    label_bin: float | None = None

    def recipe(self, card: Card) -> Recipe:
        """The smoothing, and weights if they are switched on."""
        smoothing = Smoothing(
            label_bin=bin_of(card, self.label_bin),
            kernel=self.kernel,
            size=self.size,
            sigma=self.sigma,
            momentum=self.momentum,
            start=self.start,
        )
        return Recipe(smoothing=smoothing, density=self.density(card))


DENSITIES = (EndToEnd(name="lds", config=LDSConfig), EndToEnd(name="fds", config=FDSConfig))
