"""Faults of nodes: one is taken away, one joins, the removal of one is announced."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from cluster_support import RAY
from fault_support import (
    Pending,
    Subject,
    Watch,
    alive,
    assert_undisturbed,
    leases,
    make_subject,
    members,
    processes,
    release,
    rows,
    wait_for_worker_groups,
)
from live_support import assert_nothing_left, wait_until
from ray.cluster_utils import Cluster

from supremix.cluster import Executor, WorkerGroupPlan, ray_runtime
from supremix.cluster.pool.ray_control import dead_nodes
from supremix.cluster.ray_private import draining_nodes

pytestmark = pytest.mark.slow

TWO = WorkerGroupPlan(count=2, workers=1, cpus=1, gpus=0)
WIDE = WorkerGroupPlan(count=1, workers=2, cpus=1, gpus=0, span_nodes=True)
SMALL: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000}


@pytest.fixture
def cluster(no_local_ray: None) -> Iterator[Cluster]:
    """A head without room for workers and two nodes with room for one each."""
    head = {"num_cpus": 0, "object_store_memory": 80_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            cluster.add_node(**SMALL)
        with ray_runtime(cluster.address):
            yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture
def subjects(tmp_path: Path, heads: str, cache: Path) -> list[Subject]:
    return [make_subject(tmp_path / name, heads, cache) for name in ("first", "second")]


@pytest.fixture
def watch(record_property: Callable[[str, object], None]) -> Watch:
    return Watch(record_property)


def find_node(cluster: Cluster, name: str | None) -> Any:
    return next(node for node in cluster.worker_nodes if node.node_id == name)


def node_of_trial(executor: Executor, subject: Subject) -> str:
    """The node on which a trial is trained."""
    (member,) = members(executor)[leases(executor).index(subject.key)]
    return member.node


def announce_preemption(cluster: Cluster, node: str) -> None:
    """As a cloud's autoscaler does before it takes a node away."""
    words = ("drain-node", "--address", cluster.address, "--node-id", node)
    words += ("--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "to be preempted")
    subprocess.run([RAY, *words], check=True, capture_output=True)


def begin(executor: Executor, subjects: list[Subject]) -> tuple[list[Any], Pending]:
    """Both trials under way on a worker group each; the first is held inside its third epoch."""
    first, second = subjects
    wait_for_worker_groups(executor, 2)
    found = rows(executor, first, 1, 2)
    assert rows(executor, second, 1, 1)
    first.do("hold")
    pending = Pending(executor, first.request(3))
    first.wait_until_held()
    return found, pending


@pytest.mark.long
def test_a_trial_goes_on_elsewhere_when_its_node_is_taken_away(
    cluster: Cluster, subjects: list[Subject], tmp_path: Path, watch: Watch
) -> None:
    first, second = subjects
    with Executor(TWO, str(tmp_path / "ray")) as executor:
        found, pending = begin(executor, subjects)
        lost, before = node_of_trial(executor, first), first.steps()
        cluster.remove_node(find_node(cluster, lost), allow_graceful=False)
        watch.start()
        wait_until(lambda: not pending.done and leases(executor).count(None) == 1, "the loss")
        watch.stop("node taken away: noticed")
        # Held until then, so that it is not done before the loss of its node is noticed.
        wait_until(lambda: not any(map(alive, first.held())), "its worker to end")
        first.undo("hold")
        # The other worker group ends its trial; the first one comes before any new one then.
        others = [*rows(executor, second, 2)]
        watch.start()
        release(executor, second)
        result = pending.result()
        watch.stop(
            "node taken away: its trial's epoch done elsewhere, once a worker group was free"
        )
        assert result.failure is None
        assert "its node died" in result.log or "its workers died" in result.log
        assert first.steps() - before == 3  # the epoch that was under way
        assert_undisturbed(first, [*found, result.row, *rows(executor, first, 4)])
        assert len(others) == 3

        cluster.add_node(**SMALL)
        watch.start()
        wait_for_worker_groups(executor, 2)
        watch.stop("new node: its worker group is there again")
        release(executor, first)
        both = [Pending(executor, subject.request(4)) for subject in subjects]
        assert all(one.result().failure is None for one in both)
        assert None not in leases(executor)
    assert_nothing_left(cpus=2)


@pytest.mark.long
def test_a_node_that_is_announced_to_go_costs_nothing(
    cluster: Cluster, subjects: list[Subject], tmp_path: Path, watch: Watch
) -> None:
    first, second = subjects
    with Executor(TWO, str(tmp_path / "ray")) as executor:
        found, pending = begin(executor, subjects)
        release(executor, second)
        drained, before = node_of_trial(executor, first), first.steps()
        announce_preemption(cluster, drained)
        watch.start()
        wait_until(lambda: drained in draining_nodes(), "the drain to be known")
        # Do not wait for the executor's next check.
        ray.get(executor.pool.update_nodes.remote(dead_nodes(), draining_nodes()))
        first.undo("hold")
        result = pending.result()
        assert result.failure is None
        assert result.log == ""
        found += [result.row, *rows(executor, first, 4)]
        watch.stop("node drains: next epoch done elsewhere")
        assert node_of_trial(executor, first) != drained
        assert first.steps() == before + 2 + 3  # what was left of the epoch, and the next
        assert_undisturbed(first, found)

        def left() -> bool:
            executor.check()
            return drained not in {one.node for group in members(executor) for one in group}

        wait_until(left, "the worker group to leave the node")
        cluster.remove_node(find_node(cluster, drained), allow_graceful=False)
        cluster.add_node(**SMALL)
        wait_for_worker_groups(executor, 2)
        watch.stop("node drains: its worker group is there again, on a new node")
    assert_nothing_left(cpus=2)


@pytest.mark.long
def test_a_worker_group_over_two_nodes_goes_on_when_one_is_replaced(
    cluster: Cluster, subjects: list[Subject], tmp_path: Path, watch: Watch
) -> None:
    first, _ = subjects
    with Executor(WIDE, str(tmp_path / "ray")) as executor:
        wait_for_worker_groups(executor, 1)
        found = rows(executor, first, 1, 2)
        ((here, there),) = members(executor)
        assert here.node != there.node
        first.do("hold")
        pending = Pending(executor, first.request(3))
        wait_until(lambda: len(first.held()) == 2, "both ranks in the middle of a step")
        cluster.remove_node(find_node(cluster, there.node), allow_graceful=False)
        watch.start()
        wait_until(lambda: not pending.done and not members(executor)[0], "the loss")
        first.undo("hold")
        cluster.add_node(**SMALL)
        result = pending.result()
        watch.stop("one of a group's two nodes taken away, a new one at once: epoch done")
        assert result.failure is None
        found += [result.row, *rows(executor, first, 4)]
        assert [row["epoch"] for row in found] == [1, 2, 3, 4]
    assert_nothing_left(cpus=2)


@pytest.mark.long
def test_a_run_without_room_for_any_worker_group_says_so(
    cluster: Cluster, subjects: list[Subject], tmp_path: Path
) -> None:
    first, _ = subjects
    with Executor(TWO, str(tmp_path / "ray")) as executor:
        wait_for_worker_groups(executor, 2)
        executor.absence = 3.0
        for node in list(cluster.worker_nodes):
            cluster.remove_node(node, allow_graceful=False)
        result = Pending(executor, first.request(1)).result()
        assert result.cluster_failure
        assert "none has had workers for 3 s" in str(result.failure)


class RayStart:
    """A `ray start --block` process on the loopback, distinguished from all others by a mark."""

    def __init__(self, folder: Path, mark: str, *arguments: str) -> None:
        self.output = folder.with_suffix(".txt")
        name, value = mark.split("=")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    RAY,
                    "start",
                    "--block",
                    "--disable-usage-stats",
                    "--num-cpus=1",
                    "--object-store-memory=80000000",
                    *arguments,
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, name: value},
                start_new_session=True,
            )

    def address(self) -> str:
        def found() -> Any:
            assert self.process.poll() is None, self.output.read_text()
            return re.search(r"--address='([\d.:]+)'", self.output.read_text())

        wait_until(found, "the head's address")
        return found()[1]


