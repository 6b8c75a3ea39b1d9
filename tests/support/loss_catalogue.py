"""Every loss of `supremix.losses` with the variants that tests go through, and how it is called."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from supremix.losses import (
    AdaConLoss,
    BalancedMSELoss,
    ConRLoss,
    ExpLoss,
    HuberLoss,
    OrdinalEntropyLoss,
    RankSimLoss,
    RnCLoss,
    SimCLRLoss,
    SoftLabels,
    SupConLoss,
    SupReMixLoss,
    YAwareLoss,
)

# Losses of embeddings (M, D) and labels (M,), a scalar.
BATCH: dict[str, Any] = {
    "supremix": SupReMixLoss(),
    "supremix-flowing": SupReMixLoss(stop_gradient=False),
    "supremix-capped": SupReMixLoss(max_pairs=3, window=20.0),
    "supremix-sphere": SupReMixLoss(normalize_mixtures=True),
    "supremix-sphere-flowing": SupReMixLoss(
        normalize_mixtures=True, stop_gradient=False, max_pairs=4, window=20.0
    ),
    "supremix-mix-neg": SupReMixLoss(mix_pos=False),
    "supremix-mix-pos": SupReMixLoss(mix_neg=False),
    "supremix-unweighted": SupReMixLoss(weights=False),
    "supcon": SupConLoss(),
    "simclr": SimCLRLoss(),
    "rnc": RnCLoss(),
    "yaware": YAwareLoss(),
    "yaware-cauchy": YAwareLoss(kernel="cauchy"),
    "expw": ExpLoss(),
    "expw-gaussian": ExpLoss(kernel="gaussian"),
    "expw-cauchy": ExpLoss(kernel="cauchy"),
    "adacon": AdaConLoss(temperature=0.1),
    "ranksim": RankSimLoss(gamma=1.0),
    "ordinal-entropy": OrdinalEntropyLoss(),
    "ordinal-entropy-scaled": OrdinalEntropyLoss(label_scale=2.0),
}
# Losses that look at predictions as well, or at nothing else; scalars too.
WITH_PREDICTIONS: dict[str, Any] = {"conr": ConRLoss(window=3.0), "balanced-mse": BalancedMSELoss()}
# Losses that give one value a sample.
SAMPLE: dict[str, Any] = {
    "huber": HuberLoss(),
    "soft-labels": SoftLabels(low=-10.0, high=40.0),
}
SCALAR = {**BATCH, **WITH_PREDICTIONS}
CATALOGUE = {**SCALAR, **SAMPLE}

LENGTHS = ("label_bin", "label_scale", "window", "sigma", "delta", "low", "high")

T = TypeVar("T")


def value_of(loss: Any, rows: Tensor, labels: Tensor, **options: Any) -> Tensor:
    """The value of a scalar loss whose predictions are five times the first column of the rows."""
    if isinstance(loss, BalancedMSELoss):
        return loss(5 * rows[:, 0], labels, **options)
    if isinstance(loss, ConRLoss):
        return loss(rows, labels, 5 * rows[:, 0], **options)
    return loss(rows, labels, **options)


def value_and_gradient(
    loss: Any, rows: Tensor, labels: Tensor, anchors: slice | None = None, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """The value of a scalar loss and its gradient in the rows, its randomness from the seed."""
    generator = torch.Generator().manual_seed(seed)
    value = value_of(loss, rows, labels, generator=generator, anchors=anchors)
    (gradient,) = torch.autograd.grad(value, rows)
    return value.detach(), gradient


def in_other_unit(loss: T, factor: float) -> T:
    """The loss whose hyperparameters follow labels that are multiplied by a factor."""
    known: Any = loss
    lengths = {f.name for f in fields(known)} & set(LENGTHS)
    given = {name: getattr(known, name) for name in lengths}
    changes = {name: factor * value for name, value in given.items() if value is not None}
    if isinstance(loss, ConRLoss):
        changes["push"] = loss.push / factor
    return replace(known, **changes)
