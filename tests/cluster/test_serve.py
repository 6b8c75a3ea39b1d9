"""The loop of a worker: it asks for requests, executes them, and hands over their results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from counted_run import CountedRun

from supremix.cluster.messages import Message, WorkerRequest, WorkerResult
from supremix.cluster.worker import group as group_module
from supremix.cluster.worker import worker as worker_module
from supremix.cluster.worker.group import NodeDrainsError, serve
from supremix.training import Solo


class Client:
    """The pool gives one message after the other."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = iter(messages)
        self.received: list[WorkerResult | None] = []
        self.numbers: list[int] = []

    def join(self, world: int) -> bool:
        return True

    def begin(self, number: int) -> None:
        self.numbers.append(number)

    def end(self, reason: str) -> None:
        raise AssertionError(reason)

    def exchange(self, result: WorkerResult | None) -> Message:
        self.received.append(result)
        return next(self.messages)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Client]:
    """Let a worker serve a pool that gives these messages."""

    def start(*messages: Message) -> Client:
        client = Client(list(messages))
        monkeypatch.setattr(group_module, "make_collective", Solo)
        monkeypatch.setattr(group_module, "PoolClient", lambda *rest: client)
        monkeypatch.setattr(group_module, "claim_device", lambda *rest: torch.device("cpu"))
        monkeypatch.setattr(worker_module, "import_encoders", lambda: None)
        monkeypatch.setattr(
            worker_module, "start_run", lambda *rest, **named: CountedRun(lambda epoch: None)
        )
        serve({"pool": None, "worker_group": 0, "gpus": 0})
        return client

    return start


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[int], Message]:
    def make(epoch: int) -> Message:
        task: Any = None
        request = WorkerRequest(
            key="a",
            task=task,
            config={},
            checkpoint=str(tmp_path / "a.pt"),
            epoch=epoch,
            train_ahead=True,
        )
        return Message(kind="work", number=epoch, request=request)

    return make


def test_each_result_is_handed_over_with_the_next_question(
    work: Callable[..., Client], ask: Callable[[int], Message]
) -> None:
    client = work(ask(1), Message(kind="wait"), ask(2), ask(3), Message(kind="quit"))
    rows = [None if result is None else result.row for result in client.received]
    assert rows == [None, {"epoch": 1}, None, {"epoch": 2}, {"epoch": 3}]
    assert client.numbers == [1, 2, 3]


def test_a_node_that_drains_ends_the_worker_after_its_result(
    work: Callable[..., Client], ask: Callable[[int], Message]
) -> None:
    with pytest.raises(NodeDrainsError, match="removal of the node"):
        work(ask(1), Message(kind="leave"))
