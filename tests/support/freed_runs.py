"""Train two trials in a process of their own and print whether each is freed after its end."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import torch

from supremix.cluster.messages import WorkerRequest
from supremix.cluster.worker import worker as worker_module
from supremix.cluster.worker.worker import TrialWorker
from supremix.models import EncoderSpec
from supremix.training import Solo, Task, TrialRun, start_run

runs: list[weakref.ref[Any]] = []


def remember(*rest: Any, **named: Any) -> TrialRun:
    run: Any = start_run(*rest, **named)
    runs.append(weakref.ref(run))
    return run


def main() -> None:
    store, folder = sys.argv[1:]
    torch.set_num_threads(1)
    worker_module.start_run = remember
    worker = TrialWorker(Solo(), torch.device("cpu"))
    for key in ("a", "b", "c"):
        task = Task(store=store, method="l1", encoder=EncoderSpec(width=1), epochs=1)
        config = {"batch_size": 16}
        checkpoint = f"{folder}/{key}.pt"
        request = WorkerRequest(key=key, task=task, config=config, checkpoint=checkpoint, epoch=1)
        if (failure := worker.execute(request).failure) is not None:
            raise SystemExit(failure)
    gc.collect()
    for run in runs[:-1]:  # the worker keeps the last one
        print("freed" if run() is None else "kept")


if __name__ == "__main__":
    main()
