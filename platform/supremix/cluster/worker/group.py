"""A worker group: a Ray Train run that stays alive and executes request after request."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import ray
import torch
from ray.cloudpickle import cloudpickle
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchConfig, get_device
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from supremix.cluster.messages import STORAGE_LIMIT, Message
from supremix.cluster.ray_private import LeanTrainer
from supremix.cluster.resources import GPU_CONTEXT, WorkerGroupPlan
from supremix.cluster.worker.client import PoolClient
from supremix.cluster.worker.watchdog import Watchdog
from supremix.cluster.worker.worker import TrialWorker
from supremix.errors import ResourceError
from supremix.training import Collective, Distributed, Solo

RESTARTS = 1000
"""Restarts of its workers before a controller ends; a finite number, so that nothing is retried for
ever in silence. It counts nodes that drain as well."""

CENTRAL = 16
"""Worker groups whose controllers are kept on the driver's node, where no other node's death
reaches them. More would take its memory; they are spread over the cluster, and a controller that
dies with its node is started again elsewhere."""

TIMEOUT = timedelta(seconds=2 * STORAGE_LIMIT)
"""Longest wait of a worker for the others of its group. They may be fetching a store; what hangs is
ended by a watchdog long before."""

DRIVER = Path("/proc/driver/nvidia/version")

ENDED_EARLY = "it ended before it was asked to"

_ENVIRONMENT = {
    # The Train controller polls its workers every 2 s by default; a worker group's start and end
    # would wait for that.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    # It would wait until the announced end of a node; the pool moves the trial at once.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


class NodeDrainsError(RuntimeError):
    """The removal of the workers' node was announced; their controller starts them elsewhere."""


def serve(config: Mapping[str, Any]) -> None:
    """Ask for a request, execute it, hand over its result, until the pool says quit.

    Args:
        config: ``pool`` (actor handle), ``worker_group`` (number) and ``gpus``.
    """
    collective = make_collective()
    key = collective.broadcast(uuid.uuid4().hex)
    client = PoolClient(config["pool"], config["worker_group"], key, collective.rank)
    if not client.join(collective.world):
        return
    gpus = config["gpus"]
    try:
        device = claim_device(gpus, collective)
    except ResourceError as error:
        client.give_up(str(error))
        raise
    worker = TrialWorker(
        collective, device, watchdog=Watchdog(client.end), peers=client, shared=gpus < 1
    )

    def shared(answer: Message | None) -> Message:
        # As bytes: what a user defined in a script travels by value, which torch cannot do.
        given = b"" if answer is None else cloudpickle.dumps(answer)
        return cloudpickle.loads(collective.broadcast(given))

    def ask() -> Message:
        return shared(client.exchange(None) if collective.rank == 0 else None)

    message = ask()
    while message.kind != "quit":
        if message.kind == "leave":
            raise NodeDrainsError("the removal of the node was announced")
        if (request := message.request) is None:
            message = ask()
            continue
        client.begin(message.number)
        result = worker.execute(request)
        message = shared(worker.hand_over(request, result, client.exchange))


def make_collective() -> Collective:
    """The collective operations of this worker with the others of its worker group."""
    return Distributed() if get_context().get_world_size() > 1 else Solo()


def claim_device(gpus: float, collective: Collective) -> torch.device:
    """The device of this worker, once all workers of its group can use theirs. Collective.

    Of a GPU that others use as well, no more memory can be taken than the share of it: so a lack
    of memory is that of the worker that takes too much. Several workers on GPUs exchange tensors
    over NCCL from then on, and everything else, for which GPUs would spin, still over gloo.

    Args:
        gpus: GPUs of each worker.
        collective: The group.

    Raises:
        ResourceError: torch cannot use the GPU of a worker; raised on all of them.
    """
    if gpus <= 0:
        return get_device()
    found = [fault for fault in collective.collect(gpu_fault()) if fault is not None]
    if found:
        raise ResourceError(
            f"the cluster gave a worker {gpus:g} GPU, and {found[0]}. Install a torch with CUDA "
            "and a driver that is new enough for it there, or ask for --gpus-per-worker 0."
        )
    device = get_device()
    if gpus < 1:
        context = GPU_CONTEXT / torch.cuda.mem_get_info(device)[1]
        torch.cuda.set_per_process_memory_fraction(max(gpus - context, gpus / 2), device)
    if isinstance(collective, Distributed):
        torch.cuda.set_device(device)
        collective.exchange_tensors_over("nccl", timeout=TIMEOUT)
    return device


