"""How busy the worker groups of a real search are, beside the pattern of Ray's documentation.

    python benchmarks/overhead.py [--trials 60] [--concurrent-trials 2] [--train-runs 6]

A search of short trials (SupReMix on brain phantoms, a few seconds each, stopped early where they
fall behind) on worker groups of one CPU, or of --workers with one CPU each. Busy is the time that
they spend in epochs, training and validation (the sum of the epochs' ``seconds``), over the time
from the first epoch's start to the end of the last trial, times the number of worker groups. So
everything else counts against it: proposing, the round trips through Tune and the pool, building
networks, opening the store, checkpoints, and worker groups that have nothing to do while the last
trials end. Starting Ray and the worker groups is left out.

Beside it the documented pattern, a Tune function that runs a `TorchTrainer` a trial, with as many
at once, training the same hyperparameters for as many epochs as the search's trials had on average.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from ray import train, tune
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

import supremix
from supremix.cluster import ray_runtime
from supremix.models import EncoderSpec
from supremix.training import Task, fit
from supremix.tuning.ledger.ledger import read_events
from supremix_datasets import prepare

WIDTH, PHANTOMS = 8, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--concurrent-trials", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="of a worker group")
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--train-runs", type=int, default=6)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        ray_runtime(cpus=options.concurrent_trials * options.workers),
    ):
        run = Path(folder) / "run"
        supremix.Search(
            "ukb-t1",
            trials=options.trials,
            phantoms=PHANTOMS,
            width=WIDTH,
            epochs=options.epochs,
            concurrent_trials=options.concurrent_trials,
            workers=options.workers,
            cpus_per_worker=1,
            test=False,
            cache=Path(folder) / "cache",
            out=run,
        ).run()
        busy, span, count, epochs, mean = searched(run)
        share = busy / (span * options.concurrent_trials)
        print(
            f"search: {count} trials, {epochs} epochs, {mean:.2f} s of training a trial "
            f"(median), {span:.0f} s on {options.concurrent_trials} worker groups of "
            f"{options.workers}: busy {share:.1%}",
            flush=True,
        )
        if options.train_runs:
            length = max(1, round(epochs / count))
            store = prepare("ukb-t1", phantoms=PHANTOMS, cache=Path(folder) / "cache")
            task = Task(
                store=store.path, method="supremix", encoder=EncoderSpec(width=WIDTH),
                epochs=max(2, length), threads=1,
            )  # fmt: skip
            other, took = as_train_runs(
                Path(folder), task, options.train_runs, options.concurrent_trials
            )
            print(
                f"a Train run a trial: {options.train_runs} trials of {task.epochs} epochs, "
                f"{took:.0f} s: busy {other:.1%}"
            )


def searched(run: Path) -> tuple[float, float, int, int, float]:
    """Seconds in epochs, seconds from first to last, trials, epochs, median seconds a trial."""
    events = read_events(run / "ledger.jsonl")
    rows = [event for event in events if event["event"] == "epoch"]
    ends = [event for event in events if event["event"] == "end"]
    trials: dict[int, float] = {}
    for event in rows:
        trials[event["number"]] = trials.get(event["number"], 0.0) + event["row"]["seconds"]
    # The clock starts with the first epoch that is done, that many seconds ago.
    span = ends[-1]["clock"] - (rows[0]["clock"] - rows[0]["row"]["seconds"])
    return (
        sum(trials.values()), span, len(ends), len(rows), statistics.median(trials.values()),
    )  # fmt: skip


def worker(config: dict[str, Any]) -> None:
    for row in fit(config["task"], {}).history:
        train.report({"seconds": row["seconds"], "error": row["error"]})


def trial(config: dict[str, Any]) -> None:
    trainer = TorchTrainer(
        worker,
        train_loop_config=config,
        scaling_config=train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.9}),
        run_config=train.RunConfig(
            storage_path=config["storage"],
            callbacks=[TuneReportCallback()],
        ),
    )
    trainer.fit()


class Times(tune.Callback):
    """When the first trial starts, and how long all of them train."""

    def __init__(self) -> None:
        self.began, self.training = 0.0, 0.0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: D102
        self.began = self.began or time.monotonic()

    def on_trial_result(  # noqa: D102
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.training += result.get("seconds", 0.0)


def as_train_runs(folder: Path, task: Task, trials: int, abreast: int) -> tuple[float, float]:
    """Busy share and seconds of the documented pattern."""
    times = Times()
    tuner = tune.Tuner(
        tune.with_resources(trial, {"CPU": 0.01}),
        param_space={"task": task, "storage": str(folder / "train")},
        tune_config=tune.TuneConfig(num_samples=trials, max_concurrent_trials=abreast),
        run_config=tune.RunConfig(storage_path=str(folder / "tune"), callbacks=[times], verbose=0),
    )
    results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    took = time.monotonic() - times.began
    return times.training / (took * abreast), took


if __name__ == "__main__":
    main()
