"""The samples of a trial: those that are fitted, and their way onto the device."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supremix._errors import TaskError
from supremix.models.scaling import CovariateScale, TargetScale
from supremix.training.data.prefetch import prefetched
from supremix.training.data.randomness import derive
from supremix.training.data.resident import resident_images
from supremix.training.task import Task
from supremix_datasets import StoreError
from supremix_datasets.cards.card import Card
from supremix_datasets.splits import assign
from supremix_datasets.stores.clips import clip_frames, clip_step, covering_starts, start_count
from supremix_datasets.stores.shared import open_shared
from supremix_datasets.stores.store import Store

T = TypeVar("T")

Positions = NDArray[np.int64]
"""Indices of samples in the store, 0 <= index < len(store)."""


class TrialData:
    """The samples of a task, and their way onto a device.

    Images stay in the memory-mapped store and go to the device in the stored type, four times
    smaller than floats. On CUDA a store of up to a quarter of the memory is kept on the device as a
    whole, see `resident_images`.

    Args:
        task: Store, splits and share of labels.
        device: Device that images are delivered to.

    Attributes:
        labels: (N,) float64 in the task's unit, on the CPU: what follows from labels alone is
            computed there, so that the host never waits for the device.
        targets: (N,) the same standardised, float32, on the CPU.
        covariates: (N, K) standardised, on the CPU.
        streamed: Whether images go to a GPU batch by batch, which are read ahead then. A CPU that
            trains has no core to spare for that.
    """

    def __init__(self, task: Task, device: torch.device) -> None:
        self.store = open_shared(task.store, task.cache)
        self.device = device
        self.splits: NDArray[Any] = np.asarray(
            assign(
                self.store.index,
                seed=task.split_seed,
                fractions=task.fractions,
                keep_copies_together=task.keep_copies_together,
                fold=task.fold,
            )
        )
        self.fit = fitted(task, self.store, self.splits)
        if len(self.fit) < 2:
            raise TaskError(
                f"the split {'+'.join(task.train_splits)} of {self.card.name} holds "
                f"{len(self.fit)} samples, at least 2 are needed; "
                "check the split column and label_fraction"
            )
        transform = task.target_transform or self.card.target_transform
        self.target_scale = TargetScale.fit(self.store.targets[self.fit], transform)
        self.covariate_scale = CovariateScale.fit(self.store.covariates[self.fit])
        self.labels = torch.from_numpy(self.store.targets.astype(np.float64))
        self.targets = self.target_scale.standardise(self.labels).float()
        self.covariates = self.covariate_scale.standardise(self.store.covariates)
        self._resident = resident_images(self.store, device)
        self.streamed = device.type == "cuda" and self._resident is None

    @property
    def card(self) -> Card:
        """The card of the dataset as it was prepared."""
        return self.store.card

    def positions(self, *splits: str) -> Positions:
        """The samples of the named splits, in the order of the index.

        Raises:
            TaskError: no sample is in any of them.
        """
        found = np.flatnonzero(np.isin(self.splits, splits))
        if len(found) == 0:
            raise TaskError(
                f"no sample of {self.card.name} is in the split {'+'.join(splits)}; there are "
                f"{', '.join(sorted(set(self.splits.tolist())))}"
            )
        return found.astype(np.int64)

    def source(self, positions: Positions, starts: Positions | None = None) -> Tensor:
        """What `decode` makes images of, on the CPU: stored images, or their rows on the device.

        Args:
            positions: (B,) indices in the store.
            starts: (B,) first frame of the clip in each video; None for images.

        Raises:
            StoreError: An image cannot be read; it is named.
        """
        if self._resident is not None:
            return torch.from_numpy(self._rows(positions, starts))
        try:
            return torch.from_numpy(self.store.read(positions, starts))
        except (OSError, ValueError, IndexError) as error:
            raise StoreError(
                f"cannot read {self._unreadable(positions, starts)} of {self.store.path} "
                f"({error}). Prepare the dataset again."
            ) from error

    def _unreadable(self, positions: Positions, starts: Positions | None) -> str:
        """The first image that cannot be read alone, in words."""
        for row, position in enumerate(positions.tolist()):
            try:
                self.store.read(positions[[row]], None if starts is None else starts[[row]])
            except (OSError, ValueError, IndexError):
                return f"the image {self.store.index['id'][position]!r}"
        return f"{len(positions)} images at once"

    def ahead(self, loaded: Iterator[T]) -> AbstractContextManager[Iterator[T]]:
        """What an iterator gives, loaded ahead in a thread where images are streamed."""
        return closing(prefetched(loaded, self.device) if self.streamed else _each(loaded))

    def decode(self, source: Tensor) -> Tensor:
        """Images (B, C, *shape) float32, (stored - offset) * gain, of a source on the device."""
        if self._resident is not None:
            source = self._resident[source]
            if self.card.period is not None:
                source = source.movedim(2, 1)
        return to_input(source, self.card.offset, self.card.gain)

    def _rows(self, positions: Positions, starts: Positions | None) -> Positions:
        """Rows of the store: (B,) of images, (B, T) of the frames of clips."""
        first = self.store.rows[positions]
        if self.card.period is None:
            return first
        begin = np.zeros_like(positions) if starts is None else starts
        lengths = self.store.lengths[positions]
        inside = [
            clip_frames(int(start), int(length), self.card)
            for start, length in zip(begin, lengths, strict=True)
        ]
        return first[:, None] + np.stack(inside)

    def draw_starts(self, positions: Positions, generator: torch.Generator) -> Positions | None:
        """A random clip of each video, as its first frame, (B,); None for images."""
        if self.card.period is None:
            return None
        uniform = torch.rand(len(positions), generator=generator, dtype=torch.float64).numpy()
        return (uniform * start_count(self.store.lengths[positions], self.card)).astype(np.int64)

    def clips(
        self, positions: Positions, *, thorough: bool = False
    ) -> tuple[Positions, Positions | None, Tensor]:
        """The inputs of an evaluation: every image, or clips of every video.

        Args:
            positions: (N,) indices in the store.
            thorough: Whether to take, of videos, clips whose starts are an eighth of a clip apart,
                instead of the fewest clips that cover the video.

        Returns:
            Indices (R,), first frames (R,) or None, and the row (R,) of `positions` of each.
        """
        if self.card.period is None:
            return positions, None, torch.arange(len(positions))
        step = clip_step(self.card, thorough=thorough)
        lengths = self.store.lengths[positions]
        starts = [covering_starts(int(length), self.card, step) for length in lengths]
        owner = np.repeat(np.arange(len(positions)), [len(one) for one in starts])
        flat = np.asarray([start for one in starts for start in one], dtype=np.int64)
        return positions[owner], flat, torch.from_numpy(owner)


def _each(items: Iterator[T]) -> Generator[T]:
    yield from items


def to_input(stored: Tensor, offset: float, gain: float) -> Tensor:
    """The input of a network, (stored - offset) * gain in float32, from the stored type."""
    # Integers become float32 in the first operation on a number.
    values = stored.float() if stored.is_floating_point() or gain == 1 else stored
    if offset:
        values = values - offset
    return values * gain if gain != 1 else values


def fitted(task: Task, store: Store, splits: NDArray[Any]) -> Positions:
    """The samples that a task fits: of its splits, and of those its share of the labels.

    Of a share, whole groups are kept, drawn by the split's seed: a smaller share is part of a
    larger one.
    """
    fit = np.flatnonzero(np.isin(splits, task.train_splits)).astype(np.int64)
    if task.label_fraction == 1:
        return fit
    groups = np.asarray(store.index["group"].to_list(), dtype=object)[fit]
    ranked = sorted(set(groups.tolist()), key=lambda g: derive(task.split_seed, "labels", str(g)))
    kept = set(ranked[: max(round(task.label_fraction * len(ranked)), 1)])
    return fit[[group in kept for group in groups]]
