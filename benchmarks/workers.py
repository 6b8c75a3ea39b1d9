"""Time of a training step on two workers beside one, at the same global batch.

One worker with one and with two threads, and two workers with one thread each over gloo, train the
same trial: same images, batch, encoder, steps. In the two workers three kinds of rounds take
turns: as it is; with a timer around every message, which then are sent one after the other; and
silent, where each worker takes its own rows for those of the other, so that what is left is the
work alone. Time in messages holds the wait for the slower worker.

    python benchmarks/workers.py [--method supremix|l1] [--batch 32] [--norm batch|group]

About a minute on two cores that have nothing else to do.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from step import make_task
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.futures import Future

from supremix.models import EncoderSpec
from supremix.training import Distributed, Solo, Task, TrialRun

MODES = ("as it is", "timed", "silent")
# What a message is, by the number of axes of what it carries.
KINDS = {1: "gradients", 2: "embeddings, or norm gradients", 3: "norm statistics"}


class Wire:
    """Stands between the training and torch.distributed: passes on, times, or cuts."""

    def __init__(self) -> None:
        self.mode = MODES[0]
        self.spent: dict[str, float] = defaultdict(float)
        self.messages: dict[str, int] = defaultdict(int)
        self._gather, self._reduce = dist.all_gather, dist.all_reduce
        dist.all_gather, dist.all_reduce = self.gather, self.reduce

    def gather(self, parts: list[torch.Tensor], own: torch.Tensor, group: Any = None) -> None:
        """In place of torch's all_gather."""
        if self.mode == "silent":
            for part in parts:
                part.copy_(own)
        else:
            self._send(own.ndim, lambda: self._gather(parts, own, group=group))

    def reduce(self, total: torch.Tensor, *rest: Any, **options: Any) -> Any:
        """In place of torch's all_reduce; one that is to run beside the work is torch's."""
        if options.get("async_op"):
            return self._reduce(total, *rest, **options)
        if self.mode != "silent":
            self._send(total.ndim, lambda: self._reduce(total, *rest, **options))
        return None

    def hook(self, group: Any, bucket: dist.GradBucket) -> Future[torch.Tensor]:
        """In place of the all-reduce that data-parallel training does of its gradients."""
        if self.mode == "as it is":
            return allreduce_hook(group, bucket)
        gradients = bucket.buffer()
        if self.mode == "timed":
            self._send(1, lambda: self._reduce(gradients.div_(2)))
        done: Future[torch.Tensor] = Future()
        done.set_result(gradients)
        return done

    def _send(self, axes: int, send: Callable[[], Any]) -> None:
        started = time.perf_counter()
        send()
        kind = KINDS.get(axes, "other")
        if self.mode == "timed":
            self.spent[kind] += time.perf_counter() - started
            self.messages[kind] += 1


def train(rank: int, world: int, threads: int, folder: str, task: Task, args: Any) -> None:
    """One worker: rounds of one epoch each; the seconds a step of every round go into a file."""
    torch.set_num_threads(threads)
    wire = None
    if world > 1:
        meeting = f"file://{folder}/meeting"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
        wire = Wire()
    run = TrialRun(
        dataclasses.replace(task, threads=threads),
        {"batch_size": args.batch},
        collective=Distributed() if world > 1 else Solo(),
        device="cpu",
    )
    trainer = run.trainer_of(0)
    if wire is not None:
        # As a lambda: torch compares annotations, which are strings here, with its own classes.
        hook = lambda group, bucket: wire.hook(group, bucket)  # noqa: E731, PLW0108
        trainer.module.register_comm_hook(None, hook)
    seconds: dict[str, list[float]] = defaultdict(list)
    work: dict[str, list[float]] = defaultdict(list)
    for number in range(args.rounds + 1):
        for mode in MODES if wire is not None else MODES[:1]:
            if wire is not None:
                wire.mode = mode
                dist.barrier()
            started, worked = time.perf_counter(), time.process_time()
            run.train_epoch(0, number)
            seconds[mode].append((time.perf_counter() - started) / trainer.batches.steps)
            work[mode].append((time.process_time() - worked) / trainer.batches.steps)
        if wire is not None and number == 0:  # the first round warms up
            wire.spent.clear()
            wire.messages.clear()
    steps = args.rounds * trainer.batches.steps
    result: dict[str, Any] = {
        "seconds": {mode: found[1:] for mode, found in seconds.items()},
        "work": {mode: found[1:] for mode, found in work.items()},
    }
    if wire is not None:
        result["spent"] = {kind: spent / steps for kind, spent in wire.spent.items()}
        result["messages"] = {kind: count / steps for kind, count in wire.messages.items()}
        dist.destroy_process_group()
    torch.save(result, f"{folder}/rank{rank}")


def on_workers(world: int, threads: int, task: Task, args: Any) -> list[dict[str, Any]]:
    """What each of some new processes measured."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        members = [
            context.Process(target=train, args=(rank, world, threads, folder, task, args))
            for rank in range(world)
        ]
        for member in members:
            member.start()
        for member in members:
            member.join()
        return [torch.load(f"{folder}/rank{rank}") for rank in range(world)]


def line(name: str, workers: list[dict[str, Any]], mode: str, reference: float) -> str:
    middle = statistics.median(workers[0]["seconds"][mode])
    work = sum(statistics.median(worker["work"][mode]) for worker in workers)
    return (
        f"  {name:34s} {1000 * middle:8.1f} ms {reference / middle:6.2f} times as fast "
        f"{1000 * work:8.1f} ms of processors"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="supremix")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--images", type=int, default=144)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--norm", default="batch", help="of the encoder: batch or group")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    args.precision, args.threads = "fp32", 1
    with tempfile.TemporaryDirectory() as folder:
        encoder = EncoderSpec(width=args.width, norm=args.norm)
        task = dataclasses.replace(make_task(args, Path(folder)), encoder=encoder)
        alone = on_workers(1, 1, task, args)
        wide = on_workers(1, 2, task, args)
        pair = on_workers(2, 1, task, args)
    print(
        f"{args.method}, {args.norm} norm, {args.batch} images a step, time of a step, "
        f"median of {args.rounds}; load of the machine {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} cores"
    )
    reference = statistics.median(alone[0]["seconds"][MODES[0]])
    print(line("1 worker, 1 thread", alone, MODES[0], reference))
    print(line("1 worker, 2 threads", wide, MODES[0], reference))
    for mode in MODES:
        print(line(f"2 workers, 1 thread each, {mode}", pair, mode, reference))
    middle = {mode: statistics.median(pair[0]["seconds"][mode]) for mode in MODES}
    whole, silent = middle["timed"], middle["silent"] / middle["as it is"]
    print("  messages of a step, each sent to its end, with the wait for the slower worker:")
    for kind, count in pair[0]["messages"].items():
        spent = statistics.mean(worker["spent"][kind] for worker in pair)
        print(f"    {kind:30s} {count:5.1f} messages {1000 * spent:8.1f} ms {spent / whole:6.1%}")
    total = statistics.mean(sum(worker["spent"].values()) for worker in pair)
    print(f"    {'all':18s} {1000 * total:23.1f} ms {total / whole:6.1%} of a step")
    print(f"  a step without messages takes {silent:.1%} of one with them")


if __name__ == "__main__":
    main()
