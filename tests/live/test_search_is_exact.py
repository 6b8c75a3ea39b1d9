"""The numbers of a search: those of the bare loop, on any worker group, after any death."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
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
from undisturbed import EPOCHS, THREE_OF_FOUR, TRIALS, UndisturbedRun, curve

import supremix
from supremix import cli
from supremix.cluster import Executor, WorkerGroupPlan, WorkerRequest
from supremix.cluster.ray_private import WORKER, living_actors
from supremix.errors import RunFolderError
from supremix.progress.progress import Progress
from supremix.runs.folder import RunFolder
from supremix.training import Method, Stage, fit, get_method
from supremix.tuning.ledger.ledger import EPOCH, FINAL
from supremix_datasets.cards.card import Card

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


def search(folder: Path, heads: str, method: str | Method, **more: Any) -> supremix.Result:
    arguments: dict[str, Any] = {**TINY, "epochs": EPOCHS, "trials": TRIALS, "out": folder, **more}
    return supremix.Search(source=heads, method=method, **arguments).run()


def fresh_curve(
    executor: Executor, run: UndisturbedRun, config: dict[str, Any], folder: Path, epochs: int
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
def test_a_late_trial_is_the_bare_loop_to_the_bit(
    runs: dict[str, UndisturbedRun], method: str
) -> None:
    run = runs[method]
    late = run.curve(run.late)
    assert run.late > 2  # the worker group had trained others before
    assert late.height == EPOCHS
    bare = curve(fit(run.task, run.config(run.late)).history)
    assert_frame_equal(late, bare, check_exact=True)
    assert not run.curve(run.late - 1).equals(late)


@pytest.mark.long
def test_a_late_trial_is_the_first_of_a_fresh_worker_group_to_the_bit(
    runs: dict[str, UndisturbedRun], tmp_path: Path
) -> None:
    plan = WorkerGroupPlan(count=2, workers=1, cpus=1, gpus=0)
    with Executor(plan, str(tmp_path)) as executor:
        for run in runs.values():
            late = run.curve(run.late)
            fresh = fresh_curve(executor, run, run.config(run.late), tmp_path, late.height)
            assert_frame_equal(late, fresh, check_exact=True)
    assert_nothing_left()


def test_two_workers_give_the_curve_of_one(
    tmp_path: Path, heads: str, runs: dict[str, UndisturbedRun]
) -> None:
    options: dict[str, Any] = {"overrides": THREE_OF_FOUR, "pruner": "none"}
    pair = search(tmp_path / "pair", heads, "supremix", workers=2, trials=2, **options)
    assert pair.trials["state"].to_list() == ["finished"] * 4
    run = UndisturbedRun(tmp_path / "pair", runs["supremix"].task)
    for trial in range(2):
        ours, alone = (pretraining_loss(r.curve(trial)) for r in (run, runs["supremix"]))
        assert len(ours) == 3
        assert len(alone) >= 2  # of one that was pruned in pretraining
        assert ours[: len(alone)] == pytest.approx(alone, rel=1e-4)
    assert_nothing_left()


def pretraining_loss(curve: pl.DataFrame) -> list[float]:
    """What follows smoothly from the weights; the probe of so small a network magnifies the last
    digit of its features to the third one of the error."""
    return curve.filter(pl.col("stage") == "pretrain")["loss"].to_list()


def test_a_killed_driver_is_resumed_to_the_same_tables(
    drive: Callable[..., Driver], runs: dict[str, UndisturbedRun]
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
    tmp_path: Path, heads: str, runs: dict[str, UndisturbedRun]
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


def steps_of(run: UndisturbedRun) -> list[int]:
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
