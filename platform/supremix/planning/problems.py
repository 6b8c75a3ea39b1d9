"""The problems of a plan: worker groups, budgets, memory, disks; each with what to do."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from supremix.cluster import WorkerGroupPlan
from supremix.planning.calibration import Calibration
from supremix.planning.estimate import Limit, SearchEstimate
from supremix.storage.paths import is_local, to_path
from supremix.tuning.study.budget import HOUR, Budget

SLACK = 1.1
"""Factor of the budget that is asked for when one is too tight: a tenth more than is expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanProblem:
    """A part of a plan that does not fit: what, with its numbers, and what to do about it."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}"


def describe_time(seconds: float) -> str:
    """A time in the unit that suits it: `45 s`, `12 min`, `3.4 h`, `2.1 days`."""
    for unit, length in (("days", 24 * HOUR), ("h", HOUR)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{math.ceil(seconds)} s"


def describe_bytes(count: float) -> str:
    """A size in the unit that suits it: `512 KiB`, `3.4 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit in ("B", "KiB") else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def budget_problems(
    name: str,
    budget: Budget,
    trials: int,
    ends_by: Limit,
    needed: SearchEstimate | None,
    trial_seconds: float,
    plan: WorkerGroupPlan,
) -> Iterator[PlanProblem]:
    """Budgets that end a search before it has done what it was asked for.

    Args:
        name: Name of the search.
        budget: Its limits.
        trials: Trials that will be done within them.
        ends_by: The limit that is reached first.
        needed: What the trials asked for take without other limits; None where that is no question.
        trial_seconds: Seconds of a trial that is not pruned.
        plan: The worker groups.
    """
    limits = {"--time": budget.seconds}
    if budget.gpu_hours is not None:
        limits["--gpu-hours"] = budget.gpu_hours * HOUR / plan.group_gpus
    for option, limit in limits.items():
        if limit is not None and limit < trial_seconds:
            yield PlanProblem(
                what=f"{name}: no trial would be finished, for a whole one takes about "
                f"{describe_time(trial_seconds)} and {option} leaves it {describe_time(limit)}.",
                remedy=f"Give more {option}, or fewer --epochs.",
            )
            return
    if needed is None or ends_by == "trials":
        return
    if ends_by == "time":
        enough = f"--time {math.ceil(needed.seconds.likely * SLACK / 60)}m"
        over = "the time is"
    else:
        enough = f"--gpu-hours {needed.busy.likely * plan.group_gpus / HOUR * SLACK:.2g}"
        over = "the GPU hours are"
    yield PlanProblem(
        what=f"{name}: of {budget.trials} trials about {trials} will be done when {over} used up.",
        remedy=f"Give {enough}, or --trials {trials}.",
    )


def memory_problems(
    name: str, plan: WorkerGroupPlan, nodes: Sequence[Mapping[str, float]], calibration: Calibration
) -> Iterator[PlanProblem]:
    """Workers that together need more memory than a node or a GPU has, or that could not train."""
    for batch, reason in calibration.failed:
        yield PlanProblem(
            what=f"{name}: trials with batch_size={batch} would fail: {reason}.",
            remedy="Search smaller batches (--set batch_size=…), cut the forward passes "
            "(--chunk), or share a batch among more --workers.",
        )
    yield from _node_problems(name, plan, nodes, calibration.resident)
    one = calibration.default
    sharing = max(1, math.floor(1 / plan.gpus + 1e-6)) if 0 < plan.gpus < 1 else 1
    if sharing * calibration.device > one.device_total > 0:
        yield PlanProblem(
            what=f"{name}: {sharing} worker(s) on a GPU need "
            f"{describe_bytes(sharing * calibration.device)} of its "
            f"{describe_bytes(one.device_total)}.",
            remedy="Give each worker more of it (--gpus-per-worker).",
        )


def _node_problems(
    name: str, plan: WorkerGroupPlan, nodes: Sequence[Mapping[str, float]], resident: int
) -> Iterator[PlanProblem]:
    for node in nodes:
        has = node.get("memory", 0.0) + node.get("object_store_memory", 0.0)
        workers = planned_workers(node, plan)
        if has and workers * resident > has:
            yield PlanProblem(
                what=f"{name}: {workers} worker(s) with {describe_bytes(resident)} each need "
                f"more memory than the {describe_bytes(has)} of a node.",
                remedy=f"Let at most {int(has // resident)} of them run on it: fewer "
                "--concurrent-trials, or more --cpus-per-worker.",
            )
            return


def planned_workers(node: Mapping[str, float], plan: WorkerGroupPlan) -> int:
    """Workers of a plan that a node gets at most."""
    return min(plan.workers_on(node), plan.count * plan.workers)


def disk_problems(out: str, needed: float) -> Iterator[PlanProblem]:
    """A run folder that does not fit its disk; nothing where it is not on one of this machine."""
    free = free_space(out)
    if free is not None and needed > free:
        yield PlanProblem(
            what=f"the run needs about {describe_bytes(needed)}, and the disk of {out} has "
            f"{describe_bytes(free)} free.",
            remedy="Free some, or name a folder on another disk (--out).",
        )


def free_space(address: str) -> int | None:
    """Free bytes of the disk that a local folder is or would be on; None for other addresses."""
    folder = to_path(address)
    if not is_local(folder):
        return None
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(str(there)).free
