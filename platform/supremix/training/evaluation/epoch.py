"""The evaluation after an epoch: a head for frozen features, the metrics, the measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from supremix._errors import TrainingError
from supremix.methods.base import Stage
from supremix.models import Network, RegressionHead
from supremix.training.data.randomness import seeded_generator
from supremix.training.data.trial_data import Positions, TrialData
from supremix.training.distributed.collective import Collective
from supremix.training.evaluation.evaluator import Evaluator
from supremix.training.evaluation.measures import Measures, RepresentationMeasures, are_due
from supremix.training.evaluation.metrics import METRICS, regression_metrics
from supremix.training.evaluation.probe import fit_ridge
from supremix.training.task import Task


class EpochEvaluation:
    """Evaluates a network after each epoch of a trial.

    After an epoch that trained no head, the head becomes the ridge solution on frozen features.

    Args:
        model: The network that is evaluated.
        evaluator: Computes its features and predictions.
        data: The samples.
        task: Which split is evaluated, and how often probes are taken.
        stages: All stages of the trial.
        collective: The workers that evaluate together.
    """

    def __init__(
        self,
        model: Network,
        evaluator: Evaluator,
        *,
        data: TrialData,
        task: Task,
        stages: Sequence[Stage],
        collective: Collective,
    ) -> None:
        self._model, self._evaluator, self._data = model, evaluator, data
        self._task, self._stages, self._collective = task, stages, collective
        self._measures = RepresentationMeasures(evaluator, data, task)

    def after(
        self, index: int, epoch: int, history: Sequence[dict[str, Any]]
    ) -> tuple[dict[str, float], Measures]:
        """The metrics after an epoch, and the measures of the representation where they are due.

        Args:
            index: Stage of the epoch.
            epoch: Number of the epoch within the stage, from 0.
            history: Rows of the epochs before.
        """
        stage, fitted = self._stages[index], None
        if stage.objective != "regression":
            last = epoch == stage.epochs - 1
            if not last and (len(history) + 1) % self._task.probe_every:
                known = history[-1] if history else {}
                return {name: known.get(name, math.nan) for name in METRICS}, {}
            fitted = self._solve_head(self._data.fit if last else self._probe_samples())
        if self._task.eval_split is None:
            return dict.fromkeys(METRICS, math.nan), {}
        positions = self._data.positions(self._task.eval_split)
        features, predictions = self._evaluator.evaluate(positions)
        labels = self._data.labels[torch.from_numpy(positions).to(self._data.device)]
        metrics = asdict(regression_metrics(predictions, labels))
        due = are_due(self._stages, index, epoch)
        return metrics, self._measures.compute(features, fitted) if due else {}

    def _solve_head(self, positions: Positions) -> tuple[Positions, Tensor]:
        """Put the ridge solution on frozen features into the head; returns these features."""
        head = self._model.head
        if not isinstance(head, RegressionHead):
            raise TrainingError("a probe is a linear readout, and this network has another head")
        features = self._evaluator.features(positions)
        ridge = fit_ridge(
            features, self._data.targets[torch.from_numpy(positions).to(features.device)]
        )
        # Rank 0's, lest workers of different make end with different last digits.
        head.set_solution(*self._collective.broadcast((ridge.weight.cpu(), ridge.bias.cpu())))
        return positions, features

    def _probe_samples(self) -> Positions:
        fit, most = self._data.fit, self._task.probe_samples
        if len(fit) <= most:
            return fit
        drawn = torch.randperm(len(fit), generator=seeded_generator(self._task.seed, "probe"))
        return np.sort(fit[drawn[:most].numpy()])
