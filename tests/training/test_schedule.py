from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import nn

from supremix._errors import ConfigError
from supremix.training import Task, TrialRun
from supremix.training.steps.schedule import (
    ANYTIME,
    SCHEDULES,
    Schedule,
    averaged_by_optimizer,
    build_optimizer,
    set_rate,
)


def make(name: str, *, steps: int = 100, **more: float) -> Schedule:
    return Schedule(name=name, peak=0.5, steps=steps, epoch_steps=10, **more)


def rates(schedule: Schedule) -> list[float]:
    return [schedule.rate(step) for step in range(schedule.steps)]


def test_one_cycle_rises_to_the_peak_and_falls_to_almost_nothing() -> None:
    seen = rates(make("one-cycle", warmup=0.1))
    assert max(seen) == seen[10] == 0.5
    assert seen[:11] == sorted(seen[:11])
    assert seen[10:] == sorted(seen[10:], reverse=True)
    assert 0 < seen[-1] < 0.002
    assert 0 < seen[0] < 0.05


def test_one_cycle_without_warm_up_starts_at_the_peak() -> None:
    assert make("one-cycle", warmup=0).rate(0) == 0.5


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "one-cycle"])
def test_the_others_warm_up_over_two_epochs(name: str) -> None:
    seen = rates(make(name))
    assert seen[:20] == pytest.approx([0.5 * (step + 1) / 20 for step in range(20)])
    assert max(seen) == 0.5


@pytest.mark.parametrize("name", SCHEDULES)
def test_only_an_anytime_schedule_does_not_know_how_long_the_stage_is(name: str) -> None:
    short, long = make(name), make(name, steps=400)
    same_rates = rates(short) == rates(long)[:100]
    same_weights = all(short.kept(step) == long.kept(step) for step in range(100))
    assert (same_rates and same_weights) == (name in ANYTIME)
    assert same_weights == (name != "one-cycle")
    assert (rates(short)[:80] == rates(long)[:80]) == (name != "one-cycle")


def test_warmup_stable_decay_ends_at_nothing() -> None:
    seen = rates(make("warmup-stable-decay"))
    assert seen[20:80] == [0.5] * 60
    assert seen[80:] == sorted(seen[80:], reverse=True)
    assert 0 < seen[-1] < 0.02


def test_inverse_sqrt_halves_after_four_times_the_steps() -> None:
    schedule = make("inverse-sqrt", steps=10_000)
    assert schedule.rate(20 + 1500) == pytest.approx(0.25)
    # Far out it falls as 1/√t.
    assert schedule.rate(8000) / schedule.rate(2000) == pytest.approx(0.5, rel=0.1)


def test_the_growing_average_forgets_the_start() -> None:
    """The weight of step s in the average after step t is about (s / t)^k: a tenth of t long."""
    schedule, t = make("constant", averaging=0.1), 2000
    weights, kept = [0.0] * t, 1.0
    for step in reversed(range(t)):
        share = schedule.kept(step)
        weights[step] = kept * (1 - share)
        kept *= share
    assert kept == 0
    mean_age = sum((t - step) * weight for step, weight in enumerate(weights))
    assert mean_age == pytest.approx(t / 11, rel=0.02)


def test_without_averaging_nothing_is_kept() -> None:
    assert all(make(name, averaging=0.0).kept(50) == 0 for name in SCHEDULES)


def test_schedule_free_is_its_formula() -> None:
    """Algorithm 1 of Defazio et al. (2024), with Adam's second moment and a constant rate."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Linear(3, 2, bias=False).double()
    average = copy.deepcopy(network)
    optimizer = build_optimizer(network, lr=0.1, weight_decay=0.3, schedule="schedule-free")
    set_rate(optimizer, 0.1)
    z = x = network.weight.detach().clone()
    square = torch.zeros_like(z)
    for step in range(1, 8):
        gradient = torch.randn(z.shape, generator=generator, dtype=torch.float64)
        y = 0.1 * z + 0.9 * x
        torch.testing.assert_close(network.weight.detach(), y)
        square = 0.99 * square + 0.01 * gradient**2
        moved = gradient / ((square / (1 - 0.99**step)).sqrt() + 1e-8) + 0.3 * y
        z = z - 0.1 * moved
        x = (1 - 1 / step) * x + z / step
        network.weight.grad = gradient.clone()
        optimizer.step()
        averaged_by_optimizer(optimizer, network, average)
        torch.testing.assert_close(average.weight.detach(), x)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_resumes_to_the_same_bits(task: Task, name: str) -> None:
    config = {"schedule": name}
    whole = TrialRun(task, config)
    whole.advance()
    resumed = TrialRun(task, config)
    resumed.load(whole.state())
    assert whole.advance()["error"] == resumed.advance()["error"]
    states = [run.state()["ema_model"] for run in (whole, resumed)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", ANYTIME)
def test_after_an_epoch_an_anytime_run_is_a_run_of_that_length(task: Task, name: str) -> None:
    runs = [TrialRun(dataclasses.replace(task, epochs=e), {"schedule": name}) for e in (2, 5)]
    for _ in range(2):
        rows = [run.advance() for run in runs]
    assert rows[0]["error"] == rows[1]["error"]
    states = [run.state()["ema_model"] for run in runs]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_an_unknown_schedule_is_refused(task: Task) -> None:
    with pytest.raises(ConfigError, match=r"one of warmup-stable-decay, .*found 'cosine'"):
        TrialRun(task, {"schedule": "cosine"})


def test_norms_and_biases_do_not_decay() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 1))
    module[2].requires_grad_(False)
    optimizer = build_optimizer(module, lr=0.1, weight_decay=0.5)
    decayed, spared = optimizer.param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 1, 3, 3)]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.5, 0.0)
    assert len(spared["params"]) == 3
    assert all(isinstance(p, torch.Tensor) for p in spared["params"])
