"""The methods that train end to end: common parameters, base losses, and their one stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from supremix._errors import ConfigError
from supremix.losses import DensityWeights, HuberLoss, mse
from supremix.losses.density import REWEIGHTINGS
from supremix.methods.base import DEFAULT_SCHEDULE, Stage, absolute_error, from_config, label_bin_of
from supremix.methods.recipes import Bindable, Recipe, Smoothing, legal
from supremix.methods.terms import FeatureTerm, InTaskUnit
from supremix_datasets.cards.card import Card

BASES = ("l1", "mse", "huber")
REWEIGHTS = ("none", *REWEIGHTINGS)


@dataclass(frozen=True, kw_only=True, slots=True)
class EndToEndConfig:
    """Parameters of every method that trains end to end; alone, those of L1.

    Args:
        batch_size: Images of a step.
        lr: Peak learning rate of AdamW.
        weight_decay: Weight decay of the matrices.
        schedule: Schedule of the learning rate, see `supremix.training.steps.schedule.Schedule`.
        freeze: Number of the encoder's first stages that keep pretrained weights, see `Stage`.
        layer_decay: Factor of the learning rate from stage to stage towards the image, see `Stage`.
    """

    batch_size: int = 16
    lr: float = 4e-3
    weight_decay: float = 0.05
    schedule: str = DEFAULT_SCHEDULE
    freeze: int = 0
    layer_decay: float = 1.0

    def objective(self, card: Card) -> Callable[..., Tensor] | Bindable:
        """The loss of the stage, the absolute error unless a method has another."""
        return absolute_error

    def recipe(self, card: Card) -> Recipe | None:
        """Additions of the stage to its loss."""
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class BasedConfig(EndToEndConfig):
    """Parameters of a method that adds to a base loss.

    Args:
        base: Base loss, "l1", "mse" or "huber".
        delta: Delta of "huber", in the task's unit; None takes the card's label scale.
        reweight: Weights of samples by the density of labels (LDS, Yang 2021) with its usual
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
            return InTaskUnit(from_config(HuberLoss, self, delta=card.label_scale), "delta")
        return mse if self.base == "mse" else absolute_error

    def density(self, card: Card) -> DensityWeights | None:
        """The weights of samples, if there are any."""
        if self.reweight == "none":
            return None
        return DensityWeights(label_bin=label_bin_of(card), reweight=self.reweight)


@dataclass(frozen=True, kw_only=True, slots=True)
class TermConfig(BasedConfig):
    """Parameters of a method that adds a loss on features to a base loss.

    Args:
        smooth: Whether the distribution of features is smoothed as well (FDS, Yang 2021), with
            its usual hyperparameters.
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
            smoothing=Smoothing(label_bin=label_bin_of(card)) if self.smooth else None,
        )


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """A method of one stage.

    Args:
        name: Name of the method in tables.
        config: Class of its configuration, which makes loss and recipe.
        searched: Of a method of the user's own: parameters of `supremix_spaces` by the name of its
            own hyperparameters that are searched, next to those of the training that all methods
            of one stage search. None: the search is given a space.
    """

    name: str
    config: type[EndToEndConfig]
    searched: Mapping[str, Any] | None = None

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
                schedule=config.schedule,
                freeze=config.freeze,
                layer_decay=config.layer_decay,
                recipe=recipe,
            ),
        )
