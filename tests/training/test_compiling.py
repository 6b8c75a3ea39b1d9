"""A compiled encoder against one that is not."""

from __future__ import annotations

import dataclasses
import shutil
from typing import Any

import pytest
import torch
from torch import nn

from supremix.models import EncoderSpec
from supremix.training import CheckpointError, ConfigError, Task, TaskError, TrialRun, preflight
from supremix.training.steps import compiling

GROUP = EncoderSpec(width=4, norm="group")


@pytest.fixture(autouse=True)
def forget_what_was_compiled() -> Any:
    yield
    torch.compiler.reset()


def build_small(spatial_dims: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 4, 5, stride=2), nn.BatchNorm2d(4), nn.SiLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(1),
    )  # fmt: skip


def trained(task: Task, epochs: int = 1) -> TrialRun:
    run = TrialRun(task, {"batch_size": 20, "lr": 1e-3}, device="cpu")
    for _ in range(epochs):
        run.advance()
    return run


def assert_close(ours: TrialRun, reference: TrialRun, **tolerance: float) -> None:
    expected = reference.state()["model"]
    found = ours.state()["model"]
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, **tolerance, msg=lambda m, n=name: n + m)


@pytest.mark.parametrize("method", ["l1", "supremix"])
def test_a_compiled_encoder_trains_to_the_same_numbers(
    task: Task, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced, and computed by the same kernels: what inductor makes of it is its own concern."""
    traced: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        traced.append(len(graph.graph.nodes))
        return graph.forward

    monkeypatch.setattr(compiling, "BACKEND", backend)
    encoder = EncoderSpec(builder=build_small)
    plain = dataclasses.replace(task, method=method, encoder=encoder, epochs=2)
    compiled = dataclasses.replace(plain, compile=True)
    assert_close(trained(compiled), trained(plain), rtol=1e-4, atol=1e-5)
    assert len(traced) in (1, 2)  # the batches of a stage have one of two sizes
    assert min(traced) > 5


@pytest.mark.long
# Of torch's own modules, as they are imported.
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_inductors_kernels_train_to_the_same_numbers(task: Task, norm: str) -> None:
    plain = dataclasses.replace(task, encoder=EncoderSpec(width=4, norm=norm))
    compiled = dataclasses.replace(plain, compile=True)
    assert_close(trained(compiled), trained(plain), rtol=1e-2, atol=1e-3)


def test_a_compiled_run_resumes_as_compiled_only(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    plain = dataclasses.replace(task, encoder=EncoderSpec(builder=build_small), epochs=2)
    compiled = dataclasses.replace(plain, compile=True)
    half = trained(compiled).state()
    again = TrialRun(compiled, {"batch_size": 20, "lr": 1e-3}, device="cpu")
    again.load(half)
    again.advance()
    assert_close(again, trained(compiled, 2), rtol=0, atol=0)
    with pytest.raises(CheckpointError, match="of another run"):
        TrialRun(plain, {"batch_size": 20, "lr": 1e-3}, device="cpu").load(half)


def test_workers_that_normalise_as_one_are_refused_before_work_starts(task: Task) -> None:
    compiled = dataclasses.replace(task, compile=True)
    with pytest.raises(ConfigError, match=r"where 2 workers normalise .*--norm group"):
        preflight(compiled, {"batch_size": 20}, workers=2)
    preflight(dataclasses.replace(compiled, encoder=GROUP), {"batch_size": 20}, workers=2)


def test_a_machine_without_a_compiler_is_named(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(TaskError, match=r"C\+\+ compiler .*leave compile out"):
        TrialRun(dataclasses.replace(task, compile=True), {"batch_size": 20}, device="cpu")
