"""The number and size of the worker groups that fit a cluster: arithmetic, so nothing deadlocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from supremix.errors import ResourceError

TRIAL_CPU = 0.01
"""CPUs of a Tune trial's actor, which only passes requests on (0 is refused by Tune)."""

TRIAL_SHARE = 0.05
"""Share of its CPUs that each worker leaves for trial actors. Without it worker groups that fill
the cluster leave no room for the trials that would use them, and the search waits for ever."""

GPU_CONTEXT = 512 << 20
"""Bytes of a GPU's memory that CUDA takes for each process on it, beside what torch allocates."""

CPUS_PER_WORKER = 2
"""CPUs a worker gets on a cluster without GPUs, when the user names no number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerGroupPlan:
    """The number of worker groups and their size.

    Args:
        count: Worker groups; as many trials run at once.
        workers: Workers (Ray Train ranks) per worker group.
        cpus: CPUs per worker; also its torch threads.
        gpus: GPUs per worker, at most 1; below that several workers share one; 0 trains on the CPU.
        span_nodes: Whether the workers of a group may be on several nodes; else they are on one.
    """

    count: int
    workers: int
    cpus: float
    gpus: float
    span_nodes: bool = False

    @property
    def threads(self) -> int:
        """Torch threads of a worker."""
        return max(1, int(self.cpus))

    @property
    def group_gpus(self) -> float:
        """GPUs of one worker group; 0 where it trains on CPUs."""
        return self.gpus * self.workers

    def worker_resources(self) -> dict[str, float]:
        """The resources of one worker for Ray; a few of the CPUs are left to the trials' actors."""
        gpu = {"GPU": self.gpus} if self.gpus > 0 else {}
        return {"CPU": round(self.cpus * (1 - TRIAL_SHARE), 4), **gpu}

    def workers_on(self, node: Mapping[str, float]) -> int:
        """Workers that a node has room for: of whole groups, unless a group may span nodes."""
        fit = workers_on(node, self.cpus, self.gpus)
        return fit if self.span_nodes else fit - fit % self.workers


def plan_worker_groups(
    nodes: Sequence[Mapping[str, float]],
    *,
    workers: int = 1,
    count: int | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    span_nodes: bool = False,
) -> WorkerGroupPlan:
    """Plan worker groups that all fit the cluster at once.

    Args:
        nodes: Resources (``CPU``, ``GPU``) of each living node.
        workers: Workers per worker group, at least 1.
        count: Worker groups, which is how many trials run at once; None for as many as fit.
        cpus: CPUs per worker; None for its GPU's share of the node's, without GPUs 2 or what there
            is.
        gpus: GPUs per worker, at most 1; None for 1 where the cluster has GPUs, else 0.
        span_nodes: Whether the workers of a group may be on several nodes; else they are on one.

    Returns:
        The plan; its resources are all free on an idle cluster.

    Raises:
        ResourceError: A number is out of its range, or more than the cluster has.
    """
    if workers < 1 or (count is not None and count < 1):
        raise ResourceError(
            f"a search needs at least 1 concurrent trial of at least 1 worker; got "
            f"concurrent_trials={count}, workers={workers}. "
            "Leave concurrent_trials out to use the whole cluster."
        )
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU", 0) >= 1 for node in nodes) else 0.0
    _check_shares(workers, cpus, gpus)
    # Without a number of CPUs, the most with which the groups fit.
    choices = [cpus] if cpus is not None else _cpus_per_worker(nodes, gpus)
    plans = [
        WorkerGroupPlan(
            count=count or 1, workers=workers, cpus=choice, gpus=gpus, span_nodes=span_nodes
        )
        for choice in choices
    ]
    fits = [sum(plan.workers_on(node) for node in nodes) // workers for plan in plans]
    for plan, fit in zip(plans, fits, strict=True):
        if fit >= plan.count:
            return replace(plan, count=count or fit)
    raise ResourceError(_shortage(nodes, plans[-1]))


def _cpus_per_worker(nodes: Sequence[Mapping[str, float]], gpus: float) -> list[float]:
    """CPUs of a worker where the user names none, from the best choice on."""
    if gpus > 0:
        # Of the node that has the fewest for each of its GPUs, so that all GPUs are used.
        with_gpus = [n for n in nodes if n.get("CPU", 0) > 0 and n.get("GPU", 0) >= 1]
        shares = [node["CPU"] / _shares(node["GPU"], gpus) for node in with_gpus]
        return [float(max(1, int(min(shares, default=1))))]
    return [float(cpus) for cpus in range(CPUS_PER_WORKER, 0, -1)]


def _check_shares(workers: int, cpus: float | None, gpus: float) -> None:
    if (cpus is not None and cpus <= 0) or gpus < 0:
        raise ResourceError(
            f"a worker needs more than 0 CPUs and no negative number of GPUs; got cpus={cpus}, "
            f"gpus={gpus:g}."
        )
    if gpus > 1:
        raise ResourceError(
            f"a worker computes on one GPU or on a share of one, and others would be idle; got "
            f"gpus={gpus:g}. Ask for --gpus-per-worker 1, and for --workers {math.ceil(gpus)} to "
            f"train each trial on {math.ceil(gpus)} GPUs."
        )
    if workers > 1 and 0 < gpus < 1:
        raise ResourceError(
            f"several workers of one worker group cannot share a GPU (got workers={workers}, "
            f"gpus={gpus:g}): NCCL, by which they communicate, allows one worker per GPU, and two "
            "on one compute no faster than one. Ask for --workers 1 to have several trials on a "
            "GPU, or for --gpus-per-worker 1."
        )


def workers_on(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Workers that a node has room for."""
    # Shares like 0.1 are not exact in binary: a little slack, so that ten of them fit in one.
    fit = int(node.get("CPU", 0) / cpus + 1e-6)
    return min(fit, _shares(node.get("GPU", 0), gpus)) if gpus > 0 else fit


def _shares(have: float, gpus: float) -> int:
    """How often `gpus` fits; what is left of one GPU and of another do not make a share."""
    return int(have) * int(1 / gpus + 1e-6)


def _shortage(nodes: Sequence[Mapping[str, float]], plan: WorkerGroupPlan) -> str:
    have = ", ".join(f"{n.get('CPU', 0):g} CPU + {n.get('GPU', 0):g} GPU" for n in nodes)
    alone = [workers_on(node, plan.cpus, plan.gpus) for node in nodes]
    span = ""
    if not plan.span_nodes and sum(alone) >= plan.count * plan.workers:
        span = (
            f" All workers of a group are on one node, where there is room for {max(alone)}; with "
            "--span-nodes they may be on several."
        )
    return (
        f"{plan.count} concurrent trial(s) of {plan.workers} worker(s) with {plan.cpus:g} CPU and "
        f"{plan.gpus:g} GPU each do not fit the cluster, which has {len(nodes)} node(s) ({have}) "
        f"and room for {sum(alone)} such worker(s).{span} Ask for fewer workers or concurrent "
        "trials, or for less per worker (--workers, --concurrent-trials, --cpus-per-worker, "
        "--gpus-per-worker)."
    )
