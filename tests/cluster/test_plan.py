"""The plan of worker groups: always fits, never leaves a trial without a place."""

from __future__ import annotations

import pytest

from supremix.cluster.resources import TRIAL_CPU, WorkerGroupPlan, plan_worker_groups
from supremix.errors import ResourceError

NODES = {
    "laptop": [{"CPU": 2.0}],
    "laptops": [{"CPU": 2.0}, {"CPU": 3.0}],
    "one core": [{"CPU": 1.0}],
    "server": [{"CPU": 64.0, "GPU": 8.0}],
    "cluster": [{"CPU": 0.0}, {"CPU": 16.0, "GPU": 2.0}, {"CPU": 16.0, "GPU": 2.0}, {"CPU": 7.0}],
}


@pytest.mark.parametrize("nodes", NODES.values(), ids=NODES.keys())
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_plan_leaves_room_for_its_trials(nodes: list[dict[str, float]], workers: int) -> None:
    try:
        plan = plan_worker_groups(nodes, workers=workers)
    except ResourceError:
        kind = "GPU" if any(node.get("GPU") for node in nodes) else "CPU"
        assert max(int(node.get(kind, 0)) for node in nodes) < workers
        return
    taken = plan.count * plan.workers * plan.worker_resources()["CPU"]
    # Tune may hold a second actor for the trial that comes next.
    assert taken + 2 * plan.count * TRIAL_CPU <= sum(node["CPU"] for node in nodes)
    assert plan.count * plan.workers * plan.gpus <= sum(node.get("GPU", 0) for node in nodes)


@pytest.mark.parametrize(
    ("nodes", "asked", "plan"),
    [
        ("laptop", {}, WorkerGroupPlan(count=1, workers=1, cpus=2, gpus=0)),
        (
            "laptop",
            {"count": 2},
            WorkerGroupPlan(count=2, workers=1, cpus=1, gpus=0),
        ),
        ("laptop", {"workers": 2}, WorkerGroupPlan(count=1, workers=2, cpus=1, gpus=0)),
        ("one core", {}, WorkerGroupPlan(count=1, workers=1, cpus=1, gpus=0)),
        ("server", {}, WorkerGroupPlan(count=8, workers=1, cpus=8, gpus=1)),
        ("server", {"gpus": 0.1}, WorkerGroupPlan(count=64, workers=1, cpus=1, gpus=0.1)),
        (
            "server",
            {"gpus": 0.1, "cpus": 0.5},
            WorkerGroupPlan(count=80, workers=1, cpus=0.5, gpus=0.1),
        ),
        # What is left of one GPU and of another makes no share: 8 times 2, not 20.
        ("server", {"gpus": 0.4}, WorkerGroupPlan(count=16, workers=1, cpus=4, gpus=0.4)),
        ("cluster", {"workers": 2}, WorkerGroupPlan(count=2, workers=2, cpus=8, gpus=1)),
        (
            "cluster",
            {"workers": 4, "span_nodes": True},
            WorkerGroupPlan(count=1, workers=4, cpus=8, gpus=1, span_nodes=True),
        ),
        # On single nodes there is room for two groups of 5 CPUs a worker, over several for three.
        (
            "cluster",
            {"workers": 2, "gpus": 0, "cpus": 5},
            WorkerGroupPlan(count=2, workers=2, cpus=5, gpus=0),
        ),
        (
            "cluster",
            {"workers": 2, "gpus": 0, "cpus": 5, "span_nodes": True},
            WorkerGroupPlan(count=3, workers=2, cpus=5, gpus=0, span_nodes=True),
        ),
        # A group of two on one node of two cores has one for each.
        ("laptops", {"workers": 2}, WorkerGroupPlan(count=2, workers=2, cpus=1, gpus=0)),
        (
            "laptops",
            {"workers": 2, "span_nodes": True},
            WorkerGroupPlan(count=1, workers=2, cpus=2, gpus=0, span_nodes=True),
        ),
        (
            "cluster",
            {"gpus": 0, "cpus": 4},
            WorkerGroupPlan(count=9, workers=1, cpus=4, gpus=0),
        ),
    ],
)
def test_plans(nodes: str, asked: dict[str, float], plan: WorkerGroupPlan) -> None:
    assert plan_worker_groups(NODES[nodes], **asked) == plan


def test_what_does_not_fit_is_refused_with_what_there_is() -> None:
    with pytest.raises(ResourceError, match=r"1 concurrent .* 5 worker\(s\) .* room for 2"):
        plan_worker_groups(NODES["laptop"], workers=5)
    with pytest.raises(ResourceError, match=r"--span-nodes") as raised:
        plan_worker_groups(NODES["laptops"], workers=4)
    assert "on one node, where there is room for 3" in str(raised.value)
    with pytest.raises(ResourceError, match=r"3 concurrent trial.* 1 CPU .* room for 5"):
        plan_worker_groups(NODES["laptops"], workers=2, count=3, span_nodes=True)
    with pytest.raises(ResourceError, match="has 1 node"):
        plan_worker_groups(NODES["laptop"], gpus=1)
    with pytest.raises(ResourceError, match="got concurrent_trials=None, workers=0"):
        plan_worker_groups(NODES["laptop"], workers=0)
    with pytest.raises(ResourceError, match="more than 0 CPUs"):
        plan_worker_groups(NODES["laptop"], cpus=-1)


@pytest.mark.parametrize("gpus", [1.5, 2])
def test_a_gpu_that_a_worker_would_leave_idle_is_refused(gpus: float) -> None:
    with pytest.raises(ResourceError, match=rf"one GPU .*got gpus={gpus:g}\. .*--workers 2"):
        plan_worker_groups(NODES["server"], gpus=gpus)


def test_workers_of_one_group_do_not_share_a_gpu() -> None:
    with pytest.raises(ResourceError, match=r"NCCL, .* one worker per GPU"):
        plan_worker_groups(NODES["server"], workers=2, gpus=0.5)
