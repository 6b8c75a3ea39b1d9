"""Gradient caching: a contrastive step on more images than the device's memory takes at once.

A contrastive loss needs the embeddings of the whole batch, but not their activations (Gao et al.
2021, arXiv 2101.06983): the encoder runs over all images, a chunk at a time and without a graph;
projection and loss on all the features give the gradient in each; then the encoder runs over
each chunk again, with a graph, and that gradient goes back through it. The price is a second
forward pass, what it buys is activations of a chunk in place of those of the batch.

The result is that of the whole batch, to rounding, as long as an image's features do not depend on
its fellows in the chunk: an encoder with batch normalisation is refused. The projection head sees
the whole batch, and may have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.instancenorm import _InstanceNorm  # pyright: ignore[reportPrivateUsage]

from supremix._errors import ConfigError
from supremix.methods.base import Stage
from supremix.methods.registry import get_method, make_config
from supremix.models import EncoderSpec, Network
from supremix.training.data.batches import Batch
from supremix.training.distributed.collective import Collective
from supremix.training.steps.precision import Precision
from supremix.training.task import Task
from supremix_datasets.cards.card import Card

_RandomState = tuple[Tensor, Tensor | None]


class ChunkedStep:
    """Forward and backward pass of contrastive steps, a chunk at a time.

    Args:
        network: The network in training, not wrapped: gradients are added up here.
        chunk: Images of a forward pass, each with all its views.
        precision: Precision of the forward passes.
        collective: Fellow workers.
    """

    def __init__(
        self, network: Network, *, chunk: int, precision: Precision, collective: Collective
    ) -> None:
        self._network, self._chunk = network, chunk
        self._precision, self._collective = precision, collective

    def backward(
        self,
        batch: Batch,
        objective: Callable[[Tensor], Tensor],
        scale: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Leave the gradient of the batch of all workers in the parameters.

        Args:
            batch: This worker's part.
            objective: Function of its embeddings (V n, D) that returns its part of the loss.
            scale: Function applied to the loss before it is differentiated, as mixed precision
                needs.

        Returns:
            This worker's part of the loss.
        """
        rows = list(self._rows(batch))
        features, states = self._forward(batch, rows)
        with self._precision.autocast():
            embeddings = self._network.embed(features)
        loss = objective(embeddings)
        scale(loss).backward()
        self._backward(batch, rows, features, states)
        self._add_up()
        return loss.detach()

    def _rows(self, batch: Batch) -> Iterator[slice]:
        step = self._chunk * batch.views
        for start in range(0, len(batch.images), step):
            yield slice(start, start + step)

    @torch.no_grad()
    def _forward(self, batch: Batch, rows: Sequence[slice]) -> tuple[Tensor, list[_RandomState]]:
        """Features of all images, a leaf of the graph, and the random state before each chunk."""
        parts: list[Tensor] = []
        states: list[_RandomState] = []
        for part in rows:
            states.append(_random_state(batch.images.device))
            parts.append(self._features(batch, part))
        return torch.cat(parts).requires_grad_(), states

    def _backward(
        self,
        batch: Batch,
        rows: Sequence[slice],
        features: Tensor,
        states: Sequence[_RandomState],
    ) -> None:
        """Send the gradient in the features back through the encoder."""
        if features.grad is None:
            return
        for part, state in zip(rows, states, strict=True):
            _set_random_state(state, batch.images.device)
            self._features(batch, part).backward(features.grad[part])

    def _features(self, batch: Batch, rows: slice) -> Tensor:
        with self._precision.autocast():
            return self._network.features(batch.images[rows], batch.covariates[rows])

    def _add_up(self) -> None:
        """Gradients become their sum over the workers, whose losses add up; in one message."""
        if self._collective.world == 1:
            return
        trained = [p for p in self._network.parameters() if p.requires_grad]
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        total = self._collective.sum(torch.cat([gradient.flatten() for gradient in own]))
        parts = total.split([p.numel() for p in trained])
        for parameter, part in zip(trained, parts, strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(part.view(parameter.shape))


def check_chunk(task: Task, stages: Sequence[Stage], network: Network | None = None) -> None:
    """Raise ConfigError where `task.chunk` has nothing to cut, or would change what is computed.

    Args:
        task: The task to be trained.
        stages: Stages of the method.
        network: The network built for it, where it has been.
    """
    if task.chunk is None:
        return
    if not _contrastive(stages):
        raise ConfigError(
            f"chunk={task.chunk} cuts contrastive steps, and this method has none. Leave it out, "
            "or take a contrastive method."
        )
    check_encoder(task.chunk, task.encoder)
    found = [] if network is None else _mixing(network)
    if found:
        raise ConfigError(_needs_separate(task.chunk, f"{found[0]}, one of {len(found)} such"))


def cuts(task: Task, config: Mapping[str, Any], card: Card) -> bool:
    """Whether there is a contrastive step to cut in a configuration of the task's method."""
    method = get_method(task.method)
    return _contrastive(method.stages(make_config(method, config), epochs=task.epochs, card=card))


def check_encoder(chunk: int | None, encoder: EncoderSpec) -> None:
    """Raise ConfigError where an encoder known by name has batch normalisation."""
    if chunk is not None and encoder.builder is None and encoder.norm == "batch":
        raise ConfigError(_needs_separate(chunk, f"norm='batch' in {encoder.name}"))


def _contrastive(stages: Sequence[Stage]) -> bool:
    return any(stage.objective == "contrastive" for stage in stages)


def _needs_separate(chunk: int, found: str) -> str:
    return (
        f"chunk={chunk} needs an encoder that treats each image by itself, found batch "
        f"normalisation ({found}), which mixes the images of a chunk. Build the encoder with "
        "norm='group' (--norm group), one of your own likewise, or leave chunk out."
    )


def _mixing(network: Network) -> list[str]:
    """Layers outside of the projection whose output or state depends on the whole batch."""
    return [
        name
        for name, module in network.named_modules()
        if _mixes(module) and not name.startswith("projection.")
    ]


def _mixes(module: nn.Module) -> bool:
    # An instance norm treats each image by itself, unless it keeps running statistics, which two
    # forward passes would update twice.
    return isinstance(module, _BatchNorm) or (
        isinstance(module, _InstanceNorm) and module.track_running_stats
    )


def _random_state(device: torch.device) -> _RandomState:
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), cuda


def _set_random_state(state: _RandomState, device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
