"""Faults of nodes: one is taken away, one comes, one is announced to go."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from fault_support import (
    Asked,
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
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

from supremix.cluster import Executor, WorkerGroupPlan, ray_runtime
from supremix.cluster.pool.ray_control import draining_nodes

pytestmark = pytest.mark.slow

TWO = WorkerGroupPlan(count=2, workers=1, cpus=1, gpus=0)
WIDE = WorkerGroupPlan(count=1, workers=2, cpus=1, gpus=0)
SMALL: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000}
PREEMPTION: Any = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
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


def node_of(cluster: Cluster, name: str | None) -> Any:
    return next(node for node in cluster.worker_nodes if node.node_id == name)


def place_of(executor: Executor, subject: Subject) -> str:
    """The node on which a trial is trained."""
    (member,) = members(executor)[leases(executor).index(subject.key)]
    return member.node


def begin(executor: Executor, subjects: list[Subject]) -> tuple[list[Any], Asked]:
    """Both trials under way on a group each; the first held in the middle of its third epoch."""
    first, second = subjects
    wait_for_worker_groups(executor, 2)
    found = rows(executor, first, 1, 2)
    assert rows(executor, second, 1, 1)
    first.do("hold")
    asked = Asked(executor, first.order(3))
    first.wait_until_held()
    return found, asked


@pytest.mark.long
def test_a_trial_goes_on_elsewhere_when_its_node_is_taken_away(
    cluster: Cluster, subjects: list[Subject], tmp_path: Path, watch: Watch
) -> None:
    first, second = subjects
    with Executor(TWO, str(tmp_path / "ray")) as executor:
        found, asked = begin(executor, subjects)
        lost, before = place_of(executor, first), first.steps()
        cluster.remove_node(node_of(cluster, lost), allow_graceful=False)
        watch.start()
        wait_until(lambda: not asked.done and leases(executor).count(None) == 1, "the loss")
        watch.stop("node taken away: noticed")
        # Held for so long, lest it be done before its node is missed.
        wait_until(lambda: not any(map(alive, first.held())), "its worker to end")
        first.undo("hold")
        # The other worker group ends its trial; the first one comes before any new one then.
        others = [*rows(executor, second, 2)]
        watch.start()
        release(executor, second)
        outcome = asked.outcome()
        watch.stop(
            "node taken away: its trial's epoch done elsewhere, once a worker group was free"
        )
        assert outcome.failure is None
        assert "its node died" in outcome.log or "its workers died" in outcome.log
        assert first.steps() - before == 3  # the epoch that was under way
        assert_undisturbed(first, [*found, outcome.row, *rows(executor, first, 4)])
        assert len(others) == 3

        cluster.add_node(**SMALL)
        watch.start()
        wait_for_worker_groups(executor, 2)
        watch.stop("new node: its worker group is there again")
        release(executor, first)
        both = [Asked(executor, subject.order(4)) for subject in subjects]
        assert all(one.outcome().failure is None for one in both)
        assert None not in leases(executor)
    assert_nothing_left(cpus=2)


@pytest.mark.long
def test_a_node_that_is_announced_to_go_costs_nothing(
    cluster: Cluster, subjects: list[Subject], tmp_path: Path, watch: Watch
) -> None:
    first, second = subjects
    with Executor(TWO, str(tmp_path / "ray")) as executor:
        found, asked = begin(executor, subjects)
        release(executor, second)
        drained, before = place_of(executor, first), first.steps()
        accepted, why = GcsClient(address=cluster.gcs_address).drain_node(
            drained, PREEMPTION, "to be preempted", 0
        )
        assert accepted, why
        watch.start()
        wait_until(lambda: drained in draining_nodes(), "the drain to be known")
        executor._looked = 0.0  # do not wait for the next look
        executor.check()
        first.undo("hold")
        outcome = asked.outcome()
        assert outcome.failure is None
        assert outcome.log == ""
        found += [outcome.row, *rows(executor, first, 4)]
        watch.stop("node drains: next epoch done elsewhere")
        assert place_of(executor, first) != drained
        assert first.steps() == before + 2 + 3  # what was left of the epoch, and the next
        assert_undisturbed(first, found)

        def left() -> bool:
            executor.check()
            return drained not in {one.node for group in members(executor) for one in group}

        wait_until(left, "the worker group to leave the node")
        cluster.remove_node(node_of(cluster, drained), allow_graceful=False)
        cluster.add_node(**SMALL)
        wait_for_worker_groups(executor, 2)
        watch.stop("node drains: its worker group is there again, on a new node")
    assert_nothing_left(cpus=2)


@pytest.mark.long
def test_a_group_over_two_nodes_goes_on_when_one_is_replaced(
    cluster: Cluster, subjects: list[Subject], tmp_path: Path, watch: Watch
) -> None:
    first, _ = subjects
    with Executor(WIDE, str(tmp_path / "ray")) as executor:
        wait_for_worker_groups(executor, 1)
        found = rows(executor, first, 1, 2)
        ((here, there),) = members(executor)
        assert here.node != there.node
        first.do("hold")
        asked = Asked(executor, first.order(3))
        wait_until(lambda: len(first.held()) == 2, "both ranks in the middle of a step")
        cluster.remove_node(node_of(cluster, there.node), allow_graceful=False)
        watch.start()
        wait_until(lambda: not asked.done and not members(executor)[0], "the loss")
        first.undo("hold")
        cluster.add_node(**SMALL)
        outcome = asked.outcome()
        watch.stop("one of a group's two nodes taken away, a new one at once: epoch done")
        assert outcome.failure is None
        found += [outcome.row, *rows(executor, first, 4)]
        assert [row["epoch"] for row in found] == [1, 2, 3, 4]
    assert_nothing_left(cpus=2)


@pytest.mark.long
def test_a_run_without_any_place_says_so(
    cluster: Cluster, subjects: list[Subject], tmp_path: Path
) -> None:
    first, _ = subjects
    with Executor(TWO, str(tmp_path / "ray")) as executor:
        wait_for_worker_groups(executor, 2)
        executor._absence = 3.0
        for node in list(cluster.worker_nodes):
            cluster.remove_node(node, allow_graceful=False)
        outcome = Asked(executor, first.order(1)).outcome()
        assert outcome.cluster
        assert "none has had workers for 3 s" in str(outcome.failure)


class RayStart:
    """A `ray start --block` process on the loopback, told from all others by a mark."""

    def __init__(self, folder: Path, mark: str, *arguments: str) -> None:
        self.said = folder.with_suffix(".txt")
        name, value = mark.split("=")
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("ray")),
                    "start",
                    "--block",
                    "--disable-usage-stats",
                    "--num-cpus=1",
                    "--object-store-memory=80000000",
                    *arguments,
                ],
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, name: value},
                start_new_session=True,
            )

    def address(self) -> str:
        def found() -> Any:
            assert self.process.poll() is None, self.said.read_text()
            return re.search(r"--address='([\d.:]+)'", self.said.read_text())

        wait_until(found, "the head's address")
        return found()[1]


@pytest.fixture
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
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
