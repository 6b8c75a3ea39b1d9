from __future__ import annotations

import pytest
import torch
from torch import nn

from supremix.training.steps.schedule import build_optimizer, rate


def test_it_rises_to_the_peak_and_falls_to_almost_nothing() -> None:
    rates = [rate(step, 100, 0.5, warmup=0.1) for step in range(100)]
    assert max(rates) == rates[10] == 0.5
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.002
    assert 0 < rates[0] < 0.05


def test_without_warm_up_it_starts_at_the_peak() -> None:
    assert rate(0, 10, 0.5, warmup=0) == 0.5


def test_a_step_outside_the_stage_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.9, found 10"):
        rate(10, 10, 0.5)


def test_norms_and_biases_do_not_decay() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 1))
    module[2].requires_grad_(False)
    optimizer = build_optimizer(module, lr=0.1, weight_decay=0.5)
    decayed, spared = optimizer.param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 1, 3, 3)]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.5, 0.0)
    assert len(spared["params"]) == 3
    assert all(isinstance(p, torch.Tensor) for p in spared["params"])
