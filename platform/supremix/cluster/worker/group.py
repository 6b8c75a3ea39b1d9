"""A worker group: a Ray Train worker group that stays alive and executes order after order."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import torch
from ray.cloudpickle import cloudpickle
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import (
    PlacementGroupCleanerCallback,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from supremix.cluster.messages import Message, WorkerResult
from supremix.cluster.resources import WorkerGroupPlan
from supremix.cluster.worker.client import PoolClient
from supremix.cluster.worker.watchdog import Watchdog
from supremix.cluster.worker.worker import TrialWorker
from supremix.errors import ResourceError
from supremix.training import Distributed, Solo

RESTARTS = 1000
"""Worker groups one group may lose before its controller ends; a finite number, so that nothing is
retried for ever in silence. It counts nodes that drain as well."""

CENTRAL = 16
"""Groups whose controllers are kept beside the driver, where no other node's death reaches them.
Those of more worker groups would take its memory; they are spread over the cluster, and a
controller that dies with its node is started again elsewhere."""

_ENVIRONMENT = {
    # The Train controller looks at its workers every 2 s by default; a worker group's start and end
    # would wait for that.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    # It would wait until the announced end of a node; the pool moves the trial at once.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


class NodeLeftError(RuntimeError):
    """The group's node was announced to go; its controller places the group elsewhere."""


def work(config: Mapping[str, Any]) -> None:
    """What each worker of a group runs: ask for an order, execute it, answer, until told to quit.

    Args:
        config: ``pool`` (actor handle) and ``worker_group`` (number).
    """
    context = get_context()
    collective = Distributed() if context.get_world_size() > 1 else Solo()
    key = collective.broadcast(uuid.uuid4().hex)
    post = PoolClient(config["pool"], config["worker_group"], key, collective.rank)
    if not post.join(collective.world):
        return
    device = _device(config["gpus"], post)
    bench = TrialWorker(collective, device, watchdog=Watchdog(post.end), peers=post)

    def ask(outcome: WorkerResult | None) -> Message:
        # As bytes: what a user defined in a script travels by value, which torch cannot do.
        asked = cloudpickle.dumps(post.ask(outcome)) if collective.rank == 0 else b""
        return cloudpickle.loads(collective.broadcast(asked))

    message = ask(None)
    while message.kind != "quit":
        if message.kind == "leave":
            raise NodeLeftError("the node was announced to go")
        if message.order is None:
            message = ask(None)
            continue
        post.note(message.number)
        message = bench.hand_over(message.order, bench.execute(message.order), ask)


def _device(gpus: float, post: PoolClient) -> torch.device:
    if gpus > 0 and not torch.cuda.is_available():
        reason = (
            f"the cluster gave a worker {gpus:g} GPU, and torch finds none on its node. Install "
            "a torch with CUDA there, or ask for --gpus-per-worker 0."
        )
        post.give_up(reason)
        raise ResourceError(reason)
    return get_device()


class _Trainer(TorchTrainer):
    """A trainer with two processes less for every worker group.

    The detached actor that frees a worker group's place when its controller dies needs the
    dashboard's server, and stays for ever where there is none; the executor does its work
    (`remove_orphans`). The manager of Ray Data's datasets has nothing to manage.
    """

    def _create_default_callbacks(self) -> list[Any]:
        return [
            callback
            for callback in super()._create_default_callbacks()
            if not isinstance(callback, (PlacementGroupCleanerCallback, DatasetsCallback))
        ]


def start_worker_group(
    pool: Any, worker_group: int, plan: WorkerGroupPlan, storage: str
) -> ray.ObjectRef[None]:
    """Start one worker group; returns the reference that resolves when it has ended."""
    options: dict[str, Any] = {
        "num_cpus": 0,
        "max_retries": 0,
        "max_calls": 1,
        "runtime_env": {"env_vars": _ENVIRONMENT},
        "scheduling_strategy": here() if plan.count <= CENTRAL else "SPREAD",
    }
    task = ray.remote(**options)(_run_worker_group)
    return task.remote(pool, worker_group, plan, storage)


def here() -> NodeAffinitySchedulingStrategy:
    """To be placed on the node of this process and no other."""
    node = ray.get_runtime_context().get_node_id()
    return NodeAffinitySchedulingStrategy(node_id=node, soft=False)


def _run_worker_group(pool: Any, worker_group: int, plan: WorkerGroupPlan, storage: str) -> None:
    trainer = _Trainer(
        work,
        train_loop_config={"pool": pool, "worker_group": worker_group, "gpus": plan.gpus},
        torch_config=TorchConfig(backend="nccl" if plan.gpus > 0 else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=plan.workers,
            use_gpu=plan.gpus > 0,
            resources_per_worker=plan.worker_resources(),
        ),
        run_config=RunConfig(
            name=f"worker group-{worker_group}",
            storage_path=str(Path(storage)),
            # A group that finds no place goes on asking for one, which also tells an autoscaler
            # what is needed. The executor gives up when no worker group at all has found a place
            # for long.
            failure_config=FailureConfig(max_failures=RESTARTS, controller_failure_limit=-1),
        ),
    )
    reason = "it ended before it was told to"
    try:
        trainer.fit()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise
    finally:
        ray.get(pool.lost.remote(worker_group, reason))
