"""SupReMix: contrastive pretraining with mixtures, then a regression on its features."""

from __future__ import annotations

from dataclasses import dataclass

from supremix.losses import SupReMixLoss
from supremix.methods.two_stage import TwoStage, TwoStageConfig
from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class SupReMixConfig(TwoStageConfig):
    """Parameters of SupReMix (Wu et al., arXiv 2309.16633), beside those of `TwoStageConfig`.

    Args:
        temperature, alpha, beta, mix_neg, mix_pos, weights, stop_gradient, normalize_mixtures,
            max_pairs: of the loss, see `supremix.losses.SupReMixLoss`.
        window: in the task's unit; None takes the dataset card's. Likewise label_bin, label_scale.
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
        """The loss."""
        return SupReMixLoss(
            temperature=self.temperature,
            alpha=self.alpha,
            beta=self.beta,
            window=card.window if self.window is None else self.window,
            label_bin=card.label_bin if self.label_bin is None else self.label_bin,
            label_scale=card.label_scale if self.label_scale is None else self.label_scale,
            weights=self.weights,
            mix_neg=self.mix_neg,
            mix_pos=self.mix_pos,
            stop_gradient=self.stop_gradient,
            normalize_mixtures=self.normalize_mixtures,
            max_pairs=self.max_pairs,
        )


SUPREMIX = TwoStage(name="supremix", config=SupReMixConfig)
