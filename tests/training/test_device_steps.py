"""What a training step asks of a GPU, counted on a pretended one: waits, launches, copies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pretended_cuda import build, compiler

from supremix.training import method_names

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(compiler() is None, reason="needs g++ and the headers of torch"),
]

# The most launches of a step of ResNet-10: forward, loss, backward, optimizer, average, batch.
LAUNCHES = {"supremix": 225, "supcon": 195, "simclr": 195, "rnc": 244, "yaware": 205, "expw": 209}
# The most memory that a step reads and writes, in multiples of its images as they are stored.
MOVED = [
    ({"method": "supremix", "config": {"pretrain_share": 0.5}}, 505),
    ({"method": "supremix", "dataset": "ukb-t1", "config": {"pretrain_share": 0.5}}, 338),
    ({"method": "l1"}, 249),
]
OTHERS = [name for name in method_names() if name not in LAUNCHES]
VARIANTS: list[dict[str, Any]] = [
    {"method": "supremix", "dataset": "ukb-t1"},
    {"method": "supremix", "config": {"max_pairs": 8}},
    {"method": "supremix", "config": {"normalize_mixtures": True}},
    {"method": "supremix", "precision": "fp32"},
]


def cases() -> list[str]:
    given = [*VARIANTS, *({"method": name} for name in LAUNCHES)]
    halved = [{**c, "config": {"pretrain_share": 0.5, **c.get("config", {})}} for c in given]
    return [json.dumps(c) for c in (*halved, *({"method": name} for name in OTHERS))]


def run(folder: Path, *cases: str) -> dict[str, dict[str, Any]]:
    """What `count_steps` finds for each case, in a process that believes in a GPU."""
    script = Path(__file__).parents[1] / "support" / "count_steps.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder), *cases],
        env={**os.environ, "LD_PRELOAD": str(build(folder))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line.pop("case"): line for line in lines}


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """All cases by one process: to compile, to import and to prepare the images takes longest."""
    return run(tmp_path_factory.mktemp("counted"), "meter", "norms", *cases())


def test_the_pretended_device_counts_what_cuda_does(counted: dict[str, dict[str, Any]]) -> None:
    assert {name: tuple(counts) for name, counts in counted["meter"].items()} == {
        "a product": (0, 1),
        "a view": (0, 0),
        "a read": (1, 1),
        "a condition": (1, 2),
        "a mask": (1, 2),
        "a blocking copy": (1, 0),
        "a pageable copy": (1, 0),
        "a pinned copy": (0, 0),
        "a list": (1, 0),
        "a copy back": (1, 0),
        "Expected all tensors to be on the same device": (),
    }


@pytest.mark.parametrize("case", cases())
def test_an_epoch_waits_for_the_device_once_to_read_its_loss(
    counted: dict[str, dict[str, Any]], case: str
) -> None:
    (place, times), *more = counted[case]["waits"].items()

    assert counted[case]["steps"] > 1
    assert place.startswith("_local_scalar_dense at stage_trainer.py")
    assert (times, more) == (1, [])


@pytest.mark.parametrize("method", LAUNCHES)
def test_a_contrastive_step_copies_twice_and_launches_few_kernels(
    counted: dict[str, dict[str, Any]], method: str
) -> None:
    """Once what the batch is made of, and once what its labels say."""
    case = counted[json.dumps({"method": method, "config": {"pretrain_share": 0.5}})]

    assert case["objective"] == "contrastive"
    assert case["copied"] == 2
    assert case["launches"] <= LAUNCHES[method]


@pytest.mark.parametrize(("case", "most"), MOVED)
def test_a_step_moves_no_more_memory(
    counted: dict[str, dict[str, Any]], case: dict[str, Any], most: float
) -> None:
    """Of each kernel what it reads and writes; docs/cluster.md has the table."""
    assert counted[json.dumps(case)]["moved"] <= most


def test_a_batch_norm_over_workers_sends_one_message_each_way_and_waits_for_none(
    counted: dict[str, dict[str, Any]],
) -> None:
    found = counted["norms"]
    assert (found["waits"], found["messages"]) == ({}, 2)
    assert found["launches"] <= 45
