"""MSE, Huber, balanced MSE and soft labels: other losses in the place of L1's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from supremix.losses import mse
from supremix.methods.end_to_end import DirectConfig, EndToEnd, bin_of
from supremix.methods.recipes import Recipe, SoftBins
from supremix.methods.terms import BalancedMSE, Huber
from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class MSEConfig(DirectConfig):
    """Parameters of the squared error: those of `DirectConfig`."""

    def objective(self, card: Card) -> Callable[..., Tensor]:
        """The loss."""
        return mse


@dataclass(frozen=True, kw_only=True, slots=True)
class HuberConfig(DirectConfig):
    """Parameters of the Huber loss, beside those of `DirectConfig`.

    Args:
        delta: error at which square turns into line, in the task's unit; None takes the card's
            label scale.
    """

    delta: float | None = None

    def objective(self, card: Card) -> Huber:
        """The loss."""
        return Huber(delta=card.label_scale if self.delta is None else self.delta)


@dataclass(frozen=True, kw_only=True, slots=True)
class BalancedMSEConfig(DirectConfig):
    """Parameters of the balanced squared error (Ren 2022), beside those of `DirectConfig`.

    Args:
        sigma: noise of a prediction, in the task's unit; None takes the card's label scale.
    """

    sigma: float | None = None

    def objective(self, card: Card) -> BalancedMSE:
        """The loss."""
        return BalancedMSE(sigma=card.label_scale if self.sigma is None else self.sigma)

    def recipe(self, card: Card) -> Recipe:
        """The loss is one of the whole batch."""
        return Recipe(coupled=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftLabelsConfig(DirectConfig):
    """Parameters of soft labels (Peng 2021), beside those of `DirectConfig`.

    Args:
        label_bin: width of the bins, in the task's unit; None takes the card's.
        sigma: standard deviation of the soft label; None takes the card's label scale.
    """

    label_bin: float | None = None
    sigma: float | None = None

    def objective(self, card: Card) -> SoftBins:
        """The loss."""
        sigma = card.label_scale if self.sigma is None else self.sigma
        return SoftBins(label_bin=bin_of(card, self.label_bin), sigma=sigma)

    def recipe(self, card: Card) -> Recipe:
        """The head that belongs to it."""
        return Recipe(bins=self.objective(card))


DIRECT = (
    EndToEnd(name="mse", config=MSEConfig),
    EndToEnd(name="huber", config=HuberConfig),
    EndToEnd(name="soft-labels", config=SoftLabelsConfig),
    EndToEnd(name="balanced-mse", config=BalancedMSEConfig),
)