def gpu_fault() -> str | None:
    """Why torch cannot compute on a GPU in this process, None where it can."""
    try:
        torch.zeros(1, device="cuda")
    except (RuntimeError, AssertionError) as error:
        driver = (
            DRIVER.read_text("utf-8").splitlines()[0] if DRIVER.exists() else "no NVIDIA driver"
        )
        reason = " ".join(str(error).split())[:300]
        built = torch.version.cuda or "no CUDA"
        return (
            f"torch {torch.__version__} (built for {built}) cannot use it on {platform.node()} "
            f"({driver}): {reason}"
        )
    return None


def train_run(
    function: Callable[[Any], Any],
    config: Mapping[str, Any],
    plan: WorkerGroupPlan,
    *,
    name: str,
    storage: str,
    failures: FailureConfig,
) -> Any:
    """Call a function with a configuration on each worker of one worker group, by Ray Train.

    Returns:
        What rank 0 returned.
    """
    trainer = LeanTrainer(
        function,
        train_loop_config=dict(config),
        # Made before anything is known of the GPUs: see `claim_device` for these.
        torch_config=TorchConfig(backend="gloo", timeout_s=int(TIMEOUT.total_seconds())),
        scaling_config=ScalingConfig(
            num_workers=plan.workers,
            use_gpu=plan.gpus > 0,
            resources_per_worker=plan.worker_resources(),
            placement_strategy="PACK" if plan.span_nodes else "STRICT_PACK",
        ),
        run_config=RunConfig(name=name, storage_path=storage, failure_config=failures),
    )
    result: Any = trainer.fit()
    return result.return_value


def train_task(function: Callable[..., Any], **options: Any) -> Any:
    """A Ray task for a function that calls `train_run`."""
    environment = {"env_vars": _ENVIRONMENT}
    more: dict[str, Any] = {"runtime_env": environment, **options}
    return ray.remote(num_cpus=0, max_retries=0, max_calls=1, **more)(function)


def start_worker_group(
    pool: Any, worker_group: int, plan: WorkerGroupPlan, storage: str
) -> ray.ObjectRef[None]:
    """Start one worker group; returns the reference that resolves when it has ended."""
    strategy = this_node() if plan.count <= CENTRAL else "SPREAD"
    task = train_task(_run_worker_group, scheduling_strategy=strategy)
    return task.remote(pool, worker_group, plan, storage)


def this_node() -> NodeAffinitySchedulingStrategy:
    """A scheduling strategy for the node of this process and no other."""
    node = ray.get_runtime_context().get_node_id()
    return NodeAffinitySchedulingStrategy(node_id=node, soft=False)


def _run_worker_group(pool: Any, worker_group: int, plan: WorkerGroupPlan, storage: str) -> None:
    # A worker group for which there is no room goes on asking for it, which also tells an
    # autoscaler what is needed. The executor gives up when there is no room for any for long.
    failures = FailureConfig(max_failures=RESTARTS, controller_failure_limit=-1)
    config = {"pool": pool, "worker_group": worker_group, "gpus": plan.gpus}
    name, reason = f"worker-group-{worker_group}", ENDED_EARLY
    try:
        train_run(serve, config, plan, name=name, storage=storage, failures=failures)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise
    finally:
        ray.get(pool.lost.remote(worker_group, reason))
