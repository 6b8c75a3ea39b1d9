"""What a study takes over from earlier ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from supremix.runs.folder import RunFolder, write_json
from supremix.search.earlier_runs import (
    POINTS,
    EarlierSearch,
    earlier_search,
    find_earlier_searches,
    warm_start_from,
)
from supremix.tuning.ledger.ledger import Ledger
from supremix.tuning.ledger.records import TrialRecord
from supremix.tuning.study.budget import Budget
from supremix.tuning.study.config import Proposal, StudyConfig
from supremix.tuning.study.study import Study
from supremix.tuning.study.warm_start import WEIGHT, WarmStart, WarmStartTrial, transfer_config
from supremix_datasets import get
from supremix_spaces import Choice, Fixed, Float, Int, Space

YEARS = Space(
    {
        "window": Float(1.0, 16.0, log=True, default=2.0),
        "layers": Int(1, 5),
        "batch_size": Choice((16, 32, 64)),
        "head": Choice(("finetune", "probe")),
        "finetune_lr": Float(1e-4, 1e-2, log=True, when=("head", ("finetune",))),
        "width": Fixed(8),
    }
)
MILLIMETRES = Space(
    {
        "window": Float(10.0, 160.0, log=True, default=20.0),
        "layers": Int(2, 10, step=4),
        "batch_size": Choice((64, 128)),
        "head": Choice(("finetune", "probe")),
        "finetune_lr": Float(1e-4, 1e-2, log=True, when=("head", ("finetune",))),
        "width": Fixed(16),
        "beta": Float(0.0, 1.0, default=0.25),
    }
)


def test_settings_are_carried_over_by_their_place_in_the_range() -> None:
    config = {"window": 4.0, "layers": 3, "batch_size": 64, "head": "finetune", "finetune_lr": 1e-3}
    taken = transfer_config({**config, "width": 8}, YEARS, MILLIMETRES)
    assert taken == pytest.approx(
        {
            "window": 40.0,
            "layers": 6,
            "batch_size": 64,
            "head": "finetune",
            "finetune_lr": 1e-3,
            "width": 16,
            "beta": 0.25,
        }
    )
    assert MILLIMETRES.check(taken) == taken


def test_a_choice_that_is_not_offered_is_taken_by_its_place() -> None:
    config = {"window": 1.0, "layers": 1, "batch_size": 32, "head": "probe", "width": 8}
    assert transfer_config({**config, "batch_size": 16}, YEARS, MILLIMETRES)["batch_size"] == 64
    assert "finetune_lr" not in transfer_config(config, YEARS, MILLIMETRES)


def test_a_space_carries_every_point_of_its_own_to_itself() -> None:
    for point in (YEARS.defaults(), {**YEARS.defaults(), "window": 16.0, "batch_size": 64}):
        assert transfer_config(point, YEARS, YEARS) == pytest.approx(point)


def finished(number: int, error: float, **config: Any) -> TrialRecord:
    rows = [{"epoch": 1, "error": error, "score": error, "seconds": 1.0}]
    return TrialRecord(
        number=number, config={**YEARS.defaults(), **config}, rows=rows, total=1, state="finished"
    )


def earlier(dataset: str, run: str, window: float) -> EarlierSearch:
    records = [finished(0, 4.0), finished(1, 2.0, window=window)]
    one = earlier_search(run, get(dataset).card, YEARS, records)
    assert one is not None
    return one


def test_similar_datasets_come_first_and_points_are_tried_once() -> None:
    others = [
        earlier("hc18", "a", 3.0),
        earlier("hcp-aging", "b", 5.0),
        earlier("openbhb", "c", 5.0),
        earlier("ukb-t1", "d", 7.0),
        earlier("rsna-bone-age", "e", 9.0),
    ]
    prior = warm_start_from(get("ukb-t1").card, YEARS, others)
    assert [round(point["window"], 6) for point in prior.points][:2] == [7.0, 5.0]
    assert len(prior.points) == POINTS
    assert [trial.score for trial in prior.trials if trial.dataset == "ukb-t1"] == [0.5, 1.0]


def test_a_search_whose_defaults_never_ended_teaches_nothing() -> None:
    assert earlier_search("a", get("hc18").card, YEARS, [finished(1, 2.0)]) is None
    assert earlier_search("a", get("hc18").card, YEARS, [finished(0, math.nan)]) is None


def test_run_folders_beside_a_run_are_found_and_others_passed_over(tmp_path: Path) -> None:
    for name, method in (("one", "supremix"), ("two", "l1"), ("own", "supremix")):
        run = RunFolder(tmp_path / "store" / name)
        run.create({"dataset": "hc18", "method": method})
        write_json(run.space, YEARS.to_dict())
        with Ledger(run.ledger) as ledger:
            ledger.append("trial", number=0, config=YEARS.defaults())
            ledger.append("epoch", number=0, row={"epoch": 1, "error": 2.0}, total=1)
            ledger.append("end", number=0, state="finished", reason=None)
    (tmp_path / "store" / "three").mkdir()
    (tmp_path / "store" / "three" / "spec.json").write_text("{")
    found = find_earlier_searches(
        tmp_path / "store", "supremix", excluded=tmp_path / "store" / "own"
    )
    assert [one.run for one in found] == ["one"]


class Memory:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def append(self, kind: str, **content: Any) -> dict[str, Any]:
        self.events.append({"event": kind, **content})
        return self.events[-1]


def searched_with(warm_start: WarmStart, trials: int, seed: int = 4) -> list[dict[str, Any]]:
    """Settings that a study proposes where the best window is 11, and the settings' windows."""
    config = StudyConfig(budget=Budget(trials=trials), epochs=1)
    study = Study(space=YEARS, seed=seed, ledger=Memory(), config=config, warm_start=warm_start)
    configs: list[dict[str, Any]] = []
    while isinstance(proposal := study.ask(), Proposal):
        error = 1 + abs(math.log(proposal.config["window"] / 11.0))
        study.observe(proposal.number, {"epoch": 1, "error": error, "seconds": 1.0}, 1)
        configs.append(proposal.config)
    return configs


