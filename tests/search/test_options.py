"""Options of a request: declared once, and arriving in Python, in files and in the checks."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import supremix
from supremix.errors import SpecError, UnknownNameError
from supremix.models import EncoderSpec, encoder_names
from supremix.search.request.declaration import OPTIONS, request_options
from supremix.search.request.keywords import SearchKeywords, TrainingKeywords
from supremix.search.request.option import COMMANDS, JOINT, SEARCH, Command, Option
from supremix.search.spec import SearchSpec
from supremix.tuning.pruners.registry import make_pruner
from supremix.tuning.study.budget import Budget

POSITIONAL = {"dataset", "source", "method"}
FRONTS: list[tuple[Callable[..., Any], Command, set[str]]] = [
    (supremix.Search, "search", set()),
    (supremix.Comparison, "search", set()),
    (supremix.MultiDatasetSearch, "search", set()),
    (supremix.Benchmark, "benchmark", set()),
    (supremix.plan, "plan", set()),
    (supremix.joint, "joint", {"shape", "overrides"}),
]
BOUNDED = [one for one in OPTIONS if not (one.least is one.above is one.most is None)]


def spec(**values: Any) -> SearchSpec:
    return SearchSpec(**{"dataset": "ukb-t1", "trials": 1} | values)


def named(one: Option) -> str:
    return one.name


def outside(one: Option) -> list[float]:
    """The nearest illegal numbers, and what is no number."""
    below = [one.least - 1] if one.least is not None else []
    above = [one.most + 1] if one.most is not None else []
    return [*below, *([one.above] if one.above is not None else []), *above, math.nan]


@pytest.mark.parametrize(
    ("front", "command", "left_out"), FRONTS, ids=[front.__name__ for front, _, _ in FRONTS]
)
def test_a_front_takes_the_options_of_its_command(
    front: Callable[..., Any], command: Command, left_out: set[str]
) -> None:
    declared = {
        one.name: one for one in request_options(command) if one.name not in POSITIONAL | left_out
    }
    parameters = inspect.signature(front).parameters
    keywords = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name in {one.name for one in OPTIONS}
    }

    assert keywords == {name: one.default for name, one in declared.items()}
    assert not any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    text = " ".join((inspect.getdoc(front) or "").split())
    assert [name for name, one in declared.items() if f"{name}: {one.text}" not in text] == []


def test_type_checkers_know_the_options_that_are_declared() -> None:
    wider = {
        "Sequence[int] | str": "tuple[int, ...]",
        "Sequence[str]": "tuple[str, ...]",
        "tuple[float, float, float] | str": "tuple[float, float, float]",
        "float | str": "float",
        "int | str": "int",
        " | Path": "",
    }

    def narrow(annotation: str) -> str:
        for wide, declared in wider.items():
            annotation = annotation.replace(wide, declared)
        return annotation

    for keywords, commands, left_out in (
        (TrainingKeywords, (JOINT,), {"shape", "overrides"}),
        (SearchKeywords, (SEARCH,), set[str]()),
    ):
        known = {
            name: narrow(text.__forward_arg__)
            for base in (TrainingKeywords, keywords)
            for name, text in inspect.get_annotations(base).items()
        }
        declared = {
            one.name: one.type for command in commands for one in request_options(command)
            if one.name not in POSITIONAL | left_out
        }  # fmt: skip
        assert known == declared


def test_a_misspelt_option_is_refused_with_the_right_one() -> None:
    with pytest.raises(UnknownNameError, match=r"option of Search 'trails'.*mean 'trials'"):
        supremix.Search("ukb-t1", trails=3)  # type: ignore[call-arg]
    with pytest.raises(UnknownNameError, match="option of joint 'trials'"):
        supremix.joint(["ukb-t1"], trials=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("one", BOUNDED, ids=named)
def test_an_illegal_number_is_refused_by_name(one: Option) -> None:
    for value in outside(one):
        with pytest.raises(SpecError, match=rf"\b{one.name}\b"):
            spec(**{one.name: value})


WRONG: dict[str, Any] = {
    "integer": 1.5, "number": "many", "time": "soon", "switch": "yes", "flag": 1, "text": 7,
    "texts": 7, "count": "many", "shape": 64, "fractions": "half",
}  # fmt: skip
PLAIN = [one for one in OPTIONS if one.name not in ("dataset", "method", "space", "encoder")]


@pytest.mark.parametrize("one", PLAIN, ids=named)
def test_a_value_of_another_type_is_refused_by_name(one: Option) -> None:
    with pytest.raises(SpecError, match=rf"^{one.name}\b"):
        spec(**{one.name: WRONG[one.written]})
    if one.default is not None:
        with pytest.raises(SpecError, match=rf"^{one.name} has to be .*got None.* It is: "):
            spec(**{one.name: None})


@pytest.mark.parametrize("name", ["encoder", "space"])
def test_an_object_of_another_type_is_refused_by_name(name: str) -> None:
    with pytest.raises(SpecError, match=rf"^{name} has to be .*got 5"):
        spec(**{name: 5})


def test_a_text_in_place_of_a_list_is_refused_with_the_list() -> None:
    with pytest.raises(SpecError, match=r"datasets has to be a list .*\['ukb-t1', 'hc18'\]"):
        supremix.Benchmark("ukb-t1,hc18", methods=["l1"], trials=1)
    with pytest.raises(SpecError, match="methods has to be a list"):
        supremix.Comparison("ukb-t1", methods="l1,rnc", trials=1)
    with pytest.raises(SpecError, match="datasets has to be a list"):
        supremix.joint("ukb-t1")
    with pytest.raises(SpecError, match=r"sources has to be a dict .*got 'folder'"):
        supremix.Benchmark(["ukb-t1"], "folder", ["l1"], trials=1)  # type: ignore[arg-type]


def test_python_takes_what_the_command_line_takes() -> None:
    texts = {
        "time": "1h30m", "epoch_limit": "90s", "stall": "2h", "shape": "8x8x8",
        "fractions": "0.5,0.3,0.2", "overrides": "lr=0.1",
    }  # fmt: skip
    values = {
        "time": 5400.0, "epoch_limit": 90, "stall": 7200, "shape": (8, 8, 8),
        "fractions": (0.5, 0.3, 0.2), "overrides": ["lr=0.1"],
    }  # fmt: skip
    assert spec(**texts) == spec(**values)
    assert supremix.Search("ukb-t1", time="30m").spec.time == 1800.0


def test_a_search_shows_what_differs_from_the_defaults(tmp_path: Path) -> None:
    search = supremix.Search("ukb-t1", trials=3, test=False, encoder=EncoderSpec(), out=tmp_path)
    facts = ("dataset: ukb-t1", "method: supremix", "trials: 3", "encoder: resnet", "test: False")
    assert set(repr(search)[len("<Search ") : -1].split(", ")) == {*facts, f"folder: {tmp_path}"}
    names = ["l1", "rnc"]
    grid = supremix.Comparison("ukb-t1", "a<b", names, trials=3, out=tmp_path)
    assert "method: l1, rnc, source: " in repr(grid)
    assert "a&lt;b</td>" in grid._repr_html_()


def test_numbers_of_numpy_are_numbers() -> None:
    one = spec(trials=np.int64(3), label_fraction=np.float32(0.5), shape=np.array([8, 8, 8]))
    assert json.loads(json.dumps(one.to_dict()))["trials"] == 3
    assert (one.label_fraction, one.shape) == (0.5, (8, 8, 8))


@pytest.mark.parametrize("one", BOUNDED, ids=named)
def test_the_nearest_legal_number_is_taken(one: Option) -> None:
    value = one.least if one.least is not None else one.most
    if value is not None:
        assert getattr(spec(**{one.name: value, "norm": "group"}), one.name) == value


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda value: Budget(trials=value), "trials"),
        (lambda value: Budget(seconds=value), "time"),
        (lambda value: Budget(gpu_hours=value), "gpu_hours"),
        (lambda value: make_pruner("halving", grace=value), "grace"),
        (lambda value: make_pruner("halving", reduction=value), "reduction"),
    ],
)
def test_the_study_refuses_the_numbers_that_the_declaration_calls_illegal(
    made: Callable[[Any], Any], name: str
) -> None:
    one = next(one for one in OPTIONS if one.name == name)
    for value in outside(one)[:-1]:
        with pytest.raises(SpecError, match=name):
            made(value)
    made(one.least if one.least is not None else one.above + 1e-6)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["encoder", "norm", "precision"])
def test_an_illegal_name_is_refused_with_those_that_there_are(name: str) -> None:
    one = next(one for one in OPTIONS if one.name == name)
    with pytest.raises(UnknownNameError, match=f"unknown {name} 'nothing'.*{one.choices[0]}"):
        spec(**{name: "nothing"})
    for choice in one.choices:
        assert getattr(spec(**{name: choice}), name) == choice


def test_the_encoders_are_those_that_can_be_built() -> None:
    one = next(one for one in OPTIONS if one.name == "encoder")
    assert set(one.choices) == set(encoder_names())
    assert spec(encoder=EncoderSpec(name="densenet")).encoder_spec().name == "densenet"


def test_a_specification_is_kept_in_full_and_restored() -> None:
    full = spec(
        source=Path("a"), shape=[8, 8, 8], overrides=["lr=0.1"], cache=Path("c"), warm_start=None,
        label_fraction=0.5,
    )  # fmt: skip
    stored = json.loads(json.dumps(full.to_dict()))

    assert stored.keys() == {one.name for one in OPTIONS} | {"lenient", "fold", "repeat"}
    assert (stored["shape"], stored["warm_start"]) == ([8, 8, 8], False)
    assert SearchSpec.from_dict(stored) == full
    with pytest.raises(SpecError, match="has dropout, which this version"):
        SearchSpec.from_dict(stored | {"dropout": 1})


def test_every_option_says_what_it_does_and_who_takes_it() -> None:
    for one in OPTIONS:
        assert one.help.endswith("."), one.name
        assert one.help[0].isupper(), one.name
        assert set(one.commands) <= set(COMMANDS)
        assert set(one.changes) <= set(one.commands)
