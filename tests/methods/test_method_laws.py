"""A method's loss, configuration, preset and page say the same, for every method."""

from __future__ import annotations

import inspect
import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from supremix.losses import FeatureSmoothing
from supremix.methods.base import Stage
from supremix.methods.end_to_end import EndToEndConfig
from supremix.methods.recipes import LabelStats, Smoothing, bound
from supremix.methods.registry import get_method, make_config, method_names
from supremix.methods.two_stage import TwoStageConfig
from supremix.models.scaling import TargetScale
from supremix_datasets.cards.card import Card
from supremix_spaces import TRANSFER, Choice, Fixed, Int, Space, Value, space_for, space_names

DOCS = Path(__file__).parents[2] / "docs"
METHODS = method_names()
# Lengths of a card: window, label_bin, label_scale. Published values are those of years.
YEARS = (5.0, 1.0, 1.0)
CARDS = [YEARS, (20.0, 2.0, 4.0), (0.25, 0.05, 0.05)]


def card_of(window: float, label_bin: float, label_scale: float) -> Card:
    return Card(
        name="any", title="", modality="", target="", unit="", label_bin=label_bin,
        label_scale=label_scale, window=window, label_range=(0, 1000), shape=(8, 8),
    )  # fmt: skip


def space_of(method: str, window: float, label_bin: float, label_scale: float) -> Space:
    lengths = {"window": window, "label_bin": label_bin, "label_scale": label_scale}
    return space_for(method, train_size=10_000, **lengths)


def stages_of(method: str, values: dict[str, Any], lengths: Sequence[float]) -> tuple[Stage, ...]:
    known = get_method(method)
    return known.stages(make_config(known, values), epochs=8, card=card_of(*lengths))


def ends(space: Space, name: str) -> Iterator[Value]:
    """The values of a parameter between which, or of which, all others are."""
    parameter = space[name]
    if isinstance(parameter, Fixed):
        yield parameter.value
    elif isinstance(parameter, Choice):
        yield from parameter.options
    else:
        yield from (parameter.low, parameter.high)


class Drawn:
    """The three functions of an Optuna trial, on a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        if log:
            return math.exp(self._random.uniform(math.log(low), math.log(high)))
        return self._random.uniform(low, high)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        return self._random.randrange(low, high + 1, step)

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        return self._random.choice(choices)


def test_methods_and_presets_have_the_same_names_in_the_same_order() -> None:
    assert method_names() == space_names()


@pytest.mark.parametrize("method", METHODS)
def test_configuration_and_preset_have_the_same_parameters(method: str) -> None:
    names = {f.name for f in fields(get_method(method).config)}
    assert set(space_of(method, *YEARS).names) == names - TRANSFER.keys()
    lengths = dict(zip(("window", "label_bin", "label_scale"), YEARS, strict=True))
    transferred = space_for(method, train_size=10_000, pretrained=True, **lengths)
    assert set(transferred.names) == names


@pytest.mark.parametrize("lengths", CARDS)
@pytest.mark.parametrize("method", METHODS)
def test_the_first_point_of_the_preset_is_the_default_of_the_configuration(
    method: str, lengths: tuple[float, float, float]
) -> None:
    first = space_of(method, *lengths).defaults()
    defaults = {f.name: f.default for f in fields(get_method(method).config)}
    # Where the configuration leaves a value open, the stages show that both derive the same.
    assert {n: v for n, v in first.items() if defaults[n] is not None} == {
        n: v for n, v in defaults.items() if v is not None and n in first
    }
    assert stages_of(method, first, lengths) == stages_of(method, {}, lengths)


@pytest.mark.parametrize("method", METHODS)
def test_the_whole_preset_is_legal_for_the_configuration(method: str) -> None:
    for lengths in CARDS:
        space = space_of(method, *lengths)
        for name in space.names:
            for value in ends(space, name):
                assert stages_of(method, {**space.defaults(), name: value}, lengths)
        for seed in range(10):
            assert stages_of(method, space.suggest(Drawn(seed)), lengths)
        for name in space.names:
            parameter = space[name]
            assert not isinstance(parameter, Int) or parameter.low <= parameter.initial


def parts(value: Any) -> Iterator[Any]:
    """Losses, and parts of recipes, that a stage is made of."""
    if isinstance(value, tuple):
        for one in value:
            yield from parts(one)
    elif inspect.ismethod(value):
        yield value.__self__
    elif is_dataclass(value):
        yield value
        for one in fields(value):
            yield from parts(getattr(value, one.name))


@pytest.mark.parametrize("method", METHODS)
def test_in_years_the_configuration_has_the_defaults_of_the_loss(method: str) -> None:
    labels = torch.linspace(0, 10, 11, dtype=torch.float64)
    unit = LabelStats(labels=labels, scale=TargetScale(transform="none", mean=0.0, std=1.0))
    for stage in stages_of(method, {}, YEARS):
        loss: Any = stage.loss
        for part in [*parts(bound(loss, unit)), *parts(stage.recipe)]:
            kind = FeatureSmoothing if isinstance(part, Smoothing) else type(part)
            if not kind.__module__.startswith("supremix.losses"):
                continue
            signature = inspect.signature(kind).parameters.items()
            published = {n: p.default for n, p in signature if p.default is not p.empty}
            found = {n: getattr(part, n) for n in published}
            assert found == published, f"{method}: {kind.__name__}"


@pytest.mark.parametrize("method", METHODS)
def test_the_page_of_the_method_names_every_parameter(method: str) -> None:
    overview = (DOCS / "methods.md").read_text()
    link = re.search(rf"\[`{method}`\]\((methods/[a-z0-9-]+\.md)\)", overview)
    assert link, f"docs/methods.md does not link {method}"
    page = (DOCS / link[1]).read_text()
    config = get_method(method).config
    base = TwoStageConfig if issubclass(config, TwoStageConfig) else EndToEndConfig
    common = {f.name for f in fields(base)}
    for one in fields(config):
        where = overview if one.name in common else page
        assert f"`{one.name}`" in where, f"{method}: {one.name}"
