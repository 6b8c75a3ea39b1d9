"""A cluster that has GPUs which torch cannot use, as where the installed torch has no CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import torch
from fault_support import Pending, make_subject
from live_support import assert_nothing_left

from supremix.cluster import Executor, WorkerGroupPlan, ray_runtime

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.is_available(), reason="here torch can use a GPU"),
]


@pytest.fixture
def ray_with_gpus(no_local_ray: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.init(num_cpus=2, num_gpus=2, include_dashboard=False, object_store_memory=100_000_000)
        with ray_runtime():
            yield
        ray.shutdown()


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.long), 2])
@pytest.mark.usefixtures("ray_with_gpus")
def test_it_is_named_before_any_communication_over_it(
    workers: int, tmp_path: Path, heads: str, cache: Path
) -> None:
    subject = make_subject(tmp_path / "trial", heads, cache)
    plan = WorkerGroupPlan(count=1, workers=workers, cpus=1, gpus=1)
    with Executor(plan, str(tmp_path / "ray")) as executor:
        result = Pending(executor, subject.request(1)).result()

    assert result.cluster_failure
    assert "gave a worker 1 GPU" in str(result.failure)
    assert f"torch {torch.__version__}" in str(result.failure)
    assert "--gpus-per-worker 0" in str(result.failure)
    assert_nothing_left()
