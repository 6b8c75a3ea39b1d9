"""Batches on the device: their samples in random order, augmented, with their covariates."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from supremix.losses import packed, to_device
from supremix.methods.base import Stage
from supremix.methods.mixing import Mixed
from supremix.training.data.randomness import seeded_generator
from supremix.training.data.trial_data import Positions, TrialData
from supremix.training.distributed.collective import Collective, share, shares
from supremix.training.length import steps_of
from supremix_datasets.augment import Augmenter
from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One worker's part of a step.

    Attributes:
        images: (V n, C, *shape) float32, V views of each of this worker's n images, image by
            image: row V i + v is view v of image i. Where inputs are mixed, the mixtures.
        covariates: (V n, K) standardised, adapted to the zoom of each view, mixed like images.
        members: (M,) indices in the store of the whole batch, of all workers.
        own: Rows of `members` that are this worker's.
        views: V.
        generator: Generator of the step, in the same state on every worker.
        mixed: Mixtures of the whole batch, of inputs or yet to be made of features.
    """

    images: Tensor
    covariates: Tensor
    members: Positions
    own: slice
    views: int
    generator: torch.Generator
    mixed: Mixed | None = None

    @property
    def rows(self) -> Positions:
        """(V M,) index in the store of every view of the whole batch, of all workers."""
        return np.repeat(self.members, self.views)

    @property
    def own_rows(self) -> slice:
        """Rows of the whole batch's views that are this worker's."""
        return slice(self.views * self.own.start, self.views * self.own.stop)

    def sizes(self, world: int) -> list[int]:
        """Number of views of each of the workers that share the batch."""
        return [self.views * size for size in shares(len(self.members), world)]


@dataclass(slots=True)
class _Views:
    """Every view of the whole batch: its index in the store, and what was drawn for it."""

    indices: Positions
    starts: Positions | None = None
    augmentation: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """Images, covariates and augmentation on their way to the device.

    Attributes:
        send: Brings the stored images, the covariates and the parameters of the views there.
        noise: Where the noise of each view begins in the pool, on the CPU.
        repeats: Number of views of an image.
    """

    send: Callable[[], tuple[Tensor, Tensor, dict[str, Tensor]]]
    noise: Tensor
    repeats: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Drawn:
    """A batch before it is on the device; attributes as those of `Batch`.

    Attributes:
        needed: Rows of the whole batch that this worker's mixtures of inputs are made of, or None.
        read: What goes to the device.
    """

    members: Positions
    own: slice
    generator: torch.Generator
    mixed: Mixed | None
    needed: Positions | None
    read: _Read


