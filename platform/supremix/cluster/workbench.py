"""What every worker of a gang does with an order. Knows nothing of Ray."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import torch

from supremix.cluster.order import Order, Outcome, Row
from supremix.training import (
    Collective,
    JointRun,
    TrialRun,
    load_checkpoint,
    save_checkpoint,
    start_run,
)


class Workbench:
    """Executes orders, keeping the run of the trial at hand between two of them.

    Everything of a trial (model, optimizer, random numbers) is built anew for it, so that a
    trial gives the same numbers on a fresh gang and on a warm one.

    Args:
        collective: The gang's workers; every one of them executes the same orders.
        device: Where to train, None for the default of `TrialRun`.
    """

    def __init__(self, collective: Collective, device: torch.device | None = None) -> None:
        self._collective = collective
        self._device = device
        self._key: str | None = None
        self._run: TrialRun | JointRun | None = None

    def execute(self, order: Order) -> Outcome:
        """Bring the order's trial to its epoch and collect what was asked for.

        With one worker a failing trial is an `Outcome` with its reason. With several, the others
        may be waiting inside a collective operation, so the exception goes on and the whole gang
        starts again; the pool gives the trial up after some deliveries.
        """
        try:
            return self._execute(order)
        except Exception as error:
            self._drop()
            if self._collective.world > 1:
                raise
            return Outcome(failure=_reason(error))

    def _execute(self, order: Order) -> Outcome:
        run = self._find(order)
        while run.epoch < order.epoch:
            run.advance()
            if self._collective.rank == 0:
                save_checkpoint(run.state(), order.checkpoint)
        predictions: list[Row] = []
        for split in order.predict:
            predictions += _rows(run.judge(split), split)
        if order.export is not None and self._collective.rank == 0:
            run.export(order.export)
        embedding = None if order.embed is None else run.embed(order.embed)
        row = dict(run.history[order.epoch - 1])
        return Outcome(row=row, total=run.total, predictions=predictions, embedding=embedding)

    def _find(self, order: Order) -> TrialRun | JointRun:
        if self._run is not None and self._key == order.key:
            return self._run
        self._drop()
        run = start_run(order.task, order.config, collective=self._collective, device=self._device)
        # Rank 0 looks, so that no two workers disagree about a file on a shared disk.
        if self._collective.broadcast(Path(order.checkpoint).exists()):
            run.load(load_checkpoint(order.checkpoint))
        self._key, self._run = order.key, run
        return run

    def _drop(self) -> None:
        self._key = self._run = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _rows(judged: dict[str, Any], split: str) -> list[Row]:
    names = list(judged)
    columns = [judged[name].tolist() for name in names]
    return [
        {"split": split, **dict(zip(names, values, strict=True))}
        for values in zip(*columns, strict=True)
    ]


def _reason(error: Exception) -> str:
    """One line for the tables: the error and where in the code it arose."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    text = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {text} ({where})"
