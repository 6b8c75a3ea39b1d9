"""One row of a plan: a method on a dataset, from its measured epochs to its hours and bytes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from supremix.cluster import WorkerGroupPlan
from supremix.planning.calibration import Calibration
from supremix.planning.costs import (
    Range,
    TrialCosts,
    training_seconds,
    trial_seconds,
    whole_trial,
)
from supremix.planning.efforts import EffortPlan, plan_effort
from supremix.planning.estimate import Limit, SearchEstimate, estimate
from supremix.planning.problems import PlanProblem, budget_problems, memory_problems
from supremix.search.length import TrainedImages, length_of
from supremix.search.prepare import Resources
from supremix.search.prolonging import MOST, REDUCTION
from supremix.search.request.effort import EFFORTS
from supremix.search.settling import TimedImages
from supremix.search.spec import SearchSpec
from supremix.training.length import Length
from supremix.tuning.simulation.cluster import SimulatedCluster
from supremix.tuning.study.budget import HOUR, Budget
from supremix.tuning.study.scheduler import parallel_trials

COPIES = 2.5
"""How often an epoch's row is kept: in the ledger, in the tables, and in the log of its trial."""

PREDICTION = 100
"""Bytes of one prediction in its worker's file and in the table."""


@dataclass(frozen=True, kw_only=True)
class CalibratedSearch:
    """A method on one dataset, its worker groups and images, the measured costs of its trials."""

    spec: SearchSpec
    resources: Resources
    costs: TrialCosts
    trained_images: TrainedImages
    final_epochs: int = 0
    """Epochs of the final training, where these are more than those of a trial."""

    def with_epochs(self, epochs: int) -> CalibratedSearch:
        """The same with trials of so many epochs."""
        return dataclasses.replace(self, costs=self.costs.with_epochs(epochs))

    @property
    def final_costs(self) -> TrialCosts:
        """The costs of the final training, but for its additional images."""
        return self.costs.with_epochs(max(self.costs.epochs, self.final_epochs))

    @property
    def timed(self) -> TimedImages:
        """Its training images with the seconds of an epoch of each stage."""
        seconds = {epoch.stage: epoch.seconds for epoch in self.calibration.default.epochs}
        return TimedImages(images=self.trained_images, seconds=seconds)

    @property
    def calibration(self) -> Calibration:
        """The measured epochs."""
        return self.costs.calibration

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.resources.store.card.name

    @property
    def images(self) -> dict[str, int]:
        """Images of each split."""
        splits = self.resources.splits
        return {name: int((splits == name).sum()) for name in ("train", "val", "test")}


@dataclass(frozen=True, kw_only=True, slots=True)
class StageSeconds:
    """Seconds of an epoch of one stage, with the default hyperparameters."""

    dataset: str
    stage: str
    batch: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyPlan:
    """The plan of one search: what it will take.

    Args:
        dataset: Name of the dataset; of several with plus signs between them.
        method: Name of the method.
        trials: Trials that will be done.
        ends_by: The limit that ends them: ``"trials"``, ``"time"`` or ``"gpu_hours"``.
        trial: Length of a trial that is not given up, on all datasets together.
        efforts: The same search with each effort.
        epochs: Epochs of all trials together.
        stages: Seconds of an epoch of each stage.
        search: Wall time of the trials in s.
        replicates: Trainings of the best hyperparameters with new seeds.
        replicate_seconds: Their wall time in s.
        final_seconds: Wall time in s of the final trainings on training and validation data.
        seconds: Wall time of all that in s.
        busy: Seconds that worker groups train in all that, added up over the worker groups.
        gpu_hours: GPU hours of all that.
        start: Seconds for the workers to start and end.
        store: Bytes of the prepared images.
        checkpoints: Bytes of the checkpoints that are there at once.
        records: Bytes of the ledger, the tables and the logs.
        model: Bytes of the final models, one for each test seed and dataset.
        resident: Bytes of memory of a worker at most, mapped images included.
        device: Bytes of GPU memory of a worker at most; 0 on a CPU.
        folds: Number of searches, one in each fold of each repeat of a cross-validation; 1 without
            folds. `seconds`, `busy`, `gpu_hours` and the bytes on disk are those of all of them,
            everything else is of one.
    """

    dataset: str
    method: str
    trials: int
    ends_by: Limit
    trial: Length
    efforts: tuple[EffortPlan, ...]
    epochs: Range
    stages: tuple[StageSeconds, ...]
    search: Range
    replicates: int
    replicate_seconds: Range
    final_seconds: Range
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
    folds: int = 1

    @property
    def storage(self) -> float:
        """Bytes of the run folder at its largest."""
        return self.checkpoints + self.records + self.model


