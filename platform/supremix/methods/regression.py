"""The methods that differ in the loss of the prediction alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from supremix.losses import BalancedMSELoss, HuberLoss, mse
from supremix.methods.base import from_config, label_bin_of
from supremix.methods.end_to_end import EndToEnd, EndToEndConfig
from supremix.methods.recipes import Recipe, SoftBins
from supremix.methods.terms import InTaskUnit
from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class MSEConfig(EndToEndConfig):
    """Parameters of the squared error: those of `EndToEndConfig`."""

    def objective(self, card: Card) -> Callable[..., Tensor]:
        """The squared error."""
        return mse


@dataclass(frozen=True, kw_only=True, slots=True)
class HuberConfig(EndToEndConfig):
    """Parameters of the Huber loss in addition to `EndToEndConfig`.

    Args:
        delta: Error at which the square turns into a line, in the task's unit; None takes the
            card's label scale.
    """

    delta: float | None = None

    def objective(self, card: Card) -> InTaskUnit:
        """The Huber loss."""
        return InTaskUnit(from_config(HuberLoss, self, delta=card.label_scale), "delta")


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftLabelsConfig(EndToEndConfig):
    """Parameters of soft labels (Peng 2021) in addition to `EndToEndConfig`.

    Args:
        label_bin: Width of the bins, in the task's unit; None takes the card's.
        sigma: Standard deviation of the soft label; None takes the card's label scale.
    """

    label_bin: float | None = None
    sigma: float | None = None

    def objective(self, card: Card) -> SoftBins:
        """The divergence from the soft label."""
        return from_config(SoftBins, self, label_bin=label_bin_of(card), sigma=card.label_scale)

    def recipe(self, card: Card) -> Recipe:
        """The head of label bins."""
        return Recipe(bins=self.objective(card))


@dataclass(frozen=True, kw_only=True, slots=True)
class BalancedMSEConfig(EndToEndConfig):
    """Parameters of the balanced squared error (Ren 2022) in addition to `EndToEndConfig`.

    Args:
        sigma: Noise of a prediction, in the task's unit; None takes the card's label scale.
    """

    sigma: float | None = None

    def objective(self, card: Card) -> InTaskUnit:
        """The balanced squared error."""
        return InTaskUnit(from_config(BalancedMSELoss, self, sigma=card.label_scale), "sigma")

    def recipe(self, card: Card) -> Recipe:
        """A loss of the whole batch."""
        return Recipe(coupled=True)


REGRESSION = (
    EndToEnd(name="l1", config=EndToEndConfig),
    EndToEnd(name="mse", config=MSEConfig),
    EndToEnd(name="huber", config=HuberConfig),
    EndToEnd(name="soft-labels", config=SoftLabelsConfig),
    EndToEnd(name="balanced-mse", config=BalancedMSEConfig),
)
