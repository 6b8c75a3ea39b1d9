"""A running average of a network's weights, which is evaluated and kept.

At the high rates in the middle of a cycle the weights jump about, and so does their validation
error; their average does not, and a pruner that compares trials there compares like with like.
At the end, when the rate is almost nothing, the two agree (Polyak and Juditsky 1992).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Averager:
    """Keeps `average` at the exponential moving average of `network`, statistics of norms too.

    Args:
        network: The network in training, or several, with parameters in common or not.
        average: Network of the same make, changed in place.
        steps: Time constant in steps; below 1 the average is the network itself. It is reached
            gradually, by min(1 - 1/steps, (1 + t) / (10 + t)), so that the start is forgotten.
    """

    def __init__(self, network: nn.Module, average: nn.Module, *, steps: float) -> None:
        tensors = (module.state_dict(keep_vars=True).values() for module in (average, network))
        # A tensor that several networks share has a name in each, and is averaged once.
        pairs = list({id(a): (a, n) for a, n in zip(*tensors, strict=True)}.values())
        self._floats = [(a, n) for a, n in pairs if a.is_floating_point()]
        self._counts = [(a, n) for a, n in pairs if not a.is_floating_point()]
        self._most = 1 - 1 / steps if steps > 1 else 0.0

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the network as it is after the step, counted from 0 in its stage."""
        kept = min(self._most, (1 + step) / (10 + step)) if self._most else 0.0
        averages: list[Tensor] = [a for a, _ in self._floats]
        # One call for all tensors: there are many and they are small.
        get_ema_multi_avg_fn(kept)(averages, [n for _, n in self._floats], step)
        if self._counts:
            # One call as well; torch has it only under a private name.
            torch._foreach_copy_([a for a, _ in self._counts], [c for _, c in self._counts])  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
