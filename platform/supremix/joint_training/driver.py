"""One joint training from its specification to its last file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from supremix.cluster import (
    Executor,
    WorkerGroupPlan,
    WorkerRequest,
    WorkerResult,
    cluster_nodes,
    plan_worker_groups,
    ray_runtime,
)
from supremix.cluster.interrupts import interrupts
from supremix.errors import JointInterrupted, SearchFailedError
from supremix.joint_training.report import ALONE, JOINT, Trained, is_reported, write_joint_tables
from supremix.progress.progress import Listener, Progress, Steps
from supremix.runs.folder import RunFolder, describe_environment, write_json
from supremix.search.driver import started_executor
from supremix.search.prepare import prepare_store
from supremix.search.spec import SearchSpec
from supremix.storage.locks import Lock, locked
from supremix.storage.retry import storage_errors
from supremix.training import Task, joint_preflight, split_config
from supremix_datasets import Store


@dataclass(frozen=True, kw_only=True)
class JointSpec:
    """What a joint training is asked to do; see `supremix.joint`.

    Args:
        parts: By dataset what a search of one trial on it would be asked for.
        config: Settings of the method.
        alone: Whether each dataset is trained alone as well.
    """

    parts: Mapping[str, SearchSpec]
    config: Mapping[str, Any]
    alone: bool = True

    @property
    def first(self) -> SearchSpec:
        """What holds for all datasets: method, machines, and so on."""
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

    Args:
        spec: What to train.
        run: Its folder, created.
        listen: Told of every step.

    Raises:
        USER_ERRORS: Something is wrong with the request; nothing was trained.
        SearchFailedError: A training failed.
        SearchInterrupted: Ctrl-C or SIGTERM; it can be gone on with.
    """
    if is_reported(run.path):
        return
    try:
        with locked(run.path) as lock, ray_runtime(spec.first.address), interrupts.handled():
            _train(spec, run, _guarded(listen, lock))
    except KeyboardInterrupt as error:
        raise JointInterrupted(str(run.path)) from error


def _guarded(listen: Listener, lock: Lock) -> Listener:
    """A listener that ends the training where another process has taken its folder over."""

    def tell(progress: Progress) -> None:
        lock.check()
        listen(progress)

    return tell


def _train(spec: JointSpec, run: RunFolder, listen: Listener) -> None:
    plan = plan_worker_groups(
        cluster_nodes(),
        workers=spec.first.workers,
        count=1,
        cpus=spec.first.cpus_per_worker,
        gpus=spec.first.gpus_per_worker,
    )
    stores = {name: prepare_store(part, listen) for name, part in spec.parts.items()}
    tasks = {name: _task(part, stores[name], plan) for name, part in spec.parts.items()}
    sizes = joint_preflight(list(tasks.values()), spec.config, workers=plan.workers)
    _describe(run, plan, stores, sizes)
    with started_executor(plan, listen) as executor:
        together = tuple(tasks.values())
        trained = [_execute(executor, run, JOINT, together, spec.config, listen)]
        for name, own in split_config(list(tasks), spec.config).items() if spec.alone else ():
            trained.append(_execute(executor, run, f"{ALONE}/{name}", tasks[name], own, listen))
    units = {name: store.card.unit for name, store in stores.items()}
    method = spec.first.resolve_method().name
    write_joint_tables(run, trained, method=method, seed=spec.first.seed, units=units)
    run.sweep(set())


def _task(part: SearchSpec, store: Store, plan: WorkerGroupPlan) -> Task:
    return Task(
        store=store.path if part.stores is None else f"{part.stores.rstrip('/')}/{store.name}",
        cache=part.cache,
        method=part.method,
        encoder=part.encoder_spec(),
        epochs=part.epochs,
        seed=part.seed,
        split_seed=part.split_seed,
        fractions=part.fractions,
        precision=part.precision,
        threads=plan.threads,
        flips=True,
    )


def _describe(
    run: RunFolder, plan: WorkerGroupPlan, stores: Mapping[str, Store], sizes: Mapping[str, int]
) -> None:
    with storage_errors(str(run.path)):
        known = run.environment.exists()
    if known:
        return  # a resumed run keeps what it began with
    content = describe_environment(
        cluster_nodes(),
        plan=dataclasses.asdict(plan),
        stores={name: store.key for name, store in stores.items()},
        fitted=dict(sizes),
        excluded={name: len(store.quarantine) for name, store in stores.items()},
    )
    write_json(run.environment, content)


def _execute(
    executor: Executor,
    run: RunFolder,
    name: str,
    task: Task | tuple[Task, ...],
    config: Mapping[str, Any],
    listen: Listener,
) -> Trained:
    """Have one training done, epoch by epoch; what its checkpoint has already comes at once."""
    order = WorkerRequest(
        key=f"{run.name}/{name}",
        task=task,
        config=config,
        checkpoint=str(run.checkpoints / f"{name.replace('/', '-')}.pt"),
        epoch=1,
    )
    tell = Steps("training together" if name == JOINT else f"training {name}", listen)
    rows: list[dict[str, Any]] = []
    total = 1
    while len(rows) < total:
        outcome = _succeed(executor.execute(dataclasses.replace(order, epoch=len(rows) + 1)), name)
        rows.append(outcome.row or {})
        total = outcome.total
        tell(len(rows), total)
    final = dataclasses.replace(
        order, epoch=total, predict=("val", "test"), export=str(run.path / name)
    )
    outcome = _succeed(executor.execute(final), name)
    return Trained(name=name, rows=rows, predictions=outcome.predictions)


def _succeed(outcome: WorkerResult, name: str) -> WorkerResult:
    if outcome.failure is not None:
        raise SearchFailedError(f"the training {name!r} failed: {outcome.failure}")
    return outcome
