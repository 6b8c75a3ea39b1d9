"""The layout of convolutions: with channels last where that is safe, and only there."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import pytest
import torch

from supremix.models import EncoderSpec, Network
from supremix.training import Task, TrialRun
from supremix.training.build import channels_last_is_safe

CPU = torch.device("cpu")


def layouts(run: TrialRun) -> set[bool]:
    """Whether weights of more than one channel and pixel lie with their channels last."""
    weights = [p for p in run.model.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
    return {p.is_contiguous(memory_format=torch.channels_last) for p in weights}


@pytest.mark.parametrize(("width", "last"), [(4, False), (8, False), (12, False), (16, True)])
def test_channels_are_last_only_where_the_width_is_safe(task: Task, width: int, last: bool) -> None:
    run = TrialRun(dataclasses.replace(task, encoder=EncoderSpec(width=width)), {}, device="cpu")
    assert layouts(run) == {last}


def test_one_narrow_layer_is_enough_to_keep_the_plain_layout() -> None:
    network = Network(EncoderSpec(width=16), channels=1, shape=(32, 32))
    assert channels_last_is_safe(network, CPU)
    network.encoder.conv1 = torch.nn.Conv2d(1, 8, 3)
    assert not channels_last_is_safe(network, CPU)
    assert channels_last_is_safe(network, torch.device("cuda"))


STEPS = """
import torch
from supremix.models import EncoderSpec, Network
from supremix.training.build import channels_last_is_safe, use_channels_last

torch.set_num_threads(2)
torch.manual_seed(0)
network = Network(EncoderSpec(width=8), channels=1, shape=(128, 192))
if channels_last_is_safe(network, torch.device("cpu")):
    use_channels_last(network)
for _ in range(4):
    images = torch.randn(7, 1, 128, 192)
    (network(images, torch.zeros(7, 0), True, False) ** 2).sum().backward()
print("whole")
"""


def test_a_narrow_encoder_and_an_odd_batch_leave_the_heap_whole() -> None:
    # In a process of its own: a corrupted heap ends it.
    found = subprocess.run(
        [sys.executable, "-c", STEPS],
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},  # threads that wait are not to spin
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, "whole\n"), found.stderr[-500:]
