"""What a trial costs beside its training: on a worker group, and as a Ray Train run of its own.

    python benchmarks/trial_overhead.py

Trains tiny networks on 40 brain phantoms, so that little but the overhead is left. The worker
group's figure is the wall time from the end of the first trial to the end of the last one, less the
training (the sum of the epochs' ``seconds``), over the number of those trials: it holds Tune, the
sampler, the ledger, Optuna's journal, the pool, building the network, opening the store and a
checkpoint an epoch. The other is the pattern of Ray's documentation: a Tune function trainable that
runs a `TorchTrainer` with a `TuneReportCallback`, whose workers train with the same `fit`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from ray import train, tune
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

import supremix
import supremix_datasets
from supremix.cluster import ray_map, ray_runtime
from supremix.models import EncoderSpec
from supremix.training import Task, fit
from supremix.tuning.ledger.ledger import read_events

EPOCHS, SHAPE, PHANTOMS, WIDTH = 3, (16, 16, 16), 40, 4


def on_a_gang(folder: Path, trials: int) -> tuple[float, float]:
    """Seconds of overhead and of training of each trial after the first."""
    supremix.Search(
        "ukb-t1",
        "phantom",
        "l1",
        trials=trials,
        overrides=("batch_size=16",),
        shape=SHAPE,
        phantoms=PHANTOMS,
        width=WIDTH,
        epochs=EPOCHS,
        pruner="none",
        test=False,
        concurrent_trials=1,
        cpus_per_worker=1,
        cache=folder / "cache",
        out=folder / "run",
    ).run()
    events = read_events(folder / "run" / "ledger.jsonl")
    ends = [event["clock"] for event in events if event["event"] == "end"]
    epochs = [event for event in events if event["event"] == "epoch" and event["number"] > 0]
    training = sum(event["row"]["seconds"] for event in epochs)
    return (ends[-1] - ends[0] - training) / (trials - 1), training / (trials - 1)


def worker(config: dict[str, Any]) -> None:
    fit(config["task"], config["trial"], report=lambda row, _: train.report(row))


def trial(config: dict[str, Any]) -> None:
    trainer = TorchTrainer(
        worker,
        train_loop_config=config,
        scaling_config=train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.9}),
        run_config=train.RunConfig(
            storage_path=config["storage"], callbacks=[TuneReportCallback()]
        ),
    )
    trainer.fit()


def as_a_train_run(folder: Path, trials: int) -> tuple[float, float]:
    """The same, with a Ray Train run a trial."""
    store = supremix_datasets.prepare(
        "ukb-t1",
        "phantom",
        cache=folder / "cache",
        mapper=ray_map,
        shape=SHAPE,
        phantoms=PHANTOMS,
    )
    encoder = EncoderSpec(width=WIDTH)
    task = Task(store=store.path, method="l1", encoder=encoder, epochs=EPOCHS, threads=1)
    space = {"task": task, "storage": str(folder / "train"), "trial": {"batch_size": 16}}
    ends = EndTimes()
    tuner = tune.Tuner(
        tune.with_resources(trial, {"CPU": 0.01}),
        param_space=space,
        tune_config=tune.TuneConfig(num_samples=trials, max_concurrent_trials=1),
        run_config=tune.RunConfig(storage_path=str(folder / "tune"), callbacks=[ends], verbose=0),
    )
    tuner.fit()
    return (ends.times[-1] - ends.times[0] - ends.training) / (trials - 1), ends.training / (
        trials - 1
    )


class EndTimes(tune.Callback):
    """When trials end, and how long those after the first trained."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.training = 0.0

    def on_trial_result(  # noqa: D102
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if self.times:
            self.training += result.get("seconds", 0.0)

    def on_trial_complete(  # noqa: D102
        self, iteration: int, trials: list[Any], trial: Any, **info: Any
    ) -> None:
        self.times.append(time.monotonic())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--train-runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ray_runtime(cpus=2):
        worker_group, training = on_a_gang(Path(folder), options.trials)
        run, run_training = as_a_train_run(Path(folder), options.train_runs)
    print(f"{'seconds a trial, after the first':36}{'overhead':>10}{'training':>10}")
    print(f"{f'worker group, {options.trials} trials':36}{worker_group:10.3f}{training:10.3f}")
    print(f"{f'Train run a trial, {options.train_runs} trials':36}{run:10.3f}{run_training:10.3f}")
    print(f"{'ratio':36}{run / worker_group:10.0f}")


if __name__ == "__main__":
    main()
