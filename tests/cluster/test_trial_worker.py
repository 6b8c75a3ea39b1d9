"""A worker at its worker, with a run that does what the test says instead of training."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from counted_run import CountedRun
from torch.distributed import DistBackendError

from supremix.cluster.log_capture import captured_log, clip, stacks
from supremix.cluster.messages import LOG_LIMIT, WorkerRequest, WorkerResult
from supremix.cluster.worker import worker as worker_module
from supremix.cluster.worker.errors import ends_process, lacks_memory
from supremix.cluster.worker.watchdog import Watchdog
from supremix.cluster.worker.worker import TrialWorker
from supremix.training import NonFiniteLossError, Solo
from supremix_datasets import StoreError


class Two(Solo):
    """One of two ranks, without the other."""

    world = 2


class Peers:
    """The other rank says what the test says."""

    def __init__(self, alike: bool) -> None:
        self.alike = alike
        self.votes: list[str] = []
        self.faults: list[tuple[str, bool, str]] = []
        self.waits = 0

    def agree(self, text: str) -> bool:
        self.votes.append(text)
        return self.alike

    def fault(self, text: str, memory: bool, log: str) -> None:
        self.faults.append((text, memory, log))

    def answered(self, timeout: float) -> None:
        self.waits += 1


@pytest.fixture(autouse=True)
def no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs here have none that could be fetched."""
    monkeypatch.setattr(worker_module, "fetch_stores", lambda task: None)


@pytest.fixture
def make_request(tmp_path: Path) -> Callable[..., WorkerRequest]:
    def make(**more: Any) -> WorkerRequest:
        task: Any = None
        checkpoint = str(tmp_path / "trial.pt")
        return WorkerRequest(key="a", task=task, config={}, checkpoint=checkpoint, epoch=1, **more)

    return make


