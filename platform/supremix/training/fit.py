"""Training a trial to its end, with a report after every epoch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch

from supremix.training.artifacts.checkpoint import load_checkpoint, save_checkpoint
from supremix.training.distributed.collective import Collective
from supremix.training.run import TrialRun
from supremix.training.task import Task

Save = Callable[[str | os.PathLike[str]], None]
Report = Callable[[dict[str, Any], Save], None]
"""report(row, save): the row of `TrialRun.advance`, and a function that writes a checkpoint."""


def fit(
    task: Task,
    config: Mapping[str, Any],
    *,
    report: Report | None = None,
    collective: Collective | None = None,
    device: torch.device | str | None = None,
    resume_from: str | os.PathLike[str] | None = None,
    checkpoint_to: str | os.PathLike[str] | None = None,
) -> TrialRun:
    """Train all epochs, from the start or from a checkpoint.

    Args:
        task: as for `TrialRun`.
        config: as for `TrialRun`.
        report: called after every epoch on every worker; what it raises ends the training.
        collective: as for `TrialRun`.
        device: as for `TrialRun`.
        resume_from: a checkpoint to go on from.
        checkpoint_to: where rank 0 writes a checkpoint after every epoch, each over the last.

    Returns:
        The run, with all epochs done.
    """
    run = TrialRun(task, config, collective=collective, device=device)
    if resume_from is not None:
        run.load(load_checkpoint(resume_from))
    while not run.done:
        row = run.advance()
        if checkpoint_to is not None and run.collective.rank == 0:
            save_checkpoint(run.state(), checkpoint_to)
        if report is not None:
            report(row, lambda path: save_checkpoint(run.state(), path))
    return run
