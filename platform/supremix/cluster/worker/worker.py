"""What every worker of a worker group does with an order. Knows nothing of Ray."""

from __future__ import annotations

import gc
import logging
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from supremix.cluster.log_capture import LogCapture, taking_notes
from supremix.cluster.messages import START_UP, Row, WorkerRequest, WorkerResult
from supremix.cluster.worker.async_checkpoint import AsyncCheckpointer
from supremix.cluster.worker.watchdog import Watchdog
from supremix.errors import TrainingError
from supremix.training import (
    Collective,
    JointRun,
    TrialRun,
    checkpoint_exists,
    load_checkpoint,
    start_run,
)

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Peers(Protocol):
    """How a worker speaks of an error with the other ranks, beside all collective operations."""

    def agree(self, text: str) -> bool:
        """Whether every rank says this text; waits for them for a while."""
        ...

    def fault(self, text: str, memory: bool, log: str) -> None:
        """Say why the group is about to end."""
        ...


class TrialWorker:
    """Executes orders, keeping the run of the trial at hand between two of them.

    Everything of a trial (model, optimizer, random numbers) is built anew for it, so that a
    trial gives the same numbers on a fresh worker group and on a warm one.

    Args:
        collective: The worker group's workers; every one of them executes the same orders.
        device: Where to train, None for the default of `TrialRun`.
        watchdog: Ends this process when a step exceeds its order's limit; None for no limits.
        peers: To speak with the other ranks of an error; None where there are none.
    """

    def __init__(
        self,
        collective: Collective,
        device: torch.device | None = None,
        *,
        watchdog: Watchdog | None = None,
        peers: Peers | None = None,
    ) -> None:
        self._collective = collective
        self._device = device
        self._watchdog = watchdog
        self._peers = peers
        self._held: tuple[str, str] | None = None
        self._run: TrialRun | JointRun | None = None
        self._checkpointer = AsyncCheckpointer()
        self._saved = 0
        """Epoch of the run's last checkpoint, or of the one that is being written."""
        self._said = ""
        """What was noted of an epoch that nobody has asked for yet."""

    def execute(self, order: WorkerRequest) -> WorkerResult:
        """Bring the order's trial to its epoch and collect what was asked for.

        A failing trial is an `WorkerResult` with its reason. With several workers the others may be
        waiting inside a collective operation: then the exception goes on, the whole worker group
        starts again, and the pool gives the trial up after some deliveries. Unless it is an error
        of the training itself that all ranks raise at the same place, such as a loss that is not
        finite: those come between collective operations, so every rank can go on.

        The checkpoint of an order that goes `onward` may still be being written: see `hand_over`.
        """
        with taking_notes() as notes:
            try:
                outcome = self._execute(order, notes)
            except Exception as error:
                notes.add(traceback.format_exc())
                outcome = _failure(error)
                self._drop()
                self._checkpointer.forget()
                if self._collective.world > 1 and not self._alike(error, outcome):
                    if self._peers is not None:
                        self._peers.fault(str(outcome.failure), outcome.memory, notes.text)
                    raise
        if outcome.memory:
            self._free()
        return replace(outcome, log=notes.text)

    def hand_over(
        self, order: WorkerRequest, outcome: WorkerResult, tell: Callable[[WorkerResult], Answer]
    ) -> Answer:
        """Tell an outcome, once its checkpoint is written.

        A single worker whose order goes `onward` trains the trial's next epoch meanwhile; it is
        thrown away where another order comes than the one for it.

        Args:
            order: What was executed.
            outcome: What came of it.
            tell: Hands an outcome over, and returns what is answered to it.

        Returns:
            That answer.
        """
        run = self._run
        if run is None or not self._goes_onward(order, run):
            return tell(outcome)
        with ThreadPoolExecutor(1, thread_name_prefix="outcome") as thread:
            answer = thread.submit(lambda: tell(self._whole(outcome)))
            self._go_on(order, run)
            with self._within(order, "checkpoint", START_UP):
                return answer.result()

    def _whole(self, outcome: WorkerResult) -> WorkerResult:
        """An outcome whose checkpoint is written, or what came of writing it."""
        try:
            self._checkpointer.wait()
        except Exception as error:  # noqa: BLE001 - it becomes the outcome
            self._saved = 0
            return replace(_failure(error), log=outcome.log + traceback.format_exc())
        return outcome

    def _go_on(self, order: WorkerRequest, run: TrialRun | JointRun) -> None:
        """Train an epoch that is likely to be asked for next."""
        failed = False
        with taking_notes() as notes:
            try:
                with self._within(order, f"epoch {run.epoch + 1}"):
                    run.advance()
            except Exception:
                # Whoever asks for this epoch meets with the error anew, from the checkpoint on.
                logger.debug("an epoch ahead failed", exc_info=True)
                failed = True
        self._said = notes.text
        if failed:
            self._free()

    def _goes_onward(self, order: WorkerRequest, run: TrialRun | JointRun) -> bool:
        # Several ranks would have to agree on an epoch that only some of them failed to train.
        return order.onward and self._collective.world == 1 and run.epoch < run.total

    def _alike(self, error: Exception, outcome: WorkerResult) -> bool:
        if self._peers is None or not isinstance(error, TrainingError):
            return False
        return self._peers.agree(str(outcome.failure))

    def _execute(self, order: WorkerRequest, notes: LogCapture) -> WorkerResult:
        with self._within(order, f"start of epoch {order.epoch}", START_UP):
            run = self._find(order)
        if self._said:
            notes.add(self._said)
            self._said = ""
        self._save(order, run)
        while run.epoch < order.epoch:
            with self._within(order, f"epoch {run.epoch + 1}"):
                run.advance()
            self._save(order, run)
        predictions: list[Row] = []
        for split in order.predict:
            with self._within(order, f"predictions of {split}"):
                predictions += _rows(run.judge(split), split)
        if order.export is not None and self._collective.rank == 0:
            with self._within(order, "export", START_UP):
                run.export(order.export)
        embedding = None
        if order.embed is not None:
            with self._within(order, f"features of {order.embed}"):
                embedding = run.embed(order.embed)
        if not self._goes_onward(order, run):
            self._settle(order)
        row = dict(run.history[order.epoch - 1])
        return WorkerResult(row=row, total=run.total, predictions=predictions, embedding=embedding)

    def _save(self, order: WorkerRequest, run: TrialRun | JointRun) -> None:
        """Have the run's state written, unless it is."""
        if run.epoch == self._saved:
            return
        self._saved = run.epoch
        if self._collective.rank == 0:
            with self._within(order, "checkpoint", START_UP):
                self._checkpointer.save(run.state(), order.checkpoint)

    def _settle(self, order: WorkerRequest) -> None:
        """Wait until the checkpoint is written; all ranks wait alike for storage that is away."""
        with self._within(order, "checkpoint", START_UP):
            if self._collective.rank == 0:
                self._checkpointer.wait()
            self._collective.broadcast(None)

    def _within(
        self, order: WorkerRequest, what: str, more: float = 0.0
    ) -> AbstractContextManager[None]:
        if order.limit is None or self._watchdog is None:
            return nullcontext()
        return self._watchdog.within(order.limit + more, what)

    def _find(self, order: WorkerRequest) -> TrialRun | JointRun:
        # One trial may be trained on several datasets, each with a checkpoint of its own.
        wanted = order.key, order.checkpoint
        if self._run is not None and self._held == wanted and self._fits(self._run, order):
            return self._run
        self._drop()
        run = start_run(order.task, order.config, collective=self._collective, device=self._device)
        # Rank 0 looks, so that no two workers disagree about a file on a shared disk.
        if self._collective.broadcast(checkpoint_exists(order.checkpoint)):
            run.load(load_checkpoint(order.checkpoint))
        self._saved = run.epoch
        self._held, self._run = wanted, run
        return run

    def _fits(self, run: TrialRun | JointRun, order: WorkerRequest) -> bool:
        """Whether the run is not ahead of the order by an epoch that was trained in vain."""
        return self._saved > 0 and run.epoch <= max(order.epoch, self._saved)

    def _drop(self) -> None:
        self._held = self._run = None
        self._said = ""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _free(self) -> None:
        """Give back what a failed attempt held; its traceback is gone by now."""
        gc.collect()
        self._drop()


def _rows(judged: dict[str, Any], split: str) -> list[Row]:
    names = list(judged)
    columns = [judged[name].tolist() for name in names]
    return [
        {"split": split, **dict(zip(names, values, strict=True))}
        for values in zip(*columns, strict=True)
    ]


def _failure(error: Exception) -> WorkerResult:
    if lacks_memory(error):
        text = f"out of memory: {_reason(error)}"
        return WorkerResult(failure=text, memory=True, again=True)
    return WorkerResult(failure=_reason(error))


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, of a GPU or of the machine."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # torch's allocator on the CPU has no exception of its own.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _reason(error: Exception) -> str:
    """One line for the tables: the error and where in the code it arose."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    text = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {text} ({where})"
