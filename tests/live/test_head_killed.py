"""A search whose cluster loses its head, driver included, and that goes on in another cluster."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster_support import scratch_folder, start_cluster
from fault_support import Watch
from live_support import (
    Driver,
    assert_prolongable_alone,
    assert_same_tables,
    wait_for_none,
    wait_until,
)

from supremix.runs.folder import RunFolder
from supremix.storage.paths import to_path
from supremix.tuning.ledger.ledger import EPOCH, FINAL, SESSION, read_events

pytestmark = [pytest.mark.slow, pytest.mark.long]


def events(run: str) -> list[dict[str, Any]]:
    return read_events(RunFolder(run).ledger)


def epochs(found: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(e["number"], e["row"]["epoch"]) for e in found if e["event"] == EPOCH]


def wait_for_epochs(driver: Driver, run: str, number: int) -> None:
    """Wait until the run of a driver that is at work has so many epochs."""

    def enough() -> bool:
        assert driver.process.poll() is None, driver.errors.read_text()
        return len(epochs(events(run))) >= number

    wait_until(enough, f"{number} epochs in the ledger")


def test_a_search_goes_on_in_a_new_cluster_when_the_head_and_the_driver_are_killed(
    drive: Callable[..., Driver],
    bucket: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    whole = drive("whole", "--trials", "4", "--concurrent-trials", "2")
    assert whole.process.wait() == 0, whole.errors.read_text()

    run, orphaned, watch = f"{bucket}/runs/first", Watch(record_property), Watch(record_property)
    command = ("--trials", "4", "--concurrent-trials", "2", "--or-resume", "--out", run)
    command += ("--stores", f"{bucket}/stores")
    with scratch_folder() as scratch, contextlib.ExitStack() as nodes:
        address, head, orphan = start_cluster(nodes, scratch / "a")
        first = drive("first", *command, "--address", address)
        wait_for_epochs(first, run, 4)
        head.kill()
        first.signal_group(signal.SIGKILL)
        first.process.wait()
        orphaned.start()
        before = events(run)
        assert [e["event"] for e in before].count(FINAL) == 0

        # The second node of the old cluster is left to itself, its workers with it.
        address, *_ = start_cluster(nodes, scratch / "b")
        watch.start()
        again = drive("again", *command, "--address", address)
        wait_for_epochs(again, run, len(epochs(before)) + 1)
        watch.stop("first epoch in the new cluster")
        assert again.process.wait() == 0, again.errors.read_text()
        wait_for_none(lambda: [str(pid) for pid in orphan.left()], "the orphaned node", 300)
        orphan.process.wait()
        orphaned.stop("the second node had ended by itself")

    found = events(run)
    assert found[: len(before)] == before
    assert len(set(epochs(found))) == len(epochs(found))
    sessions = [(e["worker_groups"], e["workers"]) for e in found if e["event"] == SESSION]
    assert sessions == [(2, 1)] * 2
    assert_same_tables(run, tmp_path / "whole")
    assert_prolongable_alone(run)
    assert not (to_path(run) / ".lock").exists()
