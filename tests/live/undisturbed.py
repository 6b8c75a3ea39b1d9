"""Searches that nothing disturbs, which others are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from live_support import TINY, events_of

import supremix
from supremix.search import prepare
from supremix.training import Task
from supremix.tuning.ledger.ledger import EPOCH

TRIALS, EPOCHS = 10, 4
THREE_OF_FOUR = ("head=finetune", "pretrain_share=0.75")
"""Hyperparameters of supremix with three of four epochs in pretraining."""


@dataclass(frozen=True)
class UndisturbedRun:
    """A search and the task its trials had."""

    path: Path
    task: Task

    def config(self, trial: int) -> dict[str, Any]:
        return next(
            e["config"]
            for e in events_of(self.path)
            if e["event"] == "trial" and e["number"] == trial
        )

    @property
    def late(self) -> int:
        """The last trial that was trained to its end."""
        ended = [e for e in events_of(self.path) if e["event"] == "end"]
        return max(e["number"] for e in ended if e["state"] == "finished" and e["number"] < TRIALS)

    def curve(self, trial: int) -> pl.DataFrame:
        events = [e for e in events_of(self.path) if e["event"] == EPOCH]
        return curve(e["row"] for e in events if e["number"] == trial)


def curve(rows: Any) -> pl.DataFrame:
    """All columns of a trial's rows but the time they took, and what the search adds."""
    left_out = ("seconds", "score")
    return pl.DataFrame([{k: v for k, v in r.items() if k not in left_out} for r in rows])


def undisturbed_runs(folder: Path, heads: str) -> dict[str, UndisturbedRun]:
    """A comparison of l1 and supremix; both searches, by method."""
    arguments: dict[str, Any] = {
        **{name: value for name, value in TINY.items() if name != "dataset"},
        "epochs": EPOCHS,
        "trials": TRIALS,
        "overrides": THREE_OF_FOUR,
        "out": folder,
    }
    tasks: dict[str, Task] = {}

    def preflight(task: Task, *rest: Any, **named: Any) -> int:
        tasks[str(task.method)] = task
        return known(task, *rest, **named)

    known = prepare.preflight
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "preflight", preflight)
        supremix.Comparison("hc18", heads, ("l1", "supremix"), **arguments).run()
    return {method: UndisturbedRun(folder / method, task) for method, task in tasks.items()}
