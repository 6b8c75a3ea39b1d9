"""Features and predictions of many samples, shared out over the workers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses import packed
from supremix.models import Network
from supremix.training.data.trial_data import Positions, TrialData
from supremix.training.distributed.collective import Collective, share, shares
from supremix.training.evaluation.out_of_distribution import PERCENTILES, intensity_profile


@dataclass(eq=False)
class Evaluator:
    """Runs a network over samples without gradient, in evaluation mode, unaugmented, in float32.

    Float32 in a training of any precision: that is how an exported model predicts, also on a
    machine without the training's GPU, and so the errors of a trial are those of its model.
    Every worker takes a contiguous share and all get the result for all.

    Args:
        network: The network, already on the device.
        data: The samples.
        collective: The workers that share the work.
        batch: Images of a forward pass.
    """

    network: Network
    data: TrialData
    collective: Collective
    batch: int

    @torch.no_grad()
    def features(self, positions: Positions, *, flips: bool = False) -> Tensor:
        """Joined features (N, F) in the order of the positions.

        Of a video, the mean over its clips; with flips, over more of them, and the mean over all
        combinations of the card's flip axes.
        """
        return self._views(positions, flips)[:, : self.network.width]

    @torch.no_grad()
    def intensities(self, positions: Positions, *, flips: bool = False) -> Tensor:
        """The `intensity_profile` (N, 7) of each image, of a video the mean over its clips."""
        width = len(PERCENTILES)
        return self._run(positions, flips, width, lambda images, _: intensity_profile(images))

    @torch.no_grad()
    def evaluate(self, positions: Positions, *, flips: bool = False) -> tuple[Tensor, Tensor]:
        """Features as above, and predictions (N,) in the unit of the task, float64.

        Where features are averaged, so are standardised predictions; of a linear head the
        prediction of the mean is the same.
        """
        seen = self._views(positions, flips)
        features = seen[:, : self.network.width]
        head = self.network.head
        predictions = head(features) if head.linear else seen[:, -1]
        return features, self.data.target_scale.restore(predictions)

    @torch.no_grad()
    def predict(self, positions: Positions, *, flips: bool = False) -> Tensor:
        """Predictions (N,) in the unit of the task, float64."""
        return self.evaluate(positions, flips=flips)[1]

    def _views(self, positions: Positions, flips: bool) -> Tensor:
        """The result of `mean_views`, in the order of the positions."""
        axes = self.data.card.augmentation.flip_axes if flips else ()
        self.network.eval()
        return self._run(
            positions,
            flips,
            self.network.width + (not self.network.head.linear),
            lambda images, covariates: mean_views(self.network, images, covariates, axes),
        )

    def _run(
        self,
        positions: Positions,
        flips: bool,
        width: int,
        compute: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """What is computed (B, width) of images and covariates, in the order of the positions."""
        world, rank = self.collective.world, self.collective.rank
        mine = positions[share(len(positions), rank, world)]
        indices, starts, owner = self.data.clips(mine, thorough=flips)
        chunks = _chunks(len(indices), self.batch)
        sent = (self._read(indices[c], None if starts is None else starts[c]) for c in chunks)
        with self.data.ahead(sent) as ahead:
            there = (send() for send in ahead)
            parts = [compute(self.data.decode(source), known) for source, known in there]
        own = torch.cat(parts) if parts else torch.zeros(0, width, device=self.data.device)
        if starts is not None:
            own = means_of(own, owner.to(own.device), len(mine))
        return self.collective.gather(own, shares(len(positions), world))

    def _read(
        self, positions: Positions, starts: Positions | None
    ) -> Callable[[], tuple[Tensor, Tensor]]:
        """What brings stored images and covariates to the device."""
        known = self.data.covariates[torch.from_numpy(positions)]
        return packed((self.data.source(positions, starts), known), self.data.device)


def mean_views(
    network: Network, images: Tensor, covariates: Tensor, flip_axes: tuple[int, ...]
) -> Tensor:
    """Means over every combination of mirrored axes (none: of the images as they are).

    Returns:
        Features (B, F) for a linear head, features with the standardised prediction as one more
        column (B, F+1) for any other.
    """
    views = [
        network.features(images.flip([a + 2 for a in axes]) if axes else images, covariates)
        for size in range(len(flip_axes) + 1)
        for axes in itertools.combinations(flip_axes, size)
    ]
    if not network.head.linear:
        views = [torch.cat([view, network.head(view).unsqueeze(1)], dim=1) for view in views]
    return torch.stack(views).mean(0) if len(views) > 1 else views[0]


def means_of(rows: Tensor, owner: Tensor, count: int) -> Tensor:
    """(R, F) -> (count, F): the mean of the rows of each owner (R,)."""
    total = rows.new_zeros(count, rows.shape[1]).index_add_(0, owner, rows)
    return total / torch.bincount(owner, minlength=count).to(rows.dtype)[:, None]


def _chunks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, start + size)
