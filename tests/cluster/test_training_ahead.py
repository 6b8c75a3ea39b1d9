"""A worker that trains the next epoch while it hands over the last one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counted_run import CountedRun

from supremix.cluster.messages import PredictionRequest, WorkerRequest, WorkerResult
from supremix.cluster.worker import async_checkpoint as checkpointer
from supremix.cluster.worker import worker as worker_module
from supremix.cluster.worker.worker import TrialWorker
from supremix.training import Solo, load_checkpoint, save_checkpoint
from supremix_reports import read_file

LONG = 60.0


class Runs:
    """Epochs trained so far, of all runs, and what happens in one."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.deed: Callable[[int], None] = lambda epoch: None

    def __call__(self, *rest: Any, **named: Any) -> CountedRun:
        return CountedRun(self._train)

    def _train(self, epoch: int) -> None:
        self.epochs.append(epoch)
        self.deed(epoch)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    runs = Runs()
    monkeypatch.setattr(worker_module, "start_run", runs)
    return runs


@pytest.fixture
def make_request(tmp_path: Path) -> Callable[..., WorkerRequest]:
    def make(epoch: int, *, key: str = "a", train_ahead: bool = True, **more: Any) -> WorkerRequest:
        task: Any = None
        checkpoint = str(tmp_path / f"{key}.pt")
        return WorkerRequest(
            key=key,
            task=task,
            config={},
            checkpoint=checkpoint,
            epoch=epoch,
            train_ahead=train_ahead,
            **more,
        )

    return make


def deliver(worker: TrialWorker, request: WorkerRequest) -> tuple[WorkerResult, int]:
    """The result as it is delivered, and the epoch of the checkpoint at that moment."""

    def receive(result: WorkerResult) -> tuple[WorkerResult, int]:
        path = Path(request.checkpoint)
        return result, load_checkpoint(path)["epoch"] if path.exists() else 0

    answer = worker.hand_over(request, worker.execute(request), receive)
    assert answer is not None
    return answer


def test_every_epoch_is_trained_once_and_delivered_with_its_checkpoint(
    runs: Runs, make_request: Callable[..., WorkerRequest]
) -> None:
    worker = TrialWorker(Solo())
    ahead: list[list[int]] = []
    for epoch in (1, 2, 3):
        result, kept = deliver(worker, make_request(epoch))
        assert (result.row, kept) == ({"epoch": epoch}, epoch)
        ahead.append(list(runs.epochs))
    assert ahead == [[1, 2], [1, 2, 3], [1, 2, 3]]


