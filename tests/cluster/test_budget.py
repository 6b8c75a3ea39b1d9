from __future__ import annotations

import math

import pytest

from supremix.cluster import WorkerGroupPlan
from supremix.errors import SpecError
from supremix.search.prepare import check_budget
from supremix.tuning.study import budget as budget_room
from supremix.tuning.study.budget import Budget, Clock


def worker_groups(*, workers: int = 1, gpus: float = 0.0) -> WorkerGroupPlan:
    return WorkerGroupPlan(count=3, workers=workers, cpus=1, gpus=gpus)


def test_a_search_without_any_limit_is_refused() -> None:
    with pytest.raises(SpecError, match="needs a budget: give trials, time, GPU hours"):
        Budget()


@pytest.mark.parametrize("trials", [0, -3])
def test_less_than_one_trial_is_refused(trials: int) -> None:
    with pytest.raises(SpecError, match=f"at least 1 trial; got trials={trials}"):
        Budget(trials=trials)


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["seconds", "gpu_hours"])
def test_limits_are_finite_and_above_zero(name: str, limit: float) -> None:
    with pytest.raises(SpecError, match="finite number above 0"):
        Budget(trials=4, **{name: limit})


def test_each_limit_alone_will_do() -> None:
    for name in ("trials", "seconds", "gpu_hours"):
        assert getattr(Budget(**{name: 2}), name) == 2


def test_the_limit_reached_first_is_named() -> None:
    budget = Budget(seconds=100, gpu_hours=0.5)

    assert budget.spent(99.9, 1799.9) is None
    assert budget.spent(100, 0) == "the time was used up"
    assert budget.spent(0, 1800) == "the GPU hours were used up"


def test_trials_alone_are_never_spent_by_time() -> None:
    assert Budget(trials=1).spent(1e9, 1e9) is None


@pytest.mark.parametrize(("workers", "gpus", "all_of_them"), [(2, 1, 2), (1, 0.5, 0.5), (4, 0, 0)])
def test_a_worker_group_uses_the_gpus_of_all_its_workers(
    workers: int, gpus: float, all_of_them: float
) -> None:
    assert worker_groups(workers=workers, gpus=gpus).group_gpus == all_of_them


def test_gpu_hours_without_gpus_are_refused() -> None:
    with pytest.raises(SpecError, match="4 GPU hours, but the workers get no GPU"):
        check_budget(Budget(gpu_hours=4), worker_groups())

    check_budget(Budget(gpu_hours=4), worker_groups(gpus=0.25))
    check_budget(Budget(seconds=4), worker_groups())


def test_the_clock_goes_on_from_earlier_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(budget_room.time, "monotonic", lambda: now)
    clock = Clock(used=50.0)
    now = 1010.0
    assert clock.now() == 50.0

    clock.start(ago=2.0)
    now = 1020.0
    clock.start()
    assert clock.now() == 62.0
