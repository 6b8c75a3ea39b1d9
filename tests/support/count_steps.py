"""Train steps on the pretended device and print what they do there, one line of JSON a case.

    LD_PRELOAD=LIBRARY python count_steps.py FOLDER CASE [CASE ...]

LIBRARY is what `pretended_cuda.build` made, loaded before torch, which asks only once for a GPU.
FOLDER keeps the stores. A case is JSON: method, dataset (default "rsna-bone-age"), config, width,
and more arguments of the task; "meter", which counts operations of known cost, or "norms".
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pretended_cuda
import torch

from supremix.models import EncoderSpec
from supremix.models.norms import BatchNorm2d
from supremix.training import Solo, Task, TrialRun
from supremix.training.distributed.sync_norm import synchronise_norms
from supremix_datasets.stores.prepare import prepare

SHAPES = {"rsna-bone-age": (40, 40), "ukb-t1": None}
PHANTOMS = {"rsna-bone-age": 80, "ukb-t1": 54}
COUNTS = pretended_cuda.COUNTS


def count(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Waits of an epoch of the first stage; launches, copies and memory moved of a step.

    The memory is in multiples of the batch's images as they are stored.
    """
    name = case.pop("dataset", "rsna-bone-age")
    store = prepare(name, None, cache=folder, phantoms=PHANTOMS[name], shape=SHAPES[name])
    config = {"batch_size": 16, **case.pop("config", {})}
    encoder = EncoderSpec(width=case.pop("width", 4))
    task = Task(store=store.path, encoder=encoder, epochs=4, threads=1, **case)
    run = TrialRun(task, config, device="cuda")
    run.advance()
    COUNTS.reset()
    index, epoch = run.locate(run.epoch)
    run.train_epoch(index, epoch)
    steps = run.trainer_of(index).batches.steps
    return {
        "objective": run.stages[index].objective,
        "steps": steps,
        "waits": dict(COUNTS.waits),
        "launches": COUNTS.launches.total() / steps,
        "copied": COUNTS.copied / steps,
        "moved": COUNTS.moved / steps / run.data.store.images[:1].nbytes / config["batch_size"],
        "by name": dict(COUNTS.launches.most_common()),
    }


def meter() -> dict[str, list[int]]:
    """Waits and launches of operations of known cost."""
    there = torch.arange(6.0).pin_memory().to("cuda", non_blocking=True)
    host = torch.ones(6)
    operations = {
        "a product": lambda: there * there,
        "a view": lambda: there.view(2, 3).T,
        "a read": lambda: float(there.sum()),
        "a condition": lambda: bool((there > 0).all()),
        "a mask": lambda: there[there > 2],
        "a blocking copy": lambda: host.pin_memory().to("cuda"),
        "a pageable copy": lambda: host.to("cuda", non_blocking=True),
        "a pinned copy": lambda: host.pin_memory().to("cuda", non_blocking=True),
        "a list": lambda: torch.tensor([1.0, 2.0], device="cuda"),
        "a copy back": there.cpu,
    }
    found: dict[str, list[int]] = {}
    for name, operation in operations.items():
        COUNTS.reset()
        operation()
        found[name] = [COUNTS.waits.total(), COUNTS.launches.total()]
    try:
        there + host
    except RuntimeError as error:
        found[str(error).split(",")[0]] = []
    return found


class _Both(Solo):
    """One of two workers, whose batches are alike."""

    world = 2

    def __init__(self) -> None:
        self.messages = 0

    def gather(self, x: torch.Tensor, sizes: Any = None) -> torch.Tensor:
        self.messages += 1
        return torch.cat([x, x])

    def sum(self, x: torch.Tensor) -> torch.Tensor:
        self.messages += 1
        return 2 * x


def norms() -> dict[str, Any]:
    """Waits, launches and messages of a batch normalisation over two workers, there and back."""
    both = _Both()
    norm: Any = synchronise_norms(torch.nn.Sequential(BatchNorm2d(4)).to("cuda"), both)
    images = torch.rand(2, 4, 8, 8).pin_memory().to("cuda", non_blocking=True).requires_grad_()
    COUNTS.reset()
    norm(images).sum().backward()
    return {
        "waits": dict(COUNTS.waits),
        "launches": COUNTS.launches.total(),
        "messages": both.messages,
    }


def main() -> None:
    folder, *cases = sys.argv[1:]
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with pretended_cuda.pretend():
        for case in cases:
            named = {"meter": meter, "norms": norms}
            known = named[case]() if case in named else count(json.loads(case), Path(folder))
            print(json.dumps({"case": case, **known}), flush=True)


if __name__ == "__main__":
    main()
