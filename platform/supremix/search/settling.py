"""The length of each study's trials, settled once before its first trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from supremix.cluster.run_once import run_once
from supremix.errors import TrainingError
from supremix.progress.progress import Progress
from supremix.runs.folder import write_json_once
from supremix.search.length import choose_epochs, epochs_of, kept_epochs, kept_length
from supremix.search.prepare import PreparedSearch
from supremix.search.speed import (
    Fit,
    SpeedRequest,
    TimedImages,
    fit_lengths,
    needs_fit,
    stage_seconds,
)

FEW_IMAGES = 2000
"""Training images up to which four epochs are timed; two where epochs are longer."""

Study = Sequence[PreparedSearch]
"""A search, or that on each dataset of a joint objective: their trials have the same epochs."""


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


def _settled(study: Study, fitted: int | None) -> list[PreparedSearch]:
    parts = [one.trained_images for one in study]
    chosen = choose_epochs(parts) if fitted is None else epochs_of(parts, fitted)
    epochs = kept_epochs(study[0].run) or chosen
    found = [one.with_epochs(epochs) for one in study]
    for one in found:
        write_json_once(one.run.length, {**dataclasses.asdict(one.length), "fitted": fitted})
        named = f" on {one.store.card.name}" if len(found) > 1 else ""
        one.listen(Progress(message=f"a whole trial{named} is {one.length}", warning=True))
    return found


def _fitted(group: Sequence[Study], share: int) -> int | None:
    """Images that trials see where a budget makes them shorter, the same for all methods."""
    for study in group:
        if kept := kept_length(study[0].run):
            return kept["fitted"]
    if not needs_fit([one.trained_images for one in group[0]]):
        return None
    fit = _fit(group, share)
    group[0][0].listen(Progress(message=fit.words, warning=True))
    return fit.images_seen


def _fit(group: Sequence[Study], share: int) -> Fit:
    plan = group[0][0].plan
    try:
        timed = [
            [TimedImages(images=one.trained_images, seconds=_measured(one)) for one in study]
            for study in group
        ]
    except TrainingError as error:
        words = f"the speed of trials could not be measured ({error}): their length is kept"
        return Fit(images_seen=None, words=words)
    return fit_lengths(timed, plan, worker_groups=plan.count / share)


def _measured(one: PreparedSearch) -> dict[str, float]:
    """Seconds of an epoch of each stage, on a worker group that is started for it."""
    method, card = one.spec.resolve_method(), one.store.card
    one.listen(Progress(message=f"timing a few epochs of {method.name} on {card.name}"))
    epochs = 4 if one.trained_images.images <= FEW_IMAGES else 2
    request = SpeedRequest(task=one.task, config=one.space.defaults(), epochs=epochs)
    return run_once(stage_seconds, request, one.plan)
