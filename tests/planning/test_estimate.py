"""Estimates of searches, against simulated searches of the same study and sums done by hand."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import pytest

from supremix.planning import estimate as room
from supremix.planning.costs import Range, exactly
from supremix.planning.estimate import SearchEstimate, estimate
from supremix.planning.planned_trials import PlannedTrials
from supremix.tuning.ledger.ledger import EPOCH
from supremix.tuning.pruners.halving import SuccessiveHalving
from supremix.tuning.pruners.median import MedianRule
from supremix.tuning.pruners.none import NoPruning
from supremix.tuning.pruners.pruner import Pruner
from supremix.tuning.simulation.cluster import SimulatedCluster
from supremix.tuning.simulation.curves import SyntheticCurves
from supremix.tuning.simulation.memory_ledger import MemoryLedger
from supremix.tuning.simulation.simulated_study import SimulatedStudy
from supremix.tuning.simulation.simulator import Simulation
from supremix.tuning.study.budget import Budget
from supremix.tuning.study.config import StudyConfig
from supremix.tuning.study.study import Study
from supremix_spaces import Float, Space

SPACE = Space({"lr": Float(0.1, 1.0)})


def found(
    budget: Budget,
    *,
    epochs: int,
    seconds: float = 2.0,
    pruner: Pruner | None = None,
    worker_groups: int = 1,
    save: float = 0.0,
    **more: Any,
) -> SearchEstimate:
    config = StudyConfig(
        budget=budget,
        epochs=epochs,
        pruner=pruner or NoPruning(),
        parallel=worker_groups,
        **more,
    )
    cluster = SimulatedCluster(worker_groups=worker_groups, save=save)
    return estimate(SPACE, config, lambda _: [seconds] * epochs, cluster, cheap=0.5, dear=2.0)


@pytest.mark.parametrize("pruner", [SuccessiveHalving(grace=3), MedianRule(), NoPruning()])
@pytest.mark.parametrize("worker_groups", [1, 4])
def test_it_is_what_a_simulated_search_of_the_same_study_takes(
    pruner: Pruner, worker_groups: int
) -> None:
    curves = SyntheticCurves(3, epochs=12, dim=2)
    config = StudyConfig(
        budget=Budget(trials=40), epochs=12, pruner=pruner, parallel=worker_groups, top_k=2,
        replicates=1,
    )  # fmt: skip
    cluster = SimulatedCluster(worker_groups=worker_groups, setup=5.0, save=1.0)

    def seconds(config: Mapping[str, Any]) -> list[float]:
        return [one for _, one in curves.rows(config, 0)]

    planned = estimate(curves.space, config, seconds, cluster, cheap=0.6, dear=1.4)
    epochs: list[int] = []
    clocks: list[float] = []
    for seed in range(3):
        ledger = MemoryLedger()
        study = Study(space=curves.space, seed=seed, ledger=ledger, config=config)
        Simulation([SimulatedStudy(lambda s=study: s, ledger, curves)], cluster).run()
        searched = {n for n, r in study.records.items() if r.replicate_of is None}
        epochs.append(sum(e["event"] == EPOCH and e["number"] in searched for e in ledger.events))
        clocks.append(max(e["clock"] for e in ledger.events))
    assert planned.replicates == 3  # the two best and the defaults
    assert planned.epochs.likely == pytest.approx(fmean(epochs), rel=0.15)
    whole = planned.seconds + planned.replicate_seconds
    assert whole.low <= fmean(clocks) <= whole.high
    assert whole.likely == pytest.approx(fmean(clocks), rel=0.35)  # TPE favours some batch size


def test_without_pruning_every_trial_is_whole() -> None:
    one = found(Budget(trials=10), epochs=9)

    assert (one.trials, one.ends_by) == (10, "trials")
    assert one.epochs == exactly(90)
    assert one.busy == Range(low=90, likely=180, high=360)
    assert one.seconds == one.busy  # one worker group is never idle


def test_trials_that_meet_nobody_are_never_given_up() -> None:
    one = found(Budget(trials=10), epochs=27, pruner=SuccessiveHalving(), worker_groups=10)
    more = found(Budget(trials=40), epochs=27, pruner=SuccessiveHalving(), worker_groups=10)

    assert one.epochs == exactly(270)
    assert more.epochs.high < 40 * 27


def test_time_ends_a_search_when_its_worker_groups_have_used_it() -> None:
    one = found(Budget(seconds=100), epochs=10, save=0.5, worker_groups=3)

    assert (one.trials, one.ends_by) == (12, "time")
    assert 100 <= one.seconds.low <= one.seconds.high < 105


def test_gpu_hours_count_all_gpus_of_a_worker_group() -> None:
    budget = Budget(trials=100, gpu_hours=1)
    one = found(budget, epochs=10, seconds=10.0, worker_groups=4, gpus=2)

    assert one.ends_by == "gpu_hours"
    assert one.trials == pytest.approx(18, abs=2)  # those under way are stopped


def test_halving_lies_between_the_best_it_can_do_and_nothing() -> None:
    pruner = SuccessiveHalving()
    one = found(Budget(trials=50), epochs=27, pruner=pruner, worker_groups=4)

    assert 50 * pruner.rungs(27).mean < one.epochs.low < one.epochs.likely
    assert one.epochs.likely < one.epochs.high < 50 * 27


def test_replicates_are_trained_once_the_trials_have_ended() -> None:
    one = found(Budget(trials=4), epochs=5, worker_groups=2, top_k=2, replicates=3)

    assert one.replicates == 9  # the two best and the defaults
    assert one.seconds.likely == 2 * 5 * 2.0
    assert one.replicate_seconds.likely == 5 * 5 * 2.0
    assert one.replicate_busy.likely == 9 * 5 * 2.0


def test_a_search_that_is_too_long_to_simulate_goes_on_as_it_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options: dict[str, Any] = {"epochs": 9, "pruner": SuccessiveHalving(grace=3), "gpus": 1}
    whole = found(Budget(trials=400), **options)
    monkeypatch.setattr(room, "EPOCHS", 1000)
    for budget, ends_by in (
        (Budget(trials=400), "trials"),
        (Budget(seconds=whole.seconds.likely), "time"),
        (Budget(gpu_hours=whole.busy.likely / 3600), "gpu_hours"),
    ):
        one = found(budget, top_k=2, replicates=1, **options)
        assert one.ends_by == ends_by
        assert one.trials == pytest.approx(400, rel=0.15)
        assert one.epochs.likely == pytest.approx(whole.epochs.likely, rel=0.15)
        assert one.seconds.likely == pytest.approx(whole.seconds.likely, rel=0.15)
        assert one.replicates == 3


def test_a_search_of_any_length_is_estimated_from_a_bounded_part() -> None:
    one = found(Budget(trials=10**6), epochs=60, pruner=SuccessiveHalving())

    assert one.trials == 10**6
    assert one.epochs.low < one.epochs.likely < 60 * 10**6


def test_planned_trials_are_configurations_of_the_space_and_improve() -> None:
    plain, better = (PlannedTrials(SPACE, lambda _: [1.0], 3, gain) for gain in (0.0, 1.0))
    configs = [plain.propose(number, []) for number in range(60)]

    assert configs == [better.propose(number, []) for number in range(60)]
    assert all(SPACE.check(config) == config for config in configs)
    errors = [[one.true_error(config) for config in configs] for one in (plain, better)]
    assert errors[0][:11] == pytest.approx(errors[1][:11])
    assert fmean(errors[1][30:]) < fmean(errors[0][30:]) / 4
    assert plain.rows(configs[3], 7) == [(errors[0][3], 1.0)]
