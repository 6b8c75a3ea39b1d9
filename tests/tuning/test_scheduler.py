"""Several studies on the same worker groups: whose turn it is, and who waits for whom."""

from __future__ import annotations

from typing import Any

import pytest

from supremix.tuning.study.budget import Budget
from supremix.tuning.study.config import WAIT, Proposal, StudyConfig
from supremix.tuning.study.scheduler import (
    ScheduledStudy,
    StudyScheduler,
    concurrent_studies,
    parallel_trials,
)
from supremix.tuning.study.study import Study
from supremix_spaces import Float, Space

SPACE = Space({"lr": Float(0.1, 1.0)})


class Memory:
    """A ledger that is not written down."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def append(self, kind: str, **content: Any) -> dict[str, Any]:
        self.events.append({"event": kind, **content})
        return self.events[-1]


def study(trials: int, replicates: int = 0) -> Study:
    config = StudyConfig(budget=Budget(trials=trials), epochs=2, parallel=4, replicates=replicates)
    return Study(space=SPACE, seed=0, ledger=Memory(), config=config)


def scheduler(
    *trials: int, concurrent: int, replicates: int = 0
) -> tuple[StudyScheduler, list[int]]:
    """Studies of so many trials, and the order in which they were opened."""
    opened: list[int] = []

    def part(index: int, count: int) -> ScheduledStudy:
        def begin() -> Study:
            opened.append(index)
            return study(count, replicates)

        return ScheduledStudy(begin)

    return StudyScheduler([part(*one) for one in enumerate(trials)], concurrent), opened


def train(one: StudyScheduler, index: int, proposal: Proposal) -> None:
    for epoch in (1, 2):
        row = {"epoch": epoch, "error": 1.0, "seconds": 1.0}
        assert one.observe(index, proposal.number, row, 2) is (epoch == 2)


def asked(one: StudyScheduler) -> tuple[int, Proposal]:
    answer = one.ask()
    assert isinstance(answer, tuple)
    return answer


def test_a_gang_goes_to_the_study_with_the_fewest() -> None:
    one, _ = scheduler(9, 9, 9, concurrent=3)
    taken = [asked(one) for _ in range(5)]
    assert [index for index, _ in taken] == [0, 1, 2, 0, 1]
    train(one, *taken[1])
    train(one, *taken[4])
    assert [asked(one)[0] for _ in range(3)] == [1, 1, 2]


def test_gangs_move_on_when_a_study_has_nothing_more_to_propose() -> None:
    one, _ = scheduler(1, 9, concurrent=2)
    assert [asked(one)[0] for _ in range(4)] == [0, 1, 1, 1]


def test_a_later_study_begins_when_the_one_it_learns_from_is_searched() -> None:
    one, opened = scheduler(1, 1, 1, concurrent=1, replicates=1)
    first = asked(one)
    assert one.ask() is WAIT
    assert opened == [0]
    train(one, *first)
    # Its finalist is trained again in parallel with the next study's first trial.
    second, third = asked(one), asked(one)
    assert opened == [0, 1]
    assert {(index, proposal.replicate_of) for index, proposal in (second, third)} == {
        (0, 0),
        (1, None),
    }


def test_it_ends_when_every_study_has_ended() -> None:
    one, _ = scheduler(2, 1, concurrent=1)
    for _ in range(3):
        assert not one.ended
        train(one, *asked(one))
    assert one.ask() is None
    assert one.ended


@pytest.mark.parametrize(
    ("worker_groups", "studies", "warm_start", "expected"),
    [(2, 6, False, 6), (1, 6, True, 1), (2, 6, True, 2), (8, 6, True, 3), (64, 6, True, 6)],
)
def test_studies_that_learn_leave_later_ones_something_to_learn_from(
    worker_groups: int, studies: int, warm_start: bool, expected: int
) -> None:
    assert concurrent_studies(worker_groups, studies, warm_start=warm_start) == expected


def test_a_study_reckons_with_twice_its_share_of_the_gangs() -> None:
    assert [parallel_trials(*one) for one in ((1, 1), (2, 2), (8, 2), (12, 6))] == [1, 2, 8, 4]
