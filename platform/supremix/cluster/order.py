"""What travels between the pool and a gang: orders one way, outcomes the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from supremix.training import Task

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One piece of work for a gang, which may be given twice without harm.

    An order says where a trial shall be, not what to do next: "have epoch `epoch` behind you". A
    gang that is there already answers from the trial's history, one that has lost its workers
    starts at the trial's checkpoint. So a repeated order never trains an epoch twice and never
    gives another answer.

    Args:
        key: The trial, unique among all that the gang is given.
        task: What does not change during a search; several tasks are trained jointly.
        config: The trial's settings, see `JointRun` where the tasks are several.
        checkpoint: File of the trial's checkpoint, written after every epoch; where it exists the
            trial goes on from it.
        epoch: The epoch (from 1) whose row is asked for; the trial is trained up to it.
        predict: Splits whose predictions are asked for as well.
        export: Folder to save the model to, or None.
        embed: Split whose features are asked for as well, or None.
    """

    key: str
    task: Task | tuple[Task, ...]
    config: Mapping[str, Any]
    checkpoint: str
    epoch: int
    predict: tuple[str, ...] = ()
    export: str | None = None
    embed: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of an order.

    Args:
        row: The metrics of the epoch that was asked for, None on failure.
        total: Epochs of the whole trial, 0 on failure.
        predictions: Rows of id, group, target, prediction, site and split; of a joint run also
            dataset.
        failure: Why the trial failed, None when it did not.
        embedding: What `TrialRun.embed` returns, None where it was not asked for.
    """

    row: Row | None = None
    total: int = 0
    predictions: list[Row] = field(default_factory=list[Row])
    failure: str | None = None
    embedding: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """The pool's answer to a gang that asks for work.

    ``kind`` is ``"work"`` with an order, ``"wait"`` when there was none for a while (ask again),
    ``"quit"`` when the gang shall end.
    """

    kind: Literal["work", "wait", "quit"]
    number: int = 0
    order: Order | None = None
