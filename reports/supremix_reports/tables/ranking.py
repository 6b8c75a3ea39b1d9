"""The one rule for which trial is best, on whatever trials are read from: a ledger or a table."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, variance
from typing import NamedTuple

DEFAULTS = 0
"""Index of the trial that has the defaults of the space that is searched."""

STATE_ORDER = ("finished", "stopped", "pruned", "failed", "running")
"""States of a trial in the order of what its error is worth."""


class TrialOutcome(NamedTuple):
    """What the rule looks at.

    Args:
        number: Index of the trial in its study.
        state: One of `STATE_ORDER`.
        error: Error after the last epoch; None before the first.
        replicate_of: The trial whose hyperparameters it trains with a new seed; None for a trial
            of the search.
    """

    number: int
    state: str
    error: float | None
    replicate_of: int | None = None


def rank_key(trial: TrialOutcome) -> tuple[int, float, int]:
    """The key that sorts trials from best to worst by their own error.

    Finished ones come first: the error of a trial that ended early was measured on another footing.
    Of two equal ones the earlier comes first.
    """
    return STATE_ORDER.index(trial.state), _finite(trial.error), trial.number


def replicate_errors(trials: Iterable[TrialOutcome]) -> dict[int, list[float]]:
    """The errors of each trial's finished replicates, for those that have some."""
    errors: dict[int, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.replicate_of is not None and trial.state == "finished":
            errors[trial.replicate_of].append(_finite(trial.error))
    return errors


def replicate_means(trials: Iterable[TrialOutcome]) -> dict[int, float]:
    """Mean error of each trial's finished replicates, for those that have some."""
    return {number: fmean(values) for number, values in replicate_errors(trials).items()}


def best_outcome(trials: Iterable[TrialOutcome]) -> TrialOutcome | None:
    """The trial with the best hyperparameters; None where none has an error.

    Where some were trained again with new seeds, their mean error decides, however their trial of
    the search ended: the least error of a search is partly luck. The defaults, where they are among
    them, give way only to what is better than they are by more than one standard error of the
    difference (the one-standard-error rule of Breiman et al. 1984). Without new seeds `rank_key`
    decides.
    """
    known = list(trials)
    errors = replicate_errors(known)
    searched = [trial for trial in known if trial.replicate_of is None]
    evaluated = {trial.number: trial for trial in searched if trial.number in errors}
    if not evaluated:
        return min((t for t in searched if t.error is not None), key=rank_key, default=None)
    best = min(evaluated.values(), key=lambda t: (fmean(errors[t.number]), rank_key(t)))
    if DEFAULTS in evaluated and not _is_less(errors[best.number], errors[DEFAULTS]):
        return evaluated[DEFAULTS]
    return best


def on_validation(new_seeds: int) -> str:
    """Say what an error on validation is of.

    Args:
        new_seeds: trainings with new seeds that it is the mean of; 0 for the error of one training
            of the search, the least of all.
    """
    if not new_seeds:
        return "least error of a single training on validation, optimistically biased"
    return f"mean over {new_seeds} new seed{'s' * (new_seeds > 1)} on validation"


def _is_less(errors: Sequence[float], others: Sequence[float]) -> bool:
    """Whether the mean is less by more than the standard error of the difference.

    With a single error on either side that is not known: then the lesser one is less.
    """
    apart = fmean(others) - fmean(errors)
    if min(len(errors), len(others)) < 2 or not math.isfinite(apart):
        return apart > 0
    return apart > math.sqrt(sum(variance(values) / len(values) for values in (errors, others)))


def _finite(error: float | None) -> float:
    return math.inf if error is None or math.isnan(error) else error
