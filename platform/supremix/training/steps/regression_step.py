"""The loss of a regression step, with all that its recipe adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from supremix._errors import ConfigError
from supremix.losses import FeatureSmoothing, to_device
from supremix.methods.base import Stage
from supremix.methods.mixing import Mixed
from supremix.methods.recipes import GlobalBatch, LabelStats, Recipe, bound
from supremix.models import BinnedHead, Network
from supremix.training.data.batches import Batch
from supremix.training.data.trial_data import Positions, TrialData
from supremix.training.distributed.collective import Collective
from supremix.training.steps.precision import Precision


def label_stats(data: TrialData) -> LabelStats:
    """Labels and scale of the samples to fit."""
    labels = torch.from_numpy(data.store.targets[data.fit]).double()
    return LabelStats(labels=labels, scale=data.target_scale)


def check_recipes(stages: Sequence[Stage], data: TrialData) -> None:
    """Raise ConfigError where the recipe of a stage cannot be used on this data."""
    stats = label_stats(data)
    for stage in stages:
        if stage.recipe is not None:
            stage.recipe.check(stats)


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """Labels (M,), standardised targets (M,) and weights (M,) or None of the whole batch.

    On the CPU: the losses bring to the device what they need there.
    """

    labels: Tensor
    targets: Tensor
    weights: Tensor | None


class RegressionStep:
    """Computes this worker's part of the loss of a batch, from images to the scalar.

    Args:
        stage: Stage with its loss and recipe.
        network: The network in training, its head included.
        data: The samples.
        precision: Precision of the encoder's pass; with a recipe the head is computed in full
            precision.
        collective: Fellow workers.
    """

    def __init__(
        self,
        stage: Stage,
        network: Network,
        data: TrialData,
        *,
        precision: Precision,
        collective: Collective,
    ) -> None:
        if stage.loss is None:
            raise ConfigError(f"stage {stage.name!r} is to be trained and has no loss")
        self._network, self._data = network, data
        self._precision, self._collective = precision, collective
        self._plain = stage.recipe is None
        recipe = self._recipe = stage.recipe or Recipe()
        stats = label_stats(data)
        self._loss = bound(stage.loss, stats)
        self._terms = [bound(term, stats) for term in recipe.terms]
        self.weights = _weights(recipe, data, stats)
        self._smoothing: FeatureSmoothing | None = None
        if recipe.smoothing is not None:
            smoothing = recipe.smoothing.build(network.width, stats.labels)
            self._smoothing = smoothing.to(data.device)

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """This worker's part of the mean loss over the whole batch.

        Args:
            module: The network, or its data-parallel wrapper.
            batch: This worker's part.
        """
        with self._precision.autocast():
            output: Tensor = module(batch.images, batch.covariates, False, self._plain)
        if not self._plain:
            return self._with_recipe(output.float(), batch)
        mine = self._data.targets[torch.from_numpy(batch.rows[batch.own_rows])]
        losses = self._loss(output.float(), to_device(mine, output.device))
        return losses.sum() / len(batch.rows)

    def end_epoch(self) -> None:
        """Update the statistics of the smoothing. Collective."""
        if self._smoothing is not None:
            self._smoothing.finish(self._collective.sum)

    def state_dict(self) -> dict[str, Any]:
        """The statistics that change from epoch to epoch."""
        return {} if self._smoothing is None else dict(self._smoothing.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state."""
        if self._smoothing is not None:
            self._smoothing.load_state_dict(state)

    def _with_recipe(self, features: Tensor, batch: Batch) -> Tensor:
        mixed, own = batch.mixed, batch.own_rows
        shown = self.truth(batch.rows, mixed if mixed is not None and mixed.inputs else None)
        seen = self._smooth(features, shown.labels[own])
        wanted = shown
        if mixed is not None and not mixed.inputs:
            seen = mixed.mix(self._gather(seen, batch))[own]
            wanted = self.truth(batch.rows, mixed)
        loss = self._compare(seen, wanted, batch)
        if self._terms:
            loss = loss + self._added(features, shown.labels, batch)
        return loss

    def _compare(self, seen: Tensor, truth: Truth, batch: Batch) -> Tensor:
        """The stage's loss of what the head makes of features (n, F)."""
        own, head = batch.own_rows, self._network.head
        if self._recipe.coupled:
            everyone = self._gather(head(seen), batch)
            return self._loss(everyone, truth.targets, anchors=own)
        if isinstance(head, BinnedHead):
            losses = self._loss(head.logits(seen), truth.labels[own])
        else:
            losses = self._loss(head(seen), to_device(truth.targets[own], seen.device))
        if truth.weights is not None:
            losses = losses * to_device(truth.weights[own], losses.device)
        return losses.sum() / len(batch.rows)

    def _added(self, features: Tensor, labels: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            predictions = self._data.target_scale.restore(self._network.head(features))
        projected = self._recipe.projection_dim is not None
        seen = self._network.embed(features) if projected else features
        everyone = GlobalBatch(
            features=self._gather(seen, batch),
            labels=labels,
            predictions=self._gather(predictions, batch),
            anchors=batch.own_rows,
            generator=batch.generator,
        )
        return torch.stack([term(everyone) for term in self._terms]).sum()

    def _smooth(self, features: Tensor, labels: Tensor) -> Tensor:
        if self._smoothing is None:
            return features
        calibrated: Tensor = self._smoothing(features, labels)
        self._smoothing.collect(features, labels)
        return calibrated

    def truth(self, positions: Positions, mixed: Mixed | None) -> Truth:
        """Labels, targets and weights of the whole batch, or of its mixtures."""
        rows = torch.from_numpy(positions)
        labels, targets = self._data.labels[rows], self._data.targets[rows]
        weights = None if self.weights is None else self.weights[rows]
        if mixed is not None:
            # On the scale that is fitted, where the head is linear; labels follow.
            targets = mixed.mix(targets)
            labels = self._data.target_scale.restore(targets)
            weights = None if weights is None else mixed.mix(weights)
        return Truth(labels=labels, targets=targets, weights=weights)

    def _gather(self, own: Tensor, batch: Batch) -> Tensor:
        return self._collective.gather(own, batch.sizes(self._collective.world))


def _weights(recipe: Recipe, data: TrialData, stats: LabelStats) -> Tensor | None:
    """Weights by index in the store, 0 for what is not fitted."""
    if recipe.density is None:
        return None
    weights = torch.zeros(len(data.labels))
    weights[torch.from_numpy(data.fit)] = recipe.density(stats.labels).float()
    return weights
