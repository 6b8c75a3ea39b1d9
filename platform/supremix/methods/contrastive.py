"""The contrastive methods; only their losses differ."""

from __future__ import annotations

from dataclasses import dataclass

from supremix.losses import (
    ExpLoss,
    RnCLoss,
    SimCLRLoss,
    SupConLoss,
    SupReMixLoss,
    YAwareLoss,
)
from supremix.methods.base import from_config
from supremix.methods.two_stage import TwoStage, TwoStageConfig
from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class SupReMixConfig(TwoStageConfig):
    """Parameters of SupReMix (Wu et al., arXiv 2309.16633) in addition to `TwoStageConfig`.

    Args:
        temperature, alpha, beta, mix_neg, mix_pos, weights, stop_gradient, normalize_mixtures,
            max_pairs: Hyperparameters of the loss, see `supremix.losses.SupReMixLoss`.
        window, label_bin, label_scale: Lengths in the task's unit; None takes the card's.
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
    normalize_mixtures: bool = False
    max_pairs: int | None = None

    def loss(self, card: Card) -> SupReMixLoss:
        """The SupReMix loss."""
        lengths = {name: getattr(card, name) for name in ("window", "label_bin", "label_scale")}
        return from_config(SupReMixLoss, self, **lengths)


@dataclass(frozen=True, kw_only=True, slots=True)
class SupConConfig(TwoStageConfig):
    """Parameters of SupCon (Khosla et al. 2020) in addition to `TwoStageConfig`.

    Args:
        temperature: Temperature, see `supremix.losses.SupConLoss`.
        label_bin: Width in which labels are the same, in the task's unit; None takes the card's.
    """

    temperature: float = 0.07
    label_bin: float | None = None

    def loss(self, card: Card) -> SupConLoss:
        """The SupCon loss."""
        return from_config(SupConLoss, self, label_bin=card.label_bin)


@dataclass(frozen=True, kw_only=True, slots=True)
class SimCLRConfig(TwoStageConfig):
    """Parameters of SimCLR (Chen et al. 2020) in addition to `TwoStageConfig`.

    Args:
        temperature: Temperature, see `supremix.losses.SimCLRLoss`.
    """

    temperature: float = 0.5

    def loss(self, card: Card) -> SimCLRLoss:
        """The SimCLR loss; it knows no labels."""
        return from_config(SimCLRLoss, self)


@dataclass(frozen=True, kw_only=True, slots=True)
class RnCConfig(TwoStageConfig):
    """Parameters of Rank-N-Contrast (Zha et al. 2023) in addition to `TwoStageConfig`.

    Args:
        temperature, normalize: Hyperparameters of the loss, see `supremix.losses.RnCLoss`.
        projection: Whether a projection head of width `projection_dim` stands on the features.
            None: not (the paper's), except where the dataset has covariates, which only a
            projection brings together with the encoder's features.
    """

    temperature: float = 2.0
    normalize: bool = False
    projection: bool | None = None

    def loss(self, card: Card) -> RnCLoss:
        """The Rank-N-Contrast loss."""
        return from_config(RnCLoss, self)

    def embedding(self, card: Card) -> int | None:
        """Width of the projection, if there is one."""
        projected = bool(card.covariates) if self.projection is None else self.projection
        return self.projection_dim if projected else None


@dataclass(frozen=True, kw_only=True, slots=True)
class YAwareConfig(TwoStageConfig):
    """Parameters of y-Aware (Dufumier et al. 2021) in addition to `TwoStageConfig`.

    Args:
        temperature, kernel: Hyperparameters of the loss, see `supremix.losses.YAwareLoss`.
        sigma: Bandwidth in the task's unit; None takes the published one, in years, as so many
            label scales of the card: 5 for y-Aware, 2 for the exp loss.
    """

    temperature: float = 0.1
    sigma: float | None = None
    kernel: str = "rbf"

    def loss(self, card: Card) -> YAwareLoss | ExpLoss:
        """The y-Aware loss."""
        return from_config(YAwareLoss, self, sigma=YAwareLoss().sigma * card.label_scale)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpConfig(YAwareConfig):
    """Parameters of the exp loss (Barbano et al. 2023): those of `YAwareConfig`."""

    def loss(self, card: Card) -> ExpLoss:
        """The exp loss."""
        return from_config(ExpLoss, self, sigma=ExpLoss().sigma * card.label_scale)


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedSupReMixConfig(SupReMixConfig):
    """SupReMix trained as its paper does: large batches, all epochs in pretraining, then a probe.

    Parameters are those of `SupReMixConfig`.
    """

    batch_size: int = 128
    head: str = "probe"
    pretrain_share: float = 0.8
    finetune_lr: float = 3e-4


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRnCConfig(RnCConfig):
    """Rank-N-Contrast pretrained as its paper does, in large batches for most of the epochs.

    The L1 stage fine-tunes at a small rate; the paper keeps the encoder frozen there. Parameters
    are those of `RnCConfig`.
    """

    batch_size: int = 128
    pretrain_share: float = 0.8
    finetune_lr: float = 3e-4


CONTRASTIVE = (
    TwoStage(name="supremix", config=SupReMixConfig),
    TwoStage(name="supcon", config=SupConConfig),
    TwoStage(name="simclr", config=SimCLRConfig),
    TwoStage(name="rnc", config=RnCConfig),
    TwoStage(name="yaware", config=YAwareConfig),
    TwoStage(name="expw", config=ExpConfig),
)
PUBLISHED = (
    TwoStage(name="supremix-published", config=PublishedSupReMixConfig),
    TwoStage(name="rnc-published", config=PublishedRnCConfig),
)
