"""Stages of the encoder that are frozen, and rates that differ from stage to stage."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from supremix.errors import SpecError
from supremix.models import EncoderSpec, build_encoder
from supremix.models.stages import encoder_stages, stage_of
from supremix.search.spec import SearchSpec
from supremix.training import ConfigError, Task, TrialRun, preflight

STEM = {"resnet": "conv1", "densenet": "features.conv0", "efficientnet": "_conv_stem"}


@pytest.mark.parametrize(("name", "number"), [("resnet", 5), ("densenet", 5), ("efficientnet", 8)])
def test_every_parameter_of_a_family_is_in_one_stage_in_their_order(name: str, number: int) -> None:
    encoder = build_encoder(EncoderSpec(name=name, width=8), 2, 1)
    stages = encoder_stages(encoder)
    assert len(stages) == number
    assert stages[0][0] == STEM[name]
    found = [stage_of(parameter, stages) for parameter, _ in encoder.named_parameters()]
    assert None not in found
    assert found == sorted(found)  # type: ignore[type-var]
    assert set(found) == set(range(number))


def test_the_children_of_an_encoder_of_ones_own_are_its_stages() -> None:
    own = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU()), nn.BatchNorm2d(2)
    )
    assert encoder_stages(own) == [["0"], ["1", "2"]]
    assert encoder_stages(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))) == [["0", "1"]]


@pytest.fixture
def begun(task: Task, tmp_path: Path) -> Task:
    """A task that starts from the model of a short trial."""
    run = TrialRun(dataclasses.replace(task, seed=11, epochs=1), {})
    run.advance()
    run.export(tmp_path / "model")
    return dataclasses.replace(task, pretrained=str(tmp_path / "model"), epochs=2)


@pytest.mark.parametrize(
    ("method", "freeze"), [("l1", 1), ("l1", 3), ("l1", 5), ("supremix", 2), ("supremix-term", 2)]
)
def test_frozen_stages_keep_their_bits_and_the_others_learn(
    begun: Task, method: str, freeze: int
) -> None:
    task = dataclasses.replace(begun, method=method)
    config = {"batch_size": 20, "freeze": freeze, "layer_decay": 0.7}
    preflight(task, config)
    run = TrialRun(task, config)
    before = {n: t.clone() for n, t in run.model.encoder.state_dict().items()}
    while not run.done:
        run.advance()
    stages = encoder_stages(run.model.encoder)
    for network in (run.model, run.ema_model):
        for name, tensor in network.encoder.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            frozen = (stage_of(name, stages) or 0) < freeze
            assert torch.equal(tensor, before[name]) == frozen, name
    assert bool(run.model.head.weight.any())


@pytest.mark.parametrize("schedule", ["warmup-stable-decay", "schedule-free"])
@pytest.mark.parametrize("method", ["l1", "supremix"])
def test_the_rate_of_a_stage_is_the_heads_times_a_power_of_the_decay(
    begun: Task, method: str, schedule: str
) -> None:
    decay = 0.8
    task = dataclasses.replace(begun, method=method)
    run = TrialRun(task, {"batch_size": 20, "layer_decay": decay, "schedule": schedule})
    rate = run.advance()["lr"]
    rates = {
        id(parameter): group["lr"]
        for group in run.trainer_of(0).optimizer.param_groups
        for parameter in group["params"]
    }
    stages = encoder_stages(run.model.encoder)
    assert len(stages) == 5
    for name, parameter in run.model.encoder.named_parameters():
        power = 5 - (stage_of(name, stages) or 0)
        assert rates[id(parameter)] == pytest.approx(rate * decay**power, rel=1e-12)
    heads = [run.model.head] if method == "l1" else [run.model.projection]
    for head in heads:
        assert head is not None
        assert {rates[id(p)] for p in head.parameters()} == {rate}


def test_a_decay_of_one_and_no_frozen_stage_change_nothing(begun: Task) -> None:
    runs = [TrialRun(begun, {"batch_size": 20, **more}) for more in ({}, {"layer_decay": 1.0})]
    rows = [{k: v for k, v in run.advance().items() if k != "seconds"} for run in runs]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("method", ["l1", "supremix"])
def test_a_resumed_run_ends_with_the_same_bits(begun: Task, method: str) -> None:
    task = dataclasses.replace(begun, method=method, epochs=3)
    config: dict[str, Any] = {"batch_size": 20, "freeze": 1, "layer_decay": 0.6}
    whole = TrialRun(task, config)
    while not whole.done:
        whole.advance()
        if whole.epoch == 1:
            state = whole.state()
    resumed = TrialRun(task, config)
    resumed.load(state)
    while not resumed.done:
        resumed.advance()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])


def test_they_need_pretrained_weights_and_as_many_stages(task: Task, begun: Task) -> None:
    for values in ({"freeze": 1}, {"layer_decay": 0.5}):
        with pytest.raises(ConfigError, match="starts from random ones; give pretrained"):
            preflight(task, {"batch_size": 20, **values})
    preflight(begun, {"batch_size": 20, "freeze": 5})
    with pytest.raises(ConfigError, match="freeze=6 is more than the 5 stages of the encoder"):
        preflight(begun, {"batch_size": 20, "freeze": 6})
    for values in ({"freeze": -1}, {"layer_decay": 0.0}, {"layer_decay": 1.1}):
        with pytest.raises(ConfigError, match="freeze must be at least 0 and layer_decay in"):
            preflight(begun, {"batch_size": 20, **values})


@pytest.mark.parametrize("method", ["l1", "supremix", "rnc-published", "mixup", "supcon-term"])
def test_they_are_searched_where_weights_are_given_and_only_there(method: str) -> None:
    sizes = {"window": 5.0, "label_bin": 1.0, "train_size": 500}
    spec = SearchSpec(dataset="hc18", source="x", method=method, trials=1, pretrained="a")
    space = spec.resolve_space(**sizes)
    assert {"freeze", "layer_decay"} <= set(space.searched)
    assert (space.defaults()["freeze"], space.defaults()["layer_decay"]) == (0, 1.0)
    fixed = dataclasses.replace(spec, overrides=("freeze=5", "layer_decay=0.7..0.9"))
    assert fixed.resolve_space(**sizes).defaults()["freeze"] == 5
    without = dataclasses.replace(fixed, pretrained=None)
    with pytest.raises(SpecError, match="freeze and layer_decay would keep pretrained weights"):
        without.resolve_space(**sizes)
    plain = dataclasses.replace(spec, pretrained=None).resolve_space(**sizes)
    assert not {"freeze", "layer_decay"} & set(plain.names)
