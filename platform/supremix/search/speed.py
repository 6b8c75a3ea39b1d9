"""The length of trials that a budget of time has room for, from the measured speed."""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from supremix.cluster import WorkerGroupPlan
from supremix.search.length import TrainedImages, choose_epochs, length_of
from supremix.training import Collective, Task, TrialRun
from supremix.tuning.study.budget import HOUR

WHOLE_TRIALS = 8
"""Whole trials that are to fit a budget, before trials are made shorter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedRequest:
    """A request to time a few epochs of a configuration on one worker group."""

    task: Task
    config: Mapping[str, Any]
    epochs: int


def short_run(
    collective: Collective,
    device: torch.device,
    task: Task,
    config: Mapping[str, Any],
    *,
    epochs: int,
) -> TrialRun:
    """A trial of a few epochs, half of them pretraining, that has not begun."""
    config = dict(config)
    if "pretrain_share" in config:
        config["pretrain_share"] = 0.5
    task = dataclasses.replace(task, epochs=epochs)
    return TrialRun(task, config, collective=collective, device=device)


def stage_seconds(
    collective: Collective, device: torch.device, request: SpeedRequest
) -> dict[str, Any]:
    """Seconds of an epoch of each stage, by its name; every worker of the group trains."""
    run = short_run(collective, device, request.task, request.config, epochs=request.epochs)
    seconds: dict[str, float] = {}
    while not run.done:
        row = run.advance()
        seconds[row["stage"]] = min(seconds.get(row["stage"], math.inf), row["seconds"])
    return seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedImages:
    """The training images of a trial on one dataset, and how long an epoch takes.

    Args:
        images: The training images.
        seconds: Seconds of an epoch of each stage, by its name.
    """

    images: TrainedImages
    seconds: Mapping[str, float]

    def trial(self, epochs: int) -> float:
        """Seconds of a trial of so many epochs."""
        stages = self.images.stages(epochs)
        return sum(stage.epochs * self.seconds[stage.name] for stage in stages)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """The length of trials that a budget has room for.

    Args:
        images_seen: Images that a trial sees, on all its datasets together, where it is to be
            shorter than asked for; None where it is not.
        words: What fits, or what was given up, in a sentence.
    """

    images_seen: int | None
    words: str


def needs_fit(parts: Sequence[TrainedImages]) -> bool:
    """Whether the length of a trial is left open while a budget of time is given."""
    spec = parts[0].spec
    timed = spec.time is not None or spec.gpu_hours is not None
    return timed and spec.epochs is None and spec.images_seen is None


def fit_lengths(
    studies: Sequence[Sequence[TimedImages]], plan: WorkerGroupPlan, *, worker_groups: float
) -> Fit:
    """The length that suits all studies on the same images: the shortest, see `fit_length`."""
    fits = [fit_length(parts, plan, worker_groups=worker_groups) for parts in studies]
    return min(fits, key=lambda fit: fit.images_seen or math.inf)


def fit_length(parts: Sequence[TimedImages], plan: WorkerGroupPlan, *, worker_groups: float) -> Fit:
    """The length of trials, as asked for or so much shorter that `WHOLE_TRIALS` fit the budget.

    It is never shorter than that of the effort 'quick'.

    Args:
        parts: The datasets that a trial is trained on.
        plan: The worker groups.
        worker_groups: Number of them that the search has, a part of one where it shares it.
    """
    spec, images = parts[0].images.spec, [part.images for part in parts]
    rooms = {
        "time": None if spec.time is None else spec.time * worker_groups,
        "gpu_hours": None if spec.gpu_hours is None else spec.gpu_hours * HOUR / plan.group_gpus,
    }
    limit, room = min(
        ((name, seconds) for name, seconds in rooms.items() if seconds is not None),
        key=lambda pair: pair[1],
    )
    longest, least = choose_epochs(images), choose_epochs(images, "quick")

    def trial(epochs: int) -> float:
        return sum(part.trial(epochs) for part in parts)

    wanted = min(WHOLE_TRIALS, spec.trials or WHOLE_TRIALS)
    whole, asked = trial(longest), length_of(images, longest).images_seen
    if wanted * whole <= room:
        words = f"about {room / whole:.0f} whole trials of {asked:,} images seen fit the budget"
        return Fit(images_seen=None, words=words)
    within = bisect_right(range(least, longest), room / wanted, key=trial)
    seen = length_of(images, max(least, least + within - 1)).images_seen
    needed = math.ceil(wanted * whole / (worker_groups * 60))
    more = f"--time {needed}m"
    if limit == "gpu_hours":
        more = f"--gpu-hours {math.ceil(wanted * whole * plan.group_gpus / HOUR)}"
    return Fit(
        images_seen=seen,
        words=f"a trial sees {seen:,} images instead of {asked:,}, as {wanted} of these would not "
        f"fit the budget; {more} would allow the whole length",
    )
