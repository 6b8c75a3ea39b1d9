"""Faults of workers and groups, really brought about: what is lost, what is repeated, how long."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_support import (
    EPOCHS,
    Asked,
    Subject,
    Watch,
    alive,
    assert_undisturbed,
    make_subject,
    members,
    processes,
    release,
    rows,
    wait_for_worker_groups,
)
from live_support import assert_nothing_left, wait_until

from supremix.cluster import Executor, WorkerGroupPlan, ray_runtime
from supremix.cluster.pool.pool import ATTEMPTS

pytestmark = pytest.mark.slow

SOLO = WorkerGroupPlan(count=1, workers=1, cpus=1, gpus=0)
PAIR = WorkerGroupPlan(count=1, workers=2, cpus=1, gpus=0)
MARK = "SUPREMIX_FAULTS_MARK"
LIMIT = 5.0
"""Seconds for an epoch that takes a few hundredths of one: enough on a very busy machine."""


@pytest.fixture(scope="module")
def mark() -> Iterator[str]:
    """A Ray whose processes can be told from those of any other."""
    value = uuid.uuid4().hex
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, value)
        with ray_runtime(cpus=2):
            yield f"{MARK}={value}"


@pytest.fixture
def executor(mark: str, tmp_path: Path) -> Iterator[Executor]:
    with Executor(SOLO, str(tmp_path / "ray"), frozen=3.0) as executor:
        wait_for_worker_groups(executor, 1)
        yield executor
    assert_nothing_left()


@pytest.fixture
def subject(tmp_path: Path, heads: str, cache: Path) -> Subject:
    return make_subject(tmp_path / "trial", heads, cache)


@pytest.fixture
def watch(record_property: Callable[[str, object], None]) -> Watch:
    return Watch(record_property)


def disturb(
    executor: Executor, subject: Subject, watch: Watch, what: str, deed: Callable[[int], Any]
):
    """Train, do something to the worker in the middle of the third epoch, train on."""
    found = rows(executor, subject, 1, 2)
    subject.do("hold")
    asked = Asked(executor, subject.order(3))
    (worker,) = subject.wait_until_held()
    before = subject.steps()
    watch.start()
    deed(worker)
    subject.undo("hold")
    outcome = asked.outcome()
    watch.stop(what)
    assert outcome.failure is None
    epoch = subject.steps() - before
    found += [outcome.row, *rows(executor, subject, 4)]
    # Nothing is trained twice but the epoch that was under way: 36 images in batches of 16.
    assert epoch == 3
    assert_undisturbed(subject, found)
    return outcome


@pytest.mark.long
def test_a_killed_worker_costs_the_epoch_under_way(
    executor: Executor, subject: Subject, watch: Watch
) -> None:
    def kill(worker: int) -> None:
        os.kill(worker, signal.SIGKILL)

    outcome = disturb(executor, subject, watch, "worker killed", kill)
    assert "its workers died" in outcome.log


@pytest.mark.long
def test_a_frozen_worker_is_killed_and_replaced(
    executor: Executor, subject: Subject, watch: Watch
) -> None:
    def stop(worker: int) -> None:
        os.kill(worker, signal.SIGSTOP)

    outcome = disturb(executor, subject, watch, "worker frozen (noticed after 3 s)", stop)
    assert "frozen: a worker did not answer for 3 s" in outcome.log
    (frozen, *_) = subject.held()
    wait_until(lambda: not alive(frozen), "the end of the frozen process")


@pytest.mark.long
def test_a_killed_gang_is_started_again(
    executor: Executor, mark: str, subject: Subject, watch: Watch
) -> None:
    def kill(worker: int) -> None:
        (controller,) = processes(mark, "ray::_run_gang")
        os.kill(controller, signal.SIGKILL)
        wait_until(lambda: not alive(worker), "the end of a worker without controller")

    outcome = disturb(executor, subject, watch, "worker group's controller killed", kill)
    assert "died" in outcome.log or "its worker group was lost" in outcome.log


@pytest.mark.long
def test_a_hung_epoch_is_ended_and_repeated(
    executor: Executor, subject: Subject, watch: Watch
) -> None:
    found = rows(executor, subject, 1, 2)
    subject.do("hold")
    asked = Asked(executor, subject.order(3, limit=LIMIT))
    subject.wait_until_held()
    wait_until(lambda: not members(executor)[0], "the end of the worker that hangs")
    watch.start()
    subject.undo("hold")
    outcome = asked.outcome()
    watch.stop("epoch hung, after its limit")
    assert f"hung: no epoch 3 within {LIMIT:g} s" in outcome.log
    assert "time.sleep(0.01)" in outcome.log  # where it hung
    assert_undisturbed(subject, [*found, outcome.row, *rows(executor, subject, 4)])


@pytest.mark.long
def test_a_trial_without_memory_fails_and_the_gang_goes_on(
    executor: Executor, subject: Subject, tmp_path: Path, heads: str, cache: Path
) -> None:
    (worker,) = members(executor)[0]
    subject.do("memory")
    outcome = Asked(executor, subject.order(1)).outcome()
    assert outcome.failure is not None
    assert "out of memory: MemoryError: no more of it" in outcome.failure
    assert f"tried {ATTEMPTS} times" in outcome.failure
    assert "smaller batch size" in outcome.failure
    assert "Traceback" in outcome.log
    assert subject.steps() == ATTEMPTS
    release(executor, subject)
    other = make_subject(tmp_path / "other", heads, cache)
    assert_undisturbed(other, rows(executor, other, 1))
    assert [one.node for one in members(executor)[0]] == [worker.node]
    assert not subject.held()


@pytest.mark.long
def test_a_loss_that_is_nan_on_all_workers_fails_the_trial_at_once(
    mark: str, subject: Subject, tmp_path: Path, heads: str, cache: Path
) -> None:
    with Executor(PAIR, str(tmp_path / "ray")) as executor:
        wait_for_worker_groups(executor, 1)
        wait_until(lambda: len(members(executor)[0]) == 2, "both workers")
        before = [one.actor._actor_id for one in members(executor)[0]]
        subject.do("nan")
        outcome = Asked(executor, subject.order(1)).outcome()
        assert outcome.failure is not None
        assert "NonFiniteLossError" in outcome.failure
        assert subject.steps() == 2 * 3  # once on each worker, and no second time
        release(executor, subject)
        other = make_subject(tmp_path / "other", heads, cache)
        assert len(rows(executor, other, 1)) == EPOCHS
        assert [one.actor._actor_id for one in members(executor)[0]] == before
    assert_nothing_left()


@pytest.mark.long
def test_a_trial_that_always_hangs_fails_and_says_so(executor: Executor, subject: Subject) -> None:
    subject.do("hold")
    outcome = Asked(executor, subject.order(1, limit=1.0)).outcome()
    assert outcome.failure == f"hung: no epoch 1 within 1 s (epoch 1, tried {ATTEMPTS} times)"
    subject.undo("hold")
    release(executor, subject)
    wait_for_worker_groups(executor, 1)


@pytest.mark.long
def test_a_trial_whose_workers_always_die_fails_and_says_so(
    executor: Executor, subject: Subject
) -> None:
    subject.do("hold")
    asked, dead = Asked(executor, subject.order(1)), set[int]()
    for _ in range(ATTEMPTS):
        dead |= subject.wait_until_held(dead)
        os.kill(max(subject.held() & dead, key=alive), signal.SIGKILL)
    outcome = asked.outcome()
    assert outcome.failure is not None
    assert outcome.failure.startswith("its workers died: ")
    assert f"tried {ATTEMPTS} times" in outcome.failure


@pytest.mark.long
def test_a_rank_that_hangs_ends_the_whole_group_which_goes_on(
    mark: str, subject: Subject, tmp_path: Path, watch: Watch
) -> None:
    with Executor(PAIR, str(tmp_path / "ray")) as executor:
        found = rows(executor, subject, 1, 2)
        subject.do("hold")
        asked = Asked(executor, subject.order(3, limit=LIMIT))
        wait_until(lambda: len(subject.held()) == 2, "both ranks in the middle of a step")
        os.kill(max(subject.held()), signal.SIGSTOP)
        subject.undo("hold")  # the other rank waits in a collective operation now
        watch.start()
        outcome = asked.outcome()
        watch.stop("one rank of two stopped, its limit included")
        assert outcome.failure is None
        found += [outcome.row, *rows(executor, subject, 4)]
        assert len(found) == EPOCHS
    assert_nothing_left()
