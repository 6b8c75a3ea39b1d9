"""The networks of a trial, and the words that tell whose state is whose."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from supremix.models import Network
from supremix.training.collective import Collective
from supremix.training.isolation import isolated
from supremix.training.methods import Stage, get_method
from supremix.training.randomness import derive
from supremix.training.sync_norm import synchronise_norms
from supremix.training.task import Task
from supremix_datasets.card import Card


def build_twins(
    task: Task,
    card: Card,
    stages: Sequence[Stage],
    *,
    collective: Collective,
    device: torch.device,
) -> tuple[Network, Network]:
    """A fresh network to be judged, and a twin of it, with the same weights, to be trained.

    Weights depend on the task's seed alone. The twin's batch norms see the batch of all workers.
    """
    dims = [stage.projection_dim for stage in stages if stage.objective == "contrastive"]
    with isolated(device, task.threads):
        torch.manual_seed(derive(task.seed, "weights"))
        # Built on the CPU, so that the weights do not depend on the device.
        network = Network(
            task.encoder,
            channels=card.channels,
            shape=card.shape,
            covariates=len(card.covariates),
            projection_dim=dims[0] if dims else None,
            fusion=task.fusion,
        )
    if len(card.shape) == 2:
        _channels_last(network)
    network = network.to(device)
    twin = copy.deepcopy(network)
    synchronise_norms(twin, collective, device)
    return network.requires_grad_(False), twin


def fingerprint(task: Task, config: Any, store_key: str) -> str:
    """What a training state belongs to, readable; states of another are refused."""
    parts = {
        "method": get_method(task.method).name,
        "config": asdict(config),
        "encoder": task.encoder.to_dict(),
        "store": store_key,
        "epochs": task.epochs,
        "seed": task.seed,
        "split": [task.split_seed, list(task.fractions), list(task.fit_on)],
        "training": {
            name: getattr(task, name)
            for name in ("label_fraction", "augment", "fusion", "target_transform", "averaging")
        },
    }
    return json.dumps(parts, sort_keys=True, default=str)


def _channels_last(network: Network) -> None:
    """The layout in which convolutions over few channels are half as fast again."""
    # By the module: it also marks weights of one channel, whose two layouts are one in memory.
    module: Any = network
    module.to(memory_format=torch.channels_last)
