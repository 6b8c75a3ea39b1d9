"""Checks of a configuration before a worker starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from supremix._errors import BatchTooLargeError, ConfigError
from supremix.methods.base import Stage
from supremix.methods.registry import get_method, make_config, method_names
from supremix.models import EncoderSpec, build_encoder, feature_width
from supremix.models.stages import encoder_stages
from supremix.training.artifacts.pretrained import Initial
from supremix.training.data.trial_data import TrialData
from supremix.training.length import steps_of
from supremix.training.own_parts import check_losses
from supremix.training.steps.compiling import check_compile
from supremix.training.steps.gradient_cache import check_chunk
from supremix.training.steps.regression_step import check_recipes
from supremix.training.task import Task
from supremix_datasets.cards.card import Card


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
        ModelError: An encoder of the user's own gives no features (B, F).
    """
    data = TrialData(task, torch.device("cpu"))
    method = get_method(task.method)
    stages = method.stages(make_config(method, config), epochs=task.epochs, card=data.card)
    check_batches(stages, data, task.encoder, workers)
    if task.encoder.builder is not None:
        feature_width(_built(task.encoder, data.card), data.card.channels, data.card.shape)
    if method.name not in method_names():
        check_losses(stages, data.labels[torch.from_numpy(data.fit)], workers)
    check_recipes(stages, data)
    check_chunk(task, stages)
    if task.compile:
        check_compile(task.encoder, workers)
    check_freezing(stages, task, data.card)
    if task.pretrained is not None:
        Initial.read(task.pretrained).check(task.encoder, data.card)
    if task.eval_split is not None:
        data.positions(task.eval_split)
    return int(np.size(data.fit))


def check_batches(
    stages: Sequence[Stage], data: TrialData, encoder: EncoderSpec, workers: int
) -> None:
    """Check that the batches of the stages can be trained on.

    Args:
        stages: Stages of the method.
        data: The samples, of which `data.fit` are trained on.
        encoder: Encoder of the network.
        workers: Number of workers that share a batch.

    Raises:
        BatchTooLargeError: A batch exceeds the samples, or leaves a worker without.
        ConfigError: Batches of one image are normalised over the batch, or contrasted.
    """
    samples = len(data.fit)
    for stage in stages:
        if stage.objective == "probe":
            continue
        if stage.batch_size == 1 and stage.objective == "contrastive":
            raise ConfigError(
                f"stage {stage.name!r} would contrast a batch of one image with nothing; take a "
                "batch_size of at least 2"
            )
        if stage.batch_size == 1 and _normalises_batches(encoder, data.card):
            raise ConfigError(
                f"batch normalisation has nothing to normalise over in batches of one image, in "
                f"stage {stage.name!r}; take a batch_size of at least 2, or an encoder with "
                "another normalisation (--norm group)"
            )
        if stage.batch_size > samples:
            raise BatchTooLargeError(
                f"stage {stage.name!r} wants batches of {stage.batch_size} images, the training "
                f"split has {samples}; take a batch_size of at most {samples}"
            )
        smallest = samples // steps_of(samples, stage.batch_size)
        if smallest < workers:
            raise BatchTooLargeError(
                f"{workers} workers share batches of {smallest} images in stage {stage.name!r}; "
                f"take a batch_size of at least {workers}, or fewer workers"
            )


def check_freezing(stages: Sequence[Stage], task: Task, card: Card) -> None:
    """Check that what is frozen or learns slower is pretrained, and that there is as much of it.

    Raises:
        ConfigError: Nothing is pretrained, or the encoder has fewer stages.
    """
    freeze = max(stage.freeze for stage in stages)
    decay = min(stage.layer_decay for stage in stages)
    if task.pretrained is None and (freeze or decay < 1):
        raise ConfigError(
            f"freeze={freeze} and layer_decay={decay:g} keep pretrained weights, and the encoder "
            "starts from random ones; give pretrained (--pretrained), or leave them out"
        )
    if not freeze:
        return
    number = len(encoder_stages(_built(task.encoder, card)))
    if freeze > number:
        raise ConfigError(
            f"freeze={freeze} is more than the {number} stages of the encoder, its stem included; "
            f"take at most {number}"
        )


def _built(encoder: EncoderSpec, card: Card) -> nn.Module:
    """An encoder to look at, built without a change of the random state."""
    with torch.random.fork_rng(devices=[]):
        return build_encoder(encoder, len(card.shape), card.channels)


def _normalises_batches(encoder: EncoderSpec, card: Card) -> bool:
    """Whether an encoder has batch normalisation; one of the user's own is built to find out."""
    if encoder.builder is None:
        return encoder.norm == "batch"
    return any(isinstance(module, _BatchNorm) for module in _built(encoder, card).modules())
