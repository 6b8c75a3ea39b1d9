"""The contrastive losses as terms of an end-to-end training, for each loss that knows labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from supremix._errors import ConfigError
from supremix.losses.common.checks import check_positive
from supremix.methods.contrasts import (
    ExpHyperparameters,
    RnCHyperparameters,
    SupConHyperparameters,
    SupReMixHyperparameters,
    YAwareHyperparameters,
)
from supremix.methods.end_to_end import EndToEnd, TermConfig
from supremix.methods.recipes import Recipe
from supremix.methods.two_stage import EmbeddingLoss
from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class ContrastTermConfig(TermConfig):
    """Parameters of a contrastive loss that is added to a base loss, in addition to `TermConfig`.

    Args:
        batch_size: Images of a step; a contrast compares more of them than L1 needs.
        weight: Weight of the contrast, above 0.
        projection: Whether the embeddings of a projection head are contrasted, or the features
            that the regression head sees.
        projection_dim: Width of that embedding.
        two_views: Whether a step takes two augmented views of each image, both with their part in
            the base loss, or one.
    """

    batch_size: int = 32
    weight: float = 1.0
    projection: bool = False
    projection_dim: int = 128
    two_views: bool = True

    def __post_init__(self) -> None:
        TermConfig.__post_init__(self)
        if self.projection_dim < 1:
            raise ConfigError(f"projection_dim must be at least 1, found {self.projection_dim}")

    def loss(self, card: Card) -> EmbeddingLoss:
        """The contrastive loss, its lengths on the label axis the card's where left open."""
        raise NotImplementedError(f"{type(self).__name__} has to say which loss it stands for")

    def term(self, card: Card) -> tuple[EmbeddingLoss, float]:
        """The contrastive loss, and its weight."""
        check_positive("weight", self.weight)
        return self.loss(card), self.weight

    def recipe(self, card: Card) -> Recipe:
        """The term on features or embeddings, of one view or two."""
        return replace(
            TermConfig.recipe(self, card),
            projection_dim=self.projection_dim if self.projection else None,
            views=2 if self.two_views else 1,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SupReMixTermConfig(SupReMixHyperparameters, ContrastTermConfig):
    """Parameters of SupReMix as a term: those of its loss, and of `ContrastTermConfig`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SupConTermConfig(SupConHyperparameters, ContrastTermConfig):
    """Parameters of SupCon as a term: those of its loss, and of `ContrastTermConfig`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RnCTermConfig(RnCHyperparameters, ContrastTermConfig):
    """Parameters of Rank-N-Contrast as a term: its own, and those of `ContrastTermConfig`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class YAwareTermConfig(YAwareHyperparameters, ContrastTermConfig):
    """Parameters of y-Aware as a term: those of its loss, and of `ContrastTermConfig`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpTermConfig(ExpHyperparameters, ContrastTermConfig):
    """Parameters of the exp loss as a term: its own, and those of `ContrastTermConfig`."""


CONTRAST_TERMS = (
    EndToEnd(name="supremix-term", config=SupReMixTermConfig),
    EndToEnd(name="supcon-term", config=SupConTermConfig),
    EndToEnd(name="rnc-term", config=RnCTermConfig),
    EndToEnd(name="yaware-term", config=YAwareTermConfig),
    EndToEnd(name="expw-term", config=ExpTermConfig),
)