@pytest.fixture
def started(no_local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two nodes started as on two machines; the address of the head."""
    # Sockets have short names: not below pytest's own folder.
    mark = f"SUPREMIX_FAULTS_MARK={uuid.uuid4().hex}"
    folder = tmp_path_factory.mktemp("nodes")
    nodes: list[RayStart] = []
    try:
        temporary = f"--temp-dir=/tmp/sx-{mark[-8:]}"
        head = RayStart(
            folder / "head", mark, "--head", "--port=0", "--include-dashboard=false", temporary
        )
        nodes.append(head)
        address = head.address()
        nodes.append(RayStart(folder / "node", mark, f"--address={address}"))
        yield address
    finally:
        for node in reversed(nodes):
            node.process.terminate()
            node.process.wait(60)
        wait_until(lambda: not processes(mark, ""), "the processes of the nodes to end", 60)
        shutil.rmtree(f"/tmp/sx-{mark[-8:]}", ignore_errors=True)


@pytest.mark.long
def test_the_code_reaches_started_nodes_as_a_wheel(started: str, tmp_path: Path) -> None:
    wheel = tmp_path / "proof-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("supremix_proof/__init__.py", "from supremix_proof.part import WORD\n")
        archive.writestr("supremix_proof/part.py", "WORD = 'from the wheel'\n")
        archive.writestr("proof-1.dist-info/METADATA", "Name: proof\nVersion: 1\n")

    @ray.remote(scheduling_strategy="SPREAD", num_cpus=1)
    def read() -> tuple[str, str, str]:
        import time
        from importlib.metadata import version

        import supremix_proof

        time.sleep(1)  # so that no node does both
        node = ray.get_runtime_context().get_node_id()
        return supremix_proof.WORD, version("proof"), node

    with ray_runtime(started, wheel=str(wheel)):
        wait_until(lambda: ray.cluster_resources().get("CPU") == 2, "both nodes")
        words = ray.get([read.remote() for _ in range(2)])
        assert {word[:2] for word in words} == {("from the wheel", "1")}
        assert len({node for *_, node in words}) == 2
