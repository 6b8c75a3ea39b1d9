"""Faults of workers and worker groups, really caused: what is lost, what is repeated, how long."""

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
    Pending,
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
def mark(no_local_ray: None) -> Iterator[str]:
    """A Ray whose processes have a mark in their environment."""
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
    pending = Pending(executor, subject.request(3))
    (worker,) = subject.wait_until_held()
    before = subject.steps()
    watch.start()
    deed(worker)
    subject.undo("hold")
    result = pending.result()
    watch.stop(what)
    assert result.failure is None
    epoch = subject.steps() - before
    found += [result.row, *rows(executor, subject, 4)]
    # Nothing is trained twice but the epoch that was under way: 36 images in batches of 16.
    assert epoch == 3
    assert_undisturbed(subject, found)
    return result


@pytest.mark.long
def test_a_killed_worker_costs_the_epoch_under_way(
    executor: Executor, subject: Subject, watch: Watch
) -> None:
    def kill(worker: int) -> None:
        os.kill(worker, signal.SIGKILL)

    result = disturb(executor, subject, watch, "worker killed", kill)
    assert "its workers died" in result.log


@pytest.mark.long
def test_a_frozen_worker_is_killed_and_replaced(
    executor: Executor, subject: Subject, watch: Watch
) -> None:
    def stop(worker: int) -> None:
        os.kill(worker, signal.SIGSTOP)

    result = disturb(executor, subject, watch, "worker frozen (noticed after 3 s)", stop)
    assert "frozen: a worker did not answer for 3 s" in result.log
    (frozen, *_) = subject.held()
    wait_until(lambda: not alive(frozen), "the end of the frozen process")


@pytest.mark.long
def test_a_killed_worker_group_is_started_again(
    executor: Executor, mark: str, subject: Subject, watch: Watch
) -> None:
    def kill(worker: int) -> None:
        (controller,) = processes(mark, "ray::_run_worker_group")
        os.kill(controller, signal.SIGKILL)
        wait_until(lambda: not alive(worker), "the end of a worker without controller")

    result = disturb(executor, subject, watch, "worker group's controller killed", kill)
    assert "died" in result.log or "its worker group was lost" in result.log


@pytest.mark.long
def test_a_hung_epoch_is_ended_and_repeated(
    executor: Executor, subject: Subject, watch: Watch
) -> None:
    found = rows(executor, subject, 1, 2)
    subject.do("hold")
    pending = Pending(executor, subject.request(3, limit=LIMIT))
    subject.wait_until_held()
    wait_until(lambda: not members(executor)[0], "the end of the worker that hangs")
    watch.start()
    subject.undo("hold")
    result = pending.result()
    watch.stop("epoch hung, after its limit")
    assert f"hung: no epoch 3 within {LIMIT:g} s" in result.log
    assert "time.sleep(0.01)" in result.log  # where it hung
    assert_undisturbed(subject, [*found, result.row, *rows(executor, subject, 4)])


@pytest.mark.long
def test_a_trial_without_memory_fails_and_the_worker_group_goes_on(
    executor: Executor, subject: Subject, tmp_path: Path, heads: str, cache: Path
) -> None:
    (worker,) = members(executor)[0]
    subject.do("memory")
    result = Pending(executor, subject.request(1)).result()
    assert result.failure is not None
    assert "out of memory: MemoryError: no more of it" in result.failure
    assert f"tried {ATTEMPTS} times" in result.failure
    assert "smaller batch size" in result.failure
    assert "Traceback" in result.log
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
        before = [one.actor for one in members(executor)[0]]
        subject.do("nan")
        result = Pending(executor, subject.request(1)).result()
        assert result.failure is not None
        assert "NonFiniteLossError" in result.failure
        assert subject.steps() == 2 * 3  # once on each worker, and no second time
        release(executor, subject)
        other = make_subject(tmp_path / "other", heads, cache)
        assert len(rows(executor, other, 1)) == EPOCHS
        assert [one.actor for one in members(executor)[0]] == before
    assert_nothing_left()


@pytest.mark.long
def test_a_trial_that_always_hangs_fails_and_says_so(executor: Executor, subject: Subject) -> None:
    subject.do("hold")
    result = Pending(executor, subject.request(1, limit=1.0)).result()
    assert result.failure == f"hung: no epoch 1 within 1 s (epoch 1, tried {ATTEMPTS} times)"
    subject.undo("hold")
    release(executor, subject)
    wait_for_worker_groups(executor, 1)


@pytest.mark.long
def test_a_trial_whose_workers_always_die_fails_and_says_so(
    executor: Executor, subject: Subject
) -> None:
    subject.do("hold")
    pending, dead = Pending(executor, subject.request(1)), set[int]()
    for _ in range(ATTEMPTS):
        dead |= subject.wait_until_held(dead)
        os.kill(max(subject.held() & dead, key=alive), signal.SIGKILL)
    result = pending.result()
    assert result.failure is not None
    assert result.failure.startswith("its workers died: ")
    assert f"tried {ATTEMPTS} times" in result.failure


@pytest.mark.long
def test_a_rank_that_hangs_ends_the_whole_worker_group_which_goes_on(
    mark: str, subject: Subject, tmp_path: Path, watch: Watch
) -> None:
    with Executor(PAIR, str(tmp_path / "ray")) as executor:
        found = rows(executor, subject, 1, 2)
        subject.do("hold")
        pending = Pending(executor, subject.request(3, limit=LIMIT))
        wait_until(lambda: len(subject.held()) == 2, "both ranks in the middle of a step")
        os.kill(max(subject.held()), signal.SIGSTOP)
        subject.undo("hold")  # the other rank waits in a collective operation now
        watch.start()
        result = pending.result()
        watch.stop("one rank of two stopped, its limit included")
        assert result.failure is None
        found += [result.row, *rows(executor, subject, 4)]
        assert len(found) == EPOCHS
    assert_nothing_left()
