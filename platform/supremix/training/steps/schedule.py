"""The learning rate as a pure function of the step, and the optimizer it drives."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

_FLOOR = 1e-3


def rate(step: int, steps: int, peak: float, *, warmup: float = 0.1) -> float:
    """One cycle: a half-cosine up to the peak, a half-cosine down to a thousandth of it.

    A function of the step alone, so that nothing has to be saved to resume
    (after Smith and Topin 2018, arXiv 1708.07120).

    Args:
        step: 0 <= step < steps.
        steps: all steps of the stage.
        peak: the highest rate.
        warmup: share of the steps on the way up, 0 <= warmup < 1.

    >>> rate(0, 1, 0.1, warmup=0.0)
    0.1
    """
    if not 0 <= step < steps:
        raise ValueError(f"step must lie in 0..{steps - 1}, found {step}")
    rising = round(warmup * steps)
    if step < rising:
        return peak * _between(_FLOOR, 1.0, (step + 1) / (rising + 1))
    falling = steps - rising
    return peak * _between(1.0, _FLOOR, (step - rising) / falling)


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))


def build_optimizer(module: nn.Module, *, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov 2019) without decay on biases and norms, that is on vectors."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # Fused: one pass over all tensors instead of a dozen small operations for each.
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99), fused=True)


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group the same rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr
