"""The numbers of a search: those of the bare loop, on any worker group, after any death."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import ray
from live_support import (
    TINY,
    Driver,
    assert_nothing_left,
    assert_same_tables,
    events_of,
    wait_until,
)
from polars.testing import assert_frame_equal
from torch import Tensor

import supremix
from supremix import cli
from supremix.cluster import Executor, WorkerGroupPlan, WorkerRequest
from supremix.cluster.ray_private import WORKER, living_actors
from supremix.errors import RunFolderError
from supremix.progress.progress import Progress
from supremix.runs.folder import RunFolder
from supremix.search import prepare as setting
from supremix.training import Method, Stage, Task, fit, get_method
from supremix.tuning.ledger.ledger import EPOCH, FINAL
from supremix_datasets.cards.card import Card

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]

TRIALS, EPOCHS, TENTH = 14, 4, 9
THREE_OF_FOUR: dict[str, Any] = {
    "overrides": ("head=finetune", "pretrain_share=0.75"),
    "pruner": "none",
}
"""Trials of supremix with three epochs of pretraining, none of them cut short."""


@dataclass(frozen=True)
class Run:
    """An undisturbed search and the task its trials had."""

    path: Path
    task: Task

    def config(self, trial: int) -> dict[str, Any]:
        return next(
            e["config"]
            for e in events_of(self.path)
            if e["event"] == "trial" and e["number"] == trial
        )

    def curve(self, trial: int) -> pl.DataFrame:
        events = [e for e in events_of(self.path) if e["event"] == EPOCH]
        return curve(e["row"] for e in events if e["number"] == trial)


def curve(rows: Any) -> pl.DataFrame:
    """All columns of a trial's rows but the time they took, and what the search adds."""
    left_out = ("seconds", "score")
    return pl.DataFrame([{k: v for k, v in r.items() if k not in left_out} for r in rows])


def search(folder: Path, heads: str, method: str | Method, **more: Any) -> Run:
    arguments: dict[str, Any] = {**TINY, "epochs": EPOCHS, "trials": TRIALS, "out": folder, **more}
    tasks: list[Task] = []

    def preflight(task: Task, *rest: Any, **named: Any) -> int:
        tasks.append(task)
        return known(task, *rest, **named)

    known = setting.preflight
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setting, "preflight", preflight)
        supremix.Search(source=heads, method=method, **arguments).run()
    return Run(folder, tasks[0])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, heads: str, local_ray: None) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return {
        "l1": search(folder / "l1", heads, "l1"),
        "supremix": search(
            folder / "supremix", heads, "supremix", trials=TENTH + 1, **THREE_OF_FOUR
        ),
    }


def fresh_curve(
    executor: Executor, run: Run, config: dict[str, Any], folder: Path, epochs: int
) -> pl.DataFrame:
    """Train on a fresh worker group; its lease is kept, so that no other trial gets it."""
    rows = []
    for epoch in range(1, epochs + 1):
        request = WorkerRequest(
            key=run.path.name,
            task=run.task,
            config=config,
            checkpoint=str(folder / f"{run.path.name}.pt"),
            epoch=epoch,
        )
        result: Any = ray.get(executor.pool.execute.remote(request))
        assert result.failure is None
        rows.append(result.row)
    return curve(rows)


@pytest.mark.parametrize("method", ["supremix", "l1"])
def test_the_tenth_trial_is_the_bare_loop_to_the_bit(runs: dict[str, Run], method: str) -> None:
    run = runs[method]
    tenth = run.curve(TENTH)
    bare = curve(fit(run.task, run.config(TENTH)).history[: tenth.height])
    assert_frame_equal(tenth, bare, check_exact=True)
    assert not run.curve(TENTH - 1).equals(tenth)


