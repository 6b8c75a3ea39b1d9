"""A cluster of `ray start` processes on this machine, as docs/cluster.md has it."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster_support import living_nodes, scratch_folder, start_cluster
from fault_support import Watch
from live_support import Driver, events_of, wait_until

import supremix

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def cluster(cache: Path) -> Iterator[str]:
    """The address of two nodes with a CPU each."""
    with scratch_folder() as scratch, contextlib.ExitStack() as nodes:
        yield start_cluster(nodes, scratch / "a")[0]


def test_a_search_uses_both_nodes(cluster: str, drive: Callable[..., Driver]) -> None:
    driver = drive("run", "--address", cluster, "--trials", "3", "--concurrent-trials", "2")
    assert driver.process.wait() == 0, driver.errors.read_text()

    # A worker takes the one CPU of a node, so two worker groups are one on each.
    environment = json.loads((driver.run / "environment.json").read_text())
    assert [node["CPU"] for node in environment["nodes"]] == [1, 1]
    (session,) = [event for event in events_of(driver.run) if event["event"] == "session"]
    assert (session["worker_groups"], session["workers"]) == (2, 1)
    assert supremix.Result(driver.run).best.error > 0


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=lambda end: end.name)
def test_a_driver_that_is_ended_goes_on_and_the_cluster_stays(
    cluster: str,
    drive: Callable[..., Driver],
    cache: Path,
    end: signal.Signals,
    record_property: Callable[[str, object], None],
) -> None:
    watch = Watch(record_property)
    driver = drive(end.name, "--address", cluster, "--trials", "3", "--concurrent-trials", "2")
    driver.wait_for_epochs(2)
    watch.start()
    driver.process.send_signal(end)
    # 130: stopped in order, with work left.
    assert driver.process.wait() == (130 if end is signal.SIGTERM else -end)
    watch.stop("the driver had ended")
    wait_until(lambda: living_nodes(cluster) == 2, "both nodes to be there still")
    before = len(epochs(driver))

    watch.start()
    again = Driver(driver.run, "--resume", str(driver.run), cache=cache, command=("search",))
    again.wait_for_epochs(before + 1)
    watch.stop("first epoch of the next driver")
    assert again.process.wait() == 0, again.errors.read_text()
    assert len(set(epochs(driver))) == len(epochs(driver))


def epochs(driver: Driver) -> list[tuple[int, int]]:
    found = events_of(driver.run)
    return [(e["number"], e["row"]["epoch"]) for e in found if e["event"] == "epoch"]
