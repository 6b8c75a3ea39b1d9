"""One trial on a terminal: hyperparameters, curve, log."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from supremix.cli.views.search import hyperparameters_table

if TYPE_CHECKING:
    from supremix.monitoring.status import TrialStatus

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60
"""Characters of a curve."""


def trial_view(trial: TrialStatus) -> RenderableType:
    """Everything about a trial."""
    total = "" if trial.total is None else f" of {trial.total}"
    head = Text(f"trial {trial.number}  ", style="bold").append(trial.state, style="bold")
    head.append(f"  {len(trial.errors)}{total} epochs", style="default")
    if trial.replicate_of is not None:
        head.append(f", hyperparameters of trial {trial.replicate_of} with seed {trial.seed}")
    blocks: list[RenderableType] = [head]
    if trial.reason:
        blocks.append(Text(trial.reason))
    if trial.errors:
        blocks.append(Text(curve_text(trial.errors, trial.unit)))
    blocks += [Text("\nhyperparameters", style="bold"), hyperparameters_table(trial.config)]
    blocks.append(Text("\nlog", style="bold"))
    blocks.append(Text(trial.log.rstrip() or "nothing was written for this trial"))
    return Group(*blocks)


def curve_text(errors: Sequence[float], unit: str) -> str:
    """The error over the epochs as a line of bars, with its first, least and last value."""
    finite = [error for error in errors if math.isfinite(error)]
    bars = _sparkline(errors)
    if not finite:
        return f"error {bars} (never a finite number)"
    text = f"first {errors[0]:.3f}, least {min(finite):.3f}, last {errors[-1]:.3f} {unit}"
    return f"error {bars} {text.rstrip()}"


def _sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """Values as bars of a character: each, or means where there are more than `width`."""
    count = min(width, len(values))
    edges = [i * len(values) // count for i in range(count + 1)] if count else [0]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return "".join(_bar(mean, low, high) for mean in means)


def _bar(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "×"
    share = (value - low) / (high - low) if high > low else 0.0
    return BARS[round(share * (len(BARS) - 1))]
