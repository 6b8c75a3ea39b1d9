"""Two workers over gloo: epochs trained ahead, failures of one of them, images that come late."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
from counted_run import CountedRun
from torch import nn
from worker_group import on_workers

from supremix.cluster.messages import WorkerRequest, WorkerResult
from supremix.cluster.worker import async_checkpoint as checkpointer
from supremix.cluster.worker import worker as worker_module
from supremix.cluster.worker.worker import TrialWorker
from supremix.models import EncoderSpec
from supremix.training import (
    Distributed,
    NonFiniteLossError,
    Task,
    load_checkpoint,
    save_checkpoint,
)

LONG = 60.0


class Peers:
    """The other rank, asked over the group itself; only where both are sure to ask."""

    def __init__(self, collective: Distributed) -> None:
        self._collective = collective
        self.faults: list[str] = []
        self.waits = 0

    def agree(self, text: str) -> bool:
        return len(set(self._collective.collect(text))) == 1

    def answered(self, timeout: float) -> None:
        self.waits += 1

    def fault(self, text: str, memory: bool, log: str) -> None:
        self.faults.append(text)


def make_worker(collective: Distributed, peers: Peers) -> TrialWorker:
    # No network of MONAI is built here, and its import would take longer than the test.
    with patch.object(worker_module, "import_encoders"):
        return TrialWorker(collective, torch.device("cpu"), peers=peers)


@contextmanager
def counted(deed: Callable[[int], None]) -> Iterator[None]:
    """Inside, trials count epochs and have no images."""
    with (
        patch.object(worker_module, "start_run", lambda *rest, **named: CountedRun(deed)),
        patch.object(worker_module, "fetch_stores"),
    ):
        yield


def deliver(worker: TrialWorker, request: WorkerRequest) -> WorkerResult | None:
    """The result as rank 0 delivers it, None on the others."""
    return worker.hand_over(request, worker.execute(request), lambda result: result)


def request_of(folder: str, epoch: int, task: Any = None, **more: Any) -> WorkerRequest:
    return WorkerRequest(
        key="a",
        task=task,
        config={"batch_size": 20},
        checkpoint=f"{folder}/trial.pt",
        epoch=epoch,
        train_ahead=True,
        **more,
    )


def count(collective: Distributed, folder: str) -> dict[str, Any]:
    """Ask for three epochs, where epoch 1 is written only once both ranks are in epoch 2."""
    trained: list[int] = []
    training, seen = threading.Event(), list[bool]()

    def deed(epoch: int) -> None:
        trained.append(epoch)
        collective.barrier()
        if epoch == 2:
            training.set()

    def save(state: Any, address: Any) -> None:
        seen.append(training.wait(LONG))
        save_checkpoint(state, address)

    worker, rows = make_worker(collective, Peers(collective)), list[Any]()
    with counted(deed), patch.object(checkpointer, "save_checkpoint", save):
        for epoch in (1, 2, 3):
            result = deliver(worker, request_of(folder, epoch))
            rows.append(None if result is None else result.row)
    return {"trained": trained, "rows": rows, "seen": seen}


def test_both_ranks_train_ahead_while_rank_zero_writes(tmp_path: Path) -> None:
    first, second = on_workers(2, tmp_path, count, str(tmp_path))
    assert first["trained"] == second["trained"] == [1, 2, 3]
    assert first["rows"] == [{"epoch": epoch} for epoch in (1, 2, 3)]
    assert second["rows"] == [None] * 3
    assert (first["seen"], second["seen"]) == ([True] * 3, [])


def refuse(state: Any, address: Any) -> None:
    raise PermissionError("read-only")


def fail_to_write(collective: Distributed, folder: str, ahead: bool) -> dict[str, Any]:
    """Rank 0 cannot write epoch 2, with or without an epoch trained meanwhile; then it can."""
    trained: list[int] = []
    peers = Peers(collective)
    worker = make_worker(collective, peers)

    def train(epoch: int) -> None:
        # As gradients do, so that no rank writes a checkpoint before all have loaded the last one.
        dist.barrier()
        trained.append(epoch)

    with counted(train):
        request = dataclasses.replace(request_of(folder, 1), train_ahead=False)
        deliver(worker, request)
        request = dataclasses.replace(request, epoch=2, train_ahead=ahead)
        with patch.object(checkpointer, "save_checkpoint", refuse):
            own = worker.execute(request)
            result = worker.hand_over(request, own, lambda result: result)
        again = deliver(worker, dataclasses.replace(request, train_ahead=False))
    return {
        "trained": trained,
        "own": own.failure,
        "failure": None if result is None else result.failure,
        "again": None if again is None else again.row,
        "faults": peers.faults,
    }


@pytest.mark.parametrize("ahead", [False, True])
def test_what_rank_zero_cannot_write_fails_on_all_ranks_with_its_reason(
    tmp_path: Path, ahead: bool
) -> None:
    first, second = on_workers(2, tmp_path, fail_to_write, str(tmp_path), ahead)
    assert "PermissionError: read-only" in first["failure"]
    if not ahead:
        assert "RankZeroError: read-only" in second["own"]
    # Both go on from the checkpoint of epoch 1, and no worker has ended.
    meanwhile = [3] if ahead else []
    assert first["trained"] == second["trained"] == [1, 2, *meanwhile, 2]
    assert first["again"] == {"epoch": 2}
    assert first["faults"] == second["faults"] == []


def diverge(collective: Distributed, folder: str, where: str) -> dict[str, Any]:
    """An epoch trained ahead fails, on all ranks alike or on rank 1 alone."""

    def deed(epoch: int) -> None:
        if epoch == 2 and where == "all":
            raise NonFiniteLossError("it is NaN")
        if epoch == 2 and collective.rank == 1:
            raise ValueError("only here")

    peers = Peers(collective)
    worker = make_worker(collective, peers)
    raised, second = "", None
    with counted(deed):
        request = request_of(folder, 1)
        own = worker.execute(request)
        try:
            first = worker.hand_over(request, own, lambda result: result)
            second = deliver(worker, request_of(folder, 2)) if where == "all" else None
        except ValueError as error:
            raised, first = str(error), None
            collective.broadcast(None)  # a real worker ends, and rank 0 with it
    return {
        "first": None if first is None else first.failure,
        "second": None if second is None else second.failure,
        "raised": raised,
        "faults": peers.faults,
        "waits": peers.waits,
    }


def test_an_epoch_ahead_that_fails_on_all_ranks_is_reported_when_it_is_asked_for(
    tmp_path: Path,
) -> None:
    first, second = on_workers(2, tmp_path, diverge, str(tmp_path), "all")
    assert first["first"] is None
    assert "NonFiniteLossError: it is NaN" in first["second"]
    assert first["faults"] == second["faults"] == []


def test_an_epoch_ahead_that_fails_on_one_rank_ends_it_once_the_last_result_is_delivered(
    tmp_path: Path,
) -> None:
    _, second = on_workers(2, tmp_path, diverge, str(tmp_path), "one")
    assert second["raised"] == "only here"
    assert second["waits"] == 1
    (fault,) = second["faults"]
    assert "ValueError: only here" in fault


def arrive_late(collective: Distributed, folder: str) -> dict[str, Any]:
    """Train an epoch, where the images of rank 1 are there when it was asked for the tenth time."""
    asked, arrived = list[Any](), threading.Event()
    collect = collective.collect

    def count(value: Any) -> list[Any]:
        asked.append(value)
        if len(asked) == 10:
            arrived.set()
        return collect(value)

    def fetch(task: Any) -> None:
        assert collective.rank == 0 or arrived.wait(LONG)

    worker = make_worker(collective, Peers(collective))
    with (
        counted(lambda epoch: None),
        patch.object(worker_module, "fetch_stores", fetch),
        patch.object(worker_module, "FETCH_POLL", 0.01),
        patch.object(collective, "collect", count),
    ):
        result = worker.execute(dataclasses.replace(request_of(folder, 1), train_ahead=False))
    return {"row": result.row, "asked": len(asked), "first": asked[0]}


def test_ranks_whose_images_come_late_are_asked_again_and_again(tmp_path: Path) -> None:
    first, second = on_workers(2, tmp_path, arrive_late, str(tmp_path))
    assert first["row"] == second["row"] == {"epoch": 1}
    assert first["asked"] == second["asked"] >= 10
    assert second["first"] is False


def build_encoder(spatial_dims: int, channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 4, 5, stride=4), nn.ReLU(), nn.Flatten(1))


def train(
    collective: Distributed, folder: str, task: Task, epochs: list[int], killed: int
) -> dict[str, Any]:
    """Train a trial, whose process of rank 0 is killed while it writes an epoch's checkpoint."""

    def save(state: Any, address: Any) -> None:
        if state["epoch"] == killed:
            Path(f"{address}.half").write_bytes(b"half")
            os._exit(9)
        save_checkpoint(state, address)

    worker = make_worker(collective, Peers(collective))
    with patch.object(checkpointer, "save_checkpoint", save):
        for epoch in epochs:
            result = deliver(worker, request_of(folder, epoch, task))
            assert result is None or result.failure is None
    return {}


@pytest.mark.slow
def test_a_group_killed_while_it_writes_ends_with_the_same_bits(
    task: Task, tmp_path: Path, make_folder: Callable[[str], str]
) -> None:
    whole, broken = make_folder("whole"), make_folder("broken")
    encoder = EncoderSpec(builder=build_encoder)
    short = dataclasses.replace(task, method="l1", epochs=3, encoder=encoder)
    on_workers(2, tmp_path, train, whole, short, [1, 2, 3], 0)
    with pytest.raises(AssertionError, match="ended with 9"):
        on_workers(2, tmp_path, train, broken, short, [1, 2, 3], 2)
    assert load_checkpoint(f"{broken}/trial.pt")["epoch"] == 1
    on_workers(2, tmp_path, train, broken, short, [2, 3], 0)
    ours, expected = (load_checkpoint(f"{folder}/trial.pt") for folder in (broken, whole))
    assert ours["epoch"] == 3
    for name in ("model", "ema_model"):
        for key, value in expected[name].items():
            assert torch.equal(ours[name][key], value), key


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[[str], str]:
    def make(name: str) -> str:
        (tmp_path / name).mkdir()
        return str(tmp_path / name)

    return make
