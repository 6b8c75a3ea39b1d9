"""SupReMix: contrastive pretraining with mixtures, then a regression on its features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from supremix.losses import LossInputError, SupReMixLoss
from supremix.training.errors import ConfigError
from supremix.training.method_l1 import absolute_error
from supremix.training.methods import Stage
from supremix_datasets.card import Card

_HEADS = ("probe", "finetune")


@dataclass(frozen=True, kw_only=True, slots=True)
class SupReMixConfig:
    """Parameters of `SupReMix` (Wu et al., arXiv 2309.16633).

    Args:
        temperature, alpha, beta, mix_neg, mix_pos, weights, stop_gradient, max_pairs: of the
            loss, see `supremix.losses.SupReMixLoss`.
        window: in the task's unit; None takes the dataset card's. Likewise label_bin, label_scale.
        batch_size: images of a step, two views of each.
        lr: peak rate of the pretraining. weight_decay: of the matrices, in both stages.
        head: "probe", a ridge regression on the frozen features in the last epoch, or
            "finetune", the whole network with L1, starting from that ridge regression.
        finetune_lr: peak rate of the fine-tuning. A long fine-tuning takes that of an
            end-to-end training, a short one wants less.
        finetune_batch_size: images of a step of the fine-tuning; None for half of `batch_size`,
            since a step of the pretraining takes two views of each image.
        pretrain_share: share of the epochs spent in pretraining, when fine-tuning follows.
        projection_dim: width of the embedding.
    """

    temperature: float = 0.3
    alpha: float = 2.0
    beta: float = 8.0
    window: float | None = None
    label_bin: float | None = None
    label_scale: float | None = None
    weights: bool = True
    mix_neg: bool = True
    mix_pos: bool = True
    stop_gradient: bool = True
    max_pairs: int | None = None
    batch_size: int = 32
    lr: float = 3e-3
    weight_decay: float = 0.05
    head: str = "finetune"
    finetune_lr: float = 3e-3
    finetune_batch_size: int | None = None
    pretrain_share: float = 0.25
    projection_dim: int = 128

    def __post_init__(self) -> None:
        if self.head not in _HEADS:
            raise ConfigError(f"head must be one of {', '.join(_HEADS)}, found {self.head!r}")
        if not 0 < self.pretrain_share < 1:
            raise ConfigError(
                f"pretrain_share must lie between 0 and 1, both excluded, found "
                f"{self.pretrain_share}"
            )


@dataclass(frozen=True, slots=True)
class SupReMix:
    """Pretrain on the SupReMix loss, then regress."""

    name: str = "supremix"
    config: type[Any] = SupReMixConfig

    def stages(self, config: SupReMixConfig, *, epochs: int, card: Card) -> tuple[Stage, ...]:
        """Pretrain and regress; both get at least one epoch."""
        if epochs < 2:
            raise ConfigError(
                f"supremix has two stages and needs at least 2 epochs, found {epochs}"
            )
        share = 1.0 if config.head == "probe" else config.pretrain_share
        first = min(max(round(epochs * share), 1), epochs - 1)
        pretrain = Stage(
            name="pretrain",
            objective="contrastive",
            epochs=first,
            batch_size=config.batch_size,
            loss=_loss(config, card),
            lr=config.lr,
            weight_decay=config.weight_decay,
            projection_dim=config.projection_dim,
        )
        return pretrain, _regress(config, epochs - first)


def _loss(config: SupReMixConfig, card: Card) -> SupReMixLoss:
    try:
        return _loss_of(config, card)
    except LossInputError as error:
        raise ConfigError(str(error)) from error


def _loss_of(config: SupReMixConfig, card: Card) -> SupReMixLoss:
    return SupReMixLoss(
        temperature=config.temperature,
        alpha=config.alpha,
        beta=config.beta,
        window=card.window if config.window is None else config.window,
        label_bin=card.label_bin if config.label_bin is None else config.label_bin,
        label_scale=card.label_scale if config.label_scale is None else config.label_scale,
        weights=config.weights,
        mix_neg=config.mix_neg,
        mix_pos=config.mix_pos,
        stop_gradient=config.stop_gradient,
        max_pairs=config.max_pairs,
    )


def _regress(config: SupReMixConfig, epochs: int) -> Stage:
    if config.head == "probe":
        return Stage(name="regress", objective="probe", epochs=epochs, batch_size=config.batch_size)
    return Stage(
        name="regress",
        objective="regression",
        epochs=epochs,
        batch_size=config.finetune_batch_size or max(config.batch_size // 2, 1),
        loss=absolute_error,
        lr=config.finetune_lr,
        weight_decay=config.weight_decay,
    )
