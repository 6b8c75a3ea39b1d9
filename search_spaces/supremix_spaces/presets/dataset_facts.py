"""The facts of a dataset that presets follow, and the batch sizes that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from supremix_spaces.parameters.parameters import Choice, Float, Int, Parameter
from supremix_spaces.space import Space

BATCH_SIZES = (2, 4, 8, 16, 32, 64, 128)
_USUAL = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """The facts of a dataset that presets follow.

    Args:
        window: Window of Mix-pos, in the task's unit.
        label_bin: Width in which labels count as equal; 0 for exactly equal ones only.
        label_scale: Distance of labels that counts as one.
        train_size: Number of training samples, at least 2.
        volumes: Whether the images have three axes, volumes or videos.
        pretrained: Whether the encoder starts from pretrained weights.
    """

    window: float
    label_bin: float
    label_scale: float
    train_size: int
    volumes: bool = False
    pretrained: bool = False

    @property
    def unit(self) -> float:
        """The label bin, or a fifth of the window where that is 0: the step of the label axis."""
        return self.label_bin or self.window / 5


Preset = Callable[[DatasetFacts], Space]
"""Makes the space of a method for a dataset."""

Parameters = Mapping[str, Parameter | Callable[[DatasetFacts], Parameter]]
"""Parameters by name; a function where one follows from the dataset."""

TRANSFER: Parameters = {
    "freeze": Int(0, 3, default=0),
    "layer_decay": Float(0.5, 1.0, default=1.0),
}
"""The parameters of a training that starts from pretrained weights; the first point has neither."""


def preset(*groups: Parameters) -> Preset:
    """A preset from groups of parameters, in the order in which they are drawn."""

    def space(facts: DatasetFacts) -> Space:
        every = (*groups, TRANSFER) if facts.pretrained else groups
        named = [item for group in every for item in group.items()]
        return Space({name: p(facts) if callable(p) else p for name, p in named})

    return space


def learning_rate(
    low: float, high: float, default: float, **more: Any
) -> Callable[[DatasetFacts], Float]:
    """A learning rate; for volumes a quarter of it, from a range of half its upper end.

    Networks of volumes move so much at rates that suit images that the statistics of their norms
    do not follow: their error on validation jumps from epoch to epoch (docs/schedules.md).
    """

    def rate(facts: DatasetFacts) -> Float:
        share, most = (0.25, 0.5) if facts.volumes else (1.0, 1.0)
        return Float(low * share, high * most, log=True, default=default * share, **more)

    return rate


def batch_size(train_size: int, *, default: int, steps: int) -> Choice:
    """The batches worth trying: large ones leave an epoch too few steps to learn anything.

    Args:
        train_size: Number of training samples, at least 2.
        default: Batch size that is tried first, where the dataset has twice as many samples.
        steps: Least number of steps of an epoch with a batch larger than the default.

    Returns:
        Powers of two from 16 on; smaller ones only where those leave fewer than two options.

    >>> batch_size(600, default=32, steps=8)
    Choice(options=(16, 32, 64), default=32, when=None)
    """
    limit = max(train_size // steps, min(default, train_size // 2), 2)
    legal = [size for size in BATCH_SIZES if size <= limit]
    usual = [size for size in legal if size >= _USUAL]
    options = tuple(usual if len(usual) > 1 else legal[-2:])
    return Choice(options, default=min(default, options[-1]))


def large_batch(train_size: int) -> Choice:
    """The largest batches of at most 128 that leave an epoch four steps, the largest first tried.

    Args:
        train_size: Number of training samples, at least 2.

    Returns:
        Up to three powers of two, 2 where no batch leaves so many steps.

    >>> large_batch(486)
    Choice(options=(32, 64, 128), default=128, when=None)
    """
    legal = [size for size in BATCH_SIZES if size == BATCH_SIZES[0] or 3 * size < train_size]
    return Choice(tuple(legal[-3:]), default=legal[-1])
