"""Spaces check themselves, draw points, check points, and take overrides."""

from __future__ import annotations

import pickle
from typing import Any

import optuna
import pytest

from supremix_spaces import (
    Choice,
    Fixed,
    Float,
    Int,
    NotInSpaceError,
    Space,
    SpaceError,
    UnknownParameterError,
    parse_overrides,
)


@pytest.fixture
def space() -> Space:
    return Space(
        {
            "head": Choice(("finetune", "probe")),
            "lr": Float(1e-4, 1e-2, log=True, default=1e-3),
            "depth": Int(1, 9),
            "rate": Float(0.1, 1.0, default=0.5, when=("head", ("finetune",))),
            "warm": Choice((True, False), when=("head", ("finetune",))),
            "warm_epochs": Int(1, 5, default=2, when=("warm", (True,))),
            "width": Fixed(128),
            "cap": Fixed(None),
        }
    )


def test_the_defaults_are_a_point_of_the_space(space: Space) -> None:
    defaults = space.defaults()
    assert defaults == {
        "head": "finetune",
        "lr": 1e-3,
        "depth": 5,
        "rate": 0.5,
        "warm": True,
        "warm_epochs": 2,
        "width": 128,
        "cap": None,
    }
    assert space.check(defaults) == defaults


def test_every_drawn_point_is_a_point_of_the_space(space: Space) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen: set[tuple[str, ...]] = set()
    for _ in range(60):
        trial = study.ask()
        config = space.suggest(trial)
        assert space.check(config) == config
        assert trial.params == {n: v for n, v in config.items() if n in space.searched}
        seen.add(tuple(config))
    # probe; finetune and not warm; finetune and warm: each asks for its own parameters
    assert len(seen) == 3


# Grouping is what makes TPE fit for conditional parameters; Optuna calls it experimental.
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_grouped_tpe_takes_the_enqueued_defaults_first(space: Space) -> None:
    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, group=True, n_startup_trials=3)
    study = optuna.create_study(sampler=sampler)
    defaults = space.defaults()
    study.enqueue_trial({name: v for name, v in defaults.items() if name in space.searched})
    for number in range(8):
        trial = study.ask()
        config = space.suggest(trial)
        assert number > 0 or config == defaults
        study.tell(trial, float(len(config)))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"lrr": 1.0}, UnknownParameterError, r"'lrr'.*Did you mean 'lr'\? Legal: head, lr, depth"),
        (
            {"lr": 1.0},
            NotInSpaceError,
            r"lr = 1\.0 is not among the legal values 0\.0001\.\.0\.01:log",
        ),
        ({"head": "linear"}, NotInSpaceError, "legal values finetune,probe"),
        ({"head": "probe"}, NotInSpaceError, "rate exists only when head is 'finetune'"),
        ({"depth": 2.0}, NotInSpaceError, "depth = 2.0"),
        ({"width": 64}, NotInSpaceError, "width = 64"),
    ],
)
def test_a_config_outside_the_space_is_refused(
    space: Space, change: dict[str, Any], error: type[SpaceError], message: str
) -> None:
    with pytest.raises(error, match=message):
        space.check(space.defaults() | change)


def test_a_config_has_to_be_whole_or_be_completed(space: Space) -> None:
    with pytest.raises(NotInSpaceError, match="lacks lr, depth, width, cap"):
        space.check({"head": "probe"})
    expected = {"head": "probe", "lr": 1e-3, "depth": 5, "width": 128, "cap": None}
    assert space.completed({"head": "probe"}) == expected


