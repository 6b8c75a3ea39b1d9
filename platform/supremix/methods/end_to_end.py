"""What the methods that train end to end share: parameters, base losses, and their one stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from supremix._errors import ConfigError
from supremix.losses import mse
from supremix.methods.base import Stage, absolute_error
from supremix.methods.recipes import Bindable, Density, Recipe, Smoothing, legal
from supremix.methods.terms import FeatureTerm, Huber
from supremix_datasets.cards.card import Card

BASES = ("l1", "mse", "huber")
REWEIGHTS = ("none", "inverse", "sqrt_inverse")


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectConfig:
    """Parameters of every method that trains end to end, as those of `L1`.

    Args:
        batch_size: images of a step. lr: peak rate of AdamW. weight_decay: of the matrices.
    """

    batch_size: int = 16
    lr: float = 4e-3
    weight_decay: float = 0.05

    def objective(self, card: Card) -> Callable[..., Tensor] | Bindable:
        """The loss of the stage."""
        raise NotImplementedError(f"{type(self).__name__} has to say which loss it stands for")

    def recipe(self, card: Card) -> Recipe | None:
        """What the stage does beside its loss."""
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class BasedConfig(DirectConfig):
    """Parameters of a method that adds to a base loss.

    Args:
        base: "l1", "mse" or "huber".
        delta: of "huber", in the task's unit; None takes the card's label scale.
        reweight: weights of samples by the density of labels (LDS, Yang 2021) with its usual
            kernel: "none", "inverse" or "sqrt_inverse".
    """

    base: str = "l1"
    delta: float | None = None
    reweight: str = "none"

    def __post_init__(self) -> None:
        for name, known in (("base", BASES), ("reweight", REWEIGHTS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"{name} must be one of {', '.join(known)}, found {getattr(self, name)!r}"
                )

    @property
    def power(self) -> int:
        """Whether the base loss grows with the error, 1, or with its square, 2."""
        return 1 if self.base == "l1" else 2

    def objective(self, card: Card) -> Callable[..., Tensor] | Bindable:
        """The base loss."""
        if self.base == "huber":
            return Huber(delta=card.label_scale if self.delta is None else self.delta)
        return mse if self.base == "mse" else absolute_error

    def density(self, card: Card) -> Density | None:
        """The weights of samples, if there are any."""
        if self.reweight == "none":
            return None
        return Density(label_bin=bin_of(card), reweight=self.reweight)


@dataclass(frozen=True, kw_only=True, slots=True)
class TermConfig(BasedConfig):
    """Parameters of a method that adds a loss on features to a base loss.

    Args:
        smooth: whether the distribution of features is smoothed as well (FDS, Yang 2021), with
            its usual settings.
    """

    smooth: bool = False

    def term(self, card: Card) -> tuple[Callable[..., Tensor], float]:
        """The loss on features, and its weight against a base loss in label scales."""
        raise NotImplementedError(f"{type(self).__name__} has to say what it adds")

    def recipe(self, card: Card) -> Recipe:
        """The term, and what else is switched on."""
        loss, weight = self.term(card)
        term = FeatureTerm(loss=loss, weight=weight, label_scale=card.label_scale, power=self.power)
        return Recipe(
            terms=(term,),
            density=self.density(card),
            smoothing=Smoothing(label_bin=bin_of(card)) if self.smooth else None,
        )


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """A method of one stage.

    Args:
        name: what tables call it.
        config: its parameters, which know loss and recipe.
    """

    name: str
    config: type[DirectConfig]

    def stages(self, config: Any, *, epochs: int, card: Card) -> tuple[Stage, ...]:
        """The one stage.

        Raises:
            ConfigError: a value that the loss, or what is added to it, does not take.
        """
        with legal():
            loss, recipe = config.objective(card), config.recipe(card)
        return (
            Stage(
                name="regress",
                objective="regression",
                epochs=epochs,
                batch_size=config.batch_size,
                loss=loss,
                lr=config.lr,
                weight_decay=config.weight_decay,
                recipe=recipe,
            ),
        )


def bin_of(card: Card, chosen: float | None = None) -> float:
    """The width of label bins: as chosen, or the card's; its label scale where it has none."""
    return (card.label_bin or card.label_scale) if chosen is None else chosen
