"""The part of the measurement that runs on the workers of one worker group."""

from __future__ import annotations

import dataclasses
import gc
import json
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from supremix.cluster.resources import GPU_CONTEXT
from supremix.errors import TrainingError
from supremix.search.settling import short_run
from supremix.training import Collective, Task, TrialRun, save_checkpoint
from supremix.training.data.trial_data import TrialData

WARM = 60.0
"""Seconds. A shorter measurement is repeated, since the first epochs of a process are slow."""

PATIENCE = 240.0
"""Seconds of epochs with the defaults beyond which other batches are not timed as well, but
tried with a few images each, for their memory."""

FEW = 3
"""Batches of images, where only the memory is looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureRequest:
    """A request to measure on one worker group: a task, and configurations."""

    task: Task
    configs: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochCost:
    """The measured cost of an epoch of one kind.

    Args:
        objective: Kind of stage: ``"contrastive"``, ``"regression"`` or ``"probe"``.
        stage: Its name.
        batch: Images of a step.
        seconds: Seconds of an ordinary epoch.
        more: Seconds that the stage's last epoch took beyond that, for what is measured then.
    """

    objective: str
    stage: str
    batch: int
    seconds: float
    more: float = 0.0


def measure(
    collective: Collective, device: torch.device, request: MeasureRequest
) -> dict[str, Any]:
    """Train with each configuration and measure it; every worker of the worker group does so.

    Returns:
        ``found``, the fields of `Measured` as plain values for each configuration, or ``batch`` and
        ``failed``, a reason; and ``spent``, the seconds that all this took.
    """
    began = time.perf_counter()
    found: list[dict[str, Any]] = []
    brief = False
    for config in request.configs:
        try:
            found.append(_measure_one(collective, device, request.task, config, brief=brief))
        except (TrainingError, RuntimeError) as error:
            # Others of the worker group may be waiting for this worker, and without the defaults
            # there is nothing to plan with: then the whole worker group ends.
            if collective.world > 1 or not found:
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            found.append({"batch": config["batch_size"], "failed": reason})
        seconds = sum(epoch["seconds"] for epoch in found[0]["epochs"])
        brief = collective.broadcast(seconds > PATIENCE)
    return {"found": found, "spent": time.perf_counter() - began}


def _measure_one(
    collective: Collective,
    device: torch.device,
    task: Task,
    config: Mapping[str, Any],
    *,
    brief: bool,
) -> dict[str, Any]:
    if brief:  # a few batches of images and no evaluation
        images = len(TrialData(task, device).fit)
        share = task.label_fraction * min(1.0, FEW * int(config["batch_size"]) / images)
        task = dataclasses.replace(task, label_fraction=share, eval_split=None)
    _free_memory(device)
    began = time.perf_counter()
    run, setup = _train(collective, device, task, config, epochs=2)
    if not brief and collective.broadcast(time.perf_counter() - began < WARM):
        del run  # a worker never has two
        _free_memory(device)
        run, setup = _train(collective, device, task, config, epochs=4)
    with tempfile.TemporaryDirectory(prefix="supremix-") as folder:
        files = _write(run, Path(folder))
    batch = config.get("batch_size")
    return {
        "batch": batch if isinstance(batch, int) else None,
        "timed": not brief,
        "epochs": _epochs(run),
        "setup": setup,
        **files,
        "row": len(json.dumps(run.history[-1])),
        **_memory(collective, run.device),
    }


def _train(
    collective: Collective,
    device: torch.device,
    task: Task,
    config: Mapping[str, Any],
    *,
    epochs: int,
) -> tuple[TrialRun, float]:
    """A whole trial of so few epochs; and the seconds to build it."""
    began = time.perf_counter()
    run = short_run(collective, device, task, config, epochs=epochs)
    setup = time.perf_counter() - began
    while not run.done:
        run.advance()
    return run, setup


def _epochs(run: TrialRun) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    done = 0
    for stage in run.stages:
        seconds = [row["seconds"] for row in run.history[done : done + stage.epochs]]
        done += stage.epochs
        epoch = EpochCost(
            objective=stage.objective,
            stage=stage.name,
            batch=stage.batch_size,
            seconds=min(seconds),
            more=max(0.0, seconds[-1] - min(seconds)),
        )
        found.append(dataclasses.asdict(epoch))
    return found


def _write(run: TrialRun, folder: Path) -> dict[str, Any]:
    """Write what a trial leaves behind; each worker on its own disk."""
    checkpoint, model = folder / "trial.pt", folder / "model"
    began = time.perf_counter()
    save_checkpoint(run.state(), checkpoint)
    save = time.perf_counter() - began
    run.export(model)
    size = sum(file.stat().st_size for file in model.iterdir())
    return {"save": save, "checkpoint": checkpoint.stat().st_size, "model": size}


def _free_memory(device: torch.device) -> None:
    """Free what was trained before, so that the peak of the next is its own."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _memory(collective: Collective, device: torch.device) -> dict[str, int]:
    unit = 1 if sys.platform == "darwin" else 1024
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    on_gpu = device.type == "cuda"
    peak = torch.cuda.max_memory_reserved(device) + GPU_CONTEXT if on_gpu else 0
    total = torch.cuda.get_device_properties(device).total_memory if on_gpu else 0
    mine = torch.tensor([[float(resident), float(peak)]], dtype=torch.float64, device=device)
    most = collective.gather(mine).max(0).values.tolist()
    return {"resident": int(most[0]), "device": int(most[1]), "device_total": int(total)}