@pytest.mark.long
def test_the_tenth_trial_is_the_first_of_a_fresh_worker_group_to_the_bit(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    plan = WorkerGroupPlan(count=2, workers=1, cpus=1, gpus=0)
    with Executor(plan, str(tmp_path)) as executor:
        for run in runs.values():
            tenth = run.curve(TENTH)
            fresh = fresh_curve(executor, run, run.config(TENTH), tmp_path, tenth.height)
            assert_frame_equal(tenth, fresh, check_exact=True)
    assert_nothing_left()


def test_two_workers_give_the_curve_of_one(
    tmp_path: Path, heads: str, runs: dict[str, Run]
) -> None:
    run = search(tmp_path / "pair", heads, "supremix", workers=2, trials=2, **THREE_OF_FOUR)
    assert supremix.Result(run.path).trials["state"].to_list() == ["finished"] * 4
    for trial in range(2):
        ours, alone = (pretraining_loss(r.curve(trial)) for r in (run, runs["supremix"]))
        assert ours == pytest.approx(alone, rel=1e-4)
    assert_nothing_left()


def pretraining_loss(curve: pl.DataFrame) -> list[float]:
    """What follows smoothly from the weights; the probe of so small a network magnifies the last
    digit of its features to the third one of the error."""
    losses = curve.filter(pl.col("stage") == "pretrain")["loss"].to_list()
    assert len(losses) == 3
    return losses


def test_a_killed_driver_is_resumed_to_the_same_tables(
    drive: Callable[..., Driver], runs: dict[str, Run]
) -> None:
    killed = drive("killed", "--trials", str(TRIALS), "--epochs", str(EPOCHS))
    killed.wait_for_epochs(9)
    with pytest.raises(RunFolderError, match="another process is working on"):
        supremix.Search.resume(killed.run).run()
    assert killed.process.poll() is None
    killed.process.kill()
    killed.wait_for_workers_to_end()
    before = events_of(killed.run)
    assert before[-1]["event"] != FINAL
    with pytest.raises(SystemExit) as exit_:
        cli.main(["search", "--resume", str(killed.run), "--quiet"])
    assert exit_.value.code == 0
    events = events_of(killed.run)
    assert events[: len(before)] == before
    epochs = [(e["number"], e["row"]["epoch"]) for e in events if e["event"] == EPOCH]
    assert len(set(epochs)) == len(epochs)
    assert_same_tables(killed.run, runs["l1"].path)


def counting_l1(file: str) -> Method:
    """The method l1, noting each step that is trained in a file."""
    from dataclasses import replace

    plain = get_method("l1")

    class Counting:  # known to nobody by name, so it travels to the workers by value
        name = "l1"
        config = plain.config

        def stages(self, config: Any, *, epochs: int, card: Card) -> tuple[Stage, ...]:
            def loss(predictions: Tensor, targets: Tensor) -> Tensor:
                with open(file, "a") as steps:  # noqa: PTH123
                    steps.write("x")
                return known(predictions, targets)

            (stage,) = plain.stages(config, epochs=epochs, card=card)
            known: Any = stage.loss
            return (replace(stage, loss=loss),)

    return Counting()


def test_a_killed_worker_goes_on_at_the_last_checkpoint(
    tmp_path: Path, heads: str, runs: dict[str, Run]
) -> None:
    steps, killed = tmp_path / "steps", list[int]()

    def kill(progress: Progress) -> None:
        rows = [e for e in events_of(tmp_path / "run") if e["event"] == EPOCH]
        if rows and rows[-1]["row"]["epoch"] == EPOCHS - 1 and len(rows) > EPOCHS and not killed:
            killed.append(worker_pid())
            os.kill(killed[0], signal.SIGKILL)

    search(tmp_path / "run", heads, counting_l1(str(steps)), progress=kill)
    assert len(killed) == 1
    assert_same_tables(tmp_path / "run", runs["l1"].path)
    # Of each epoch 2 steps (batch 32) or 3 (batch 16). The death costs the epoch under way at most.
    expected = sum(steps_of(run=runs["l1"]))
    assert expected <= steps.stat().st_size <= expected + 3


def steps_of(run: Run) -> list[int]:
    """Training steps of every epoch of a run, the final training included."""
    environment = RunFolder(run.path).environment.read_text()
    counts = json.loads(environment)["images"]
    rows = [e for e in events_of(run.path) if e["event"] == EPOCH]
    steps = [-(-counts["train"] // run.config(e["number"])["batch_size"]) for e in rows]
    best = supremix.Result(run.path).best.config
    final = -(-(counts["train"] + counts["val"]) // best["batch_size"])
    return steps + [final] * EPOCHS


def worker_pid() -> int:
    """The process of the one Ray Train worker that is alive."""
    found: list[int] = []

    def alive() -> bool:
        found[:] = [pid for name, pid in living_actors() if WORKER in name and pid]
        return len(found) == 1

    wait_until(alive, "one worker")
    return found[0]
