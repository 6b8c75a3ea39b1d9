"""Losses and encoders of the user's own, tried on a few numbers before a worker starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from supremix._errors import ConfigError
from supremix.losses import LossInputError
from supremix.methods.base import Stage
from supremix.methods.recipes import Bindable
from supremix_datasets.own_objects import takes

_ROWS, _WIDTH = 8, 16


def check_losses(stages: Sequence[Stage], labels: Tensor, workers: int) -> None:
    """Call the losses of a method as a step would, on drawn numbers.

    Args:
        stages: Stages of the method.
        labels: (N,) labels to be fitted, in the task's unit.
        workers: Number of workers that share a batch.

    Raises:
        ConfigError: A loss cannot be called so, or gives something else than is expected.
    """
    generator = torch.Generator().manual_seed(0)
    some = labels[torch.linspace(0, len(labels) - 1, _ROWS).long()]
    for stage in stages:
        if stage.loss is None or stage.recipe is not None or isinstance(stage.loss, Bindable):
            continue
        if stage.objective == "contrastive":
            _check_contrastive(stage, stage.loss, some.repeat(2), generator, workers)
        else:
            rows = torch.randn(_ROWS, generator=generator, requires_grad=True)
            targets = torch.randn(_ROWS, generator=generator)
            if not takes(stage.loss, rows, targets):
                raise ConfigError(f"{_loss(stage)} has to be called as loss(predictions, targets)")
            _called(stage, lambda loss=stage.loss, r=rows, t=targets: loss(r, t), (_ROWS,))


def _check_contrastive(
    stage: Stage,
    loss: Callable[..., Tensor],
    labels: Tensor,
    generator: torch.Generator,
    workers: int,
) -> None:
    rows = torch.randn(len(labels), _WIDTH, generator=generator, requires_grad=True)

    def value(anchors: slice) -> Tensor:
        state = torch.Generator().manual_seed(1)
        return loss(rows, labels, generator=state, anchors=anchors)

    if not takes(loss, rows, labels, generator=generator, anchors=slice(0, 1)):
        raise ConfigError(
            f"{_loss(stage)} has to be called as loss(embeddings, labels, *, generator, anchors)"
        )
    whole = _called(stage, lambda: value(slice(0, len(labels))), ())
    if workers == 1:
        return
    half = len(labels) // 2
    parts = [
        _called(stage, lambda s=part: value(s), ())
        for part in (slice(0, half), slice(half, len(labels)))
    ]
    if not torch.isclose(sum(parts, start=torch.zeros(())), whole, rtol=1e-3, atol=1e-5):
        raise ConfigError(
            f"the values of {_loss(stage)} over the anchors of {workers} workers have to add up to "
            f"that over all anchors, {float(whole):.6g}; found "
            f"{' and '.join(f'{float(part):.6g}' for part in parts)}. Divide by the number of all "
            "rows, not of the anchors; or take one worker"
        )


def _called(stage: Stage, call: Callable[[], Any], shape: tuple[int, ...]) -> Tensor:
    """The value of a loss, once it is known to be what is expected."""
    expected = "one finite number with a gradient" if shape == () else "a finite number a sample"
    try:
        found = call()
    except (RuntimeError, TypeError, ValueError, LossInputError) as error:
        raise ConfigError(
            f"{_loss(stage)} failed on {_ROWS} images: {type(error).__name__}: {error}"
        ) from error
    said = type(found).__name__
    if isinstance(found, Tensor):
        said = f"a tensor of shape {tuple(found.shape)}"
        if found.shape == shape and found.requires_grad and bool(found.isfinite().all()):
            return found.detach()
        if found.shape == shape:
            said = "no gradient" if found.isfinite().all() else f"{found.detach().tolist()}"
    raise ConfigError(f"{_loss(stage)} has to give {expected}, found {said}")


def _loss(stage: Stage) -> str:
    return f"the loss of stage {stage.name!r} ({type(stage.loss).__name__})"
