"""The contrastive methods SupReMix is compared with; only their losses differ from it."""

from __future__ import annotations

from dataclasses import dataclass

from supremix.losses import ExpLoss, RnCLoss, SimCLRLoss, SupConLoss, YAwareLoss
from supremix.methods.two_stage import TwoStage, TwoStageConfig
from supremix_datasets.cards.card import Card

# The published bandwidths are in years, of tasks whose labels are told apart by the year.
_YAWARE_SIGMA = 5.0
_EXPW_SIGMA = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SupConConfig(TwoStageConfig):
    """Parameters of SupCon (Khosla et al. 2020), beside those of `TwoStageConfig`.

    Args:
        temperature: see `supremix.losses.SupConLoss`.
        label_bin: width in which labels are the same, in the task's unit; None takes the card's.
    """

    temperature: float = 0.07
    label_bin: float | None = None

    def loss(self, card: Card) -> SupConLoss:
        """The loss."""
        width = card.label_bin if self.label_bin is None else self.label_bin
        return SupConLoss(temperature=self.temperature, label_bin=width)


@dataclass(frozen=True, kw_only=True, slots=True)
class SimCLRConfig(TwoStageConfig):
    """Parameters of SimCLR (Chen et al. 2020), beside those of `TwoStageConfig`.

    Args:
        temperature: see `supremix.losses.SimCLRLoss`.
    """

    temperature: float = 0.5

    def loss(self, card: Card) -> SimCLRLoss:
        """The loss; it knows no labels."""
        return SimCLRLoss(temperature=self.temperature)


@dataclass(frozen=True, kw_only=True, slots=True)
class RnCConfig(TwoStageConfig):
    """Parameters of Rank-N-Contrast (Zha et al. 2023), beside those of `TwoStageConfig`.

    Args:
        temperature, normalize: see `supremix.losses.RnCLoss`.
        projection: whether a projection head of width `projection_dim` stands on the features.
            None: not (the paper's), except where the dataset has covariates. Those merely stand
            beside the encoder's features, and only a projection brings the two together.
    """

    temperature: float = 2.0
    normalize: bool = False
    projection: bool | None = None

    def loss(self, card: Card) -> RnCLoss:
        """The loss."""
        return RnCLoss(temperature=self.temperature, normalize=self.normalize)

    def embedding(self, card: Card) -> int | None:
        """Width of the projection, if there is one."""
        projected = bool(card.covariates) if self.projection is None else self.projection
        return self.projection_dim if projected else None


@dataclass(frozen=True, kw_only=True, slots=True)
class YAwareConfig(TwoStageConfig):
    """Parameters of y-Aware (Dufumier et al. 2021), beside those of `TwoStageConfig`.

    Args:
        temperature, kernel: see `supremix.losses.YAwareLoss`.
        sigma: bandwidth in the task's unit; None takes 5 times the card's label scale.
    """

    temperature: float = 0.1
    sigma: float | None = None
    kernel: str = "rbf"

    def loss(self, card: Card) -> YAwareLoss:
        """The loss."""
        sigma = _YAWARE_SIGMA * card.label_scale if self.sigma is None else self.sigma
        return YAwareLoss(temperature=self.temperature, sigma=sigma, kernel=self.kernel)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpConfig(TwoStageConfig):
    """Parameters of the exp loss (Barbano et al. 2023), beside those of `TwoStageConfig`.

    Args:
        temperature, kernel: see `supremix.losses.ExpLoss`.
        sigma: bandwidth in the task's unit; None takes 2 times the card's label scale.
    """

    temperature: float = 0.1
    sigma: float | None = None
    kernel: str = "rbf"

    def loss(self, card: Card) -> ExpLoss:
        """The loss."""
        sigma = _EXPW_SIGMA * card.label_scale if self.sigma is None else self.sigma
        return ExpLoss(temperature=self.temperature, sigma=sigma, kernel=self.kernel)


CONTRASTIVE = (
    TwoStage(name="supcon", config=SupConConfig),
    TwoStage(name="simclr", config=SimCLRConfig),
    TwoStage(name="rnc", config=RnCConfig),
    TwoStage(name="yaware", config=YAwareConfig),
    TwoStage(name="expw", config=ExpConfig),
)
