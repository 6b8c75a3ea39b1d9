"""Batches on the device: whose turn it is, augmented, with the covariates that belong to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from supremix.training.collective import Collective, share
from supremix.training.data import Positions, TrialData
from supremix.training.methods import Stage
from supremix.training.randomness import generator
from supremix_datasets.augment import Augmenter
from supremix_datasets.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One worker's part of a step.

    Attributes:
        images: (V n, C, *shape) float32, V views of each of this worker's n images, image by
            image: row V i + v is view v of image i.
        covariates: (V n, K) standardised, adapted to the zoom of each view.
        members: positions in the store of the whole batch, of all workers.
        own: the rows of `members` that are this worker's.
        views: V.
        draws: the step's generator, in the same state on every worker.
    """

    images: Tensor
    covariates: Tensor
    members: Positions
    own: slice
    views: int
    draws: torch.Generator


class Batches:
    """The batches of a stage.

    An epoch's samples are cut into ceil(n / batch_size) batches whose sizes differ by at most
    one: none is dropped, and no small rest upsets a batch normalisation or starves a contrastive
    loss of negatives.

    Args:
        stage: its objective (two views when contrastive) and batch size.
        data: the samples; `data.fit` are iterated.
        key: seed and stage, from which everything random is derived.
        augment: whether images are augmented.
        collective: the workers a batch is shared among.
    """

    def __init__(
        self,
        stage: Stage,
        data: TrialData,
        *,
        key: tuple[int | str, ...],
        augment: bool,
        collective: Collective,
    ) -> None:
        self._data, self._key, self._collective = data, key, collective
        self._views = 2 if stage.objective == "contrastive" else 1
        self._augmenter = Augmenter.of(data.card) if augment else None
        self.steps = -(-len(data.fit) // stage.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, a function of the key and the epoch."""
        count = len(self._data.fit)
        order = torch.randperm(count, generator=generator(*self._key, epoch, "order")).numpy()
        for step in range(self.steps):
            members = self._data.fit[order[share(count, step, self.steps)]]
            yield self._load(members, generator(*self._key, epoch, "step", step))

    def _load(self, members: Positions, draws: torch.Generator) -> Batch:
        own = share(len(members), self._collective.rank, self._collective.world)
        mine = np.repeat(members[own], self._views)
        rows = slice(own.start * self._views, own.stop * self._views)
        images = self._images(members, own, rows, draws)
        covariates = self._data.covariates[torch.from_numpy(mine).to(images.device)]
        if self._augmenter is not None:
            drawn = self._augmenter.draw(len(members) * self._views, draws)
            params = {name: values[rows] for name, values in drawn.items()}
            images = self._augmenter.apply(images, params)
            covariates = covariates + self._zoomed(mine, params).to(images.device)
        return Batch(
            images=images,
            covariates=covariates,
            members=members,
            own=own,
            views=self._views,
            draws=draws,
        )

    def _images(
        self, members: Positions, own: slice, rows: slice, draws: torch.Generator
    ) -> Tensor:
        """This worker's views: an image is read once for all, a video gives each its own clip."""
        every = np.repeat(members, self._views)
        starts = self._data.draw_starts(every, draws)
        if starts is not None:
            return self._data.images(every[rows], starts[rows])
        images = self._data.images(members[own])
        return images.repeat_interleave(self._views, 0) if self._views > 1 else images

    def _zoomed(self, mine: Positions, params: dict[str, Tensor]) -> Tensor:
        """By how much the standardised covariates (n, K) change with the zoom of each view."""
        zoom = zooms(params)
        stored = torch.from_numpy(self._data.store.covariates[mine]).float()
        change = pixel_change(self._data.card, stored, zoom)
        return change / torch.tensor(self._data.covariate_scale.std).float()


def zooms(params: dict[str, Tensor]) -> Tensor:
    """How much larger things become in each drawn view, (n,): the map's volume undoes it."""
    matrix = params["matrix"]
    return torch.linalg.det(matrix).abs() ** (-1 / matrix.shape[-1])


def pixel_change(card: Card, covariates: Tensor, zoom: Tensor) -> Tensor:
    """What a zoom (n,) adds to covariates (n, K), as the store holds them.

    Magnifying an image by z leaves the pixel grid and shrinks what one pixel measures by z, so a
    covariate that is the size of a pixel shrinks with it, and a length in mm stays what it was.
    """
    change = torch.zeros_like(covariates)
    for column, covariate in enumerate(card.covariates):
        if covariate.per_pixel and covariate.log:
            change[:, column] = -zoom.log()
        elif covariate.per_pixel:
            change[:, column] = covariates[:, column] * (1 / zoom - 1)
    return change
