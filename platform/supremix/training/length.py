"""The length of a training in epochs, steps and images seen."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from supremix.methods.base import Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    """The length of a training, or of a part of one.

    Args:
        epochs: Passes over the training images.
        steps: Steps of the optimizer.
        images_seen: Images that the steps took, each view of an image counted: a contrastive step,
            and one with a contrastive term, sees two views of every image of its batch.
    """

    epochs: int = 0
    steps: int = 0
    images_seen: int = 0

    def __str__(self) -> str:
        return f"{self.epochs:,} epochs, {self.steps:,} steps, {self.images_seen:,} images seen"

    def __add__(self, other: Length) -> Length:
        return Length(
            epochs=self.epochs + other.epochs,
            steps=self.steps + other.steps,
            images_seen=self.images_seen + other.images_seen,
        )


def steps_of(samples: int, batch_size: int) -> int:
    """Number of batches of an epoch: ceil(n / batch_size).

    One less where a batch would have a single sample though `batch_size` asks for more: of an odd
    number in batches of two, one batch has three.
    """
    steps = -(-samples // batch_size)
    return steps if batch_size == 1 else min(steps, samples // 2)


def stage_length(stage: Stage, images: int, epochs: int | None = None) -> Length:
    """The length of a stage; that of a probe, which takes no step, is its epochs alone.

    Args:
        stage: The stage.
        images: Number of training images.
        epochs: Number of its epochs that count; None for all.
    """
    epochs = stage.epochs if epochs is None else epochs
    if stage.views == 0:
        return Length(epochs=epochs)
    steps = epochs * steps_of(images, stage.batch_size)
    return Length(epochs=epochs, steps=steps, images_seen=epochs * stage.views * images)


def trial_length(stages: Sequence[Stage], images: int, epochs: int | None = None) -> Length:
    """The length of a trial, or of its first epochs.

    Args:
        stages: The stages of the trial, in their order.
        images: Number of training images.
        epochs: Number of epochs from the start that count; None for all.
    """
    length = Length()
    for stage in stages:
        left = stage.epochs if epochs is None else epochs - length.epochs
        length += stage_length(stage, images, min(left, stage.epochs))
    return length


def epochs_to_see(images_seen: int, length: Callable[[int], Length], images: int) -> int:
    """The fewest epochs, at least 2, in which a trial sees so many images.

    Args:
        images_seen: Images that the trial is to see, at least.
        length: The length of a trial of so many epochs.
        images: Number of training images: the trial sees no fewer in an epoch, but in one of a
            probe.
    """
    most = 3 + images_seen // images
    return 2 + bisect_left(range(2, most), images_seen, key=lambda e: length(e).images_seen)
