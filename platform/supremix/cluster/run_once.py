"""One function call by one worker group that is started for it and ends with it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import ray
import torch
from ray.exceptions import RayError
from ray.train import FailureConfig

from supremix.cluster.pool.ray_control import remove_orphans
from supremix.cluster.resources import WorkerGroupPlan
from supremix.cluster.worker.group import claim_device, make_collective, train_run, train_task
from supremix.errors import TrainingError
from supremix.training import Collective

GroupFunction = Callable[[Collective, torch.device, Any], dict[str, Any]]
"""function(collective, device, argument) -> plain values, called on every worker of a group."""


def run_once(function: GroupFunction, argument: Any, plan: WorkerGroupPlan) -> dict[str, Any]:
    """Have a function called by all workers of one new worker group of a plan.

    Args:
        function: An importable function.
        argument: Its argument; picklable.
        plan: Gives the number of workers and the resources of each. The other worker groups are not
            started.

    Returns:
        What rank 0 returned.

    Raises:
        TrainingError: A worker raised an error or was killed, for lack of memory say.
    """
    with tempfile.TemporaryDirectory(prefix="supremix-") as storage:
        try:
            return ray.get(train_task(_run).remote(function, argument, plan, storage))
        except RayError as error:
            remove_orphans()
            raise TrainingError(_last_line(error)) from error


def _run(function: GroupFunction, argument: Any, plan: WorkerGroupPlan, storage: str) -> Any:
    config = {"function": function, "argument": argument, "gpus": plan.gpus}
    failures = FailureConfig(max_failures=0, controller_failure_limit=0)
    return train_run(_call, config, plan, name="once", storage=storage, failures=failures)


def _call(config: Mapping[str, Any]) -> dict[str, Any]:
    collective = make_collective()
    device = claim_device(config["gpus"], collective)
    return config["function"](collective, device, config["argument"])


def _last_line(error: RayError) -> str:
    """The error in a line: the end of a trace that passed several processes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
