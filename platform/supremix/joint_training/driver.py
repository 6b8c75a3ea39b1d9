"""One joint training from its specification to its last file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from supremix.cluster import (
    Executor,
    PredictionRequest,
    WorkerGroupPlan,
    WorkerRequest,
    WorkerResult,
    cluster_nodes,
)
from supremix.errors import JointInterrupted, SearchFailedError
from supremix.joint_training.report import ALONE, JOINT, Trained, is_reported, write_joint_tables
from supremix.progress.progress import Listener, Progress, Steps
from supremix.runs.folder import RunFolder, describe_environment, write_json_once
from supremix.search.cohort import cohort_rows
from supremix.search.driver import started_executor
from supremix.search.length import TrainedImages, choose_epochs, kept_epochs, length_of
from supremix.search.prepare import Resources, find_resources, kept_identity, make_task
from supremix.search.shared_session import SharedSession, shared_session
from supremix.search.spec import SearchSpec
from supremix.training import Task, fitted, joint_preflight, split_config
from supremix_datasets import Store


@dataclass(frozen=True, kw_only=True)
class JointSpec:
    """The specification of a joint training; see `supremix.joint`.

    Args:
        parts: By dataset what a search of one trial on it would be asked for.
        config: Hyperparameters of the method.
        alone: Whether each dataset is trained alone as well.
    """

    parts: Mapping[str, SearchSpec]
    config: Mapping[str, Any]
    alone: bool = True

    @property
    def first(self) -> SearchSpec:
        """The specification of the first dataset, whose method and machines hold for all."""
        return next(iter(self.parts.values()))

    def to_dict(self) -> dict[str, Any]:
        """The specification as plain values; objects of the user's own are named, not stored."""
        return {
            "joint": {name: part.to_dict() for name, part in self.parts.items()},
            "config": dict(self.config),
            "alone": self.alone,
        }


def run_joint(spec: JointSpec, run: RunFolder, listen: Listener) -> None:
    """Train jointly, then each dataset alone; or go on where that was interrupted.

    Raises:
        USER_ERRORS: Something is wrong with the request; nothing was trained.
        SearchFailedError: A training failed.
        SearchInterrupted: Ctrl-C or SIGTERM; it can be resumed.
    """
    if is_reported(run.path):
        return
    names, interrupted = ", ".join(spec.parts), JointInterrupted(str(run.path))
    with shared_session(
        run.path, (), spec.first, names, listen, interrupted=interrupted
    ) as session:
        _train(spec, run, _guarded(session))


def _guarded(session: SharedSession) -> Listener:
    """A listener that ends the training where another process has taken its folder over."""

    def tell(progress: Progress) -> None:
        session.check()
        session.listen(progress)

    return tell


def _train(spec: JointSpec, run: RunFolder, listen: Listener) -> None:
    begun = kept_identity(run) or {}
    resources = {
        name: find_resources(part, listen, begun.get(name)) for name, part in spec.parts.items()
    }
    plan = next(iter(resources.values())).plan
    stores = {name: one.store for name, one in resources.items()}
    tasks = {name: make_task(part, stores[name], plan) for name, part in spec.parts.items()}
    tasks = _with_epochs(spec, run, tasks, resources, listen)
    sizes = joint_preflight(list(tasks.values()), spec.config, workers=plan.workers)
    _describe(run, plan, stores, sizes)
    with started_executor(plan, listen) as executor:
        trained = [
            _execute(executor, run, training, spec.first.seed, listen)
            for training in _trainings(spec, run, tasks)
        ]
    labels = {
        name: one.store.targets[fitted(tasks[name], one.store, one.splits)]
        for name, one in resources.items()
    }
    units = {name: store.card.unit for name, store in stores.items()}
    method = spec.first.resolve_method().name
    cohort = [
        row
        for one in resources.values()
        for row in cohort_rows(one.store, one.splits, run=run.name)
    ]
    write_joint_tables(run, trained, method=method, units=units, labels=labels, cohort=cohort)
    run.sweep(set())


