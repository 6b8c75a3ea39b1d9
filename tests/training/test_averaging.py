from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from supremix.models import EncoderSpec, Network
from supremix.training import Task, TrialRun
from supremix.training.steps.ema import Averager
from supremix.training.steps.schedule import Schedule


def make() -> tuple[Network, Network]:
    network = Network(EncoderSpec(width=4), channels=1, shape=(16, 16))
    return network, copy.deepcopy(network)


@pytest.mark.parametrize("steps", [3.0, 1000.0])
def test_it_is_the_exponential_average_with_a_gradual_start(steps: float) -> None:
    network, average = make()
    schedule = Schedule(name="one-cycle", peak=1, steps=10, epoch_steps=1, averaging=steps / 10)
    averager = Averager(network, average, schedule.kept)
    expected = average.head.bias.clone()
    for step in range(30):
        with torch.no_grad():
            network.head.bias += step
            network.encoder.bn1.running_mean += 1
            network.encoder.bn1.num_batches_tracked += 1
        averager.update(step)
        kept = min(1 - 1 / steps, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * network.head.bias
    torch.testing.assert_close(average.head.bias, expected)
    assert average.encoder.bn1.num_batches_tracked == 30
    assert 0 < average.encoder.bn1.running_mean[0] < 30


def test_without_a_time_constant_it_is_the_network_itself(task: Task) -> None:
    network, average = make()
    with torch.no_grad():
        network.head.bias += 3
    Averager(network, average, lambda step: 0.0).update(0)
    assert torch.equal(average.head.bias, network.head.bias)
    run = TrialRun(dataclasses.replace(task, averaging=0.0), {})
    run.advance()
    state = run.state()
    assert all(torch.equal(state["ema_model"][n], state["model"][n]) for n in state["ema_model"])


def test_a_stage_sets_out_from_the_average(task: Task) -> None:
    config = {"batch_size": 16, "finetune_lr": 1e-12}
    # Without running statistics, which would move on although the weights stand still.
    still = EncoderSpec(width=4, norm="group")
    two = dataclasses.replace(task, method="supremix", epochs=2, averaging=0.5, encoder=still)
    run = TrialRun(two, config)
    before = run.advance()
    assert run.advance()["error"] == pytest.approx(before["error"], rel=1e-4)