def test_first_points_follow_the_defaults_and_survive_the_ledger() -> None:
    points = tuple({**YEARS.defaults(), "window": window} for window in (3.0, 5.0))
    prior = WarmStart.from_event(WarmStart(points=points).to_event())
    configs = searched_with(prior, 4)
    assert configs[:3] == [YEARS.defaults(), *points]


def test_a_prior_draws_the_search_and_makes_way_for_its_own_trials() -> None:
    """Earlier searches that had it wrong cost some trials and not the search."""

    def learned(window: float, score: float) -> WarmStartTrial:
        config = {**YEARS.defaults(), "window": window}
        return WarmStartTrial(config=config, score=score, dataset="hc18", run="a")

    def prior(best: float) -> WarmStart:
        windows = [1.05 * 1.12**k for k in range(24)]
        ordered = sorted(windows, key=lambda window: abs(math.log(window / best)))
        return WarmStart(trials=tuple(learned(w, 0.5 + 0.02 * k) for k, w in enumerate(ordered)))

    def distance(configs: list[dict[str, Any]]) -> float:
        return sum(abs(math.log(c["window"] / 11.0)) for c in configs) / len(configs)

    plain, wrong = (searched_with(p, 60) for p in (WarmStart(), prior(1.2)))
    assert wrong[:10] == plain[:10]  # at random, whatever others have found
    assert wrong[10] != plain[10]
    assert distance(wrong[WEIGHT + 12 :]) < 1.5 * distance(plain[WEIGHT + 12 :])
    pairs = [[searched_with(p, 12, seed) for p in (WarmStart(), prior(11.0))] for seed in range(8)]
    assert sum(distance(right[4:]) < distance(plain[4:]) for plain, right in pairs) >= 6
