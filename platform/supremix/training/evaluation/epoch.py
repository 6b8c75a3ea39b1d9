"""The evaluation after an epoch: a head for frozen features, the metrics, the measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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

_EACH, _EVERY, _SPARSER = 10, 4, 50
"""First epochs of a stage that are each evaluated, of how many later ones one is, and the epochs
after which that number doubles where a head is trained."""


@dataclass(eq=False)
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

    model: Network
    evaluator: Evaluator
    data: TrialData
    task: Task
    stages: Sequence[Stage]
    collective: Collective

    def after(
        self, index: int, epoch: int, history: Sequence[dict[str, Any]]
    ) -> tuple[dict[str, float], Measures]:
        """The metrics after an epoch, and the measures of the representation where they are due.

        Args:
            index: Stage of the epoch.
            epoch: Number of the epoch within the stage, from 0.
            history: Rows of the epochs before.
        """
        stage, fitted = self.stages[index], None
        last = epoch == stage.epochs - 1
        if not last and not self._is_evaluated(stage, epoch, len(history) + 1):
            known = history[-1] if history else {}
            return {name: known.get(name, math.nan) for name in METRICS}, {}
        if stage.objective != "regression":
            fitted = self._solve_head(self.data.fit if last else self._probe_samples())
        if self.task.eval_split is None:
            return dict.fromkeys(METRICS, math.nan), {}
        positions = self.data.positions(self.task.eval_split)
        features, predictions = self.evaluator.evaluate(positions)
        labels = self.data.labels[torch.from_numpy(positions)].to(self.data.device)
        metrics = asdict(regression_metrics(predictions, labels))
        if not are_due(self.stages, index, epoch):
            return metrics, {}
        measures = RepresentationMeasures(self.evaluator, self.data, self.task)
        return metrics, measures.compute(features, fitted)

    def _is_evaluated(self, stage: Stage, epoch: int, trial_epoch: int) -> bool:
        """Whether an epoch is evaluated: of the stage, from 0, and of the trial, from 1.

        It does not depend on the length of the trial, so that one can be prolonged.
        """
        every = self.task.evaluate_every
        if every is None and epoch < _EACH:
            return True
        if every is None:
            # A probe looks at every training image once more, which is a sixth of an epoch's work,
            # and the validation split of a head that is trained costs a tenth.
            probe = stage.objective != "regression"
            every = _EVERY if probe else min(_EVERY, 1 << ((trial_epoch - 1) // _SPARSER))
        return trial_epoch % every == 0

    def _solve_head(self, positions: Positions) -> tuple[Positions, Tensor]:
        """Put the ridge solution on frozen features into the head; returns these features."""
        head = self.model.head
        if not isinstance(head, RegressionHead):
            raise TrainingError("a probe is a linear readout, and this network has another head")
        features = self.evaluator.features(positions)
        ridge = fit_ridge(
            features, self.data.targets[torch.from_numpy(positions)].to(features.device)
        )
        # Rank 0's, lest workers of different make end with different last digits.
        head.set_solution(*self.collective.broadcast((ridge.weight.cpu(), ridge.bias.cpu())))
        return positions, features

    def _probe_samples(self) -> Positions:
        fit, most = self.data.fit, self.task.probe_samples
        if len(fit) <= most:
            return fit
        drawn = torch.randperm(len(fit), generator=seeded_generator(self.task.seed, "probe"))
        return np.sort(fit[drawn[:most].numpy()])
