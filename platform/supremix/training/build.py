"""The networks of a trial, and the fingerprint of its training state."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from supremix._errors import ConfigError
from supremix.methods.base import Stage
from supremix.methods.recipes import LabelStats, SoftBins
from supremix.methods.registry import get_method
from supremix.models import BinnedHead, Network
from supremix.training.artifacts.pretrained import Initial
from supremix.training.data.randomness import derive
from supremix.training.distributed.collective import Collective
from supremix.training.distributed.sync_norm import synchronise_norms
from supremix.training.steps.compiling import check_compile, compile_encoder
from supremix.training.steps.gradient_cache import check_chunk
from supremix.training.steps.isolation import isolated
from supremix.training.task import Task
from supremix_datasets.cards.card import Card


def build_models(
    task: Task,
    card: Card,
    stages: Sequence[Stage],
    *,
    collective: Collective,
    device: torch.device,
    stats: LabelStats,
) -> tuple[Network, Network]:
    """The averaged network, which is evaluated, and the one in training, with the same weights.

    A head of label bins takes its bins from the label statistics. Weights depend on the task's
    seed alone, those of the encoder on `task.pretrained` where there is one; all workers start from
    rank 0's, as an encoder of the user's may draw from elsewhere. The batch norms of the network in
    training see the batch of all workers. Collective.
    """
    bins = _bins(stages)
    grid = None if bins is None else bins.grid(stats)
    widths = (stage.projected for stage in stages)
    with isolated(device, task.threads):
        torch.manual_seed(derive(task.seed, "weights"))
        # Built on the CPU, so that the weights do not depend on the device.
        network = Network(
            task.encoder,
            channels=card.channels,
            shape=card.shape,
            covariates=len(card.covariates),
            projection_dim=next((width for width in widths if width is not None), None),
            fusion=task.fusion,
            bins=None if grid is None else grid.count,
        )
    if bins is not None and grid is not None and isinstance(network.head, BinnedHead):
        centres = stats.scale.standardise(grid.centres())
        network.head.set_bins(centres, bins.frequency(stats))
    check_chunk(task, stages, network)
    if task.pretrained is not None:
        initial = Initial.read(task.pretrained)
        initial.check(task.encoder, card)
        initial.load_into(network.encoder)
    if collective.world > 1:
        network.load_state_dict(collective.broadcast(network.state_dict()))
    if len(card.shape) == 2 and channels_last_is_safe(network, device):
        use_channels_last(network)
    network = network.to(device)
    model = copy.deepcopy(network)
    synchronise_norms(model, collective)
    if task.compile:
        check_compile(task.encoder, collective.world)
        compile_encoder(model)
    return network.requires_grad_(False), model


def fingerprint(
    task: Task, config: Any, store_key: str, precision: str, *, may_grow: bool = False
) -> str:
    """Readable identity of a training state; states of another are refused.

    Its length is part of it unless the training may be prolonged.
    """
    parts = {
        "method": get_method(task.method).name,
        "config": asdict(config),
        "encoder": task.encoder.to_dict(),
        "store": store_key,
        "epochs": None if may_grow else task.epochs,
        "seed": task.seed,
        # What "auto" stood for: half of an epoch's steps in another would be neither run.
        "precision": precision,
        "compile": task.compile,
        # Its content, not its address.
        "pretrained": None if task.pretrained is None else Initial.read(task.pretrained).digest,
        "split": [
            task.split_seed,
            list(task.fractions),
            task.keep_copies_together,
            None if task.fold is None else asdict(task.fold),
            list(task.train_splits),
        ],
        "training": {
            name: getattr(task, name)
            for name in ("label_fraction", "augment", "fusion", "target_transform", "averaging")
        },
    }
    return json.dumps(parts, sort_keys=True, default=str)


def _bins(stages: Sequence[Stage]) -> SoftBins | None:
    """The bins of the head; where one stage wants some, all have to."""
    wanted = {None if stage.recipe is None else stage.recipe.bins for stage in stages}
    if len(wanted) > 1:
        raise ConfigError(
            "one network has one head: its stages want "
            f"{', '.join(str(bins or 'a linear head') for bins in wanted)}; let all stages have "
            "the same bins in their recipe (a contrastive or probe stage needs a linear head)"
        )
    return next(iter(wanted), None)


def channels_last_is_safe(network: Network, device: torch.device) -> bool:
    """Whether the convolutions may be laid out with their channels last.

    On a CPU the backward pass of oneDNN (3.12, in torch 2.13) writes beyond its buffers where a
    convolution in that layout has 4, 8 or 12 output channels, the batch is odd and there are two
    threads or more: the heap is corrupted. Multiples of 16, which fill its vectors, are safe.
    """
    convolutions = (m for m in network.modules() if isinstance(m, nn.Conv2d))
    return device.type == "cuda" or all(m.out_channels % 16 == 0 for m in convolutions)


def use_channels_last(network: Network) -> None:
    """The layout in which convolutions over few channels are half as fast again."""
    # By the module: it also marks weights of one channel, whose two layouts are one in memory.
    module: Any = network
    module.to(memory_format=torch.channels_last)