def test_whole_numbers_become_floats_where_floats_are_searched(space: Space) -> None:
    value = space.check(space.defaults() | {"rate": 1})["rate"]
    assert (value, type(value)) == (1.0, float)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"a": Fixed(1, when=("b", (1,))), "b": Choice((1, 2))}, "'b'.*before it stand: none"),
        ({"a": Fixed(1, when=("a", (1,)))}, "refers to 'a'"),
        ({"a": Fixed(1, when=("x", (1,)))}, "refers to 'x'"),
        (
            {"a": Fixed(1, when=("b", (1,))), "b": Choice((1, 2), when=("a", (1,)))},
            "refers to 'b'",
        ),
        ({"b": Float(0.0, 1.0), "a": Fixed(1, when=("b", (1,)))}, "has to be a choice"),
        ({"b": Choice((1, 2)), "a": Fixed(1, when=("b", (3,)))}, "asks for b = 3.*values are 1,2"),
        ({"learning rate": Fixed(1)}, "identifier"),
        ({"lr": 0.1}, r"Write Fixed\(0\.1\)"),
    ],
)
def test_unsound_spaces_are_refused(parameters: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Space(parameters)


def test_a_space_cannot_be_changed_and_can_be_pickled(space: Space) -> None:
    with pytest.raises(TypeError):
        space.parameters["lr"] = Fixed(1.0)  # pyright: ignore[reportIndexIssue]
    assert pickle.loads(pickle.dumps(space)) == space  # noqa: S301 - our own bytes


def test_the_names_can_be_checked_against_those_of_a_method(space: Space) -> None:
    space.check_names(space.names, owner="method x")
    with pytest.raises(UnknownParameterError, match=r"'depth' for method x.*Legal: head, lr"):
        space.check_names([n for n in space.names if n != "depth"], owner="method x")


def test_the_text_has_a_line_for_each_parameter(space: Space) -> None:
    lines = str(space).splitlines()
    assert [line.split()[0] for line in lines] == list(space.names)
    assert lines[3] == "rate         0.1..1.0  default 0.5  when head is 'finetune'"


class TestMerged:
    def test_overrides_replace_in_place(self, space: Space) -> None:
        merged = space.merged(parse_overrides(["lr=1e-3..2e-3", "width=64,128", "cap=32"]))
        assert merged.names == space.names
        assert merged["lr"] == Float(1e-3, 2e-3, default=1e-3)
        assert merged["width"] == Choice((64, 128), default=128)
        assert merged["cap"] == Fixed(32)
        assert space["width"] == Fixed(128)

    def test_the_old_default_stays_only_where_it_is_legal(self, space: Space) -> None:
        assert space.merged(parse_overrides(["rate=0.2..0.8"]))["rate"].initial == 0.5
        assert space.merged(parse_overrides(["rate=0.6..0.8"]))["rate"].initial == 0.7
        assert space.merged({"rate": Float(0.2, 0.8, default=0.3)})["rate"].initial == 0.3

    def test_the_condition_stays(self, space: Space) -> None:
        assert space.merged(parse_overrides(["rate=0.2"]))["rate"] == Fixed(
            0.2, when=("head", ("finetune",))
        )

    def test_whole_numbers_fit_a_float_range(self, space: Space) -> None:
        wide = Space({"window": Float(1.0, 9.0)})
        assert wide.merged(parse_overrides(["window=2..8:log"]))["window"] == Float(
            2.0, 8.0, log=True, default=5.0
        )
        assert wide.merged(parse_overrides(["window=2,4"])).defaults() == {"window": 2.0}
        assert isinstance(wide.merged(parse_overrides(["window=2"])).defaults()["window"], float)

    def test_what_can_no_longer_be_falls_away(self, space: Space) -> None:
        merged = space.merged(parse_overrides(["head=probe"]))
        assert merged.names == ("head", "lr", "depth", "width", "cap")

    def test_a_setting_without_effect_is_refused(self, space: Space) -> None:
        with pytest.raises(SpaceError, match=r"rate = 0\.2 has no effect.*head is 'finetune'"):
            space.merged(parse_overrides(["head=probe", "rate=0.2"]))

    def test_a_condition_keeps_the_values_that_are_left(self) -> None:
        space = Space({"a": Choice((1, 2, 3)), "b": Fixed(0, when=("a", (1, 2)))})
        assert space.merged({"a": Choice((2, 3))})["b"].when == ("a", (2,))

    def test_a_wrong_condition_is_still_found(self, space: Space) -> None:
        with pytest.raises(SpaceError, match="asks for head = 'finetun'"):
            space.merged({"rate": Fixed(0.1, when=("head", ("finetun",)))})

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("temperatur=1", "Unknown parameter 'temperatur' for this space"),
            ("rat=0.5", r"Did you mean 'rate'\? Legal: head, lr"),
            ("lr=fast", "lr = fast does not fit"),
            ("depth=1.5", "depth = 1.5 does not fit"),
            ("depth=1.5..3.5", "does not fit"),
            ("head=finetun", r"'finetun' stands where finetune,probe stood. Did you mean"),
            ("warm=1", "warm = 1 does not fit"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, space: Space, override: str, message: str) -> None:
        with pytest.raises(SpaceError, match=message):
            space.merged(parse_overrides([override]))

    def test_a_space_may_be_laid_over_a_space(self, space: Space) -> None:
        assert space.merged(Space({"depth": Fixed(3)}))["depth"] == Fixed(3)
