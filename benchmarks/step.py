"""Images per second of the platform's training loop beside a bare torch loop.

Both loops train the same encoder with the same loss, batch, augmentation and optimizer on the
same synthetic images; the bare one is what one would write for this one case, with the images
in memory as a tensor. They take turns in one run, so that whatever else the machine does hits
both, and the best round of each counts.

    python benchmarks/step.py [--method l1|supremix] [--batch 32] [--threads 2] [--device cuda]

The platform should reach at least 0.95 of the bare loop. A GPU is used when there is one.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from supremix.losses import SupReMixLoss
from supremix.models import EncoderSpec, Network
from supremix.training import Task, TrialRun
from supremix.training.steps.precision import Precision
from supremix_datasets.augment import Augmenter
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Dataset
from supremix_datasets.cards.sample import Sample, Scan
from supremix_datasets.registry import get
from supremix_datasets.stores.prepare import prepare


@dataclasses.dataclass(frozen=True)
class NoiseReader:
    """As many images of smooth noise as one likes, out of nothing but their number."""

    count: int
    shape: tuple[int, ...]
    version: int = 1

    def scan(self, source: str) -> Scan:
        """Every eighth number is kept from training."""
        samples = [
            Sample(
                id=str(number),
                group=str(number),
                target=100.0 + number % 97,
                address=f"{source}/{number}",
                covariates={"pixel_size": 0.1 + 0.001 * (number % 50)},
                split="train" if number % 8 else "val" if number % 16 else "test",
            )
            for number in range(self.count)
        ]
        return Scan(samples=tuple(samples))

    def decode(self, address: str) -> np.ndarray:
        """The number is the seed."""
        rng = np.random.default_rng(int(address.rsplit("/", 1)[1]))
        return rng.integers(0, 255, self.shape).astype(np.uint8)


def make_task(args: argparse.Namespace, folder: Path) -> Task:
    card = dataclasses.replace(get("hc18").card, name="noise", label_range=(1.0, 1000.0))
    for number in range(args.images):
        (folder / str(number)).touch()
    store = prepare(
        Dataset(card=card, reader=NoiseReader(args.images, card.shape)), folder, cache=folder / "c"
    )
    return Task(
        store=store.path,
        method=args.method,
        encoder=EncoderSpec(width=args.width),
        epochs=1000,
        precision=args.precision,
        threads=args.threads,
        averaging=0.0,
    )


class Platform:
    """The platform's loop: an epoch of steps, without the evaluation that follows it."""

    def __init__(self, task: Task, batch: int, device: str | None) -> None:
        self.run = TrialRun(task, {"batch_size": batch}, device=device)
        self.images = len(self.run.data.fit)

    def epoch(self, number: int) -> None:
        """One epoch of steps."""
        self.run.train_epoch(0, number)


class Bare:
    """The same training as one would write it by hand."""

    def __init__(self, like: TrialRun, batch: int) -> None:
        data, self.device, self.batch = like.data, like.device, batch
        self.contrastive = like.stages[0].objective == "contrastive"
        self.precision = Precision(like.precision.name, like.device)
        stored = np.array(data.store.images[data.store.rows[data.fit]])
        self.stored = torch.from_numpy(stored).to(self.device)
        self.covariates = data.covariates[torch.from_numpy(data.fit)].to(self.device)
        self.labels, self.targets = data.labels[data.fit], data.targets[data.fit].to(self.device)
        self.card: Card = data.card
        self.network = Network(
            like.task.encoder,
            channels=1,
            shape=self.card.shape,
            covariates=1,
            projection_dim=128 if self.contrastive else None,
        )
        self.network = self.network.to(self.device).to(memory_format=torch.channels_last)
        self.network.train_for(project=self.contrastive, regress=not self.contrastive)
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self.trained = trained
        self.optimizer = torch.optim.AdamW(trained, lr=1e-3, fused=True)
        self.augmenter = Augmenter.of(self.card)
        self.loss = SupReMixLoss(label_bin=2.0, label_scale=2.0, window=20.0)
        self.generator = torch.Generator().manual_seed(0)

    def epoch(self, number: int) -> None:
        """One epoch of steps."""
        del number
        views = 2 if self.contrastive else 1
        total = torch.zeros((), device=self.device)
        order = torch.randperm(len(self.stored), generator=self.generator)
        for drawn in order.split(self.batch):
            rows = drawn.to(self.device)
            images = self.stored[rows].float().mul_(self.card.gain)
            images = images.repeat_interleave(views, 0)
            params = self.augmenter.draw(len(images), self.generator)
            images = self.augmenter.apply(images, params)
            covariates = self.covariates[rows].repeat_interleave(views, 0)
            with self.precision.autocast():
                output = self.network(images, covariates, self.contrastive)
            if self.contrastive:
                labels = self.labels[drawn].repeat_interleave(views)
                loss = self.loss(output.float(), labels, generator=self.generator)
            else:
                loss = functional.l1_loss(output.float(), self.targets[rows])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.trained, 5.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            total += loss.detach()
        float(total)


def measure(
    epoch: Callable[[int], None], number: int, images: int, device: torch.device
) -> tuple[float, float]:
    """Images a second of the clock, and of processor time, which other processes spare."""
    started, worked = time.perf_counter(), time.process_time()
    epoch(number)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return images / (time.perf_counter() - started), images / (time.process_time() - worked)


def report(name: str, platform: Sequence[float], bare: Sequence[float]) -> str:
    pairs = statistics.median(p / b for p, b in zip(platform, bare, strict=True))
    return (
        f"  {name:14s} platform {max(platform):8.1f}   bare {max(bare):8.1f}   "
        f"ratio of the best rounds {max(platform) / max(bare):.3f}, "
        f"median ratio of the rounds {pairs:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=("l1", "supremix"), default="l1")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", default="auto")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="by default a GPU if there is one"
    )
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda needs a GPU that torch can use, and there is none here")
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        task = make_task(args, Path(folder))
        ours = Platform(task, args.batch, args.device)
        bare = Bare(ours.run, args.batch)
        rates: dict[str, list[tuple[float, float]]] = {"platform": [], "bare": []}
        for number in range(args.rounds + 1):
            loops = [("platform", ours.epoch), ("bare", bare.epoch)]
            for name, epoch in loops if number % 2 else loops[::-1]:
                rates[name].append(measure(epoch, number, ours.images, bare.device))
    print(
        f"{args.method}, batch {args.batch}, {bare.device.type}, {ours.run.precision.name}, "
        f"{args.threads} threads, images a second (two views count as one image)"
    )
    clocks = ["wall clock"] if bare.device.type == "cuda" else ["wall clock", "processor time"]
    for column, clock in enumerate(clocks):
        # The first round warms up.
        measured = {name: [pair[column] for pair in pairs[1:]] for name, pairs in rates.items()}
        print(report(clock, measured["platform"], measured["bare"]))


if __name__ == "__main__":
    main()
