"""AdaCon, RankSim, ordinal entropy and ConR: a base loss and a term on the features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from supremix.losses import AdaConLoss, ConRLoss, OrdinalEntropyLoss, RankSimLoss
from supremix.losses.common.checks import check_positive
from supremix.methods.base import from_config
from supremix.methods.end_to_end import EndToEnd, TermConfig
from supremix_datasets.cards.card import Card

_Added = tuple[Callable[..., Tensor], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaConConfig(TermConfig):
    """Parameters of AdaCon (Dai 2022) in addition to `TermConfig`.

    Args:
        weight: Weight of the contrast, above 0.
        temperature, margin: Hyperparameters of the contrast, see `supremix.losses.AdaConLoss`.
        label_bin: Width in which labels are the same, in the task's unit; None takes the card's.
    """

    weight: float = 0.75
    temperature: float = 1 / 150
    margin: float = 2.0
    label_bin: float | None = None

    def term(self, card: Card) -> _Added:
        """The contrast, whose margins follow the labels of all samples to fit."""
        check_positive("weight", self.weight)
        return from_config(AdaConLoss, self, label_bin=card.label_bin), self.weight


@dataclass(frozen=True, kw_only=True, slots=True)
class RankSimConfig(TermConfig):
    """Parameters of RankSim (Gong 2022) in addition to `TermConfig`.

    Args:
        gamma, lam: Hyperparameters of the regulariser, see `supremix.losses.RankSimLoss`.
    """

    gamma: float = 100.0
    lam: float = 2.0

    def term(self, card: Card) -> _Added:
        """The regulariser; it carries its own weight."""
        return from_config(RankSimLoss, self), 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class OrdinalEntropyConfig(TermConfig):
    """Parameters of ordinal entropy (Zhang 2023) in addition to `TermConfig`.

    Args:
        spread, tightness: Weights, see `supremix.losses.OrdinalEntropyLoss`.
        label_bin: Width in which labels are the same, in the task's unit; None takes the card's.
        label_scale: Label distance that counts as one; None takes the largest of each batch.
    """

    spread: float = 1.0
    tightness: float = 1.0
    label_bin: float | None = None
    label_scale: float | None = None

    def term(self, card: Card) -> _Added:
        """The regulariser; it carries its own weights."""
        return from_config(OrdinalEntropyLoss, self, label_bin=card.label_bin), 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ConRConfig(TermConfig):
    """Parameters of ConR (Keramati 2024) in addition to `TermConfig`.

    Args:
        weight: Weight of the regulariser, above 0.
        temperature: Temperature, see `supremix.losses.ConRLoss`.
        window: Label distance up to which samples are alike, in the task's unit; None takes the
            card's label scale.
        push: Growth of a negative's weight with its label distance, per label scale.
    """

    weight: float = 4.0
    temperature: float = 0.07
    window: float | None = None
    push: float = 0.01

    def term(self, card: Card) -> _Added:
        """The regulariser."""
        check_positive("weight", self.weight)
        loss = from_config(ConRLoss, self, window=card.label_scale)
        return replace(loss, push=self.push / card.label_scale), self.weight


TERMS = (
    EndToEnd(name="adacon", config=AdaConConfig),
    EndToEnd(name="ranksim", config=RankSimConfig),
    EndToEnd(name="ordinal-entropy", config=OrdinalEntropyConfig),
    EndToEnd(name="conr", config=ConRConfig),
)
