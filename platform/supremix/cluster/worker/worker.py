"""The execution of requests by a worker of a worker group. Knows nothing of Ray."""

from __future__ import annotations

import gc
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import torch

from supremix.cluster.log_capture import LogCapture, captured_log
from supremix.cluster.messages import (
    STORAGE_LIMIT,
    PredictionRequest,
    Row,
    WorkerRequest,
    WorkerResult,
)
from supremix.cluster.worker.async_checkpoint import AsyncCheckpointer
from supremix.cluster.worker.errors import RankZeroError, ends_process, failure
from supremix.cluster.worker.watchdog import Watchdog
from supremix.errors import TrainingError
from supremix.models import import_encoders
from supremix.storage.paths import to_path, write_bytes
from supremix.storage.retry import WORKER_PATIENCE, with_retries
from supremix.training import (
    Collective,
    JointRun,
    Task,
    TrialRun,
    checkpoint_exists,
    forget_stores,
    load_checkpoint,
    start_run,
)
from supremix_datasets import StoreError
from supremix_datasets.stores.shared import open_shared
from supremix_reports import to_parquet

FETCH_POLL = 5.0
"""Seconds between two questions of the ranks whether all have the images."""

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class OtherRanks(Protocol):
    """The other ranks, reached about an error without a collective operation."""

    def agree(self, text: str) -> bool:
        """Whether every rank reports this text; waits for them for a while."""
        ...

    def fault(self, text: str, memory: bool, log: str) -> None:
        """Say why the workers are about to end."""
        ...

    def answered(self, timeout: float) -> None:
        """Return when rank 0 has delivered the last result, or after some seconds."""
        ...


