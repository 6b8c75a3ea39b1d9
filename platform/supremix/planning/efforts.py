"""What a search would take with each effort."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from supremix.cluster import WorkerGroupPlan
from supremix.planning.costs import TrialCosts, training_seconds
from supremix.search.length import TrainedImages, choose_epochs, length_of
from supremix.search.request.effort import EFFORTS
from supremix.training.length import Length


@dataclass(frozen=True, kw_only=True, slots=True)
class EffortPlan:
    """A search with one effort.

    Args:
        name: Name of the effort.
        trials: Number of its trials.
        trial: Length of a whole trial.
        trial_seconds: Seconds that one takes.
        seconds: Wall time in s of all trainings, those with new seeds and the final ones included,
            where no trial is stopped early.
    """

    name: str
    trials: int
    trial: Length
    trial_seconds: float
    seconds: float


def plan_effort(
    name: str, parts: Sequence[TrainedImages], costs: Sequence[TrialCosts], plan: WorkerGroupPlan
) -> EffortPlan:
    """Estimate a search with an effort.

    Args:
        name: Name of the effort.
        parts: The datasets that a trial is trained on.
        costs: The costs of trials on each of them, of any length.
        plan: The worker groups.
    """
    effort, spec = EFFORTS[name], parts[0].spec
    epochs = choose_epochs(parts, name)
    seconds = training_seconds([dataclasses.replace(one, epochs=epochs) for one in costs]).likely
    confirmed = effort.confirm_seeds * (spec.finalists + 1)
    trainings = (effort.trials, confirmed, effort.test_seeds if spec.test else 0)
    return EffortPlan(
        name=name,
        trials=effort.trials,
        trial=length_of(parts, epochs),
        trial_seconds=seconds,
        seconds=seconds * sum(-(-number // plan.count) for number in trainings),
    )
