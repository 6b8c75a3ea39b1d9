"""A trained network on images that are on its card's grid, and how these differ from its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supremix._errors import ModelError
from supremix.models import Network
from supremix.models.scaling import CovariateScale, TargetScale
from supremix.training.artifacts.graph import Graph, PredictionGraph
from supremix.training.artifacts.training_facts import (
    FEATURES,
    IMAGES,
    INTENSITIES,
    hash_numbers,
)
from supremix.training.data.trial_data import to_input
from supremix.training.evaluation.evaluator import mean_views, means_of
from supremix.training.evaluation.null_models import NullModels
from supremix.training.evaluation.out_of_distribution import (
    PERCENTILES,
    ReferenceDistribution,
    intensity_profile,
)
from supremix_datasets.cards.card import Card
from supremix_datasets.stores.clips import clip_step, covering_starts, take_clip
from supremix_datasets.stores.conform import Presented


class Predicted(NamedTuple):
    """What a model says of N images.

    Attributes:
        predictions: (N,) in the task's unit.
        features: (N, F) as the head sees them.
        intensities: (N, 7) intensity profiles.
        covariates: (N, K) standardised.
        null: Columns (N,) of what the models without an image predict, see `NullModels.predict`.
        spread: (N,) standard deviations of the predictions of an ensemble's members; None of one
            network.
        seed_spread: (N,) likewise of members that were trained on the same patients, on average
            over an ensemble's folds; None where there are none.
    """

    predictions: NDArray[np.float64]
    features: Tensor
    intensities: Tensor
    covariates: Tensor
    null: Mapping[str, NDArray[np.float64]]
    spread: NDArray[np.float64] | None = None
    seed_spread: NDArray[np.float64] | None = None


class Predictor:
    """Predicts images, and compares them with those of the training.

    Args:
        description: What `model.json` says.
        network: The trained network.
        reference: The tensors of `training_facts`.
        device: Where to compute.

    Raises:
        ModelError: There is no such device.
    """

    def __init__(
        self,
        description: Mapping[str, Any],
        network: Network,
        reference: Mapping[str, Tensor],
        device: torch.device | str,
    ) -> None:
        self.description, self.card = description, Card.from_dict(description["card"])
        try:
            self.network = network.to(device).eval()
        except (RuntimeError, AssertionError) as error:
            raise ModelError(
                f"cannot compute on the device {str(device)!r}: {error}. Expected cpu, or cuda "
                "where there is a GPU."
            ) from error
        self._device = torch.device(device)
        self.target = TargetScale(**description["target"])
        scale = description["covariates"]
        self.covariate_scale = CovariateScale(mean=tuple(scale["mean"]), std=tuple(scale["std"]))
        self._trained_on = set(reference[IMAGES].tolist())
        self._distributions = {
            name: ReferenceDistribution(
                mean=reference[f"{name}.mean"], whitening=reference[f"{name}.whitening"]
            )
            for name in (FEATURES, INTENSITIES)
            if f"{name}.mean" in reference
        }

    @property
    def members(self) -> tuple[Predictor, ...]:
        """The predictor alone; of an ensemble, those that it is the mean of."""
        return (self,)

    @property
    def width(self) -> int:
        """Number of features of an image."""
        return self.network.width

    @property
    def flip_axes(self) -> tuple[int, ...]:
        """Spatial axes over whose mirrorings predictions are averaged."""
        return self.card.augmentation.flip_axes if self.description["flips"] else ()

    def graph(self) -> Graph:
        """The model as one module, of normalised images and covariates."""
        return PredictionGraph(self.network, self.target, self.covariate_scale, self.flip_axes)

    def evaluate(self, shown: Sequence[Presented]) -> Predicted:
        """Predict images that are on the card's grid, as `present` gives them; at least one."""
        clips = [self._clips(one.pixels) for one in shown]
        owner = torch.repeat_interleave(
            torch.arange(len(clips)), torch.tensor([len(one) for one in clips])
        )
        covariates = self.covariate_scale.standardise(np.stack([one.covariates for one in shown]))
        known = covariates[owner]
        head, parts = self.network.head, list[Tensor]()
        with torch.inference_mode():
            for pixels, values in zip(
                torch.cat(clips).split(len(clips)), known.split(len(clips)), strict=True
            ):
                stored = pixels.to(self._device)
                images = to_input(stored, self.card.offset, self.card.gain)
                views = mean_views(self.network, images, values.to(self._device), self.flip_axes)
                parts.append(torch.cat([views, intensity_profile(images)], dim=1))
            seen = means_of(torch.cat(parts), owner.to(self._device), len(clips))
            features = seen[:, : self.network.width]
            standardised = head(features) if head.linear else seen[:, self.network.width]
            predictions = self.target.restore(standardised).cpu().numpy()
        profiles = seen[:, -len(PERCENTILES) :]
        null = NullModels.of(self.description["training"]["null_models"])
        return Predicted(
            predictions,
            features.cpu(),
            profiles.cpu(),
            covariates,
            null.predict(covariates.numpy()),
        )

    def unlike(self, predicted: Predicted, hashes: Sequence[str]) -> dict[str, list[Any]]:
        """How far images are from those of the training, see docs/predict.md.

        Args:
            predicted: What `evaluate` says of them.
            hashes: `image_hash` of each.

        Returns:
            Columns of the table of `predict_table`; distances are None where none can be had.
        """
        nothing: list[Any] = [None] * len(hashes)
        vectors = {FEATURES: predicted.features, INTENSITIES: predicted.intensities}
        feature, intensity = (
            self._distributions[name].distances(values).tolist()
            if name in self._distributions
            else nothing
            for name, values in vectors.items()
        )
        return {
            "feature_distance": feature,
            "intensity_distance": intensity,
            "out_of_distribution": [
                None if one is None else max(one, other) > 1
                for one, other in zip(feature, intensity, strict=True)
            ],
            "in_training": [n in self._trained_on for n in hash_numbers(list(hashes)).tolist()],
        }

    def _clips(self, pixels: NDArray[Any]) -> Tensor:
        """What the network is shown of an image, (1, C, *shape), or of a video: all its clips."""
        if self.card.period is None:
            return torch.from_numpy(np.ascontiguousarray(pixels))[None]
        step = clip_step(self.card, thorough=self.description["flips"])
        starts = covering_starts(len(pixels), self.card, step)
        return torch.from_numpy(np.stack([take_clip(pixels, start, self.card) for start in starts]))
