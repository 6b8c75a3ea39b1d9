"""Two stages: contrastive pretraining, then a regression on its features.

The contrastive methods share their training parameters and their stages. A method
adds a configuration with the parameters of its loss; docs/own-parts.md has a whole one::

    class MineConfig(TwoStageConfig):  # a frozen dataclass
        strength: float = 1.0

        def loss(self, card: Card) -> EmbeddingLoss: ...

    MINE = TwoStage(name="mine", config=MineConfig, searched={"strength": Float(0.1, 10.0)})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from supremix._errors import ConfigError
from supremix.methods.base import DEFAULT_SCHEDULE, Stage, absolute_error
from supremix.methods.recipes import legal
from supremix_datasets.cards.card import Card

_HEADS = ("probe", "finetune")
_NORMS = ("train", "frozen")


class EmbeddingLoss(Protocol):
    """A loss on the embeddings of a batch, as those of `supremix.losses` are."""

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        anchors: slice | None = None,
    ) -> Tensor:
        """(M, D) and (M,) -> a scalar, whose values over slices of anchors add up."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoStageConfig:
    """Parameters of every two-stage method; a method's own configuration adds its loss.

    Args:
        batch_size: Images of a step, two views of each.
        lr: Peak learning rate of the pretraining.
        weight_decay: Weight decay of the matrices, in both stages.
        head: "probe", a ridge regression on the frozen features in the last epoch, or
            "finetune", the whole network with L1, starting from that ridge regression.
        finetune_lr: Peak learning rate of the fine-tuning. A long fine-tuning takes that of an
            end-to-end training, a short one wants less.
        finetune_batch_size: Images of a step of the fine-tuning; None for half of `batch_size`
            (2 of it at least), since a step of the pretraining takes two views of each image.
        finetune_norms: "train", or "frozen": the encoder's normalisations keep the statistics and
            the affine parameters of the pretraining in the fine-tuning.
        pretrain_share: Share of the epochs spent in pretraining, when fine-tuning follows.
        projection_dim: Width of the embedding.
        schedule: Schedule of the learning rate in both stages, see
            `supremix.training.steps.schedule.Schedule`.
        freeze: Number of the encoder's first stages that keep pretrained weights, in both stages
            of the training, see `Stage`.
        layer_decay: Factor of the learning rate from stage to stage of the encoder towards the
            image, in both stages of the training, see `Stage`.

    Raises:
        ConfigError: A value is not legal.
    """

    batch_size: int = 32
    lr: float = 3e-3
    weight_decay: float = 0.05
    head: str = "finetune"
    finetune_lr: float = 3e-3
    finetune_batch_size: int | None = None
    finetune_norms: str = "train"
    pretrain_share: float = 0.25
    projection_dim: int = 128
    schedule: str = DEFAULT_SCHEDULE
    freeze: int = 0
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        for name, known in (("head", _HEADS), ("finetune_norms", _NORMS)):
            found: str = getattr(self, name)
            if found not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, found {found!r}")
        if not 0 < self.pretrain_share < 1:
            raise ConfigError(
                f"pretrain_share must lie between 0 and 1, both excluded, found "
                f"{self.pretrain_share}"
            )
        for name in ("projection_dim", "finetune_batch_size"):
            value: int | None = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, found {value}")

    def loss(self, card: Card) -> EmbeddingLoss:
        """The loss, its lengths on the label axis the card's where they are left open."""
        raise NotImplementedError(f"{type(self).__name__} has to say which loss it stands for")

    def embedding(self, card: Card) -> int | None:
        """Width of the projection; None contrasts the features themselves."""
        return self.projection_dim


@dataclass(frozen=True, slots=True)
class TwoStage:
    """A method that pretrains on a contrastive loss, then regresses.

    Args:
        name: Name of the method in tables.
        config: Class of its configuration, which makes the loss.
        searched: Of a method of the user's own: parameters of `supremix_spaces` by the name of the
            loss's hyperparameters that are searched, next to those of the training that all
            two-stage methods search. None: the search is given a space.
    """

    name: str
    config: type[TwoStageConfig]
    searched: Mapping[str, Any] | None = None

    def stages(self, config: TwoStageConfig, *, epochs: int, card: Card) -> tuple[Stage, ...]:
        """Pretrain and regress; both get at least one epoch.

        Raises:
            ConfigError: fewer than 2 epochs, or a value that the loss does not take.
        """
        if epochs < 2:
            raise ConfigError(
                f"{self.name} has two stages and needs at least 2 epochs, found {epochs}"
            )
        with legal():
            loss = config.loss(card)
        share = 1.0 if config.head == "probe" else config.pretrain_share
        first = min(max(round(epochs * share), 1), epochs - 1)
        pretrain = Stage(
            name="pretrain",
            objective="contrastive",
            epochs=first,
            batch_size=config.batch_size,
            loss=loss,
            lr=config.lr,
            weight_decay=config.weight_decay,
            projection_dim=config.embedding(card),
            schedule=config.schedule,
            freeze=config.freeze,
            layer_decay=config.layer_decay,
        )
        return pretrain, _regress(config, epochs - first)


def _regress(config: TwoStageConfig, epochs: int) -> Stage:
    if config.head == "probe":
        return Stage(name="regress", objective="probe", epochs=epochs, batch_size=config.batch_size)
    half = max(config.batch_size // 2, min(config.batch_size, 2))
    return Stage(
        name="regress",
        objective="regression",
        epochs=epochs,
        batch_size=config.finetune_batch_size or half,
        loss=absolute_error,
        lr=config.finetune_lr,
        frozen_norms=config.finetune_norms == "frozen",
        weight_decay=config.weight_decay,
        schedule=config.schedule,
        freeze=config.freeze,
        layer_decay=config.layer_decay,
    )