@pytest.fixture
def seen(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each checkpoint whether the second epoch was under way before it was written."""
    training, seen = threading.Event(), list[bool]()

    def save(state: Any, address: Any) -> None:
        seen.append(training.wait(LONG))
        save_checkpoint(state, address)

    def deed(epoch: int) -> None:
        if epoch == 2:
            training.set()

    monkeypatch.setattr(checkpointer, "save_checkpoint", save)
    runs.deed = deed
    return seen


def test_the_next_epoch_begins_while_the_checkpoint_is_written(
    make_request: Callable[..., WorkerRequest], seen: list[bool]
) -> None:
    result, kept = deliver(TrialWorker(Solo()), make_request(1))
    assert (seen, result.failure, kept) == ([True], None, 1)


def test_a_request_of_several_epochs_trains_while_it_writes(
    make_request: Callable[..., WorkerRequest], seen: list[bool]
) -> None:
    assert deliver(TrialWorker(Solo()), make_request(3, train_ahead=False))[1] == 3
    assert seen == [True, True, True]


def test_without_the_hint_nothing_is_trained_ahead(
    runs: Runs, make_request: Callable[..., WorkerRequest]
) -> None:
    assert deliver(TrialWorker(Solo()), make_request(1, train_ahead=False))[1] == 1
    assert runs.epochs == [1]


def test_a_checkpoint_that_cannot_be_written_is_the_result(
    runs: Runs, make_request: Callable[..., WorkerRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = TrialWorker(Solo())
    deliver(worker, make_request(1, train_ahead=False))

    def refuse(state: Any, address: Any) -> None:
        raise PermissionError("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(checkpointer, "save_checkpoint", refuse)
        result, kept = deliver(worker, make_request(2))
    assert result.failure is not None
    assert "PermissionError: read-only" in result.failure
    assert "Traceback" in result.log
    assert kept == 1
    # What was trained since the last checkpoint is not built upon.
    runs.epochs.clear()
    assert deliver(worker, make_request(2, train_ahead=False))[1] == 2
    assert runs.epochs == [2]


def test_a_failure_of_an_epoch_ahead_is_reported_when_it_is_asked_for(
    runs: Runs, make_request: Callable[..., WorkerRequest]
) -> None:
    def deed(epoch: int) -> None:
        if epoch == 2:
            raise ArithmeticError("diverged")

    runs.deed = deed
    worker = TrialWorker(Solo())
    first, _ = deliver(worker, make_request(1))
    second, kept = deliver(worker, make_request(2))
    assert first.failure is None
    assert second.failure is not None
    assert "ArithmeticError: diverged" in second.failure
    assert (runs.epochs, kept) == ([1, 2, 2], 1)


def test_a_failed_trial_leaves_nothing_to_the_next(
    runs: Runs, make_request: Callable[..., WorkerRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint of the failed trial that could not be written is no failure of the other's."""

    def refuse(state: Any, address: Any) -> None:
        raise PermissionError("read-only")

    def deed(epoch: int) -> None:
        if epoch == 2:
            raise ArithmeticError("diverged")

    runs.deed = deed
    worker = TrialWorker(Solo())
    with monkeypatch.context() as patch:
        patch.setattr(checkpointer, "save_checkpoint", refuse)
        result, _ = deliver(worker, make_request(2))
    assert result.failure is not None
    assert "ArithmeticError: diverged" in result.failure
    runs.deed = lambda epoch: None
    assert deliver(worker, make_request(1, key="b"))[0].failure is None


def test_an_epoch_that_nobody_asks_for_is_dropped(
    runs: Runs, make_request: Callable[..., WorkerRequest]
) -> None:
    worker = TrialWorker(Solo())
    deliver(worker, make_request(1))
    deliver(worker, make_request(1, key="b", train_ahead=False))
    assert runs.epochs == [1, 2, 1]
    deliver(worker, make_request(2, train_ahead=False))
    assert runs.epochs == [1, 2, 1, 2]


def test_a_repeated_request_is_answered_from_its_checkpoint(
    runs: Runs,
    make_request: Callable[..., WorkerRequest],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The network would be one epoch further than the predictions that are asked for."""
    worker = TrialWorker(Solo())
    deliver(worker, make_request(1))
    assert runs.epochs == [1, 2]
    predicted: list[int] = []

    def evaluate(run: CountedRun, split: str) -> dict[str, Any]:
        predicted.append(run.epoch)
        names = {name: np.array(["a", "b"], dtype=object) for name in ("id", "group")}
        return {**names, "target": np.array([1.0, 2.0]), "prediction": np.array([1.5, 2.5])}

    monkeypatch.setattr(CountedRun, "evaluate", evaluate, raising=False)
    columns = {"run": "r", "dataset": "discs", "method": "l1", "trial": 0, "seed": 7}
    file = str(tmp_path / "predictions" / "a.parquet")
    predict = PredictionRequest(splits=("val", "test"), address=file, columns=columns)
    worker.execute(make_request(1, train_ahead=False, predict=predict))
    assert (predicted, runs.epochs) == ([1, 1], [1, 2])
    rows = read_file(file, "predictions")
    assert rows.select("split", "id", "prediction", "seed").rows() == [
        ("val", "a", 1.5, 7),
        ("val", "b", 2.5, 7),
        ("test", "a", 1.5, 7),
        ("test", "b", 2.5, 7),
    ]
    assert [path.name for path in (tmp_path / "predictions").iterdir()] == ["a.parquet"]


def test_what_an_epoch_ahead_logs_is_in_its_own_log(
    runs: Runs, make_request: Callable[..., WorkerRequest]
) -> None:
    runs.deed = lambda epoch: logging.getLogger("somewhere").warning("epoch %d", epoch)
    worker = TrialWorker(Solo())
    logs = [deliver(worker, make_request(epoch))[0].log for epoch in (1, 2, 3)]
    assert [[f"epoch {epoch}\n" in log for epoch in (1, 2, 3)] for log in logs] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]
