"""The laws that every stopping rule keeps, and the rules themselves."""

from __future__ import annotations

import numpy as np
import pytest

from supremix import _choices
from supremix.errors import SpecError, UnknownNameError
from supremix.tuning.ledger.records import TrialRecord
from supremix.tuning.pruners.median import STARTUP, MedianRule
from supremix.tuning.pruners.none import NoPruning
from supremix.tuning.pruners.pruner import Peers, Rungs
from supremix.tuning.pruners.registry import PRUNERS, make_pruner
from supremix.tuning.simulation.cluster import SimulatedCluster
from supremix.tuning.simulation.curves import SyntheticCurves
from supremix.tuning.simulation.memory_ledger import MemoryLedger
from supremix.tuning.simulation.simulated_study import SimulatedStudy
from supremix.tuning.simulation.simulator import Simulation
from supremix.tuning.study.budget import Budget
from supremix.tuning.study.config import StudyConfig
from supremix.tuning.study.pruning import Pruning
from supremix.tuning.study.study import Study

CURVES = SyntheticCurves(2, dim=1, epochs=8, noise=0.03, seconds=10.0)


@pytest.mark.parametrize("name", PRUNERS)
@pytest.mark.parametrize(("epochs", "datasets"), [(1, 1), (2, 1), (9, 1), (60, 1), (9, 3)])
def test_rungs_ascend_and_lie_before_the_end(name: str, epochs: int, datasets: int) -> None:
    rungs = PRUNERS[name]().rungs(epochs, datasets)

    assert rungs.total == epochs * datasets
    assert list(rungs.epochs) == sorted(set(rungs.epochs))
    assert all(0 < epoch < rungs.total for epoch in rungs.epochs)
    assert 0 < rungs.mean <= rungs.total


@pytest.mark.parametrize("name", PRUNERS)
def test_the_defaults_and_trials_without_a_score_or_peers_go_on(name: str) -> None:
    rule = PRUNERS[name]()
    rungs = rule.rungs(4)
    pruning = Pruning(rule, rungs, lead=1)
    for number, score in enumerate((9.0, float("nan"), *[1.0] * 9, float("nan"))):
        record = TrialRecord(number=number, config={}, total=4)
        record.rows += [{"epoch": epoch, "score": score} for epoch in range(1, 5)]
        pruning.begin(record)
        assert pruning.observe(number) == []


@pytest.mark.parametrize("name", PRUNERS)
def test_no_delay_and_no_cut_of_the_ledger_changes_what_is_pruned(name: str) -> None:
    def run(events: list[dict[str, object]], jitter: float, seed: int) -> MemoryLedger:
        config = StudyConfig(budget=Budget(trials=16), epochs=8, pruner=PRUNERS[name](), parallel=3)
        ledger = MemoryLedger(events)
        study = Study(space=CURVES.space, seed=1, ledger=ledger, config=config)
        cluster = SimulatedCluster(worker_groups=3, jitter=jitter, seed=seed)
        Simulation([SimulatedStudy(lambda: study, ledger, CURVES)], cluster).run()
        tables.append([(r.config, r.state, r.epoch) for _, r in sorted(study.records.items())])
        return ledger

    tables: list[list[tuple[object, ...]]] = []
    whole = run([], 0.0, 0)
    for seed, cut in enumerate((0, 7, 31, 60)):
        run(whole.events[:cut], 1.0, seed)
    assert all(table == tables[0] for table in tables)
    assert {state for _, state, _ in tables[0]} <= {"finished", "pruned"}


def test_the_median_rule_gives_up_what_is_worse_than_the_median() -> None:
    peers, rule = [1.0, 2.0, 3.0, 4.0, 5.0], MedianRule()

    assert [rule.keeps([score], Peers(peers)) for score in (0.5, 3.0, 3.5, 9.0)] == [
        True,
        True,
        False,
        False,
    ]
    assert rule.keeps([9.0], Peers(peers[: STARTUP - 1]))


def test_the_median_rule_is_the_median_of_numpy() -> None:
    draws = np.random.default_rng(0)
    for _ in range(200):
        peers = sorted(draws.uniform(size=int(draws.integers(STARTUP, 30))))
        score = float(draws.uniform())
        assert MedianRule().keeps([score], Peers(peers)) == (score <= np.median(peers)) or (
            len(peers) % 2 == 0
        )


def test_the_median_rule_compares_every_quarter_from_the_grace_on() -> None:
    assert MedianRule().rungs(60) == Rungs(epochs=(30, 45), total=60, reduction=2.0)
    assert MedianRule(grace=6).rungs(60).epochs == (6, 21, 36, 51)
    assert MedianRule(grace=1).rungs(4, 2).epochs == (1, 2, 3, 4)


def test_the_option_has_the_rules_that_there_are() -> None:
    assert set(_choices.PRUNERS) == set(PRUNERS)


def test_peers_are_counted_without_those_that_are_excluded() -> None:
    peers = Peers([1.0, 2.0, 2.0, 3.0], [2.0])

    assert len(peers) == 3
    assert [peers.better_than(score) for score in (1.0, 2.0, 2.5, 9.0)] == [0, 1, 2, 3]


def test_rules_are_made_by_name_with_their_own_options() -> None:
    assert make_pruner("none", grace=None) == NoPruning()
    assert make_pruner("median", grace=4) == MedianRule(grace=4)
    assert make_pruner("halving", grace=None, reduction=None) == PRUNERS["halving"]()
    with pytest.raises(UnknownNameError, match=r"unknown pruner 'medain'.*'median'"):
        make_pruner("medain")
    with pytest.raises(SpecError, match="pruner 'median' has no reduction; it has grace"):
        make_pruner("median", reduction=2.0)
    with pytest.raises(SpecError, match="median rule needs grace >= 1; got grace=0"):
        make_pruner("median", grace=0)
