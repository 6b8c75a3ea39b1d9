"""The presets of the methods that train end to end."""

from __future__ import annotations

import pytest

from supremix_spaces import Choice, Fixed, Float, parse_overrides, space_for
from supremix_spaces.presets.contrast_terms import CONTRAST_TERMS
from supremix_spaces.presets.end_to_end import END_TO_END

FACTS = {"window": 20.0, "label_bin": 2.0, "label_scale": 4.0, "train_size": 486}
TRAINING = ("batch_size", "lr", "weight_decay")
STARTS = {
    "huber": {"delta": 4.0},
    "soft-labels": {"sigma": 4.0},
    "balanced-mse": {"sigma": 4.0},
    "mixup": {"alpha": 0.2},
    "manifold-mixup": {"alpha": 2.0},
    "c-mixup": {"alpha": 2.0, "bandwidth": 20.0, "where": "inputs"},
    "adacon": {"weight": 0.75, "temperature": 1 / 150},
    "ranksim": {"gamma": 100.0, "lam": 2.0},
    "ordinal-entropy": {"spread": 1.0, "tightness": 1.0},
    "conr": {"weight": 4.0, "temperature": 0.07, "window": 4.0},
    "lds": {"size": 5, "sigma": 2.0, "reweight": "sqrt_inverse"},
    "fds": {"size": 5, "sigma": 2.0, "momentum": 0.9},
}


@pytest.mark.parametrize("method", END_TO_END)
def test_methods_are_searched_on_equal_terms_from_published_settings(method: str) -> None:
    space, reference = space_for(method, **FACTS), space_for("l1", **FACTS)
    assert {name: space[name] for name in TRAINING} == {n: reference[n] for n in TRAINING}
    searched = [n for n in space.names if not isinstance(space[n], Fixed) and n not in TRAINING]
    start = space.defaults()
    assert {name: start[name] for name in searched} == STARTS.get(method, {})


@pytest.mark.parametrize("method", CONTRAST_TERMS)
def test_contrastive_terms_differ_in_the_loss_of_their_two_stage_method_alone(method: str) -> None:
    space, contrast = space_for(method, **FACTS), space_for(method.removesuffix("-term"), **FACTS)
    ranksim, l1 = space_for("ranksim", **FACTS), space_for("l1", **FACTS)
    term = {"weight", "projection", "projection_dim", "two_views"}
    added, training = {"base", "delta", "reweight", "smooth"}, {"lr", "weight_decay", "schedule"}
    assert space["weight"] == Float(0.03, 100.0, log=True, default=1.0)
    assert space["projection"] == Choice((False, True))
    assert space["batch_size"] == contrast["batch_size"]
    assert {n: space[n] for n in added} == {n: ranksim[n] for n in added}
    assert {n: space[n] for n in training} == {n: l1[n] for n in training}
    own = set(space.names) - term - added - training - {"batch_size"}
    assert {n: space[n] for n in own} == {n: contrast[n] for n in own}


def test_lengths_follow_the_dataset() -> None:
    assert space_for("conr", **FACTS)["window"] == Float(1.0, 64.0, log=True, default=4.0)
    assert space_for("c-mixup", **FACTS)["bandwidth"] == Float(1.0, 80.0, log=True, default=20.0)
    wide = space_for("c-mixup", window=1.0, label_bin=2.0, train_size=100)
    assert wide["bandwidth"] == Float(0.5, 4.0, log=True, default=1.0)


def test_the_base_loss_can_be_freed() -> None:
    chosen = parse_overrides(["base=l1,mse", "reweight=inverse", "smooth=true"])
    space = space_for("ranksim", **FACTS).merged(chosen)
    assert space.defaults().items() >= {("base", "l1"), ("reweight", "inverse"), ("smooth", True)}