def _with_epochs(
    spec: JointSpec,
    run: RunFolder,
    tasks: Mapping[str, Task],
    resources: Mapping[str, Resources],
    listen: Listener,
) -> dict[str, Task]:
    """The tasks with the epochs of the run: those it began with, or those that are asked for."""
    configs = split_config(list(tasks), spec.config)
    parts = [
        TrainedImages(
            spec=spec.parts[name],
            config=configs[name],
            card=one.store.card,
            images=len(fitted(tasks[name], one.store, one.splits)),
        )
        for name, one in resources.items()
    ]
    epochs = kept_epochs(run) or choose_epochs(parts)
    length = replace(length_of(parts, epochs), epochs=epochs)  # one goes over all datasets
    write_json_once(run.length, asdict(length))
    listen(Progress(message=f"the joint training is {length}", warning=True))
    return {name: replace(task, epochs=epochs) for name, task in tasks.items()}


@dataclass(frozen=True, kw_only=True)
class _Training:
    """One of the trainings: the joint one, or that of a dataset alone."""

    name: str
    """``joint`` or ``alone/DATASET``; the folder of its models in the run folder."""
    task: Task | tuple[Task, ...]
    config: Mapping[str, Any]
    columns: Mapping[str, Any]
    """Columns that all its rows in the tables share."""


def _trainings(spec: JointSpec, run: RunFolder, tasks: Mapping[str, Task]) -> list[_Training]:
    method = spec.first.resolve_method().name
    columns = {"run": run.name, "method": f"{JOINT}-{method}", "trial": 0}
    joint = _Training(name=JOINT, task=tuple(tasks.values()), config=spec.config, columns=columns)
    own = split_config(list(tasks), spec.config) if spec.alone else {}
    alone = [
        _Training(
            name=f"{ALONE}/{name}",
            task=tasks[name],
            config=config,
            columns={**columns, "method": method, "trial": trial, "dataset": name},
        )
        for trial, (name, config) in enumerate(own.items(), start=1)
    ]
    return [joint, *alone]


def _describe(
    run: RunFolder, plan: WorkerGroupPlan, stores: Mapping[str, Store], sizes: Mapping[str, int]
) -> None:
    content = describe_environment(
        cluster_nodes(),
        plan=asdict(plan),
        data={name: store.identity for name, store in stores.items()},
        fitted=dict(sizes),
        excluded={name: len(store.quarantine) for name, store in stores.items()},
    )
    write_json_once(run.environment, content)


def _execute(
    executor: Executor, run: RunFolder, training: _Training, seed: int, listen: Listener
) -> Trained:
    """Have one training done, epoch by epoch; what its checkpoint has already comes at once."""
    name, file = training.name, training.name.replace("/", "-")
    request = WorkerRequest(
        key=f"{run.name}/{name}",
        task=training.task,
        config=training.config,
        checkpoint=str(run.checkpoints / f"{file}.pt"),
        epoch=1,
    )
    step = Steps("training jointly" if name == JOINT else f"training {name}", listen)
    rows: list[dict[str, Any]] = []
    total = 1
    while len(rows) < total:
        result = _succeed(executor.execute(replace(request, epoch=len(rows) + 1)), name)
        rows.append(result.row or {})
        total = result.total
        step(len(rows), total)
    predictions = str(run.predictions / f"{file}.parquet")
    columns = {**training.columns, "seed": seed}
    predict = PredictionRequest(splits=("val", "test"), address=predictions, columns=columns)
    last = replace(request, epoch=total, predict=predict, export=str(run.path / name))
    _succeed(executor.execute(last), name)
    return Trained(columns=training.columns, rows=rows, predictions=predictions)


def _succeed(result: WorkerResult, name: str) -> WorkerResult:
    if result.failure is not None:
        raise SearchFailedError(f"the training {name!r} failed: {result.failure}")
    return result
