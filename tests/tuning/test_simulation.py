"""The simulated search, and the laws of the real one that it makes cheap to examine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supremix.errors import SearchFailedError, SpecError
from supremix.tuning.ledger.ledger import Event
from supremix.tuning.pruners.halving import SuccessiveHalving
from supremix.tuning.pruners.none import NoPruning
from supremix.tuning.simulation.cluster import SimulatedCluster, SimulationReport
from supremix.tuning.simulation.curves import (
    Coordinates,
    Curve,
    RecordedCurves,
    SyntheticCurves,
    synthetic_space,
)
from supremix.tuning.simulation.memory_ledger import MemoryLedger
from supremix.tuning.simulation.simulated_study import SimulatedStudy
from supremix.tuning.simulation.simulator import Simulation
from supremix.tuning.study.budget import Budget
from supremix.tuning.study.config import WAIT, StudyConfig
from supremix.tuning.study.sampler import Uniform
from supremix.tuning.study.study import Study
from supremix_spaces import Choice, Float, Int, Space

EPOCHS = 9
CURVES = SyntheticCurves(1, dim=1, epochs=EPOCHS, noise=0.03, seconds=10.0)


class Even:
    """Two epochs of ten seconds, always the same error."""

    best = 1.0

    def rows(self, config: dict[str, Any], seed: int | None) -> Curve:
        return [(2.0, 10.0), (1.0, 10.0)]

    def true_error(self, config: dict[str, Any]) -> float:
        return 1.0


def build(
    cluster: SimulatedCluster,
    trials: int,
    events: Sequence[Event] = (),
    parallel: int | None = None,
    **more: Any,
) -> Simulation:
    ledger = MemoryLedger(events)
    config: dict[str, Any] = {
        "budget": Budget(trials=trials),
        "epochs": EPOCHS,
        "pruner": SuccessiveHalving(grace=1),
        "parallel": parallel or cluster.worker_groups,
    }
    study = Study(
        space=CURVES.space,
        seed=5,
        ledger=ledger,
        config=StudyConfig(**{**config, **more.pop("config", {})}),
        sampler=more.pop("sampler", None),
    )
    return Simulation([SimulatedStudy(lambda: study, ledger, more.pop("model", CURVES))], cluster)


def ledger_of(simulation: Simulation) -> list[Event]:
    return simulation.studies[0].ledger.events


def table(simulation: Simulation) -> list[tuple[Any, ...]]:
    records = simulation.studies[0].study.records
    return [
        (n, r.config, r.replicate_of, r.seed, r.state, r.reason, [row["error"] for row in r.rows])
        for n, r in sorted(records.items())
    ]


def run(
    cluster: SimulatedCluster, trials: int = 25, events: Sequence[Event] = (), **more: Any
) -> Simulation:
    simulation = build(cluster, trials, events, **more)
    simulation.run()
    return simulation


def test_a_run_worked_out_by_hand_comes_out_the_same() -> None:
    # Worker group A takes 20 s a trial, worker group B 50 s: A 0-20 (0), 20-40 (2), 40-60 (3); B
    # 0-50 (1), 50-100 (4); after 60 s there is nothing left for A.
    sampler = Uniform(CURVES.space, 0)
    cluster = SimulatedCluster(worker_groups=2, paces=(1.0, 2.5))
    simulation = build(cluster, 5, model=Even(), sampler=sampler, config={"pruner": NoPruning()})
    report = simulation.run()
    assert (report.seconds, report.epochs) == (100.0, 10)
    assert (report.busy, report.waiting, report.drained) == (160 / 200, 0.0, 40 / 200)
    ends = {e["number"]: e["clock"] for e in ledger_of(simulation) if e["event"] == "end"}
    assert ends == {0: 20.0, 2: 40.0, 1: 50.0, 3: 60.0, 4: 100.0}


def test_a_dead_gang_repeats_the_epoch_it_was_at_and_no_other() -> None:
    # Dies once in a while: every trial still has its two epochs, the time away is booked.
    cluster = SimulatedCluster(worker_groups=1, dies_after=15.0, away=100.0, seed=3)
    simulation = build(cluster, 5, model=Even(), config={"pruner": NoPruning()})
    report = simulation.run()
    deaths = report.away * report.seconds / 100.0
    assert deaths == pytest.approx(round(deaths))
    assert deaths > 1
    assert report.epochs == 10
    assert report.busy * report.seconds > 100.0  # what the deaths cut off was begun again
    assert report.busy + report.away + report.drained + report.waiting == pytest.approx(1.0)


@settings(max_examples=12, deadline=None)
@given(
    worker_groups=st.sampled_from([1, 2, 3, 7]),
    seed=st.integers(0, 1000),
    jitter=st.sampled_from([0.0, 0.3, 1.5]),
    paces=st.lists(st.floats(0.1, 10.0), min_size=1, max_size=7),
    dies_after=st.sampled_from([None, 100.0]),
)
def test_no_delay_and_no_death_changes_the_table_of_trials(
    worker_groups: int, seed: int, jitter: float, paces: list[float], dies_after: float | None
) -> None:
    plan = SimulatedCluster(
        worker_groups=worker_groups,
        seed=seed,
        jitter=jitter,
        paces=paces,
        dies_after=dies_after,
        away=50.0,
    )
    assert table(run(plan)) == undisturbed(worker_groups)


@settings(max_examples=12, deadline=None)
@given(
    worker_groups=st.sampled_from([1, 2, 4]),
    cuts=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
)
def test_a_search_cut_off_anywhere_goes_on_to_the_same_table(
    worker_groups: int, cuts: list[float], seed: int
) -> None:
    events: list[Event] = []
    for session, cut in enumerate(cuts):
        plan = SimulatedCluster(worker_groups=worker_groups, jitter=0.7, seed=seed + session)
        whole = ledger_of(run(plan, events=events))
        events = whole[: len(events) + math.floor(cut * (len(whole) - len(events)))]
    # Fewer or more worker groups than before: what counts is the parallelism the search began with.
    last = run(
        SimulatedCluster(worker_groups=worker_groups + 1, jitter=0.7, seed=seed),
        events=events,
        parallel=worker_groups,
    )
    assert table(last) == undisturbed(worker_groups)


_UNDISTURBED: dict[int, list[tuple[Any, ...]]] = {}


def undisturbed(worker_groups: int) -> list[tuple[Any, ...]]:
    if worker_groups not in _UNDISTURBED:
        _UNDISTURBED[worker_groups] = table(run(SimulatedCluster(worker_groups=worker_groups)))
    rows = _UNDISTURBED[worker_groups]
    assert len(rows) == 25
    assert {row[4] for row in rows} == {"finished", "pruned"}
    return rows


@settings(max_examples=6, deadline=None)
@given(jitter=st.sampled_from([0.2, 1.0]), seed=st.integers(0, 1000))
def test_confirming_trials_do_not_depend_on_delays(jitter: float, seed: int) -> None:
    config = {"top_k": 2, "replicates": 2}
    calm = table(run(SimulatedCluster(worker_groups=3), 12, config=config))
    assert sum(row[2] is not None for row in calm) == 3 * 2
    assert (
        table(run(SimulatedCluster(worker_groups=3, jitter=jitter, seed=seed), 12, config=config))
        == calm
    )


@pytest.mark.parametrize("count", [2, 5])
def test_no_gang_idles_while_there_is_a_proposal(count: int) -> None:
    simulation = build(SimulatedCluster(worker_groups=count, jitter=0.5), 30)
    asked = 0

    def look() -> bool:
        nonlocal asked
        if simulation.idle:
            asked += 1
            assert not isinstance(simulation.scheduler.ask(), tuple)
        return False

    simulation.run(look)
    assert asked > 0


def test_settings_drawn_at_random_are_waited_for_by_nobody() -> None:
    simulation = build(
        SimulatedCluster(worker_groups=4),
        40,
        sampler=Uniform(CURVES.space, 0),
        config={"pruner": NoPruning()},
    )
    report = simulation.run()
    assert report.waiting == pytest.approx(0.0, abs=0.02)
    assert len(report.asking) == 40
    assert len(report.observing) == report.epochs == 40 * EPOCHS


def test_time_budgets_count_virtual_seconds() -> None:
    simulation = build(
        SimulatedCluster(worker_groups=2),
        1,
        config={"budget": Budget(seconds=500.0), "pruner": NoPruning()},
    )
    report = simulation.run()
    states = [record.state for record in simulation.studies[0].study.records.values()]
    assert "stopped" in states
    assert 500.0 <= report.seconds < 600.0


def test_a_study_that_waits_for_nobody_is_reported() -> None:
    simulation = build(SimulatedCluster(worker_groups=1), 3)

    class Stubborn:
        def ask(self) -> Any:
            return WAIT

    simulation.scheduler = Stubborn()
    simulation._fate = lambda worker_group: None
    simulation._later(1.0, 1, simulation._worker_groups[0])
    with pytest.raises(SearchFailedError, match="waits for a trial that nobody trains"):
        simulation.run()


def test_the_best_trial_is_followed_over_time() -> None:
    simulation = build(SimulatedCluster(worker_groups=3, jitter=0.2), 40)
    simulation.run()
    path = simulation.studies[0].path
    assert all(b.error < a.error and b.clock >= a.clock for a, b in pairwise(path))
    records = simulation.studies[0].study.records.values()
    finished = [r.error for r in records if r.state == "finished" and r.error is not None]
    assert path[-1].error == min(finished)
    assert path[-1].true >= CURVES.best


def test_synthetic_curves_end_at_their_true_error_and_nothing_beats_the_optimum() -> None:
    curves = SyntheticCurves(3, dim=2, noise=0.0)
    sampler = Uniform(curves.space, 1)
    for number in range(50):
        config = sampler.propose(number, [])
        rows = curves.rows(config, 0)
        errors = [error for error, _ in rows]
        assert errors[-1] == pytest.approx(curves.true_error(config))
        assert errors[-1] >= curves.best
        assert len(rows) == 27


def test_synthetic_curves_cross_and_differ_by_seed_alone() -> None:
    curves = SyntheticCurves(0)
    base = curves.space.defaults()
    configs = [Uniform(curves.space, 2).propose(n, []) for n in range(30)]
    starts = [curves.rows(c, 0)[2][0] for c in configs]
    order = sorted(range(30), key=starts.__getitem__)
    ends = [curves.rows(configs[n], 0)[-1][0] for n in order]
    assert ends != sorted(ends)
    assert curves.rows(base, 1) == curves.rows(base, 1)
    assert curves.rows(base, 1) != curves.rows(base, 2)
    fast = curves.rows({**base, "batch_size": 128}, 0)[0][1]
    assert fast < curves.rows({**base, "batch_size": 16}, 0)[0][1]


SPACE = Space(
    {
        "lr": Float(1e-4, 1e-2, log=True),
        "size": Int(0, 10),
        "head": Choice(("a", "b")),
        "extra": Float(0.0, 1.0, when=("head", ("a",))),
    }
)


def test_coordinates_are_scaled_and_other_options_count_one() -> None:
    scale = Coordinates(SPACE)
    one = scale.point({"lr": 1e-3, "size": 5, "head": "a", "extra": 0.2})
    other = scale.point({"lr": 1e-2, "size": 10, "head": "b"})
    assert one.tolist() == pytest.approx([0.5, 0.5, 0.0, 0.2])
    assert scale.distances(one[None], other)[0] == pytest.approx(0.25 + 0.25 + 1 + 1)
    assert scale.distances(one[None], one)[0] == 0.0


def recorded(**curves: list[float]) -> pl.DataFrame:
    configs = {
        "low": '{"lr": 1e-4, "size": 2, "head": "b"}',
        "high": '{"lr": 1e-2, "size": 9, "head": "a", "extra": 0.5}',
    }
    return pl.DataFrame(
        [
            {"trial": n, "config": configs[name], "epoch": e, "error": error, "seconds": 2.0}
            for n, (name, errors) in enumerate(curves.items())
            for e, error in enumerate(errors, 1)
        ]
    )


def test_recorded_curves_answer_with_the_nearest_recording() -> None:
    model = RecordedCurves(recorded(low=[5.0, 4.0], high=[3.0, 3.5]), SPACE)
    assert model.rows({"lr": 2e-4, "size": 3, "head": "b"}, 7) == [(5.0, 2.0), (4.0, 2.0)]
    assert model.true_error({"lr": 5e-3, "size": 9, "head": "a", "extra": 0.1}) == 3.5
    assert model.best == 3.5


def test_a_recording_that_diverged_stands_for_one_that_gets_no_better() -> None:
    model = RecordedCurves(recorded(low=[5.0, 4.0, 4.5], high=[3.0, 9.0]), SPACE)
    assert [error for error, _ in model.curves[1]] == [3.0, 9.0, 9.0]
    assert model.best == 4.5


@pytest.mark.parametrize(
    ("build_it", "message"),
    [
        (lambda: SimulatedCluster(worker_groups=0), "worker_groups >= 1"),
        (lambda: SimulatedCluster(paces=(1.0, 0.0)), "paces > 0"),
        (lambda: SimulatedCluster(jitter=-1.0), "at least 0"),
        (lambda: SyntheticCurves(0, epochs=1), "epochs >= 2"),
        (lambda: RecordedCurves(pl.DataFrame({"trial": []}), SPACE), "at least one recorded"),
    ],
)
def test_what_cannot_be_simulated_is_refused(build_it: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        build_it()


def test_a_report_begins_empty() -> None:
    assert SimulationReport().epochs == 0
    assert synthetic_space(2).searched == ("lr", "batch_size", "head", "finetune_lr", "x0", "x1")
