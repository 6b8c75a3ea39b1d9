"""When a trial measures its representation, and on which samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from supremix._errors import NonFiniteLossError
from supremix.methods.base import Stage
from supremix.training.data.randomness import generator
from supremix.training.data.trial_data import Positions, TrialData
from supremix.training.evaluation.evaluator import Evaluator
from supremix.training.evaluation.representation import (
    chord_residual,
    knn_mae,
    ordinality,
    rnc_excess,
    sample,
    site_leakage,
)
from supremix.training.task import Task

Measures = dict[str, float | str]
"""Measures by name, and under "split" the split they are of."""

MOST = 2000
"""Samples of either split that the measures look at, at most; RnC's at a quarter of them."""


def is_measured(stages: Sequence[Stage], index: int, epoch: int) -> bool:
    """Whether the representation is measured after an epoch.

    It is after the last epoch of the last contrastive stage, and after the last of the trial.

    Args:
        stages: all of the trial.
        index: the stage the epoch belongs to.
        epoch: its number within the stage, from 0.
    """
    contrastive = [i for i, stage in enumerate(stages) if stage.objective == "contrastive"]
    ends = {len(stages) - 1, *contrastive[-1:]}
    return index in ends and epoch == stages[index].epochs - 1


class Measurer:
    """Measures of the representation (`representation.py`) on the evaluated split.

    Samples are drawn by the seed of the split, so that all trials and methods of a comparison are
    measured on the same ones.

    Args:
        evaluator: gives features of the network that is judged.
        data: the samples.
        task: its `eval_split` is the split that is measured; None for no measures at all.
    """

    def __init__(self, evaluator: Evaluator, data: TrialData, task: Task) -> None:
        self._evaluator, self._data, self._task = evaluator, data, task

    def take(self, features: Tensor, fitted: tuple[Positions, Tensor] | None) -> Measures:
        """Measure. Collective, where features have yet to be computed.

        Args:
            features: (N, F) of the whole judged split, in the order of the index.
            fitted: samples that were fitted and their features, where these are known already.

        Returns:
            The measures by name, NaN where one is not defined, and under "split" the split.

        Raises:
            NonFiniteLossError: features that are not finite.
        """
        if not bool(torch.isfinite(features).all()):
            raise NonFiniteLossError(
                "the features of the encoder are not finite: the training diverged; lower the "
                "learning rate"
            )
        split, data = str(self._task.eval_split), self._data
        places = data.positions(split)
        rows = sample(len(places), MOST, self._draws("judged"))
        v, where = features.cpu()[torch.from_numpy(rows)], places[rows]
        labels = torch.from_numpy(data.store.targets[where])
        known, known_labels = self._fitted(fitted)
        # RnC's is the only one whose cost per pair is large.
        few = sample(len(where), MOST // 4, self._draws("rnc"))
        excess, flat = rnc_excess(v[torch.from_numpy(few)], labels[few])
        index = data.store.index[where.tolist()]
        accuracy, chance = site_leakage(
            v, index["site"].to_list(), index["group"].to_list(), draws=self._draws("folds")
        )
        window = data.card.window
        return {
            "split": split,
            "ordinality": ordinality(v, labels),
            "rnc_excess": excess,
            "rnc_excess_flat": flat,
            "knn_mae": knn_mae(known, known_labels, v, labels),
            "chord_residual": chord_residual(v, labels, window=window, draws=self._draws("chords")),
            "site_accuracy": accuracy,
            "site_chance": chance,
        }

    def _fitted(self, known: tuple[Positions, Tensor] | None) -> tuple[Tensor, Tensor]:
        fit = self._data.fit
        wanted = fit[sample(len(fit), MOST, self._draws("fitted"))]
        positions, features = known or (wanted, self._evaluator.features(wanted))
        rows = np.flatnonzero(np.isin(positions, wanted))
        targets = self._data.store.targets[positions[rows]]
        return features.cpu()[torch.from_numpy(rows)], torch.from_numpy(targets)

    def _draws(self, what: str) -> torch.Generator:
        return generator(self._task.split_seed, "measures", what)