@pytest.fixture
def does(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Have every run do something in its epochs."""

    def set_(deed: Callable[[], None]) -> None:
        def start(*rest: Any, **named: Any) -> CountedRun:
            return CountedRun(lambda epoch: deed())

        monkeypatch.setattr(worker_module, "start_run", start)

    return set_


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_what_is_logged_during_a_request_is_in_its_log(
    make_request: Callable[..., WorkerRequest], does: Callable[..., None]
) -> None:
    def speak() -> None:
        logging.getLogger("somewhere").warning("mind the gap")
        logging.getLogger("somewhere").info("all is well")
        warnings.warn("rather slow", UserWarning, stacklevel=1)

    does(speak)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = TrialWorker(Solo()).execute(make_request())
    assert result.row == {"epoch": 1}
    assert "WARNING somewhere: mind the gap" in result.log
    assert "UserWarning: rather slow" in result.log
    assert "all is well" not in result.log
    assert TrialWorker(Solo()).execute(make_request(limit=60.0)).log != result.log


def test_a_trial_on_another_dataset_is_another_run(
    make_request: Callable[..., WorkerRequest], does: Callable[..., None], tmp_path: Path
) -> None:
    """A trial of a joint objective keeps its key, and has a checkpoint for each dataset."""
    epochs: list[int] = []
    does(lambda: epochs.append(1))
    worker, first = TrialWorker(Solo()), make_request()
    worker.execute(first)
    worker.execute(first)
    assert len(epochs) == 1
    worker.execute(replace(first, checkpoint=str(tmp_path / "trial.1.pt")))
    assert len(epochs) == 2


def test_a_failure_has_a_line_for_the_table_and_its_traceback_in_the_log(
    make_request: Callable[..., WorkerRequest], does: Callable[..., None]
) -> None:
    does(failing(ValueError("no  good\nat all")))
    result = TrialWorker(Solo()).execute(make_request())
    assert result.failure is not None
    assert result.failure.startswith("ValueError: no good at all (test_trial_worker.py:")
    assert not result.retryable
    assert "Traceback (most recent call last)" in result.log


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("much"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    ],
)
def test_a_lack_of_memory_is_reported_and_may_pass(
    error: Exception, make_request: Callable[..., WorkerRequest], does: Callable[..., None]
) -> None:
    does(failing(error))
    result = TrialWorker(Solo()).execute(make_request())
    assert str(result.failure).startswith("out of memory: ")
    assert (result.out_of_memory, result.retryable) == (True, True)
    assert not lacks_memory(RuntimeError("shapes do not fit"))
    assert not lacks_memory(torch.AcceleratorError("CUDA error: unspecified launch failure"))


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), False),
        (torch.AcceleratorError("CUDA error: out of memory"), False),
        (MemoryError("much"), True),
    ],
)
def test_what_does_not_fit_a_gpu_that_nobody_shares_is_not_tried_again(
    error: Exception,
    again: bool,
    make_request: Callable[..., WorkerRequest],
    does: Callable[..., None],
) -> None:
    does(failing(error))
    result = TrialWorker(Solo(), shared=False).execute(make_request())
    assert (result.out_of_memory, result.retryable) == (True, again)


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"), False),
        (DistBackendError("NCCL communicator was aborted on rank 1"), False),
        (DistBackendError("ncclUnhandledCudaError: Failed to CUDA calloc 1048576 bytes"), True),
    ],
)
@pytest.mark.parametrize("ahead", [False, True])
def test_a_process_that_cannot_go_on_says_so_and_ends(
    error: Exception,
    memory: bool,
    ahead: bool,
    make_request: Callable[..., WorkerRequest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trial after it would fail at once, as every other of this worker would."""

    def start(*rest: Any, **named: Any) -> CountedRun:
        return CountedRun(lambda epoch: failing(error)() if epoch == 1 + ahead else None)

    monkeypatch.setattr(worker_module, "start_run", start)
    peers = Peers(alike=False)
    worker, request = TrialWorker(Solo(), peers=peers), make_request(train_ahead=ahead)

    def work() -> None:
        worker.hand_over(request, worker.execute(request), lambda result: result)

    with pytest.raises(type(error), match=str(error)):
        work()
    ((text, lacked, log),) = peers.faults
    assert str(error) in text
    assert lacked == memory
    assert "Traceback" in log
    # The error is not blamed on the epoch before it.
    assert peers.waits == ahead


def test_a_gpu_that_does_not_answer_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(device: torch.device) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    cuda, error = torch.device("cuda"), ValueError("something else")
    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    assert ends_process(error, cuda)
    assert not ends_process(error, torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    assert not ends_process(error, cuda)


def test_an_error_that_all_ranks_raise_alike_is_a_result(
    make_request: Callable[..., WorkerRequest], does: Callable[..., None]
) -> None:
    does(failing(NonFiniteLossError("it is NaN")))
    peers = Peers(alike=True)
    result = TrialWorker(Two(), peers=peers).execute(make_request())
    assert str(result.failure).startswith("NonFiniteLossError: it is NaN")
    assert peers.votes == [result.failure]
    assert not peers.faults


@pytest.mark.parametrize(
    ("error", "alike", "asked"),
    [
        (NonFiniteLossError("it is NaN"), False, 1),
        # Raised between the halves of a collective operation, perhaps: nobody is asked.
        (RuntimeError("connection closed by peer"), True, 0),
        (MemoryError("much"), True, 0),
    ],
)
def test_any_other_error_of_one_of_several_ranks_ends_the_workers(
    error: Exception,
    alike: bool,
    asked: int,
    make_request: Callable[..., WorkerRequest],
    does: Callable[..., None],
) -> None:
    does(failing(error))
    peers = Peers(alike)
    with pytest.raises(type(error), match=str(error)):
        TrialWorker(Two(), peers=peers).execute(make_request())
    assert len(peers.votes) == asked
    ((text, memory, log),) = peers.faults
    assert str(error) in text
    assert memory == isinstance(error, MemoryError)
    assert "Traceback" in log


def test_an_epoch_over_its_limit_calls_the_watchdog(
    make_request: Callable[..., WorkerRequest], does: Callable[..., None]
) -> None:
    ended, reasons = threading.Event(), list[str]()

    def end(reason: str) -> None:
        reasons.extend((reason, stacks()))
        ended.set()

    def hang() -> None:
        assert ended.wait(60)

    does(hang)
    TrialWorker(Solo(), watchdog=Watchdog(end)).execute(make_request(limit=0.05))
    assert reasons[0] == "hung: no epoch 1 within 0.05 s"
    assert "in hang" in reasons[1]


def test_an_epoch_within_its_limit_does_not(
    make_request: Callable[..., WorkerRequest], does: Callable[..., None]
) -> None:
    reasons = list[str]()
    does(lambda: None)
    before = threading.active_count()
    result: WorkerResult = TrialWorker(Solo(), watchdog=Watchdog(reasons.append)).execute(
        make_request(limit=60.0)
    )
    assert result.failure is None
    deadline = time.monotonic() + 30
    while threading.active_count() > before:  # a timer that was called off ends at once
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert not reasons


def test_a_log_keeps_its_last_lines() -> None:
    with captured_log() as log:
        for number in range(10_000):
            log.add(f"line {number}")
    assert len(log.text) <= LOG_LIMIT
    assert log.text.endswith("line 9998\nline 9999\n")
    assert log.text.startswith("line ")
    assert clip("short") == "short"


@pytest.mark.parametrize("world", [1, 2])
def test_prepared_images_that_are_gone_are_no_failure_of_the_trial(
    make_request: Callable[..., WorkerRequest], does: Callable[..., None], world: int
) -> None:
    does(failing(StoreError("no prepared store in '/cache' (no manifest.json). Prepare it.")))
    collective = Solo() if world == 1 else Two()

    result = TrialWorker(collective, peers=Peers(alike=True)).execute(make_request())

    assert result.cluster_failure
    assert result.failure == (
        "the prepared images are gone or cannot be read (no prepared store in '/cache' (no "
        "manifest.json)), and are prepared again when it is resumed"
    )
