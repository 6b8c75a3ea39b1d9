"""The messages between the pool and a worker group: requests one way, results the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from supremix.errors import SpecError
from supremix.training import Task

Row = dict[str, Any]

STORAGE_LIMIT = 1800.0
"""Seconds that steps which wait for storage (a trial's start, a checkpoint, an export) may take
beyond the limit of an epoch; longer than the platform waits for storage that is away."""

LOG_LIMIT = 64 * 1024
"""Characters of a result's log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionRequest:
    """Predictions that a worker group shall write into a file.

    Args:
        splits: Splits that are predicted, in this order.
        address: Parquet file with the columns of the table ``predictions``, written by rank 0 whole
            or not at all.
        columns: Columns that are the same in every row: run, method, trial and seed, and dataset
            unless several tasks are trained jointly.
    """

    splits: tuple[str, ...]
    address: str
    columns: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerRequest:
    """One piece of work for a worker group, which may be delivered twice without harm.

    A request says where a trial shall be, not what to do next: "have epoch `epoch` behind you". A
    worker group that is there already answers from the trial's history, one that has lost its
    workers starts at the trial's checkpoint. So a repeated request never trains an epoch twice and
    never gives another answer.

    Args:
        key: The trial, unique among all that the worker group works for.
        task: Task, which does not change during a search; several tasks are trained jointly.
        config: Hyperparameters of the trial, see `JointRun` where the tasks are several.
        checkpoint: File of the trial's checkpoint, written after every epoch; where it exists the
            trial starts from it.
        epoch: The epoch (from 1) whose row is asked for; the trial is trained up to it.
        predict: Predictions that shall be written as well, or None.
        export: Folder to save the model to, or None.
        embed: Split whose features are asked for as well, or None.
        limit: Seconds that one step of the work (an epoch, a prediction, an export) may take before
            its workers are ended and the request is delivered again; None for no limit. Waiting for
            a worker group does not count, and steps that wait for storage may take `STORAGE_LIMIT`
            seconds more.
        speculative: Whether the trial may be released before the request is due: where it has been,
            it is not leased a worker group again.
        train_ahead: Whether the next request is likely to be for the trial's next epoch, so that
            its worker group may train it while it writes this one's checkpoint and hands over the
            result.
    """

    key: str
    task: Task | tuple[Task, ...]
    config: Mapping[str, Any]
    checkpoint: str
    epoch: int
    predict: PredictionRequest | None = None
    export: str | None = None
    embed: str | None = None
    limit: float | None = None
    speculative: bool = False
    train_ahead: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None and not self.limit > 0:
            raise SpecError(
                f"the limit of an epoch must be more than 0 seconds, or None for no limit; found "
                f"{self.limit!r}"
            )

    @property
    def branch_checkpoint(self) -> str:
        """File of the checkpoint at `TrialRun.branch`, from which a prolonged trial goes on."""
        return f"{self.checkpoint.removesuffix('.pt')}.branch.pt"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerResult:
    """The result of a request.

    Args:
        row: The metrics of the epoch that was asked for, None on failure.
        total: Epochs of the whole trial, 0 on failure.
        failure: Why the trial failed, None when it did not.
        embedding: Result of `TrialRun.embed`, None where it was not asked for.
        log: Warnings and logging (from WARNING on) of rank 0 during the request, the traceback of a
            failure, and the faults of earlier deliveries; the last `LOG_LIMIT` characters.
        out_of_memory: Whether the failure is a lack of memory.
        retryable: Whether the failure may pass, so that the request is worth another delivery. The
            pool sees to that: no result that leaves the pool has it.
        cluster_failure: Whether the failure says nothing about the trial: no worker group was left
            for it, it was released, or the prepared images are gone. It may be tried in another
            session.
    """

    row: Row | None = None
    total: int = 0
    failure: str | None = None
    embedding: dict[str, Any] | None = None
    log: str = ""
    out_of_memory: bool = False
    retryable: bool = False
    cluster_failure: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """The pool's answer to a worker group that asks for work.

    ``kind`` is ``"work"`` with a request, ``"wait"`` when there was none for a while (ask again),
    ``"leave"`` when its workers shall end and be started on another node, ``"quit"`` when the
    worker group shall end.
    """

    kind: Literal["work", "wait", "leave", "quit"]
    number: int = 0
    request: WorkerRequest | None = None
