"""The length of each study's trials, settled once before its first: also by the measured speed."""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from supremix.cluster import WorkerGroupPlan
from supremix.cluster.run_once import run_once
from supremix.errors import SpecError, TrainingError
from supremix.progress.progress import Progress
from supremix.runs.folder import write_json_once
from supremix.search.length import (
    TrainedImages,
    choose_epochs,
    epochs_of,
    kept_epochs,
    kept_length,
    length_of,
)
from supremix.search.prepare import PreparedSearch
from supremix.training import Collective, Task, TrialRun
from supremix.tuning.study.budget import HOUR

WHOLE_TRIALS = 8
"""Whole trials that are to fit a budget, before trials are made shorter."""

FEW_IMAGES = 2000
"""Training images up to which four epochs are timed; two where epochs are longer."""

Study = Sequence[PreparedSearch]
"""A search, or that on each dataset of a joint objective: their trials have the same epochs."""


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
        final_images_seen: Images that the final training sees, where trials are to be shorter: as
            many as was asked for, or as fit the budget a second time.
        words: What fits, or what was given up, in a sentence.
    """

    images_seen: int | None = None
    final_images_seen: int | None = None
    words: str = ""

    def epochs(self, parts: Sequence[TrainedImages]) -> int:
        """The epochs of a trial."""
        seen = self.images_seen
        return choose_epochs(parts) if seen is None else epochs_of(parts, seen)

    def final_epochs(self, parts: Sequence[TrainedImages], epochs: int) -> int:
        """The epochs of the final training, at least those of a trial.

        Raises:
            SpecError: It is asked to see fewer images than a trial.
        """
        asked = parts[0].spec.final_images_seen
        seen = self.final_images_seen if asked is None else asked
        found = epochs if seen is None else epochs_of(parts, seen)
        if asked is not None and found < epochs:
            trial = length_of(parts, epochs).images_seen
            raise SpecError(
                f"the final model is to see {asked:,} images, but a trial sees {trial:,} already; "
                "give more to the final model, or fewer to the trials (--images-seen)."
            )
        return max(found, epochs)


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
    finals = [fit.final_images_seen for fit in fits if fit.final_images_seen is not None]
    shortest = min(fits, key=lambda fit: fit.images_seen or math.inf)
    return dataclasses.replace(shortest, final_images_seen=min(finals, default=None))


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
        return Fit(words=words)

    def seen_in(seconds: float) -> int:
        within = bisect_right(range(least, longest + 1), seconds, key=trial)
        return length_of(images, max(least, least + within - 1)).images_seen

    seen = seen_in(room / wanted)
    needed = math.ceil(wanted * whole / (worker_groups * 60))
    more = f"--time {needed}m"
    if limit == "gpu_hours":
        more = f"--gpu-hours {math.ceil(wanted * whole * plan.group_gpus / HOUR)}"
    return Fit(
        images_seen=seen,
        final_images_seen=seen_in(room / worker_groups),
        words=f"a trial sees {seen:,} images instead of {asked:,}, as {wanted} of these would not "
        f"fit the budget; {more} would allow the whole length",
    )


def settle_lengths(studies: Sequence[Study], *, share: int = 1) -> list[list[PreparedSearch]]:
    """Write down the length of each study's trials, and say it.

    Methods on the same dataset see the same number of images, also where a budget of time makes
    their trials shorter.

    Args:
        studies: The studies of a run.
        share: Number of studies that share the worker groups at the same time.

    Returns:
        The studies with the epochs of their trials; what was written down before stays.
    """
    groups: dict[tuple[str, ...], list[Study]] = {}
    for study in studies:
        groups.setdefault(_datasets(study), []).append(study)
    fitted = {names: _fitted(group, share) for names, group in groups.items()}
    return [_settled(study, fitted[_datasets(study)]) for study in studies]


def _datasets(study: Study) -> tuple[str, ...]:
    return tuple(one.store.card.name for one in study)


def _settled(study: Study, fit: Fit) -> list[PreparedSearch]:
    parts, kept = [one.trained_images for one in study], kept_length(study[0].run)
    epochs = kept_epochs(study[0].run) or fit.epochs(parts)
    final = kept.get("final_epochs") or fit.final_epochs(parts, epochs)
    found = [dataclasses.replace(one.with_epochs(epochs), final_epochs=final) for one in study]
    for one in found:
        fitted = {"fitted": fit.images_seen, "final_fitted": fit.final_images_seen}
        length = dataclasses.asdict(one.length) | fitted | {"final_epochs": final}
        write_json_once(one.run.length, length)
        if one.spec.fold or one.spec.repeat:  # as long as those of the first fold
            continue
        named = f" on {one.store.card.name}" if len(found) > 1 else ""
        one.listen(Progress(message=f"a whole trial{named} is {one.length}", warning=True))
        if final > epochs and one.spec.test:
            longer = one.trained_images.length(final)
            one.listen(Progress(message=f"the final model{named} has {longer}", warning=True))
    return found


def _fitted(group: Sequence[Study], share: int) -> Fit:
    """The length that a budget has room for, the same for all methods."""
    for study in group:
        if kept := kept_length(study[0].run):
            return Fit(images_seen=kept["fitted"], final_images_seen=kept["final_fitted"])
    if not needs_fit([one.trained_images for one in group[0]]):
        return Fit()
    fit = _fit(group, share)
    group[0][0].listen(Progress(message=fit.words, warning=True))
    return fit


def _fit(group: Sequence[Study], share: int) -> Fit:
    plan = group[0][0].plan
    # The folds of a method have the same speed: one is timed.
    group = list({one[0].spec.resolve_method().name: one for one in reversed(group)}.values())[::-1]
    try:
        timed = [
            [TimedImages(images=one.trained_images, seconds=_measured(one)) for one in study]
            for study in group
        ]
    except TrainingError as error:
        words = f"the speed of trials could not be measured ({error}): their length is kept"
        return Fit(words=words)
    return fit_lengths(timed, plan, worker_groups=plan.count / share)


def _measured(one: PreparedSearch) -> dict[str, float]:
    """Seconds of an epoch of each stage, on a worker group that is started for it."""
    method, card = one.spec.resolve_method(), one.store.card
    one.listen(Progress(message=f"timing a few epochs of {method.name} on {card.name}"))
    epochs = 4 if one.trained_images.images <= FEW_IMAGES else 2
    request = SpeedRequest(task=one.task, config=one.space.defaults(), epochs=epochs)
    return run_once(stage_seconds, request, one.plan)
