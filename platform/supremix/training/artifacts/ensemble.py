"""Several networks as one model: the mean of what those of several seeds or folds predict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from supremix.training.artifacts.graph import EnsembleGraph
from supremix.training.artifacts.inference import Predicted, Predictor
from supremix_datasets.stores.conform import Presented


class EnsemblePredictor(Predictor):
    """Predicts images by the mean of several models, and compares them with the training's.

    Args:
        folds: The members of each fold, models of the same dataset and grid; those of one fold
            differ by their seed, or by their repeat. Without folds these are one list.
    """

    def __init__(self, folds: Sequence[Sequence[Predictor]]) -> None:
        self._members = tuple(member for fold in folds for member in fold)
        self._sizes = [len(fold) for fold in folds]
        first = self._members[0]
        self.description, self.card = first.description, first.card
        self.network = nn.ModuleList([one.network for one in self._members])

    @property
    def members(self) -> tuple[Predictor, ...]:
        """The networks that it is the mean of."""
        return self._members

    def graph(self) -> EnsembleGraph:
        """The models as one module, of normalised images and covariates."""
        graphs = [one.graph() for one in self.members]
        return EnsembleGraph([member for graph in graphs for member in graph.members])

    def evaluate(self, shown: Sequence[Presented]) -> Predicted:
        """Predict images; features are those of all members, side by side.

        Predictions without an image are means over the members, as the predictions are. Covariates
        are standardised as by the first member.
        """
        found = [one.evaluate(shown) for one in self.members]
        values = np.array([one.predictions for one in found])
        folds = np.split(values, np.cumsum(self._sizes)[:-1])
        several = min(self._sizes) > 1
        return Predicted(
            values.mean(axis=0),
            torch.cat([one.features for one in found], dim=1),
            found[0].intensities,
            found[0].covariates,
            {name: np.mean([one.null[name] for one in found], axis=0) for name in found[0].null},
            values.std(axis=0, ddof=1) if len(values) > 1 else None,
            np.mean([one.std(axis=0, ddof=1) for one in folds], axis=0) if several else None,
        )

    def unlike(self, predicted: Predicted, hashes: Sequence[str]) -> dict[str, list[Any]]:
        """How far images are from those of the training: the mean of the members' distances.

        An image is one of the training where a member was trained on it.
        """
        widths = [one.width for one in self.members]
        columns = [
            one.unlike(predicted._replace(features=features), hashes)
            for one, features in zip(
                self.members, predicted.features.split(widths, dim=1), strict=True
            )
        ]
        feature, intensity = (
            [_mean(values) for values in zip(*(one[name] for one in columns), strict=True)]
            for name in ("feature_distance", "intensity_distance")
        )
        trained = zip(*(one["in_training"] for one in columns), strict=True)
        return {
            "feature_distance": feature,
            "intensity_distance": intensity,
            "out_of_distribution": [
                None if one is None or other is None else max(one, other) > 1
                for one, other in zip(feature, intensity, strict=True)
            ],
            "in_training": [any(flags) for flags in trained],
        }


def pooled_facts(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts of the trainings of all members together, without the null models of each.

    Args:
        members: The facts of each, see `training_facts`.

    Returns:
        The same facts: means and standard deviations of all training images together, the lowest
        and the highest label of any member, the mean of other numbers; and `models`, the number of
        members.
    """
    weights = [one["images"] for one in members]

    def mean(values: Sequence[Any]) -> Any:
        return np.average(values, axis=0, weights=weights).tolist()

    def spread(of: str) -> dict[str, Any]:
        means, sds = (np.array([one[of][name] for one in members]) for name in ("mean", "sd"))
        squares = np.average(means**2 + sds**2, axis=0, weights=weights)
        sd = np.sqrt(np.maximum(squares - np.average(means, axis=0, weights=weights) ** 2, 0))
        return {"mean": mean(list(means)), "sd": sd.tolist()}

    percentiles = np.array([one["labels"]["percentiles"] for one in members])
    held_out = [one["held_out"] for one in members]
    return {
        "models": len(members),
        "images": round(math.fsum(weights) / len(members)),
        "patients": round(math.fsum(one["patients"] for one in members) / len(members)),
        "labels": spread("labels")
        | {
            "percentiles": [
                float(percentiles[:, 0].min()),
                *percentiles[:, 1:-1].mean(0).tolist(),
                float(percentiles[:, -1].max()),
            ]
        },
        "intensities": spread("intensities"),
        "held_out": None
        if None in held_out
        else held_out[0] | {"share_above": mean([one["share_above"] for one in held_out])},
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
