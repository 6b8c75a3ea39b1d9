"""Facts of a training that its model keeps, to compare other images with those of the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supremix.models import Network
from supremix.training.data.randomness import seeded_generator
from supremix.training.data.trial_data import Positions, TrialData
from supremix.training.distributed.collective import Solo
from supremix.training.evaluation.evaluator import Evaluator
from supremix.training.evaluation.null_models import NullModels
from supremix.training.evaluation.out_of_distribution import ReferenceDistribution, share_above
from supremix.training.evaluation.representation import sample
from supremix.training.task import Task

FEATURES, INTENSITIES, IMAGES = "features", "intensities", "images"
"""Tensors of the reference: two distributions, and the hashes of the training images."""

LABEL_PERCENTILES = (0, 5, 50, 95, 100)

_MOST = 2000
"""Images, of the training or held out, that a distribution is fitted to at most."""


def training_facts(
    task: Task, data: TrialData, network: Network
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The facts of a training as plain values, and the tensors of its reference.

    Labels of held-out images are not looked at.

    Returns:
        images, patients, labels (mean, sd, percentiles), null_models (see `NullModels`),
        intensities (mean and sd of each value of the profile), and held_out (split, images,
        share_above), which is None where no image is held out; and the tensors by name, those of
        a distribution with ".mean" and ".whitening", only where there are held-out images.
    """
    labels = data.store.targets[data.fit]
    evaluator = Evaluator(network, data, Solo(), task.images_at_once)
    fit, (split, held_out) = _drawn(task, data.fit), _held_out(task, data)

    def vectors(compute: Callable[..., Tensor], positions: Positions) -> NDArray[np.float64]:
        return compute(positions, flips=task.flips).double().cpu().numpy()

    profiles = vectors(evaluator.intensities, fit)
    facts: dict[str, Any] = {
        "images": len(data.fit),
        "patients": data.store.index["group"][data.fit.tolist()].n_unique(),
        "labels": {
            "mean": float(labels.mean()),
            "sd": float(labels.std()),
            "percentiles": np.quantile(labels, np.array(LABEL_PERCENTILES) / 100).tolist(),
        },
        "null_models": asdict(NullModels.fit(data)),
        "intensities": {"mean": profiles.mean(0).tolist(), "sd": profiles.std(0).tolist()},
        "held_out": None,
    }
    hashes = data.store.index["image_hash"][data.fit.tolist()].to_list()
    tensors = {IMAGES: hash_numbers(hashes)}
    if len(held_out):
        count = len(held_out)
        facts["held_out"] = {"split": split, "images": count, "share_above": share_above(count)}
        for name, compute, known in (
            (FEATURES, evaluator.features, vectors(evaluator.features, fit)),
            (INTENSITIES, evaluator.intensities, profiles),
        ):
            distribution = ReferenceDistribution.fit(known, vectors(compute, held_out))
            tensors[f"{name}.mean"] = distribution.mean
            tensors[f"{name}.whitening"] = distribution.whitening
    return facts, tensors


def training_words(facts: Mapping[str, Any]) -> str:
    """What a model was trained on, in words.

    Args:
        facts: Those of `training_facts`, or of several models, see `ensemble.pooled_facts`.
    """
    size = f"{facts['images']} images of {facts['patients']} patients"
    models = facts.get("models", 1)
    return size if models == 1 else f"{size} for each of {models} models, on average"


def hash_numbers(hashes: list[str]) -> Tensor:
    """The first 64 bits of hexadecimal hashes, as (N,) int64."""
    numbers: NDArray[Any] = np.array([int(one[:16], 16) for one in hashes], dtype=np.uint64)
    return torch.from_numpy(numbers.view(np.int64))


def _held_out(task: Task, data: TrialData) -> tuple[str, Positions]:
    """The first split with images that were not fitted, and at most 2000 of these."""
    splits = [task.eval_split] if task.eval_split else ["val", "test"]
    for split in splits:
        found = np.flatnonzero(data.splits == split).astype(np.int64)
        if len(found) and split not in task.train_splits:
            return split, _drawn(task, found)
    return "", np.zeros(0, dtype=np.int64)


def _drawn(task: Task, positions: Positions) -> Positions:
    generator = seeded_generator(task.split_seed, "reference")
    return positions[sample(len(positions), _MOST, generator)]
