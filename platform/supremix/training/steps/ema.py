"""A running average of a network's weights, which is evaluated and kept.

At a high learning rate the weights jump about, and so does their validation error; their average
does not, and a pruner that compares trials there compares like with like. Under a rate that stays
high the average takes the place of lowering it (Polyak and Juditsky 1992).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Averager:
    """Keeps `average` at the exponential moving average of `network`, statistics of norms too.

    Args:
        network: The network in training, or several, with parameters in common or not.
        average: Network of the same make, changed in place.
        kept: Share of the average that stays in it at a step, see `Schedule.kept`.
    """

    def __init__(
        self, network: nn.Module, average: nn.Module, kept: Callable[[int], float]
    ) -> None:
        tensors = (module.state_dict(keep_vars=True).values() for module in (average, network))
        # A tensor that several networks share has a name in each, and is averaged once.
        pairs = list({id(a): (a, n) for a, n in zip(*tensors, strict=True)}.values())
        self._floats = [(a, n) for a, n in pairs if a.is_floating_point()]
        self._counts = [(a, n) for a, n in pairs if not a.is_floating_point()]
        self._kept = kept

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the network as it is after the step, counted from 0 in its stage."""
        averages: list[Tensor] = [a for a, _ in self._floats]
        # One call for all tensors: there are many and they are small.
        get_ema_multi_avg_fn(self._kept(step))(averages, [n for _, n in self._floats], step)
        if self._counts:
            # One call as well; torch has it only under a private name.
            torch._foreach_copy_([a for a, _ in self._counts], [c for _, c in self._counts])  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
