"""The measures of a trial's representation: their schedule and their samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from supremix._errors import NonFiniteLossError
from supremix.methods.base import Stage
from supremix.training.data.randomness import seeded_generator
from supremix.training.data.trial_data import Positions, TrialData
from supremix.training.evaluation.evaluator import Evaluator
from supremix.training.evaluation.representation import (
    chord_residual,
    knn_mae,
    ordinality,
    rnc_excess,
    sample,
)
from supremix.training.evaluation.site_leakage import site_leakage
from supremix.training.task import Task

Measures = dict[str, float | str]
"""Measures by name, and the name of the split under "split"."""

MOST = 2000
"""Largest number of samples of either split; RnC's excess takes a quarter of them."""


def are_due(stages: Sequence[Stage], index: int, epoch: int) -> bool:
    """Whether measures are due: after the last contrastive epoch, and the last of the trial.

    Args:
        stages: All stages of the trial.
        index: Stage that the epoch belongs to.
        epoch: Number of the epoch within the stage, from 0.
    """
    contrastive = [i for i, stage in enumerate(stages) if stage.objective == "contrastive"]
    ends = {len(stages) - 1, *contrastive[-1:]}
    return index in ends and epoch == stages[index].epochs - 1


class RepresentationMeasures:
    """Measures of the representation (`representation.py`) on the evaluated split.

    Samples are drawn by the seed of the split, so that all trials and methods of a comparison
    share them.

    Args:
        evaluator: Computes features of the network that is evaluated.
        data: The samples.
        task: Its `eval_split` is the split of the measures; None for no measures at all.
    """

    def __init__(self, evaluator: Evaluator, data: TrialData, task: Task) -> None:
        self._evaluator, self._data, self._task = evaluator, data, task

    def compute(self, features: Tensor, fitted: tuple[Positions, Tensor] | None) -> Measures:
        """The measures. Collective, where features have yet to be computed.

        Args:
            features: (N, F) of the whole evaluated split, in the order of the index.
            fitted: Samples that were fitted and their features, where these are known already.

        Returns:
            The measures by name, NaN where one is not defined, and under "split" the split.

        Raises:
            NonFiniteLossError: Features are not finite.
        """
        if not bool(torch.isfinite(features).all()):
            raise NonFiniteLossError(
                "the features of the encoder are not finite: the training diverged; lower the "
                "learning rate"
            )
        split, data = str(self._task.eval_split), self._data
        positions = data.positions(split)
        rows = sample(len(positions), MOST, self._generator("evaluated"))
        v, chosen = features.cpu()[torch.from_numpy(rows)], positions[rows]
        labels = torch.from_numpy(data.store.targets[chosen])
        known, known_labels = self._fitted(fitted)
        # RnC's is the only one whose cost per pair is large.
        few = sample(len(chosen), MOST // 4, self._generator("rnc"))
        excess, flat = rnc_excess(v[torch.from_numpy(few)], labels[few])
        index = data.store.index[chosen.tolist()]
        accuracy, chance = site_leakage(
            v, index["site"].to_list(), index["group"].to_list(), generator=self._generator("folds")
        )
        return {
            "split": split,
            "ordinality": ordinality(v, labels),
            "rnc_excess": excess,
            "rnc_excess_flat": flat,
            "knn_mae": knn_mae(known, known_labels, v, labels),
            "chord_residual": chord_residual(
                v, labels, window=data.card.window, generator=self._generator("chords")
            ),
            "site_accuracy": accuracy,
            "site_chance": chance,
        }

    def _fitted(self, known: tuple[Positions, Tensor] | None) -> tuple[Tensor, Tensor]:
        fit = self._data.fit
        wanted = fit[sample(len(fit), MOST, self._generator("fitted"))]
        positions, features = known or (wanted, self._evaluator.features(wanted))
        rows = np.flatnonzero(np.isin(positions, wanted))
        targets = self._data.store.targets[positions[rows]]
        return features.cpu()[torch.from_numpy(rows)], torch.from_numpy(targets)

    def _generator(self, what: str) -> torch.Generator:
        return seeded_generator(self._task.split_seed, "measures", what)
