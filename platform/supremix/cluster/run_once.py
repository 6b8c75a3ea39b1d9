"""One piece of work by one worker group that is started for it and ends with it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import ray
import torch
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from supremix.cluster.resources import WorkerGroupPlan
from supremix.errors import TrainingError
from supremix.training import Collective, Distributed, Solo

SearchSession = Callable[[Collective, torch.device, Any], dict[str, Any]]
"""work(collective, device, argument) -> plain values; every worker of the worker group calls it."""


def run_once(work: SearchSession, argument: Any, plan: WorkerGroupPlan) -> dict[str, Any]:
    """Have a function called by all workers of one new worker group of a plan.

    Args:
        work: An importable function.
        argument: What it is given; picklable.
        plan: Says how many workers there are, and what each has. The other worker groups are not
            started.

    Returns:
        What rank 0 returned.

    Raises:
        TrainingError: A worker raised an error or was killed, for want of memory say.
    """
    # As for the worker groups of a search: without it the controller looks at its workers every 2
    # s.
    environment = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1"}
    options: dict[str, Any] = {
        "num_cpus": 0,
        "max_retries": 0,
        "max_calls": 1,
        "runtime_env": {"env_vars": environment},
    }
    task = ray.remote(**options)(_fit)
    with tempfile.TemporaryDirectory(prefix="supremix-") as storage:
        try:
            return ray.get(task.remote(work, argument, plan, storage))
        except RayError as error:
            raise TrainingError(_last_line(error)) from error


def _fit(work: SearchSession, argument: Any, plan: WorkerGroupPlan, storage: str) -> dict[str, Any]:
    trainer = TorchTrainer(
        _call,
        train_loop_config={"work": work, "argument": argument},
        torch_config=TorchConfig(backend="nccl" if plan.gpus > 0 else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=plan.workers,
            use_gpu=plan.gpus > 0,
            resources_per_worker=plan.worker_resources(),
        ),
        run_config=RunConfig(
            name="once",
            storage_path=storage,
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
        ),
    )
    result: Any = trainer.fit()
    return result.return_value


def _call(config: Mapping[str, Any]) -> dict[str, Any]:
    many = get_context().get_world_size() > 1
    collective: Collective = Distributed() if many else Solo()
    return config["work"](collective, get_device(), config["argument"])


def _last_line(error: RayError) -> str:
    """What went wrong in a line: the end of a trace that passed several processes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
