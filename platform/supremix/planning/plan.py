"""`supremix.plan`: the plan of a search, made before it starts."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from supremix._choices import OBJECTIVES
from supremix._display import Displayed
from supremix.benchmark.benchmark import Benchmark
from supremix.benchmark.comparison import Comparison
from supremix.benchmark.cross_validation import CrossValidation
from supremix.benchmark.folds import fold_specs
from supremix.benchmark.multi_dataset import MultiDatasetSearch
from supremix.cluster import WorkerGroupPlan, cluster_nodes, ray_runtime
from supremix.errors import ResourceError, SpecError
from supremix.planning.calibration import calibrate
from supremix.planning.costs import Range, TrialCosts, exactly, whole_trial
from supremix.planning.problems import PlanProblem, disk_problems, free_space
from supremix.planning.study_plan import (
    CalibratedSearch,
    StudyPlan,
    over_folds,
    plan_study,
    study_problems,
)
from supremix.progress.notebook import default_listener
from supremix.progress.progress import Listener, Progress
from supremix.runs.folder import RunFolder
from supremix.search.prepare import (
    Resources,
    check_budget,
    check_pretrained,
    find_resources,
    prepare_search,
)
from supremix.search.request.keywords import SearchKeywords
from supremix.search.request.python import takes_options
from supremix.search.search import Search
from supremix.search.settling import Fit, fit_lengths, needs_fit
from supremix.search.spec import SearchSpec
from supremix.storage.paths import Address
from supremix.training import Method
from supremix.tuning.study.budget import HOUR
from supremix.tuning.study.scheduler import concurrent_studies, overlapping_studies
from supremix_datasets import Dataset


@dataclass(frozen=True, kw_only=True, repr=False)
class Plan(Displayed):
    """The plan of searches: what they will take.

    Args:
        worker_groups: The worker groups, as many as there is room for.
        nodes: Nodes of the cluster.
        studies: A row a search: a method on a dataset, or on several of a joint objective.
        seconds: Wall time of all of it, from the start of the workers, in s.
        gpu_hours: GPU hours of all epochs, replicates and final trainings included; 0 without GPUs.
        cpu_hours: Likewise.
        storage: Bytes of the run folders at their largest.
        free: Free bytes of their disk, None where they are not on a disk of this machine.
        problems: Parts that do not fit.
    """

    worker_groups: WorkerGroupPlan
    nodes: int
    studies: tuple[StudyPlan, ...]
    seconds: Range
    gpu_hours: Range
    cpu_hours: Range
    storage: float
    free: int | None
    problems: tuple[PlanProblem, ...]

    @property
    def fits(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.problems

    def facts(self) -> dict[str, str]:
        """The worker groups, the time it takes, and whether it fits."""
        hours = [f"{value / HOUR:.3g}" for value in (self.seconds.low, self.seconds.high)]
        return {
            "worker groups": str(self.worker_groups.count),
            "studies": str(len(self.studies)),
            "hours": " to ".join(hours),
            "fits": "yes" if self.fits else f"no, {len(self.problems)} problems",
        }

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {**dataclasses.asdict(self), "fits": self.fits}


@takes_options("plan")
def plan(
    dataset: str | Dataset | Sequence[str | Dataset],
    source: str | Mapping[str, str] | None = None,
    method: str | Method | Sequence[str | Method] = "supremix",
    *,
    objective: str = OBJECTIVES[0],
    out: Address | None = None,
    progress: Listener | None = None,
    **options: Unpack[SearchKeywords],
) -> Plan:
    """Find out what a search will take, and what of it does not fit. No search is started.

    The images are prepared if they are not; then a few epochs are trained on one worker group with
    the default hyperparameters and with the smallest and the largest batch of the space, and the
    real study is run on a simulated cluster with these costs.

    Args:
        dataset: As for `Search`; several as for `MultiDatasetSearch`, with several methods as for
            `Benchmark`.
        source: As for `Search`; of several datasets by name.
        method: As for `Search`; several as for `Comparison`.
        objective: Objective of several datasets: ``"per-dataset"``, a search each, or ``"joint"``.
        out: Folder where the run would be written; looked at for its free space, never made.
        progress: Called with a `Progress` at every step; by default a bar in a notebook.
        **options: The options of the search or benchmark.

    Returns:
        The plan; `Plan.fits` says whether there is a problem.

    Raises:
        USER_ERRORS: The search could not be carried out at all.
    """
    specs = [fold_specs(one)[0] for one in _specs(dataset, source, method, objective, options)]
    for spec in specs:
        check_pretrained(spec)
    with (
        ray_runtime(specs[0].address, wheel=specs[0].wheel),
        tempfile.TemporaryDirectory(prefix="supremix-") as scratch,
    ):
        planner = _Planner(Path(scratch), progress or default_listener("planning"))
        return planner.plan(specs, objective == "joint", str(out or "runs"))


def _specs(
    dataset: Any, source: Any, method: Any, objective: str, options: Mapping[str, Any]
) -> tuple[SearchSpec, ...]:
    """The searches that are asked for, checked as if they were to be run; writes no folder."""
    datasets, methods = _several(dataset), _several(method)
    if len(datasets) > 1 and len(methods) > 1:
        if objective != OBJECTIVES[0]:
            raise SpecError(f"objective {objective!r} is for one method; got {len(methods)}.")
        return Benchmark(datasets, source, methods, out=".", **options).specs
    if len(datasets) > 1:
        return MultiDatasetSearch(
            datasets, source, methods[0], objective=objective, out=".", **options
        ).specs
    if objective != OBJECTIVES[0]:
        raise SpecError(f"objective {objective!r} is for several datasets; got one.")
    if len(methods) > 1:
        return Comparison(datasets[0], source, methods, out=".", **options).specs
    if options.get("folds") is not None:
        return CrossValidation(datasets[0], source, methods[0], out=".", **options).specs
    return (Search(datasets[0], source, methods[0], out=".", **options).spec,)


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


class _Planner:
    """Plans searches one after the other on the same worker groups."""

    def __init__(self, scratch: Path, listen: Listener) -> None:
        self._scratch, self._listen = scratch, listen
        self._nodes = cluster_nodes()
        self._problems: list[PlanProblem] = []

    def plan(self, specs: Sequence[SearchSpec], joint: bool, out: str) -> Plan:
        """The plan of searches, or of the one search that is `joint`."""
        resources = self._find_resources(specs)
        groups = resources[0].plan
        studies = list(self._studies(specs, resources, joint))
        storage = sum(study.storage for study in studies)
        self._problems += disk_problems(out, storage)
        cpus = groups.cpus * groups.workers
        start = exactly(max(study.start for study in studies))
        return Plan(
            worker_groups=groups,
            nodes=len(self._nodes),
            studies=tuple(studies),
            seconds=sum((study.seconds for study in studies), start),
            gpu_hours=sum((study.gpu_hours for study in studies), exactly(0.0)),
            cpu_hours=sum((study.busy.times(cpus / HOUR) for study in studies), exactly(0.0)),
            storage=storage,
            free=free_space(out),
            problems=tuple(dict.fromkeys(self._problems)),
        )

    def _find_resources(self, specs: Sequence[SearchSpec]) -> list[Resources]:
        """The groups and images of each search; with as many groups as fit, where fewer do."""
        try:
            return self._resources(specs)
        except ResourceError as error:
            if specs[0].concurrent_trials is None:
                raise
            found = self._resources(
                [dataclasses.replace(spec, concurrent_trials=None) for spec in specs]
            )
            remedy = f"The plan is made for the {found[0].plan.count} that fit."
            self._problems.append(PlanProblem(what=str(error), remedy=remedy))
            return found

    def _resources(self, specs: Sequence[SearchSpec]) -> list[Resources]:
        """Methods that are compared share those of their dataset."""
        found: dict[str, Resources] = {}
        names = [spec.resolve_dataset().card.name for spec in specs]
        for name, spec in zip(names, specs, strict=True):
            if name not in found:
                found[name] = find_resources(spec, self._listen)
        return [found[name] for name in names]

    def _studies(
        self, specs: Sequence[SearchSpec], resources: Sequence[Resources], joint: bool
    ) -> Iterator[StudyPlan]:
        groups = resources[0].plan
        searches = [self._calibrated(*pair) for pair in zip(specs, resources, strict=True)]
        if joint:  # a trial begins with the datasets that cost the least
            searches.sort(key=lambda search: whole_trial([search.costs]).likely)
        sharing = 1 if joint else _sharing(searches, groups.count)
        searches = self._fitted(searches, joint, sharing)
        for group in [searches] if joint else [[search] for search in searches]:
            study = plan_study(group, groups, sharing=sharing)
            self._problems += study_problems(study, group, groups, self._nodes, sharing=sharing)
            yield over_folds(study, group, groups)

    def _fitted(
        self, searches: Sequence[CalibratedSearch], joint: bool, sharing: int
    ) -> list[CalibratedSearch]:
        """The searches with trials as long as a budget of time has room for."""
        found: list[CalibratedSearch] = []
        for name in ("",) if joint else dict.fromkeys(search.dataset for search in searches):
            own = [search for search in searches if joint or search.dataset == name]
            studies = [own] if joint else [[one] for one in own]
            fit = self._fit(studies, sharing)
            for study in studies:
                parts = [search.trained_images for search in study]
                epochs = fit.epochs(parts)
                final = fit.final_epochs(parts, epochs)
                found += [
                    dataclasses.replace(search.with_epochs(epochs), final_epochs=final)
                    for search in study
                ]
        return found

    def _fit(self, studies: Sequence[Sequence[CalibratedSearch]], sharing: int) -> Fit:
        """The length that a budget of time has room for."""
        first = studies[0][0]
        if not needs_fit([first.trained_images]):
            return Fit()
        timed, plan = [[one.timed for one in study] for study in studies], first.resources.plan
        fit = fit_lengths(timed, plan, worker_groups=plan.count / sharing)
        self._listen(Progress(message=fit.words, warning=True))
        return fit

    def _calibrated(self, spec: SearchSpec, resources: Resources) -> CalibratedSearch:
        """One method on one dataset, checked as a search would be, and measured."""
        check_budget(spec.budget(), resources.plan)
        method, card = spec.resolve_method(), resources.store.card
        run = RunFolder(self._scratch / f"{card.name}-{method.name}")
        run.create(spec.to_dict())
        prepared = prepare_search(spec, run, resources, self._listen)
        self._listen(Progress(message=f"training a few epochs of {method.name} on {card.name}"))
        costs = TrialCosts(
            calibration=calibrate(prepared.task, prepared.space, resources.plan),
            method=method,
            space=prepared.space,
            card=card,
            epochs=prepared.task.epochs,
        )
        return CalibratedSearch(
            spec=spec, resources=resources, costs=costs, trained_images=prepared.trained_images
        )


def _sharing(searches: Sequence[CalibratedSearch], worker_groups: int) -> int:
    """How many searches run at the same time: methods on one dataset come one after the other."""
    if len({search.dataset for search in searches}) == 1:
        return 1
    if len({search.spec.resolve_method().name for search in searches}) > 1:
        return min(len(searches), overlapping_studies(worker_groups))
    return concurrent_studies(
        worker_groups, len(searches), warm_start=bool(searches[0].spec.warm_start)
    )
