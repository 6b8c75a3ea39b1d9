"""One row of a plan: a method on a dataset, from its measured epochs to its hours and bytes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from supremix.cluster import WorkerGroupPlan
from supremix.planning.calibration import Calibration
from supremix.planning.estimate import Costs, Effort, Limit, Range, effort
from supremix.planning.problems import Problem, budget_problems, gpu_hours, memory_problems
from supremix.search.prepare import Resources
from supremix.search.spec import SearchSpec
from supremix.tuning.study.budget import Budget

COPIES = 2.5
"""How often an epoch's row is kept: in the ledger, in the tables, and in the log of its trial."""

PREDICTION = 100
"""Bytes of one prediction in its worker's file and in the table."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A method on one dataset, as it was calibrated."""

    spec: SearchSpec
    ground: Resources
    calibration: Calibration
    costs: Costs

    @property
    def images(self) -> dict[str, int]:
        """Images of each split."""
        splits = self.ground.splits
        return {name: int((splits == name).sum()) for name in ("train", "val", "test")}


@dataclass(frozen=True, kw_only=True, slots=True)
class StageSeconds:
    """Seconds of an epoch of one stage, with the default settings."""

    dataset: str
    stage: str
    batch: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyPlan:
    """What one search will take.

    Args:
        dataset: Name of the dataset; of several with plus signs between them.
        method: Name of the method.
        trials: Trials that will be begun.
        ends_by: The limit that ends them: ``"trials"``, ``"time"`` or ``"gpu_hours"``.
        whole: Epochs of a trial that is not given up.
        epochs: Of all trials; `high` is at most so many.
        stages: Seconds of an epoch of each stage.
        search: Wall time of the trials in s.
        confirmations: Trainings of the best settings with new seeds.
        confirming: Their wall time in s.
        concluding: Wall time in s of the final trainings on training and validation data.
        seconds: Wall time of all that in s.
        busy: Seconds that worker groups train in all that, added up over the worker groups.
        gpu_hours: Likewise times the GPUs of a worker group.
        start: Seconds for the workers to start and end.
        store: Bytes of the prepared images.
        checkpoints: Bytes of the checkpoints that are there at once.
        records: Bytes of the ledger, the tables and the logs.
        model: Bytes of the final model.
        resident: Bytes of memory of a worker at most, mapped images included.
        device: Bytes of GPU memory of a worker at most; 0 on a CPU.
    """

    dataset: str
    method: str
    trials: int
    ends_by: Limit
    whole: int
    epochs: Range
    stages: tuple[StageSeconds, ...]
    search: Range
    confirmations: int
    confirming: Range
    concluding: Range
    seconds: Range
    busy: Range
    gpu_hours: Range
    start: float
    store: int
    checkpoints: int
    records: int
    model: int
    resident: int
    device: int

    @property
    def storage(self) -> float:
        """Bytes of the run folder at its largest."""
        return self.checkpoints + self.records + self.model