class TrialWorker:
    """Executes requests, keeping the trial's run between two of them.

    Everything of a trial (model, optimizer, random numbers) is built new for it, so that a trial
    gives the same numbers on a fresh worker group and on a warm one.

    Args:
        collective: The worker group's workers; every one of them executes the same requests.
        device: Device to train on, None for the default of `TrialRun`.
        watchdog: Ends this process when a step exceeds its request's limit; None for no limits.
        peers: The other ranks; None where there are none.
        shared: Whether other processes use the device, so that a lack of memory may pass.
    """

    def __init__(
        self,
        collective: Collective,
        device: torch.device | None = None,
        *,
        watchdog: Watchdog | None = None,
        peers: OtherRanks | None = None,
        shared: bool = True,
    ) -> None:
        import_encoders()
        self._collective = collective
        self._device = device
        self._watchdog = watchdog
        self._peers = peers
        self._shared = shared
        self._run_id: tuple[str, str] | None = None
        self._run: TrialRun | JointRun | None = None
        self._checkpointer = AsyncCheckpointer()
        self._saved = 0
        """Epoch of the run's last checkpoint, or of the one that is being written."""
        self._log_ahead = ""
        """The log of an epoch that was trained ahead."""

    def execute(self, request: WorkerRequest) -> WorkerResult:
        """Train the request's trial up to its epoch and collect the results it asks for.

        A trial that fails is a `WorkerResult` with the reason. An error after which nothing can be
        trained in this process goes on, and new workers get the trial. With several workers the
        others may be waiting inside a collective operation: then too the exception goes on, the
        worker group gets new workers, and the pool gives the trial up after some deliveries. The
        one that does not is an error of the training itself that all ranks raise at the same point,
        such as a loss that is not finite: those come between collective operations, so every rank
        can go on.

        Prepared images that cannot be read say nothing about the trial: the cluster has failed.

        The checkpoint of a request that trains ahead may still be being written: see `hand_over`.
        """
        with captured_log() as log:
            try:
                result = self._execute(request, log)
            except Exception as error:
                log.add(traceback.format_exc())
                result = failure(error, shared=self._shared)
                broken = ends_process(error, self._device)
                if not broken:
                    self._drop()
                self._checkpointer.forget()
                if broken or not self._unanimous(error, result):
                    self._report(result, log.text)
                    raise
        if result.out_of_memory:
            self._free()
        return replace(result, log=log.text)

    def hand_over(
        self,
        request: WorkerRequest,
        result: WorkerResult,
        deliver: Callable[[WorkerResult], Answer],
    ) -> Answer | None:
        """Deliver a result, once its checkpoint is written. Collective.

        Where the request says `train_ahead` the workers train the trial's next epoch meanwhile;
        that epoch is dropped where a request for another one comes.

        Args:
            request: The request that was executed.
            result: Its result.
            deliver: Delivers a result, and returns the answer; called on rank 0 alone, in a thread
                of its own where an epoch is trained meanwhile.

        Returns:
            The answer on rank 0, None on the others.
        """
        run, first = self._run, self._collective.rank == 0
        if run is None or not self._trains_ahead(request, run):
            return deliver(result) if first else None
        with ThreadPoolExecutor(1, thread_name_prefix="result") as thread:
            written = thread.submit(self._checkpointed, result) if first else None
            answer = thread.submit(lambda: deliver(written.result())) if written else None
            self._train_ahead(request, run)
            with self._within(request, "checkpoint", STORAGE_LIMIT):
                received = answer.result() if answer else None
                failed = written is not None and written.result().failure is not None
                # No rank builds on an epoch whose checkpoint rank 0 could not write.
                if self._collective.broadcast(failed):
                    self._saved = 0
        return received

    def _checkpointed(self, result: WorkerResult) -> WorkerResult:
        """A result whose checkpoint is written, or the failure to write it."""
        try:
            self._checkpointer.wait()
        except Exception as error:  # noqa: BLE001 - it becomes the result
            return replace(
                failure(error, shared=self._shared), log=result.log + traceback.format_exc()
            )
        return result

    def _train_ahead(self, request: WorkerRequest, run: TrialRun | JointRun) -> None:
        """Train the epoch that is likely to be asked for next."""
        failed = False
        with captured_log() as log:
            try:
                with self._within(request, f"epoch {run.epoch + 1}"):
                    run.advance()
            except Exception as error:
                result = failure(error, shared=self._shared)
                if ends_process(error, self._device) or not self._unanimous(error, result):
                    if self._peers is not None:
                        # The failure is not one of the epoch before.
                        self._peers.answered(STORAGE_LIMIT)
                    self._report(result, traceback.format_exc())
                    raise
                # A request for this epoch meets the error again, from the checkpoint on.
                logger.debug("an epoch ahead failed", exc_info=True)
                failed = True
        self._log_ahead = log.text
        if failed:
            self._free()

    def _report(self, result: WorkerResult, log: str) -> None:
        """Say why this process is about to end."""
        if self._peers is not None:
            self._peers.fault(str(result.failure), result.out_of_memory, log)

    def _trains_ahead(self, request: WorkerRequest, run: TrialRun | JointRun) -> bool:
        return request.train_ahead and run.epoch < run.total

    def _unanimous(self, error: Exception, result: WorkerResult) -> bool:
        """Whether all ranks have met this error at the same point of their work."""
        if self._collective.world == 1 or isinstance(error, RankZeroError):
            return True
        if self._peers is None or not isinstance(error, TrainingError | StoreError):
            return False
        return self._peers.agree(str(result.failure))

    def _execute(self, request: WorkerRequest, log: LogCapture) -> WorkerResult:
        with self._within(request, f"start of epoch {request.epoch}", STORAGE_LIMIT):
            run = self._find(request)
        if self._log_ahead:
            log.add(self._log_ahead)
            self._log_ahead = ""
        self._save(request, run)
        while run.epoch < request.epoch:
            with self._within(request, f"epoch {run.epoch + 1}"):
                run.advance()
            self._save(request, run)
        if request.predict is not None:
            self._predict(request, request.predict, run)
        if (folder := request.export) is not None:
            with self._within(request, "export", STORAGE_LIMIT):
                self._on_rank_zero(lambda: run.export(folder))
        embedding = None
        if request.embed is not None:
            with self._within(request, f"features of {request.embed}"):
                embedding = run.embed(request.embed)
        if not self._trains_ahead(request, run):
            with self._within(request, "checkpoint", STORAGE_LIMIT):
                self._on_rank_zero(self._checkpointer.wait)
        row = dict(run.history[request.epoch - 1])
        return WorkerResult(row=row, total=run.total, embedding=embedding)

    def _predict(
        self, request: WorkerRequest, wanted: PredictionRequest, run: TrialRun | JointRun
    ) -> None:
        """Predict some splits and write the predictions into their file."""
        rows: list[Row] = []
        for split in wanted.splits:
            with self._within(request, f"predictions of {split}"):
                rows += _rows(run.evaluate(split), {**wanted.columns, "split": split})
        with self._within(request, "predictions", STORAGE_LIMIT):
            self._on_rank_zero(lambda: write_predictions(wanted.address, rows))

    def _save(self, request: WorkerRequest, run: TrialRun | JointRun) -> None:
        """Have the run's state written, unless it is."""
        if run.epoch == self._saved:
            return
        self._saved = run.epoch

        def save() -> None:
            state = run.state()
            self._checkpointer.save(state, request.checkpoint)
            if isinstance(run, TrialRun) and run.epoch == run.branch < run.total:
                self._checkpointer.save(state, request.branch_checkpoint)

        with self._within(request, "checkpoint", STORAGE_LIMIT):
            self._on_rank_zero(save)

    def _on_rank_zero(self, act: Callable[[], None]) -> None:
        """Do something on rank 0; where it fails there, it fails on all ranks. Collective.

        Raises:
            RankZeroError: It failed, unless in a way after which the process cannot go on.
        """
        error: Exception | None = None
        if self._collective.rank == 0:
            try:
                act()
            except Exception as raised:
                if ends_process(raised, self._device):
                    raise
                error = raised
        reason = self._collective.broadcast(None if error is None else str(error))
        if reason is not None:
            raise RankZeroError(reason) from error

    def _within(
        self, request: WorkerRequest, what: str, more: float = 0.0
    ) -> AbstractContextManager[None]:
        if request.limit is None or self._watchdog is None:
            return nullcontext()
        return self._watchdog.within(request.limit + more, what)

    def _find(self, request: WorkerRequest) -> TrialRun | JointRun:
        # One trial may be trained on several datasets, each with a checkpoint of its own.
        wanted = request.key, request.checkpoint
        if self._run is not None and self._run_id == wanted and self._fits(self._run, request):
            return self._run
        self._drop()
        self._fetch(request.task)
        run = start_run(
            request.task, request.config, collective=self._collective, device=self._device
        )
        for address in (request.checkpoint, request.branch_checkpoint):
            # Rank 0 looks, so that no two workers disagree about a file on a shared disk.
            if self._collective.broadcast(checkpoint_exists(address)):
                state = load_checkpoint(address)
                # A prolonged trial may have to go back to where its length did not matter.
                if isinstance(run, JointRun) or run.continues(state):
                    run.load(state)
                    break
        self._saved = run.epoch
        self._run_id, self._run = wanted, run
        return run

    def _fetch(self, task: Task | tuple[Task, ...]) -> None:
        """Have the images on each rank's node, however late they arrive there. Collective.

        The ranks ask each other again and again, so that no operation waits longer than it may.
        """
        if self._collective.world == 1:
            return
        with ThreadPoolExecutor(1, thread_name_prefix="fetch") as thread:
            fetching = thread.submit(fetch_stores, task)
            wait([fetching], FETCH_POLL)
            while not all(self._collective.collect(fetching.done())):
                wait([fetching], FETCH_POLL)
            fetching.result()

    def _fits(self, run: TrialRun | JointRun, request: WorkerRequest) -> bool:
        """Whether the run is not past the request by an epoch that was trained ahead."""
        return self._saved > 0 and run.epoch <= max(request.epoch, self._saved)

    def _drop(self) -> None:
        self._run_id = self._run = None
        self._log_ahead = ""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _free(self) -> None:
        """Free the memory of a failed attempt; nothing holds its traceback any more."""
        forget_stores()
        gc.collect()
        self._drop()


def fetch_stores(task: Task | tuple[Task, ...]) -> None:
    """Have the prepared images of a task, or of several, on this node."""
    for one in (task,) if isinstance(task, Task) else task:
        open_shared(one.store, one.cache)


def _rows(predictions: dict[str, Any], common: Mapping[str, Any]) -> list[Row]:
    names = list(predictions)
    columns = [predictions[name].tolist() for name in names]
    return [
        {**common, **dict(zip(names, values, strict=True))} for values in zip(*columns, strict=True)
    ]


def write_predictions(address: str, rows: Sequence[Row]) -> None:
    """Write a file with the columns of the table ``predictions``, whole or not at all.

    Args:
        address: Path or fsspec address of the file.
        rows: A mapping for each sample and split.

    Raises:
        SchemaError: A row does not fit the table.
        RunFolderError: The storage went on failing.
        OSError: The storage refuses, and would again.
    """
    data, path = to_parquet("predictions", rows), to_path(address)
    with_retries(lambda: write_bytes(path, data), address, patience=WORKER_PATIENCE)
