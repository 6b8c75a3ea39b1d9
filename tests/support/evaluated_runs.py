"""Runs whose trials have ended, and workers that only write files of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
from run_folders import SPACE, write_run

import supremix_datasets
from supremix.cluster import WorkerGroupPlan, WorkerRequest, WorkerResult
from supremix.cluster.worker.worker import write_predictions
from supremix.progress.progress import Listener, silent
from supremix.runs.folder import RunFolder
from supremix.search.final_evaluation import evaluate_all
from supremix.search.prepare import PreparedSearch
from supremix.search.session import SearchSession
from supremix.search.spec import SearchSpec
from supremix.training import Task
from supremix.tuning.ledger.ledger import Ledger

CARD = supremix_datasets.get("hc18").card
PLAN = WorkerGroupPlan(workers=1, count=1, cpus=1, gpus=0)


class KilledError(BaseException):
    """What a process that is killed would not live to see."""


class Workers:
    """Write predictions as a worker group does, and die at a step: before or after a file."""

    plan = PLAN

    def __init__(self, last_step: float = float("inf"), samples: int = 8, **offsets: float) -> None:
        self.samples = samples
        self._steps_left = last_step
        self.offsets = {int(name.removeprefix("trial")): by for name, by in offsets.items()}
        self.written: list[str] = []
        self.exported: list[str] = []

    def execute(self, request: WorkerRequest) -> WorkerResult:
        self._step()
        if request.predict is not None:
            predict, (split,) = request.predict, request.predict.splits
            rng = np.random.default_rng([predict.columns["seed"], split == "test"])
            rows = [
                {
                    **predict.columns,
                    "split": split,
                    "id": str(n),
                    "group": str(n // 2),
                    "target": float(n),
                    "prediction": n + rng.normal() + self.offsets.get(predict.columns["trial"], 0),
                }
                for n in range(self.samples)
            ]
            write_predictions(predict.address, rows)
            self.written.append(Path(predict.address).name)
            self._step()
        if request.export is not None:
            self.exported.append(request.export)
            Path(request.export).mkdir(parents=True, exist_ok=True)
            (Path(request.export) / "model.json").write_text("{}")
        return WorkerResult(row={"seconds": 1.0}, total=2)

    def _step(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise KilledError


def searched(folder: Path) -> RunFolder:
    """A run whose only trial has ended."""
    run = write_run(folder)
    row = {"stage": "regress", "error": 2.0, "mae": 2.0, "rmse": 2.0, "r2": 0.5, "pearson": 0.8}
    row |= {"loss": 0.5, "lr": 0.01, "probe_mae": float("nan"), "seconds": 5.0}
    with Ledger(run.ledger) as ledger:
        study = SearchSession(run, ledger, [prepared_in(run)]).open()
        study.ask()
        for at in (1, 2):
            measures = {"split": "val", "rank": 3.0}
            study.observe(0, {"epoch": at, **row, "measures": measures}, 2)
        if 0 in study.running:
            study.finish(0, "finished")
    return run


def searched_with_errors(folder: Path, errors: Sequence[float], **options: Any) -> RunFolder:
    """A run whose trials, replicates among them, have ended with these errors."""
    run = write_run(folder)
    row = {"stage": "regress", "mae": 2.0, "rmse": 2.0, "r2": 0.5, "pearson": 0.8, "seconds": 5.0}
    row["loss"] = 0.5
    with Ledger(run.ledger) as ledger:
        study = SearchSession(run, ledger, [prepared_in(run, **options)]).open()
        for number, error in enumerate(errors):
            study.ask()
            study.observe(number, {"epoch": 1, **row, "error": error}, 1)
        assert study.ask() is None
    return run


def prepared_in(run: RunFolder, listen: Listener = silent, **options: Any) -> PreparedSearch:
    few = {"trials": 1, "epochs": 2, "finalists": 1, "confirm_seeds": 0, "test_seeds": 2}
    spec = SearchSpec(dataset="hc18", method="l1", **{**few, **options})
    images = {"group": [f"p{n}" for n in range(20)], "target": np.linspace(40.0, 60.0, 20)}
    index = pl.DataFrame(images).with_columns(
        pl.lit(None, pl.String).alias("split"),
        pl.lit(None, pl.String).alias("site"),
        pl.lit("0.1").alias("pixel_size as read"),
    )
    excluded = pl.DataFrame(schema={"reason": pl.String})
    store: Any = SimpleNamespace(card=CARD, index=index, quarantine=excluded)
    return PreparedSearch(
        spec=spec,
        run=run,
        store=store,
        plan=PLAN,
        task=Task(store="/store", method="l1", epochs=2),
        space=SPACE,
        labels=np.arange(20.0),
        reference=1.0,
        grid_path=run.path,
        listen=listen,
    )


def finish(run: RunFolder, workers: Any, listen: Listener = silent, **options: Any) -> None:
    with Ledger(run.ledger) as ledger:
        one = SearchSession(run, ledger, [prepared_in(run, listen, **options)])
        one.open()
        assert evaluate_all([one], workers) == {}
