"""Mixup, Manifold mixup and C-Mixup: training on mixtures of samples and their targets."""

from __future__ import annotations

from dataclasses import dataclass

from supremix.methods.base import from_config
from supremix.methods.end_to_end import BasedConfig, EndToEnd
from supremix.methods.mixing import Mixing
from supremix.methods.recipes import Recipe
from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class MixupConfig(BasedConfig):
    """Parameters of mixup (Zhang 2018) in addition to `BasedConfig`.

    Args:
        alpha: Shape of Beta(alpha, alpha), from which a sample's share in its mixture is drawn.
        where: "inputs", "features" (what the head sees), or "either", drawn in each step.
    """

    alpha: float = 0.2
    where: str = "inputs"

    def recipe(self, card: Card) -> Recipe:
        """The mixing, and weights if they are switched on."""
        mixing = from_config(Mixing, self, bandwidth=card.window)
        return Recipe(mixing=mixing, density=self.density(card))


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifoldMixupConfig(MixupConfig):
    """Parameters of Manifold mixup (Verma 2019): those of `MixupConfig` with its defaults."""

    alpha: float = 2.0
    where: str = "either"


@dataclass(frozen=True, kw_only=True, slots=True)
class CMixupConfig(MixupConfig):
    """Parameters of C-Mixup (Yao 2022) in addition to `MixupConfig`.

    Args:
        bandwidth: Bandwidth of the Gaussian of label distance that makes near labels likelier
            partners, in the task's unit; None takes the card's window.
    """

    alpha: float = 2.0
    bandwidth: float | None = None


MIXUPS = (
    EndToEnd(name="mixup", config=MixupConfig),
    EndToEnd(name="manifold-mixup", config=ManifoldMixupConfig),
    EndToEnd(name="c-mixup", config=CMixupConfig),
)
