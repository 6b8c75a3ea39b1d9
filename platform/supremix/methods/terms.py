"""Losses that are told of the data, and terms that are added to a loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses import AdaConLoss, BalancedMSELoss, ConRLoss, HuberLoss
from supremix.methods.recipes import BoundTerm, Facts, GlobalBatch

_MOST_REFERENCES = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Huber:
    """`HuberLoss` with its delta in the task's unit."""

    delta: float

    def __post_init__(self) -> None:
        HuberLoss(delta=self.delta)

    def bind(self, facts: Facts) -> HuberLoss:
        """The loss on standardised targets."""
        return HuberLoss(delta=facts.length(self.delta))


@dataclass(frozen=True, kw_only=True, slots=True)
class BalancedMSE:
    """`BalancedMSELoss` with its sigma in the task's unit."""

    sigma: float

    def __post_init__(self) -> None:
        BalancedMSELoss(sigma=self.sigma)

    def bind(self, facts: Facts) -> BalancedMSELoss:
        """The loss on standardised targets."""
        return BalancedMSELoss(sigma=facts.length(self.sigma))


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureTerm:
    """A loss on features, added with a weight that means what its paper means.

    The papers add their terms to errors in the unit of the task, the network fits standardised
    targets: so the weight is multiplied by what the label scale is on their scale, to the power
    that the base loss grows with.

    Args:
        loss: loss(features (M, F), labels (M,), *, generator, anchors) -> scalar; of a `ConRLoss`
            also the predictions.
        weight: against a base loss in label scales, above 0.
        label_scale: label distance that counts as one, in the task's unit.
        power: 1 for a base loss that grows with the error, 2 for one with its square.
    """

    loss: Callable[..., Tensor]
    weight: float
    label_scale: float
    power: int

    def bind(self, facts: Facts) -> BoundTerm:
        """The term as it is called."""
        factor = self.weight * facts.length(self.label_scale) ** self.power
        loss = _told(self.loss, facts)

        def term(whole: GlobalBatch) -> Tensor:
            known = (whole.features, whole.labels)
            if isinstance(loss, ConRLoss):
                known = (*known, whole.predictions)
            return factor * loss(*known, generator=whole.draws, anchors=whole.anchors)

        return term


def _told(loss: Callable[..., Tensor], facts: Facts) -> Callable[..., Tensor]:
    if isinstance(loss, AdaConLoss):
        return dataclasses.replace(loss, reference=_references(facts.labels))
    return loss


def _references(labels: Tensor) -> tuple[float, ...]:
    """The labels, or so many of them, evenly spaced in rank, that more would change nothing."""
    ordered = labels.sort().values
    if len(ordered) > _MOST_REFERENCES:
        ranks = torch.linspace(0, len(ordered) - 1, _MOST_REFERENCES).round().long()
        ordered = ordered[ranks]
    return tuple(ordered.tolist())
