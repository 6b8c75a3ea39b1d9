"""The contrastive methods of two stages; only their losses differ."""

from __future__ import annotations

from dataclasses import dataclass

from supremix.losses import SimCLRLoss
from supremix.methods.base import from_config
from supremix.methods.contrasts import (
    ExpHyperparameters,
    RnCHyperparameters,
    SupConHyperparameters,
    SupReMixHyperparameters,
    YAwareHyperparameters,
)
from supremix.methods.two_stage import TwoStage, TwoStageConfig
from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class SupReMixConfig(SupReMixHyperparameters, TwoStageConfig):
    """Parameters of SupReMix: those of its loss, and of `TwoStageConfig`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SupConConfig(SupConHyperparameters, TwoStageConfig):
    """Parameters of SupCon: those of its loss, and of `TwoStageConfig`."""


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
class RnCConfig(RnCHyperparameters, TwoStageConfig):
    """Parameters of Rank-N-Contrast in addition to those of its loss and `TwoStageConfig`.

    Args:
        projection: Whether a projection head of width `projection_dim` stands on the features.
            None: not (the paper's), except where the dataset has covariates, which only a
            projection brings together with the encoder's features.
    """

    projection: bool | None = None

    def embedding(self, card: Card) -> int | None:
        """Width of the projection, if there is one."""
        projected = bool(card.covariates) if self.projection is None else self.projection
        return self.projection_dim if projected else None


@dataclass(frozen=True, kw_only=True, slots=True)
class YAwareConfig(YAwareHyperparameters, TwoStageConfig):
    """Parameters of y-Aware: those of its loss, and of `TwoStageConfig`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpConfig(ExpHyperparameters, TwoStageConfig):
    """Parameters of the exp loss: its own, and those of `TwoStageConfig`."""


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
