"""A method: a configuration and the stages that it makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from torch import Tensor
from torch.nn import functional

from supremix._choices import SCHEDULES
from supremix._errors import ConfigError
from supremix.methods.recipes import Recipe
from supremix_datasets.cards.card import Card

DEFAULT_SCHEDULE = "warmup-stable-decay"

Objective = Literal["contrastive", "regression", "probe"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A part of a trial with one objective, one optimizer and one cycle of the learning rate.

    Args:
        name: Name of the stage in curves, "pretrain" or "regress" for the built-in methods.
        objective: "contrastive": two augmented views of each image, the loss on the embeddings
            of the whole batch. "regression": one view, or those of the recipe, the loss on
            standardised predictions.
            "probe": nothing is trained, the head becomes the ridge solution on frozen features.
        epochs: Number of epochs, at least 1; a probe needs one.
        batch_size: Images of a step over all workers (twice as many views when contrastive).
        loss: For "contrastive" loss(embeddings (M, D), labels (M,) in the task's unit, *,
            generator, anchors: slice) -> scalar, whose sum over the workers' slices is the
            batch's loss. For "regression" loss(predictions (B,), targets (B,)) -> (B,), one value
            a sample; one that has to know the data is given by its `bind`, see
            `recipes.Bindable`.
        lr: Peak of the learning rate.
        weight_decay: Weight decay of the matrices.
        schedule: Schedule of the learning rate, one of `supremix.training.steps.schedule`.
        warmup: Share of the steps on the way up to the peak of "one-cycle".
        clip: Largest norm of the gradient, None for no limit.
        projection_dim: Width of the embedding of a contrastive stage. None for no projection
            head: the embedding is the joined features.
        frozen_norms: Whether the encoder's normalisations keep their statistics and parameters.
        freeze: Number of the encoder's first stages that are not trained, see
            `supremix.models.stages.encoder_stages`; the stem is the first.
        layer_decay: Factor of the learning rate from a stage of the encoder to the one before it,
            in (0, 1]; the last stage has it once against the heads (Clark 2020).
        recipe: Additions of a regression to its loss, None for none.
    """

    name: str
    objective: Objective
    epochs: int
    batch_size: int
    loss: Callable[..., Tensor] | None = None
    lr: float = 0.0
    weight_decay: float = 0.0
    schedule: str = DEFAULT_SCHEDULE
    warmup: float = 0.1
    clip: float | None = 5.0
    projection_dim: int | None = 128
    frozen_norms: bool = False
    freeze: int = 0
    layer_decay: float = 1.0
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ConfigError(
                f"a stage needs at least one epoch and one image a step, stage {self.name!r} has "
                f"epochs={self.epochs}, batch_size={self.batch_size}"
            )
        if self.schedule not in SCHEDULES:
            raise ConfigError(
                f"schedule must be one of {', '.join(SCHEDULES)}, found {self.schedule!r}"
            )
        if self.freeze < 0 or not 0 < self.layer_decay <= 1:
            raise ConfigError(
                f"freeze must be at least 0 and layer_decay in (0, 1], found freeze={self.freeze}, "
                f"layer_decay={self.layer_decay}"
            )
        if self.recipe is not None and self.objective != "regression":
            raise ConfigError(
                f"stage {self.name!r} is {self.objective} and has a recipe, which is for regression"
            )
        if self.objective != "probe" and (self.loss is None or self.lr <= 0):
            raise ConfigError(
                f"stage {self.name!r} is trained and needs a loss and lr > 0, found lr={self.lr}"
            )

    @property
    def views(self) -> int:
        """Views that a step takes of each image of its batch; 0 where nothing is trained."""
        regression = 1 if self.recipe is None else self.recipe.views
        return {"contrastive": 2, "regression": regression, "probe": 0}[self.objective]

    @property
    def projected(self) -> int | None:
        """Width of the projection head that the stage trains; None where it trains none."""
        if self.objective == "contrastive":
            return self.projection_dim
        return None if self.recipe is None else self.recipe.projection_dim


@runtime_checkable
class Method(Protocol):
    """A way to train. Any object with these two attributes and this function will do."""

    @property
    def name(self) -> str:
        """Name of the method in tables."""
        ...

    @property
    def config(self) -> type[Any]:
        """A dataclass; its fields are the legal parameters, their defaults the defaults."""
        ...

    def stages(self, config: Any, *, epochs: int, card: Card) -> tuple[Stage, ...]:
        """The stages of a configuration (an instance of `config`), `epochs` long together."""
        ...


def absolute_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """|prediction - target| of each sample, (B,)."""
    return functional.l1_loss(predictions, targets, reduction="none")


T = TypeVar("T")


def from_config(kind: type[T], config: Any, **derived: float) -> T:
    """Make a loss of a configuration, from its parameters that the loss has by the same name.

    Args:
        kind: Dataclass of the loss.
        config: Configuration of a method, a dataclass.
        derived: By name, the value that follows from the dataset where the configuration's is
            None.
    """
    target: Any = kind
    shared = {f.name for f in fields(target)} & {f.name for f in fields(config)}
    given = {name: getattr(config, name) for name in shared}
    return kind(**{n: derived.get(n) if v is None else v for n, v in given.items()})


def label_bin_of(card: Card) -> float:
    """The width of the card's label bins; its label scale where labels are compared exactly."""
    return card.label_bin or card.label_scale