def plan_study(
    parts: Sequence[Part], worker_groups: WorkerGroupPlan, *, sharing: int = 1
) -> StudyPlan:
    """Reckon up one search.

    Args:
        parts: Its datasets, in their order; several are those of a joint objective.
        worker_groups: What it runs on.
        sharing: Searches that share these worker groups, and the time.
    """
    spec, costs = parts[0].spec, _costs(parts)
    work = _effort(parts, costs, _budget(spec, sharing), worker_groups)
    confirmations = spec.finalists * spec.confirm_seeds
    whole = Range(
        low=sum(costs.all) * costs.cheap, likely=sum(costs.all), high=sum(costs.all) * costs.dear
    )
    confirming = _confirming(whole, confirmations, worker_groups.count)
    tests = spec.test_seeds if spec.test else 0
    final = whole.times(_growth(parts))
    busy = work.busy + whole.times(confirmations) + final.times(tests)
    concluding = final.times(-(-tests // worker_groups.count))
    return StudyPlan(
        dataset=" + ".join(part.ground.store.card.name for part in parts),
        method=spec.resolve_method().name,
        trials=work.trials,
        ends_by=work.ends_by,
        whole=len(costs.train),
        epochs=work.epochs,
        stages=tuple(_stages(parts)),
        search=work.seconds,
        confirmations=confirmations,
        confirming=confirming,
        concluding=concluding,
        seconds=work.seconds + confirming + concluding,
        busy=busy,
        gpu_hours=Range(
            low=gpu_hours(busy.low, worker_groups),
            likely=gpu_hours(busy.likely, worker_groups),
            high=gpu_hours(busy.high, worker_groups),
        ),
        start=max(part.calibration.start for part in parts),
        **_bytes(parts, work, worker_groups, confirmations),
    )


def study_problems(
    study: StudyPlan,
    parts: Sequence[Part],
    worker_groups: WorkerGroupPlan,
    nodes: Sequence[Mapping[str, float]],
    sharing: int = 1,
) -> Iterator[Problem]:
    """What of one search does not fit."""
    name, costs = f"{study.method} on {study.dataset}", _costs(parts)
    budget = _budget(parts[0].spec, sharing)
    needed = None
    if budget.trials is not None:
        needed = _effort(parts, costs, Budget(trials=budget.trials), worker_groups)
    work = _effort(parts, costs, budget, worker_groups)
    yield from budget_problems(name, budget, work, needed, sum(costs.all), worker_groups.group_gpus)
    for part in parts:
        mine = f"{study.method} on {part.ground.store.card.name}"
        yield from memory_problems(mine, worker_groups, nodes, part.calibration)


def _costs(parts: Sequence[Part]) -> Costs:
    return functools.reduce(Costs.joined, (part.costs for part in parts))


def _budget(spec: SearchSpec, sharing: int) -> Budget:
    budget = spec.budget()
    if budget.seconds is None:
        return budget
    return dataclasses.replace(budget, seconds=budget.seconds / sharing)


def _effort(
    parts: Sequence[Part], costs: Costs, budget: Budget, worker_groups: WorkerGroupPlan
) -> Effort:
    spec = parts[0].spec
    rungs = spec.pruner().rungs(spec.epochs, len(parts))
    return effort(
        costs,
        rungs,
        budget,
        worker_groups=worker_groups.count,
        gpus=worker_groups.group_gpus,
    )


def _confirming(whole: Range, count: int, worker_groups: int) -> Range:
    if count == 0:
        return whole.times(0)
    rounds = -(-count // worker_groups)
    return whole.times(rounds)


def _growth(parts: Sequence[Part]) -> float:
    """How much longer an epoch is when the validation images are fitted as well."""
    images = [part.images for part in parts]
    fitted = sum(one["train"] for one in images)
    return (fitted + sum(one["val"] for one in images)) / fitted


def _stages(parts: Sequence[Part]) -> Iterator[StageSeconds]:
    for part in parts:
        for epoch in part.calibration.default.epochs:
            yield StageSeconds(
                dataset=part.ground.store.card.name,
                stage=epoch.stage,
                batch=epoch.batch,
                seconds=epoch.seconds,
            )


def _bytes(
    parts: Sequence[Part], work: Effort, worker_groups: WorkerGroupPlan, confirmations: int
) -> dict[str, int]:
    spec, ones = parts[0].spec, [part.calibration.default for part in parts]
    # Of the trials under way, of the best ones, and of the final training.
    kept = worker_groups.count + max(1, spec.finalists) + (spec.test_seeds if spec.test else 0)
    epochs = work.epochs.likely + (confirmations + 1) * len(parts) * spec.epochs
    judged = sum(part.images["val"] + part.images["test"] for part in parts)
    rows = max(one.row for one in ones) * COPIES * epochs
    return {
        "store": sum(_size(Path(part.ground.store.path)) for part in parts),
        "checkpoints": kept * max(one.checkpoint for one in ones),
        "records": round(rows + judged * PREDICTION),
        "model": max(one.model for one in ones),
        "resident": max(part.calibration.resident for part in parts),
        "device": max(part.calibration.device for part in parts),
    }


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
