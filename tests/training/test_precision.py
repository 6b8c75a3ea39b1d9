"""The precisions that are refused because their gradients would be wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os

import pytest
import torch

from supremix.training import CheckpointError, Task, TaskError, TrialRun
from supremix.training.steps.isolation import isolated
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


def test_a_run_is_not_resumed_in_another_precision(task: Task) -> None:
    state = TrialRun(task, {}, device="cpu").state()
    other = dataclasses.replace(task, precision="bf16")

    with pytest.raises(CheckpointError, match=r"another run(.|\n)*fp32(.|\n)*bf16"):
        TrialRun(other, {}, device="cpu").load(state)
    TrialRun(dataclasses.replace(task, precision="fp32"), {}, device="cpu").load(state)


def test_a_run_that_continues_on_another_device_says_so(
    task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    run = TrialRun(task, {}, device="cpu")
    state = run.state()
    with caplog.at_level(logging.WARNING):
        run.load(state)
        assert not caplog.records
        run.load({**state, "device": "cuda"})
    assert "trained on cuda continues on cpu" in caplog.text


def test_a_deterministic_task_sets_what_cuda_needs_and_puts_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: contextlib.nullcontext())
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")

    with isolated(CUDA, None, deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert not torch.backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()
    for device, wanted in ((CPU, True), (CUDA, False)):  # a CPU gives the same bits anyway
        with isolated(device, None, deterministic=wanted):
            assert not torch.are_deterministic_algorithms_enabled()
