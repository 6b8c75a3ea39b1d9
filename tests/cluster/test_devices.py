"""The device of a worker: what is found out before anything is trained on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray.train import FailureConfig, ScalingConfig

from supremix.cluster import WorkerGroupPlan
from supremix.cluster.worker import group as group_module
from supremix.cluster.worker.group import claim_device, gpu_fault, train_run
from supremix.errors import ResourceError
from supremix.training import Solo


class Two(Solo):
    """Rank 0 of two workers, the other of which has found something."""

    world = 2
    other: str | None = None

    def collect(self, value):
        return [value, self.other]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, torch.device]]:
    """A GPU that works, as far as the worker can see; what its memory is limited to."""
    limits: list[tuple[float, torch.device]] = []
    monkeypatch.setattr(group_module, "gpu_fault", lambda: None)
    monkeypatch.setattr(group_module, "get_device", lambda: torch.device("cuda:0"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (20 << 30, 32 << 30))
    monkeypatch.setattr(
        torch.cuda,
        "set_per_process_memory_fraction",
        lambda share, device: limits.append((share, device)),
    )
    return limits


@pytest.mark.skipif(torch.cuda.is_available(), reason="here torch can use a GPU")
def test_a_gpu_that_torch_cannot_use_is_named_with_its_reason_and_driver() -> None:
    fault = str(gpu_fault())

    assert f"torch {torch.__version__}" in fault
    assert "built for" in fault
    assert "driver" in fault.lower()
    with pytest.raises(ResourceError, match=r"gave a worker 0\.5 GPU, and torch .* cannot use it"):
        claim_device(0.5, Solo())


def test_all_workers_of_a_group_hear_of_the_gpu_that_one_cannot_use(
    given: list[tuple[float, torch.device]],
) -> None:
    workers = Two()
    workers.other = "torch cannot use it on node-7"
    with pytest.raises(ResourceError, match="node-7"):
        claim_device(1, workers)


def test_a_share_of_a_gpu_is_a_limit_of_its_memory(
    given: list[tuple[float, torch.device]],
) -> None:
    device = torch.device("cuda:0")
    assert claim_device(0.25, Solo()) == device
    assert given == [(0.25 - 1 / 64, device)]  # CUDA itself takes the rest
    claim_device(1, Solo())
    assert len(given) == 1


@pytest.mark.parametrize(("span", "strategy"), [(False, "STRICT_PACK"), (True, "PACK")])
def test_a_group_is_on_one_node_unless_it_may_span_several(
    span: bool, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ScalingConfig] = []

    class Trainer:
        def __init__(self, *rest: Any, scaling_config: ScalingConfig, **named: Any) -> None:
            seen.append(scaling_config)

        def fit(self) -> SimpleNamespace:
            return SimpleNamespace(return_value=None)

    monkeypatch.setattr(group_module, "LeanTrainer", Trainer)
    plan = WorkerGroupPlan(count=1, workers=2, cpus=1, gpus=0, span_nodes=span)
    train_run(print, {}, plan, name="a", storage="b", failures=FailureConfig())
    assert [config.placement_strategy for config in seen] == [strategy]


@pytest.mark.slow
def test_the_first_trial_of_a_worker_is_freed_as_any_other(store, tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "support" / "freed_runs.py"
    done = subprocess.run(
        [sys.executable, str(script), store.path, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["freed", "freed"]
