"""Losses and terms whose lengths in the task's unit are bound to the scale of the targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses import AdaConLoss, BalancedMSELoss, ConRLoss, HuberLoss
from supremix.methods.recipes import BoundTerm, GlobalBatch, LabelStats

_MOST_REFERENCES = 4096


@dataclass(frozen=True, slots=True)
class InTaskUnit:
    """A loss of predictions with a length in the task's unit, bound to the scale of the targets.

    Args:
        loss: The loss.
        length: Name of its field that is a length.
    """

    loss: HuberLoss | BalancedMSELoss
    length: str

    def bind(self, stats: LabelStats) -> HuberLoss | BalancedMSELoss:
        """The loss on standardised targets."""
        length = stats.length(getattr(self.loss, self.length))
        return dataclasses.replace(self.loss, **{self.length: length})


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureTerm:
    """A loss on features, added with a weight that means what its paper means.

    The papers add their terms to errors in the unit of the task, the network fits standardised
    targets: so the weight is multiplied by what the label scale is on their scale, to the power
    that the base loss grows with.

    Args:
        loss: Function loss(features (M, F), labels (M,), *, generator, anchors) -> scalar; a
            `ConRLoss` gets the predictions too.
        weight: Weight against a base loss in label scales, above 0.
        label_scale: Label distance that counts as one, in the task's unit.
        power: 1 for a base loss that grows with the error, 2 for one with its square.
    """

    loss: Callable[..., Tensor]
    weight: float
    label_scale: float
    power: int

    def bind(self, stats: LabelStats) -> BoundTerm:
        """The term as it is called."""
        factor = self.weight * stats.length(self.label_scale) ** self.power
        loss = self.loss
        if isinstance(loss, AdaConLoss):
            loss = dataclasses.replace(loss, reference=_references(stats.labels))

        def term(batch: GlobalBatch) -> Tensor:
            known = (batch.features, batch.labels)
            if isinstance(loss, ConRLoss):
                known = (*known, batch.predictions)
            return factor * loss(*known, generator=batch.generator, anchors=batch.anchors)

        return term


def _references(labels: Tensor) -> tuple[float, ...]:
    """The labels, or so many of them, evenly spaced in rank, that more would change nothing."""
    ordered = labels.sort().values
    if len(ordered) > _MOST_REFERENCES:
        ranks = torch.linspace(0, len(ordered) - 1, _MOST_REFERENCES).round().long()
        ordered = ordered[ranks]
    return tuple(ordered.tolist())