class Batches:
    """The batches of a stage.

    An epoch's samples are cut into `steps_of` batches whose sizes differ by at most one: none is
    dropped, and no small rest upsets a batch normalisation or starves a contrastive loss of
    negatives.

    Args:
        stage: Stage with its objective (two views when contrastive), batch size and mixing.
        data: The samples, of which `data.fit` are iterated.
        key: Seed and stage, from which everything random is derived.
        augment: Whether images are augmented.
        collective: The workers a batch is shared among.
        chunk: Images, with all their views, that are augmented at once; None for all.
    """

    def __init__(
        self,
        stage: Stage,
        data: TrialData,
        *,
        key: tuple[int | str, ...],
        augment: bool,
        collective: Collective,
        chunk: int | None = None,
    ) -> None:
        self._data, self._key, self._collective = data, key, collective
        self._views = stage.views
        self._augmenter = Augmenter.of(data.card) if augment else None
        self._chunk = chunk
        self._mixing = None if stage.recipe is None else stage.recipe.mixing
        self.steps = steps_of(len(data.fit), stage.batch_size)

    def epoch(self, epoch: int) -> Generator[Batch]:
        """The batches of an epoch, a function of the key and the epoch; close it if left early."""
        count = len(self._data.fit)
        order = torch.randperm(
            count, generator=seeded_generator(*self._key, epoch, "order")
        ).numpy()

        def drawn() -> Iterator[_Drawn]:
            for step in range(self.steps):
                members = self._data.fit[order[share(count, step, self.steps)]]
                yield self._draw(members, seeded_generator(*self._key, epoch, "step", step))

        with self._data.ahead(drawn()) as ahead:
            for one in ahead:
                yield self._make(one)

    def _draw(self, members: Positions, generator: torch.Generator) -> _Drawn:
        """The part of a batch that is done on the CPU, and may be done ahead."""
        own = share(len(members), self._collective.rank, self._collective.world)
        views = _Views(np.repeat(members, self._views))
        views.starts = self._data.draw_starts(views.indices, generator)
        if self._augmenter is not None:
            views.augmentation = self._augmenter.draw(len(views.indices), generator)
        mixed = needed = None
        if self._mixing is not None:
            labels = torch.from_numpy(self._data.store.targets[members])
            mixed = self._mixing.draw(labels, generator)
        rows: slice | Positions = slice(own.start * self._views, own.stop * self._views)
        if mixed is not None and mixed.inputs:
            # A partner of another worker is loaded here as well.
            rows = needed = np.union1d(np.arange(own.start, own.stop), mixed.partners[own].numpy())
        return _Drawn(
            members=members,
            own=own,
            generator=generator,
            mixed=mixed,
            needed=needed,
            read=self._read(views, rows),
        )

    def _make(self, drawn: _Drawn) -> Batch:
        """The batch, on the device."""
        images, covariates = self._decode(drawn.read)
        own, mixed, needed = drawn.own, drawn.mixed, drawn.needed
        if mixed is not None and needed is not None:
            local = mixed.among(needed)
            places = np.searchsorted(needed, np.arange(own.start, own.stop))
            rows = to_device(torch.from_numpy(places), images.device)
            images, covariates = local.mix(images)[rows], local.mix(covariates)[rows]
        return Batch(
            images=images,
            covariates=covariates,
            members=drawn.members,
            own=own,
            views=self._views,
            generator=drawn.generator,
            mixed=mixed,
        )

    def _read(self, views: _Views, rows: slice | Positions) -> _Read:
        """Images, covariates and augmentation of some rows of the batch's views, on the CPU."""
        mine = views.indices[rows]
        covariates = self._data.covariates[torch.from_numpy(mine)]
        noise, params = torch.empty(0), dict[str, Tensor]()
        if self._augmenter is not None:
            drawn = {name: values[rows] for name, values in views.augmentation.items()}
            covariates = covariates + self._zoomed(mine, drawn)
            params = self._augmenter.maps(drawn)
            noise = params.pop("start")
        source, repeats = self._source(views, rows)
        # All that goes to the device, at once.
        send = packed((source, covariates, params), self._data.device)
        return _Read(send=send, noise=noise, repeats=repeats)

    def _decode(self, read: _Read) -> tuple[Tensor, Tensor]:
        """Images, augmented, and covariates, on the device."""
        source, covariates, params = read.send()
        repeats = read.repeats
        if self._augmenter is None:
            return self._data.decode(source).repeat_interleave(repeats, 0), covariates
        parts: list[Tensor] = []
        step = len(source) if self._chunk is None else max(1, self._chunk * self._views // repeats)
        for first in range(0, len(source), step):
            images = self._data.decode(source[first : first + step])
            part = slice(first * repeats, (first + step) * repeats)
            chosen = {name: values[part] for name, values in params.items()}
            images = images.repeat_interleave(repeats, 0) if repeats > 1 else images
            parts.append(self._augmenter.apply(images, {**chosen, "start": read.noise[part]}))
        return torch.cat(parts) if len(parts) > 1 else parts[0], covariates

    def _source(self, views: _Views, rows: slice | Positions) -> tuple[Tensor, int]:
        """What images are decoded from, and of how many views each is.

        An image is read once for all its views, a video gives each its own clip.
        """
        indices = views.indices[rows]
        if views.starts is not None:
            return self._data.source(indices, views.starts[rows]), 1
        return self._data.source(indices[:: self._views]), self._views

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