def plan_study(
    searches: Sequence[CalibratedSearch], plan: WorkerGroupPlan, *, sharing: int = 1
) -> StudyPlan:
    """Estimate one search.

    Args:
        searches: Its datasets, in their order; several are those of a joint objective.
        plan: The worker groups it runs on.
        sharing: Searches that share these worker groups. The times are those that the search would
            take with all of them, so that the times of searches add up.
    """
    spec, costs = searches[0].spec, [search.costs for search in searches]
    parts = [search.trained_images for search in searches]
    found = _estimate(searches, spec.budget(), plan, sharing)
    tests = spec.test_seeds if spec.test else 0
    final = _final_training(searches)
    final_seconds = final.times(-(-tests // plan.count))
    busy = found.busy + found.replicate_busy + final.times(tests)
    search, replicate_seconds = (
        seconds.times(1 / sharing) for seconds in (found.seconds, found.replicate_seconds)
    )
    return StudyPlan(
        dataset=" + ".join(search.dataset for search in searches),
        method=spec.resolve_method().name,
        trials=found.trials,
        ends_by=found.ends_by,
        trial=length_of(parts, costs[0].epochs),
        efforts=tuple(plan_effort(name, parts, costs, plan) for name in EFFORTS),
        epochs=found.epochs,
        stages=tuple(
            StageSeconds(
                dataset=search.dataset, stage=epoch.stage, batch=epoch.batch, seconds=epoch.seconds
            )
            for search in searches
            for epoch in search.calibration.default.epochs
        ),
        search=search,
        replicates=found.replicates,
        replicate_seconds=replicate_seconds,
        final_seconds=final_seconds,
        seconds=search + replicate_seconds + final_seconds,
        busy=busy,
        gpu_hours=busy.times(plan.group_gpus / HOUR),
        start=max(search.calibration.start for search in searches),
        **_bytes(searches, found, plan),
    )


def over_folds(
    study: StudyPlan, searches: Sequence[CalibratedSearch], plan: WorkerGroupPlan
) -> StudyPlan:
    """The plan of all folds, from that of the search in the first; the same without folds.

    Args:
        study: Plan of the search in the first fold.
        searches: What it was made of.
        plan: The worker groups.
    """
    spec = searches[0].spec
    if spec.folds is None:
        return study
    count = spec.folds * spec.repeats
    seconds, busy = study.seconds.times(count), study.busy.times(count)
    if spec.search_once:  # all others train once on training data, and once for each test seed
        one = training_seconds([search.costs for search in searches])
        others = (one + _final_training(searches).times(spec.test_seeds)).times(count - 1)
        seconds, busy = study.seconds + others.times(1 / plan.count), study.busy + others
    return dataclasses.replace(
        study,
        folds=count,
        seconds=seconds,
        busy=busy,
        gpu_hours=busy.times(plan.group_gpus / HOUR),
        checkpoints=study.checkpoints * count,
        records=study.records * count,
        model=study.model * count,
    )


def study_problems(
    study: StudyPlan,
    searches: Sequence[CalibratedSearch],
    plan: WorkerGroupPlan,
    nodes: Sequence[Mapping[str, float]],
    sharing: int = 1,
) -> Iterator[PlanProblem]:
    """The problems of one search."""
    budget = searches[0].spec.budget()
    needed = None
    if budget.trials is not None and study.ends_by != "trials":
        needed = _estimate(searches, Budget(trials=budget.trials), plan, sharing)
    trial = training_seconds([search.costs for search in searches]).likely
    name = f"{study.method} on {study.dataset}"
    yield from budget_problems(name, budget, study.trials, study.ends_by, needed, trial, plan)
    for search in searches:
        mine = f"{study.method} on {search.dataset}"
        yield from memory_problems(mine, plan, nodes, search.calibration)


def _estimate(
    searches: Sequence[CalibratedSearch], budget: Budget, plan: WorkerGroupPlan, sharing: int
) -> SearchEstimate:
    """Estimate a search on its share of the worker groups; times are those of its own clock."""
    spec, costs = searches[0].spec, [search.costs for search in searches]
    share = plan.count / sharing
    worker_groups = max(1, int(share))
    slower = worker_groups / share  # a share of less than a group is one that others use as well
    if budget.seconds is not None:
        budget = dataclasses.replace(budget, seconds=budget.seconds / slower)
    config = spec.study_config(
        epochs=costs[0].epochs,
        datasets=len(searches),
        parallel=parallel_trials(plan.count, sharing),
        gpus=plan.group_gpus,
    )
    trial = whole_trial(costs)
    found = estimate(
        costs[0].space,
        dataclasses.replace(config, budget=budget),
        partial(trial_seconds, costs),
        SimulatedCluster(
            worker_groups=worker_groups,
            setup=costs[0].setup,
            save=max(one.save for one in costs),
        ),
        cheap=trial.low / trial.likely,
        dear=trial.high / trial.likely,
    )
    return dataclasses.replace(
        found,
        seconds=found.seconds.times(slower),
        replicate_seconds=found.replicate_seconds.times(slower),
    )


def _final_training(searches: Sequence[CalibratedSearch]) -> Range:
    """Seconds of one final training, on training and validation data."""
    return training_seconds([search.final_costs for search in searches]).times(_growth(searches))


def _growth(searches: Sequence[CalibratedSearch]) -> float:
    """How much longer an epoch is when the validation images are fitted as well."""
    images = [search.images for search in searches]
    fitted = sum(one["train"] for one in images)
    return (fitted + sum(one["val"] for one in images)) / fitted


def _bytes(
    searches: Sequence[CalibratedSearch], found: SearchEstimate, plan: WorkerGroupPlan
) -> dict[str, int]:
    spec, ones = searches[0].spec, [search.calibration.default for search in searches]
    # Of the trials under way, of the finalists (or the best trial and the defaults), of the test.
    kept = plan.count + max(2, found.replicates) + (spec.test_seeds if spec.test else 0)
    # Those that can be prolonged stay; of two stages there are two, at the end and between them.
    prolongable = min(math.ceil(found.trials / REDUCTION), MOST) + found.replicates
    kept = 2 * (kept + prolongable) if len(searches) == 1 else kept
    whole = len(searches) * searches[0].costs.epochs
    epochs = found.epochs.likely + (found.replicates + 1) * whole
    predicted = sum(search.images["val"] + search.images["test"] for search in searches)
    rows = max(one.row for one in ones) * COPIES * epochs
    networks = spec.test_seeds if spec.test else max(1, spec.confirm_seeds)
    return {
        "store": sum(
            file.stat().st_size
            for search in searches
            for file in Path(search.resources.store.path).rglob("*")
            if file.is_file()
        ),
        "checkpoints": kept * max(one.checkpoint for one in ones),
        "records": round(rows + predicted * PREDICTION),
        "model": networks * sum(one.model for one in ones),
        "resident": max(search.calibration.resident for search in searches),
        "device": max(search.calibration.device for search in searches),
    }
