"""Asynchronous successive halving (Li et al., arXiv 1810.05934) on one error scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from supremix.errors import SpecError


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruning:
    """When a trial is given up.

    Args:
        grace: Epochs every trial gets; None for a ninth of all epochs, at least 1.
        reduction: A rung lets the best 1/reduction of its trials pass; rungs are grace,
            grace·reduction, grace·reduction², … epochs. Above 1.
    """

    grace: int | None = None
    reduction: float = 3.0

    def __post_init__(self) -> None:
        if self.reduction <= 1 or (self.grace is not None and self.grace < 1):
            raise SpecError(
                f"pruning needs grace >= 1 and reduction > 1; got grace={self.grace}, "
                f"reduction={self.reduction:g}."
            )

    def first_rung(self, epochs: int) -> int:
        """Epochs until the first decision, of trials that last `epochs`."""
        return min(epochs, self.grace or max(1, epochs // 9))


class Halving:
    """Tune's ASHA, asked by trial number and epoch instead of by a running Tune.

    The time is the trial's own epoch, which counts on over both stages and over a resume, and the
    error is the probe MAE while the encoder is pretrained and the validation MAE after it: the
    same unit, so one scale. Trial 0, the defaults, is never given up. Being apart from Tune, all
    this can be rebuilt from the ledger.
    """

    def __init__(self, pruning: Pruning, epochs: int) -> None:
        self._asha = ASHAScheduler(
            time_attr="epoch",
            metric="error",
            mode="min",
            max_t=epochs,
            grace_period=pruning.first_rung(epochs),
            reduction_factor=pruning.reduction,
        )
        self._known: set[int] = set()

    def stop(self, number: int, row: Mapping[str, Any]) -> bool:
        """Whether the trial shall stop after the epoch of `row` (keys ``epoch``, ``error``)."""
        trial: Any = SimpleNamespace(trial_id=str(number))
        controller: Any = None  # ASHA never asks it
        if number not in self._known:
            self._known.add(number)
            self._asha.on_trial_add(controller, trial)
        result = {"epoch": row["epoch"], "error": row["error"]}
        verdict = self._asha.on_trial_result(controller, trial, result)
        # The defaults are tried first, and what they come to is the measure of all others.
        return verdict == TrialScheduler.STOP and number > 0
