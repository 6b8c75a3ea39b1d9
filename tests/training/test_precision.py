"""The precisions that are refused because their gradients would be wrong."""

from __future__ import annotations

import pytest
import torch

from supremix.training import TaskError
from supremix.training.steps.precision import Precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_bfloat16_on_a_cpu_is_refused_for_three_axes_with_the_reason() -> None:
    with pytest.raises(TaskError, match=r"wrong gradients in 3-D convolutions.*'fp32' or 'auto'"):
        Precision("bf16", CPU).check(3)


@pytest.mark.parametrize(
    ("name", "device", "axes"),
    [("bf16", CPU, 2), ("bf16", CUDA, 3), ("auto", CPU, 3), ("fp32", CPU, 3), ("fp16", CUDA, 3)],
)
def test_the_others_are_taken(name: str, device: torch.device, axes: int) -> None:
    Precision(name, device).check(axes)


@pytest.mark.parametrize(
    ("capability", "name"), [((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")]
)
def test_auto_is_bfloat16_only_on_gpus_that_have_it(
    capability: tuple[int, int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)

    precision = Precision("auto", CUDA)

    assert precision.name == name
    assert Precision("auto", CPU).name == "fp32"
