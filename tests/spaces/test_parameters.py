"""What a parameter accepts, where it starts, and what it draws."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest

from supremix_spaces import Choice, Fixed, Float, Int, Parameter, SpaceError, parse_override

LEGAL: list[Parameter] = [
    Float(-1.0, 1.0),
    Float(1e-4, 1e-1, log=True),
    Float(2.0, 20.0, log=True, default=3.0),
    Int(1, 9),
    Int(8, 64, step=8, default=16),
    Int(1, 1000, log=True),
    Choice(("a", "b", None)),
    Choice((True, False), default=False),
    Choice((16,)),
]


@pytest.mark.parametrize("parameter", LEGAL, ids=str)
def test_the_first_value_is_legal(parameter: Parameter) -> None:
    assert parameter.contains(parameter.initial)


@pytest.mark.parametrize("parameter", LEGAL, ids=str)
def test_optuna_draws_legal_values_and_knows_the_parameter_by_its_name(
    parameter: Parameter,
) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        value = parameter.suggest("x", trial)
        assert parameter.contains(value)
        assert trial.params == {"x": value}


@pytest.mark.parametrize("parameter", LEGAL, ids=str)
def test_the_text_of_a_parameter_reads_back_as_the_same_values(parameter: Parameter) -> None:
    _, read = parse_override(f"x={parameter}")
    assert str(read) == str(parameter)
    if len(str(parameter).split(",")) > 1 or ".." in str(parameter):
        assert type(read) is type(parameter)


def test_the_middle_of_a_range_is_the_default_on_its_scale() -> None:
    assert Float(1.0, 3.0).initial == 2.0
    assert Float(0.01, 1.0, log=True).initial == pytest.approx(0.1)
    assert Int(8, 64, step=8).initial == 40  # 36 is no step; ties go to the even one
    assert Int(1, 100, log=True).initial == 10


def test_a_fixed_value_does_not_ask_the_trial() -> None:
    trial: Any = object()
    assert Fixed(3).suggest("x", trial) == 3


@pytest.mark.parametrize(
    ("parameter", "inside", "outside"),
    [
        (Float(0.0, 1.0), [0, 1, 0.5], [-0.1, 1.1, True, "0.5", None, math.nan]),
        (Int(2, 8, step=2), [2, 4, 8], [3, 10, 4.0, True]),
        (Choice((1, 2, None)), [1, 2, None, 1.0], [True, 3, "1"]),
        (Choice((True, False)), [True, False], [1, 0, None]),
        (Fixed(1), [1], [True, 2]),
    ],
    ids=str,
)
def test_contains(parameter: Parameter, inside: list[object], outside: list[object]) -> None:
    assert [value for value in inside if not parameter.contains(value)] == []
    assert [value for value in outside if parameter.contains(value)] == []


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Float(1.0, 1.0), r"low < high; got low=1\.0, high=1\.0"),
        (lambda: Float(2.0, 1.0), "low < high"),
        (lambda: Float(0.0, math.inf), "finite numbers"),
        (lambda: Float(0.0, 1.0, log=True), "low > 0; got low=0"),
        (lambda: Float(0.0, 1.0, default=2.0), r"default 2\.0 is not among .* 0\.0\.\.1\.0"),
        (lambda: Float(False, 1.0), "finite numbers"),
        (lambda: Int(1, 5, step=3), "divide high - low"),
        (lambda: Int(1, 5, step=0), "at least 1"),
        (lambda: Int(1, 5, log=True, step=2), "logarithmic"),
        (lambda: Int(1, 5, step=2, default=2), "default 2"),
        (lambda: Choice(()), "at least one option"),
        (lambda: Choice((1, 2, 1.0)), "once"),
        (lambda: Choice((1, 2), default=3), r"default 3 is not among the legal values 1,2"),
        (lambda: Choice((math.nan,)), "each a number"),
        (lambda: Fixed(math.inf), "finite"),
        (lambda: Fixed(1, when=("head", ())), "at least one value"),
    ],
)
def test_unsound_parameters_are_refused(build: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        build()


def test_one_may_be_told_from_true() -> None:
    assert Choice((1, True)).options == (1, True)


@pytest.mark.parametrize(
    ("cls", "args", "options", "message"),
    [
        (Int, (1.0, 5), {}, "integer ends"),
        (Choice, ("abc",), {}, "list of options"),
        (Fixed, ([5],), {}, "fixed value"),
        (Float, (0.1, 5.0), {"log": "yes"}, "log has to be true or false"),
    ],
)
def test_wrong_types_are_refused(
    cls: Any, args: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        cls(*args, **options)
