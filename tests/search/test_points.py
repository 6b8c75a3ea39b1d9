"""Starting points of the user's own: tried right after the defaults, and checked before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from own_table import without_cluster, write_twice

import supremix
from supremix.errors import SpecError, UnknownNameError
from supremix.runs.folder import RunFolder
from supremix.search.checks import parse_point
from supremix.search.prepare import find_resources, prepare_search
from supremix.search.session import SearchSession
from supremix.search.spec import SearchSpec
from supremix.tuning.ledger.ledger import Ledger
from supremix.tuning.study.config import Proposal
from supremix.tuning.study.study import Study
from supremix_spaces import Fixed, Float, Space

POINTS = ("lr=0.02", "weight_decay=0.001,lr=0.03")


def spec_of(folder: Path, **more: Any) -> SearchSpec:
    values: dict[str, Any] = {
        "dataset": "table", "source": folder, "method": "l1", "trials": 8, "width": 4,
        "cache": folder.parent / "cache", "pruner": "none", "points": POINTS,
        "overrides": ("batch_size=8", "lr=0.001..0.1:log", "weight_decay=1e-5..0.1:log"),
    }  # fmt: skip
    return SearchSpec(**values | more)


def asked(study: Study, count: int) -> list[Proposal]:
    """The next proposals, each trained for an epoch to its end."""
    proposals: list[Proposal] = []
    for _ in range(count):
        proposal = study.ask()
        assert isinstance(proposal, Proposal)
        study.observe(proposal.number, {"epoch": 1, "error": 1.0, "seconds": 1.0}, 1)
        study.finish(proposal.number, "finished")
        proposals.append(proposal)
    return proposals


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    without_cluster(monkeypatch)
    return write_twice(tmp_path / "own")


@pytest.mark.parametrize("sessions", [(8,), (2, 6), (1, 1, 6)])
def test_points_are_tried_after_the_defaults_in_a_resumed_search_too(
    folder: Path, sessions: tuple[int, ...]
) -> None:
    spec, run = spec_of(folder), RunFolder(folder.parent / "run")
    run.create(spec.to_dict())
    proposals: list[Proposal] = []
    for count in sessions:
        spec = SearchSpec.from_dict(run.read_spec())
        prepared = prepare_search(spec, run, find_resources(spec, print), print)
        with Ledger(run.ledger) as ledger:
            study = SearchSession(run, ledger, [prepared]).open()
            proposals += asked(study, count)
            assert study.records[0].config == study.space.defaults()

    tried = [proposal.config for proposal in proposals]
    defaults = tried[0]
    assert tried[1:3] == [
        {**defaults, "lr": 0.02},
        {**defaults, "lr": 0.03, "weight_decay": 0.001},
    ]
    assert [proposal.number for proposal in proposals] == list(range(8))
    assert len({config["lr"] for config in tried}) == 8


@pytest.mark.parametrize(
    ("point", "named"), [("lr=0.5", r"0\.001"), ("rl=0.01", "lr"), ("batch_size=16", "8")]
)
def test_a_point_outside_the_space_is_refused_before_anything_is_trained(
    folder: Path, point: str, named: str
) -> None:
    spec, run = spec_of(folder, points=(point,)), RunFolder(folder.parent / "run")
    run.create(spec.to_dict())

    with pytest.raises(SpecError, match=rf"'{point}' is not in the space.*{named}"):
        prepare_search(spec, run, find_resources(spec, print), print)
    assert not run.ledger.exists()


@pytest.mark.parametrize(
    ("points", "named"),
    [
        (("lr",), "cannot read the point 'lr'"),
        (("lr=0.1,lr=0.2",), "set twice"),
        (("lr=0.1..0.2",), "has a range"),
        (("lr=0.1", "lr=0.2"), "3 trials, but the budget has 2"),
    ],
)
def test_points_that_cannot_be_tried_are_refused_with_the_request(
    points: tuple[str, ...], named: str
) -> None:
    with pytest.raises(SpecError, match=named):
        SearchSpec(dataset="ukb-t1", trials=2, points=points)


def test_methods_that_share_points_take_what_they_have(tmp_path: Path) -> None:
    space = Space({"lr": Float(0.01, 1.0, default=0.1), "momentum": Fixed(0.9)})
    spec = SearchSpec(
        dataset="ukb-t1", method="l1", trials=3, points=("lr=0.5,temperature=0.2",), lenient=True
    )
    assert spec.starting_points(space) == ({"lr": 0.5, "momentum": 0.9},)
    given: dict[str, Any] = {"methods": ("l1", "supremix"), "trials": 3, "out": tmp_path}
    supremix.Comparison("ukb-t1", points=("temperature=0.2",), **given)
    with pytest.raises(UnknownNameError, match="temprature"):
        supremix.Comparison("ukb-t1", points=("temprature=0.2",), **given)


def test_a_point_is_read_like_other_values() -> None:
    found = parse_point("lr=1e-3, head=probe,batch_size=16,mix_pos=true")
    assert found == {"lr": 1e-3, "head": "probe", "batch_size": 16, "mix_pos": True}
