"""Measurement of what an epoch costs: a few are trained on one worker group."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supremix.cluster import WorkerGroupPlan
from supremix.cluster.run_once import run_once
from supremix.errors import TrainingError
from supremix.planning.measure import EpochCost, MeasureRequest, measure
from supremix.training import Task
from supremix_spaces import Choice, Fixed, Int, Space


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """The measurements of one configuration on one worker group.

    Args:
        batch: Its `batch_size`, None where the method has none.
        timed: Whether the epochs were whole ones; else only the memory is of use.
        epochs: One for each stage.
        setup: Seconds to build a trial.
        save: Seconds to write a checkpoint.
        checkpoint: Bytes of a checkpoint.
        model: Bytes of an exported model.
        row: Bytes of an epoch's row in the ledger.
        resident: Most bytes of memory a worker held, mapped images included.
        device: Most bytes of GPU memory a worker held; 0 on a CPU.
        device_total: Bytes of GPU memory that one GPU has; 0 on a CPU.
    """

    batch: int | None
    timed: bool
    epochs: tuple[EpochCost, ...]
    setup: float
    save: float
    checkpoint: int
    model: int
    row: int
    resident: int
    device: int
    device_total: int


Failure = tuple[int, str]
"""A batch, and why it could not be trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """The measurements of all configurations that were tried.

    Args:
        measured: The defaults' first, then those with other batches; the timed ones.
        resident: Most bytes of memory of a worker, over all that were tried.
        device: Most bytes of GPU memory of a worker, likewise.
        start: Seconds for worker groups to start and end.
        failed: Batch and reason of what could not be trained.
    """

    measured: tuple[Measured, ...]
    resident: int
    device: int
    start: float
    failed: tuple[Failure, ...] = ()

    @property
    def default(self) -> Measured:
        """The measurements of the defaults."""
        return self.measured[0]


def calibrate(task: Task, space: Space, plan: WorkerGroupPlan) -> Calibration:
    """Train a few epochs with the defaults, and with the least and largest batch of a space.

    Where the defaults fit the head alone, and the space has a fine-tuning, that is timed as well.

    Args:
        task: The task of the search.
        space: The space of the search.
        plan: Its worker groups; one of them is started.

    Raises:
        TrainingError: The default hyperparameters cannot be trained.
    """
    task, defaults = dataclasses.replace(task, pretrained=None), space.defaults()
    batches = space_batches(space)
    ends = dict.fromkeys((batches[-1], batches[0])) if batches else {}
    others = [
        *_finetuned(space),
        *({**defaults, "batch_size": n} for n in ends if n != defaults.get("batch_size")),
    ]
    began = time.perf_counter()
    found, spent = _measure_all(task, (defaults, *others), plan)
    tried = [one for one in found if isinstance(one, Measured)]
    return Calibration(
        measured=tuple(one for one in tried if one.timed),
        resident=max(one.resident for one in tried),
        device=max(one.device for one in tried),
        start=max(0.0, time.perf_counter() - began - spent),
        failed=tuple(one for one in found if not isinstance(one, Measured)),
    )


def _measure_all(
    task: Task, configs: tuple[Mapping[str, Any], ...], plan: WorkerGroupPlan
) -> tuple[list[Measured | Failure], float]:
    """Measure configurations on one group; where that dies, on one for each. And the seconds."""
    try:
        return _measure(MeasureRequest(task=task, configs=configs), plan)
    except TrainingError:
        found, spent = _measure(MeasureRequest(task=task, configs=configs[:1]), plan)
    for config in configs[1:]:
        try:
            more, seconds = _measure(MeasureRequest(task=task, configs=(config,)), plan)
        except TrainingError as error:
            found.append((config["batch_size"], str(error)))
        else:
            found, spent = [*found, *more], spent + seconds
    return found, spent


def _measure(
    request: MeasureRequest, plan: WorkerGroupPlan
) -> tuple[list[Measured | Failure], float]:
    answer = run_once(measure, request, plan)
    return [_read(one) for one in answer["found"]], answer["spent"]


def _read(one: dict[str, Any]) -> Measured | Failure:
    if "failed" in one:
        return one["batch"], one["failed"]
    values: dict[str, Any] = {**one, "epochs": tuple(EpochCost(**epoch) for epoch in one["epochs"])}
    return Measured(**values)


def _finetuned(space: Space) -> list[dict[str, Any]]:
    """The defaults with a fine-tuning, where they have none; none where no trial has one."""
    parameter = space.parameters.get("head")
    if not isinstance(parameter, Choice) or "finetune" not in parameter.options:
        return []
    if space.defaults()["head"] == "finetune":
        return []
    return [space.merged({"head": Fixed("finetune")}).defaults()]


def space_batches(space: Space) -> list[int]:
    """The batches that a space holds, or the ends of their range; empty where it has none."""
    parameter = space.parameters.get("batch_size")
    values: Sequence[object] = ()
    if isinstance(parameter, Int):
        values = (parameter.low, parameter.high)
    elif isinstance(parameter, Choice):
        values = parameter.options
    elif isinstance(parameter, Fixed):
        values = (parameter.value,)
    return sorted(value for value in values if isinstance(value, int))
