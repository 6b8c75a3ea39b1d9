"""A gang: a Ray Train worker group that stays alive and executes order after order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, TaskCancelledError
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from supremix.cluster.order import Message, Outcome
from supremix.cluster.plan import GangPlan
from supremix.cluster.workbench import Workbench
from supremix.training import Distributed, Solo

PATIENCE = 10.0
"""Seconds a gang waits for an order before it asks again; far below a process group's timeout."""

RESTARTS = 100
"""Worker groups one gang may lose before it ends; a finite number, so that nothing is retried
for ever in silence."""


def work(config: Mapping[str, Any]) -> None:
    """What each worker of a gang runs: ask for an order, execute it, answer, until told to quit.

    Args:
        config: ``pool`` (actor handle) and ``gang`` (number).
    """
    context = get_context()
    collective = Distributed() if context.get_world_size() > 1 else Solo()
    bench = Workbench(collective, get_device())
    pool, gang = config["pool"], config["gang"]
    number, outcome = 0, None
    while True:
        asked = _exchange(pool, gang, number, outcome) if collective.rank == 0 else None
        message: Any = collective.broadcast(asked)
        if message.kind == "quit":
            return
        number, outcome = message.number, None
        if message.order is not None:
            outcome = bench.execute(message.order)


def _exchange(pool: Any, gang: int, number: int, outcome: Outcome | None) -> Message:
    try:
        return ray.get(pool.exchange.remote(gang, number, outcome, PATIENCE))
    except (ActorDiedError, ActorUnavailableError, TaskCancelledError):
        return Message(kind="quit")  # the run is over, there is nobody left to work for


def start_gang(pool: Any, gang: int, plan: GangPlan, storage: str) -> ray.ObjectRef[None]:
    """Start one gang; returns the reference that resolves when it has ended."""
    # The Train controller looks at its workers every 2 s by default; a gang's start and end
    # would wait for that.
    environment = {
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    }
    options: dict[str, Any] = {
        "num_cpus": 0,
        "max_retries": 0,
        "max_calls": 1,
        "runtime_env": {"env_vars": environment},
    }
    task = ray.remote(**options)(_run_gang)
    return task.remote(pool, gang, plan, storage)


def _run_gang(pool: Any, gang: int, plan: GangPlan, storage: str) -> None:
    trainer = TorchTrainer(
        work,
        train_loop_config={"pool": pool, "gang": gang},
        torch_config=TorchConfig(backend="nccl" if plan.gpus > 0 else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=plan.workers,
            use_gpu=plan.gpus > 0,
            resources_per_worker=plan.worker_resources(),
        ),
        run_config=RunConfig(
            name=f"gang-{gang}",
            storage_path=str(Path(storage)),
            failure_config=FailureConfig(max_failures=RESTARTS, controller_failure_limit=3),
        ),
    )
    reason = "it ended before it was told to"
    try:
        trainer.fit()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise
    finally:
        ray.get(pool.lost.remote(gang, reason))
