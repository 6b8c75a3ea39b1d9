"""The learning rate and the average of weights as pure functions of the step, and the optimizer.

"one-cycle" plans for the length of a stage from its first step, "warmup-stable-decay" for its last
fifth. The others are anytime: what a step does depends on the steps before it alone, so after any
epoch the average of weights is what a training of just that length ends with. A training can be
prolonged from where it does not yet depend on its length. docs/schedules.md compares them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from schedulefree import AdamWScheduleFree
from torch import nn

from supremix._choices import SCHEDULES as SCHEDULES
from supremix.methods.base import Stage
from supremix.models import Network
from supremix.models.stages import encoder_stages, stage_of

ANYTIME = ("constant", "inverse-sqrt", "schedule-free")
"""The schedules that do not depend on the length of a stage."""

_FLOOR = 1e-3
_RISE = 100
DECAY = 0.2
"""Share of a stage in which "warmup-stable-decay" lowers the rate."""
_HALF_LIFE = 500
_MOMENTUM, _SQUARES = 0.9, 0.99


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Learning rate of a stage and weights of its running average, step by step.

    Functions of the step alone, so that nothing has to be saved to resume.

    Args:
        name: One of `SCHEDULES`. "one-cycle": a half-cosine up to the peak, a half-cosine down to a
            thousandth of it (after Smith and Topin 2018, arXiv 1708.07120). "warmup-stable-decay":
            constant, then down to 0 as 1 - √x over the last fifth (Hägele et al. 2024,
            arXiv 2405.18392). "constant". "inverse-sqrt": peak / √(1 + t / 500), t the steps after
            the warm-up. "schedule-free": constant, with the optimizer of Defazio et al. 2024
            (arXiv 2405.15682), which averages by itself.
        peak: The highest rate.
        steps: Steps of the stage.
        epoch_steps: Steps of an epoch. All but "one-cycle" warm up linearly over two epochs, 100
            steps at most.
        warmup: Share of the steps on the way up of "one-cycle", 0 <= warmup < 1.
        averaging: Time constant of the running average, as a share of the steps so far, or of all
            steps with "one-cycle". 0 takes the weights themselves.
    """

    name: str
    peak: float
    steps: int
    epoch_steps: int
    warmup: float = 0.1
    averaging: float = 0.1

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if self.name == "one-cycle":
            return self.peak * self._cycle(step)
        rising = min(_RISE, 2 * self.epoch_steps)
        rate = self.peak * min(1.0, (step + 1) / rising)
        if self.name == "inverse-sqrt":
            return rate / math.sqrt(1 + max(0, step - rising) / _HALF_LIFE)
        if self.name == "warmup-stable-decay":
            left = (self.steps - step) / (DECAY * self.steps)
            return rate * (1 - math.sqrt(1 - min(left, 1.0)))
        return rate

    def kept(self, step: int) -> float:
        """Share of the running average that stays in it at a step, counted from 0.

        With a growing time constant it is the average over the latter part of the steps so far
        (Shamir and Zhang 2013, arXiv 1212.1824); with a fixed one it is reached gradually.
        """
        if not self.averaging:
            return 0.0
        if self.name != "one-cycle":
            return step / (step + 1 / self.averaging)
        constant = self.averaging * self.steps
        return min(1 - 1 / constant, (1 + step) / (10 + step)) if constant > 1 else 0.0

    def _cycle(self, step: int) -> float:
        rising = round(self.warmup * self.steps)
        if step < rising:
            return _between(_FLOOR, 1.0, (step + 1) / (rising + 1))
        return _between(1.0, _FLOOR, (step - rising) / (self.steps - rising))


def branch_epoch(stages: Sequence[Stage]) -> int:
    """Epochs of a trial that do not depend on its length, after which a longer one branches off.

    Those of the first of several stages, whose length is a share of the whole; all of a single
    stage. Under "warmup-stable-decay" those before the decay, under "one-cycle" none.
    """
    first = stages[0]
    if first.schedule == "one-cycle":
        return 0
    decays = first.schedule == "warmup-stable-decay"
    return int((1 - DECAY) * first.epochs) if decays else first.epochs


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))


def build_optimizer(
    module: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    schedule: str = "one-cycle",
    scales: Mapping[nn.Parameter, float] | None = None,
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov 2019) without decay on biases and norms, that is on vectors.

    Args:
        module: The network, of which the parameters with a gradient are trained.
        lr: Learning rate.
        weight_decay: Weight decay of the matrices.
        schedule: Name of the schedule.
        scales: Factors of the learning rate of single parameters, see `layer_scales`; 1 for others.
    """
    trained: dict[float, list[nn.Parameter]] = {1.0: []}
    for parameter in module.parameters():
        if parameter.requires_grad:
            trained.setdefault((scales or {}).get(parameter, 1.0), []).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in ps if (p.ndim > 1) is matrix], "weight_decay": decay, "scale": scale}
        for scale, ps in trained.items()
        for matrix, decay in ((True, weight_decay), (False, 0.0))
    ]
    if schedule == "schedule-free":
        optimizer: Any = AdamWScheduleFree(groups, lr=lr, betas=(_MOMENTUM, _SQUARES))
        optimizer.train()
        return optimizer
    # Fused: one pass over all tensors instead of a dozen small operations for each.
    return torch.optim.AdamW(groups, lr=lr, betas=(_MOMENTUM, _SQUARES), fused=True)


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group the rate, times the group's own scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


def layer_scales(network: Network, decay: float) -> dict[nn.Parameter, float]:
    """Factors of the learning rate of an encoder's parameters: decay^(S - s) in stage s of S.

    Stages are counted from 0, the stem; heads keep the whole rate (layer-wise decay of the learning
    rate, Clark et al. 2020, arXiv 2003.10555).

    Args:
        network: The network.
        decay: Factor from a stage to the one before it, in (0, 1].
    """
    stages = encoder_stages(network.encoder)
    return {
        parameter: decay ** (len(stages) - (stage_of(name, stages) or 0))
        for name, parameter in network.encoder.named_parameters()
    }


@torch.no_grad()
def averaged_by_optimizer(
    optimizer: torch.optim.Optimizer, network: nn.Module, average: nn.Module
) -> None:
    """Put the weights that a schedule-free optimizer averages into `average`; others have none.

    The network in training holds y = (1 - β) z + β x, the optimizer z; x is the average.
    """
    if not isinstance(optimizer, AdamWScheduleFree):
        return
    for mean, own in zip(average.parameters(), network.parameters(), strict=True):
        state = optimizer.state.get(own, {})
        if "z" in state:
            mean.copy_(own.lerp(state["z"], 1 - 1 / _MOMENTUM))
