"""Checks of a configuration before a worker starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from supremix._errors import BatchTooLargeError
from supremix.methods.base import Stage
from supremix.methods.registry import get_method, make_config
from supremix.training.artifacts.pretrained import Initial
from supremix.training.data.trial_data import TrialData
from supremix.training.steps.gradient_cache import check_chunk
from supremix.training.steps.regression_step import check_recipes
from supremix.training.task import Task


def preflight(task: Task, config: Mapping[str, Any], *, workers: int = 1) -> int:
    """Check that a configuration can be trained, without building a network.

    Args:
        task: Task of the trial.
        config: Parameters of the method by name.
        workers: Number of workers that would train together.

    Returns:
        The number of samples that would be fitted.

    Raises:
        TrainingError: It cannot be trained; the message says what to change.
    """
    data = TrialData(task, torch.device("cpu"))
    method = get_method(task.method)
    stages = method.stages(make_config(method, config), epochs=task.epochs, card=data.card)
    check_batches(stages, len(data.fit), workers)
    check_recipes(stages, data)
    check_chunk(task, stages)
    if task.init is not None:
        Initial.read(task.init).check(task.encoder, data.card)
    if task.eval_split is not None:
        data.positions(task.eval_split)
    return int(np.size(data.fit))


def check_batches(stages: Sequence[Stage], samples: int, workers: int) -> None:
    """Raise BatchTooLargeError where a batch exceeds the samples, or leaves a worker without."""
    for stage in stages:
        if stage.objective == "probe":
            continue
        if stage.batch_size > samples:
            raise BatchTooLargeError(
                f"stage {stage.name!r} wants batches of {stage.batch_size} images, the training "
                f"split has {samples}; take a batch_size of at most {samples}"
            )
        smallest = samples // -(-samples // stage.batch_size)
        if smallest < workers:
            raise BatchTooLargeError(
                f"{workers} workers share batches of {smallest} images in stage {stage.name!r}; "
                f"take a batch_size of at least {workers}, or fewer workers"
            )
