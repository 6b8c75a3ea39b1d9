"""The contrastive losses of labels as configurations: hyperparameters, and the loss made of them.

A method adds a training: `contrastive` the two stages, `contrast_terms` a term of an end-to-end
training. These classes have no slots, so that a configuration can derive from one and from its
training.
"""

from __future__ import annotations

from dataclasses import dataclass

from supremix.losses import ExpLoss, RnCLoss, SupConLoss, SupReMixLoss, YAwareLoss
from supremix.methods.base import from_config
from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True)
class SupReMixHyperparameters:
    """Hyperparameters of SupReMix (Wu et al., arXiv 2309.16633).

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


@dataclass(frozen=True, kw_only=True)
class SupConHyperparameters:
    """Hyperparameters of SupCon (Khosla et al. 2020).

    Args:
        temperature: Temperature, see `supremix.losses.SupConLoss`.
        label_bin: Width in which labels are the same, in the task's unit; None takes the card's.
    """

    temperature: float = 0.07
    label_bin: float | None = None

    def loss(self, card: Card) -> SupConLoss:
        """The SupCon loss."""
        return from_config(SupConLoss, self, label_bin=card.label_bin)


@dataclass(frozen=True, kw_only=True)
class RnCHyperparameters:
    """Hyperparameters of Rank-N-Contrast (Zha et al. 2023).

    Args:
        temperature, normalize: Hyperparameters of the loss, see `supremix.losses.RnCLoss`.
    """

    temperature: float = 2.0
    normalize: bool = False

    def loss(self, card: Card) -> RnCLoss:
        """The Rank-N-Contrast loss."""
        return from_config(RnCLoss, self)


@dataclass(frozen=True, kw_only=True)
class YAwareHyperparameters:
    """Hyperparameters of y-Aware (Dufumier et al. 2021).

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


@dataclass(frozen=True, kw_only=True)
class ExpHyperparameters(YAwareHyperparameters):
    """Hyperparameters of the exp loss (Barbano et al. 2023): those of y-Aware."""

    def loss(self, card: Card) -> ExpLoss:
        """The exp loss."""
        return from_config(ExpLoss, self, sigma=ExpLoss().sigma * card.label_scale)
