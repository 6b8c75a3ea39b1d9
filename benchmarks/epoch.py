"""The parts of an epoch: what is not the network's own forward and backward pass.

    python benchmarks/epoch.py [DATASET…] [--method l1,supremix] [--epochs 3] [--width 16]

Trains a few epochs on the phantoms of each dataset (or on real images, with `--source hc18=FOLDER`)
on one thread, at the grid and width of a search, and prints the share of the time of an epoch that
each part takes: loading and augmentation, the contrastive loss, the optimizer and the running
average, the evaluation. The rest is the network. The epochs are evaluated ones; in a long training
most are not. Times are of the processor, so that other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from supremix.models import EncoderSpec
from supremix.training import Task, TrialRun
from supremix.training.data.batches import Batches
from supremix.training.evaluation.epoch import EpochEvaluation
from supremix.training.steps.ema import Averager
from supremix.training.steps.stage_trainer import StageTrainer
from supremix_datasets import Store, prepare
from supremix_datasets.splits import assign
from supremix_spaces import space_for

PHANTOMS = {
    "hc18": 64, "rsna-bone-age": 96, "ukb-t1": 64, "echonet-dynamic": 48, "adni-amyloid": 64,
}  # fmt: skip
PARTS = ("load and augment", "contrast", "optimizer and average", "evaluation")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="*")
    parser.add_argument("--source", action="append", default=[], metavar="DATASET=FOLDER")
    parser.add_argument("--shape", type=lambda text: tuple(map(int, text.split(","))))
    parser.add_argument("--method", default="l1,supremix")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--width", type=int, default=16)
    options = parser.parse_args()
    print(f"| dataset | method | stage | s | network | {' | '.join(PARTS)} |")
    print("| --- | --- | --- | --- | --- |" + " --- |" * len(PARTS))
    sources = dict(item.split("=", 1) for item in options.source)
    for name in options.datasets or [*PHANTOMS, *sources]:
        phantoms = None if name in sources else PHANTOMS[name]
        store = prepare(name, sources.get(name), phantoms=phantoms, shape=options.shape)
        for method in options.method.split(","):
            for stage, (total, parts) in shares(store, method, options).items():
                cells = [f"{100 * parts[part] / total:.1f} %" for part in PARTS]
                rest = 1 - sum(parts.values()) / total
                row = (name, method, stage, f"{total:.2f}", f"{100 * rest:.1f} %", *cells)
                print(f"| {' | '.join(row)} |", flush=True)


def shares(
    store: Store, method: str, options: argparse.Namespace
) -> dict[str, tuple[float, dict[str, float]]]:
    """The seconds of an epoch of each stage, and of its parts: the least of several epochs."""
    task = Task(
        store=store.path,
        method=method,
        encoder=EncoderSpec(width=options.width),
        epochs=2 * options.epochs,
        threads=1,
    )
    found: dict[str, tuple[float, dict[str, float]]] = {}
    with timed() as parts:
        run = TrialRun(task, config_of(store, method))
        while not run.done:
            parts.clear()
            began = time.process_time()
            stage = run.advance()["stage"]
            total = time.process_time() - began
            if stage not in found or total < found[stage][0]:
                found[stage] = total, defaultdict(float, parts)
    return found


def config_of(store: Store, method: str) -> dict[str, Any]:
    """The default hyperparameters, with pretraining as long as what follows."""
    card = store.card
    config = space_for(
        method,
        window=card.window,
        label_bin=card.label_bin,
        label_scale=card.label_scale,
        volumes=len(card.shape) == 3,
        train_size=int((assign(store.index, seed=0) == "train").sum()),
    ).defaults()
    return config | ({"pretrain_share": 0.5} if "pretrain_share" in config else {})


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Inside, the seconds of the parts of an epoch are added up."""
    parts: dict[str, float] = defaultdict(float)

    def counted(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return function(*args, **named)
            finally:
                parts[part] += time.process_time() - began

        return call

    def stepped(trainer: StageTrainer, batch: Any) -> Any:
        # All of a step but what leaves the gradients is the optimizer's.
        began, before = time.process_time(), parts["network"]
        loss = step(trainer, batch)
        passes = parts.pop("network") - before
        parts["optimizer and average"] += time.process_time() - began - passes
        return loss

    def loaded(batches: Batches, epoch: int) -> Iterator[Any]:
        following = counted(PARTS[0], functools.partial(next, epoch_of(batches, epoch), None))
        while (batch := following()) is not None:
            yield batch

    step, epoch_of = StageTrainer.step, Batches.epoch
    with (
        mock.patch.object(Batches, "epoch", loaded),
        mock.patch.object(StageTrainer, "contrast", counted(PARTS[1], StageTrainer.contrast)),
        mock.patch.object(StageTrainer, "backward", counted("network", StageTrainer.backward)),
        mock.patch.object(StageTrainer, "step", stepped),
        mock.patch.object(Averager, "update", counted(PARTS[2], Averager.update)),
        mock.patch.object(EpochEvaluation, "after", counted(PARTS[3], EpochEvaluation.after)),
    ):
        yield parts


if __name__ == "__main__":
    main()
