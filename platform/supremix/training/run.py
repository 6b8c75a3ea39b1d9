"""A trial: one configuration on one task, epoch after epoch, that can stop and go on anywhere."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from supremix._errors import CheckpointError, TrainingError
from supremix.methods.registry import get_method, make_config
from supremix.storage.paths import Address
from supremix.training.artifacts.checkpoint import State
from supremix.training.artifacts.export import export_model
from supremix.training.build import build_models, fingerprint
from supremix.training.data.randomness import seeded_generator
from supremix.training.data.trial_data import Positions, TrialData
from supremix.training.distributed.collective import Collective, Solo
from supremix.training.evaluation.epoch import EpochEvaluation
from supremix.training.evaluation.evaluator import Evaluator
from supremix.training.evaluation.predictions import prediction_columns
from supremix.training.evaluation.representation import sample
from supremix.training.length import trial_length
from supremix.training.preflight import check_batches
from supremix.training.steps.isolation import isolated
from supremix.training.steps.precision import Precision
from supremix.training.steps.regression_step import check_recipes, label_stats
from supremix.training.steps.schedule import branch_epoch
from supremix.training.steps.stage_trainer import StageTask, StageTrainer
from supremix.training.steps.state import frozen
from supremix.training.task import Task

_STATE_FORMAT = 2

logger = logging.getLogger(__name__)


class TrialRun:
    """Trains one configuration; knows nothing of its caller.

    Weights, order, augmentation and mixing are functions of (task.seed, stage, epoch, step), so a
    run that is saved after any epoch and loaded in another process goes on to the same bits (on a
    GPU to the same numbers, to rounding, unless the task is deterministic), and W workers compute
    what one process would, to rounding. After every epoch, also in pretraining, the regression head
    holds a usable readout: during pretraining that is the ridge probe's.

    Args:
        task: Data, encoder and length of the training.
        config: Parameters of the method by name; a missing one takes its default.
        collective: The workers that train together; all of them call the same functions.
        device: Device to train on; CUDA when there is one, else the CPU.

    Raises:
        TrainingError: The task or the configuration cannot be trained; nothing was started.

    Attributes:
        total: Number of epochs.
        epoch: Number of epochs that are done.
        history: A row for each of them, see `advance`.
        branch: Number of epochs that do not depend on `total`; a longer run goes on from there.
        model: The network in training.
        ema_model: The running average of its weights, which is evaluated and kept.
        evaluator: Computes features and predictions of `ema_model`.
    """

    def __init__(
        self,
        task: Task,
        config: Mapping[str, Any],
        *,
        collective: Collective | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.task = task
        self.method = get_method(task.method)
        self.config = make_config(self.method, config)
        self.collective: Collective = collective or Solo()
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.precision = Precision(task.precision, self.device)
        self.data = TrialData(task, self.device)
        self.precision.check(len(self.data.card.shape))
        self.stages = self.method.stages(self.config, epochs=task.epochs, card=self.data.card)
        check_batches(self.stages, self.data, task.encoder, self.collective.world)
        check_recipes(self.stages, self.data)
        self.total = sum(stage.epochs for stage in self.stages)
        self.epoch = 0
        self.history: list[dict[str, Any]] = []
        self.ema_model, self.model = build_models(
            task,
            self.data.card,
            self.stages,
            collective=self.collective,
            device=self.device,
            stats=label_stats(self.data),
        )
        self.evaluator = Evaluator(
            self.ema_model,
            self.data,
            collective=self.collective,
            batch=task.images_at_once,
        )
        self._evaluation = EpochEvaluation(
            self.ema_model,
            self.evaluator,
            data=self.data,
            task=task,
            stages=self.stages,
            collective=self.collective,
        )
        self.branch = branch_epoch(self.stages)
        self._fingerprint = fingerprint(
            task, self.config, self.data.store.key, self.precision.name, may_grow=self.branch > 0
        )
        self._trainer: StageTrainer | None = None
        self._stage = -1
        self._scaler = self.precision.scaler()

    @property
    def done(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.total

    def advance(self) -> dict[str, Any]:
        """Train exactly one epoch and evaluate the network.

        Returns:
            epoch (1 for the first), stage, error (MAE on `eval_split` in the task's unit: of the
            ridge probe while pretraining, of the head after), loss, mae, rmse, r2, pearson,
            probe_mae (NaN outside of pretraining), lr, seconds, steps and images_seen (from the
            start of the trial on, see `Length`). NaN where nothing was evaluated. After the last
            epoch of pretraining and that of the trial also measures, see
            `RepresentationMeasures.compute`, where a split is evaluated.

        Raises:
            NonFiniteLossError: The training diverged.
            TrainingError: No epoch is left.
        """
        if self.done:
            raise TrainingError(f"all {self.total} epochs of this run are done")
        started = time.perf_counter()
        index, epoch = self.locate(self.epoch)
        stage = self.stages[index]
        with self._isolated():
            loss, lr = self.train_epoch(index, epoch)
            metrics, measures = self._evaluation.after(index, epoch, self.history)
        self.epoch += 1
        length = trial_length(self.stages, len(self.data.fit), self.epoch)
        row: dict[str, Any] = {
            "epoch": self.epoch,
            "stage": stage.name,
            "error": metrics["mae"],
            "loss": loss,
            **metrics,
            "probe_mae": math.nan if stage.objective == "regression" else metrics["mae"],
            "lr": lr,
            "seconds": time.perf_counter() - started,
            "steps": length.steps,
            "images_seen": length.images_seen,
        }
        if measures:
            row["measures"] = measures
        self.history.append(row)
        return row

    def state(self) -> State:
        """Everything that is needed to go on, copied to the CPU; see `load_checkpoint`."""
        return {
            "format": _STATE_FORMAT,
            "fingerprint": self._fingerprint,
            "device": self.device.type,
            "epoch": self.epoch,
            "history": frozen(self.history),
            "ema_model": frozen(self.ema_model.state_dict()),
            "model": frozen(self.model.state_dict()),
            "stages": [stage.epochs for stage in self.stages],
            "branch": self.branch,
            "stage": self._stage,
            "trainer": None if self._trainer is None else self._trainer.state_dict(),
        }

    def continues(self, state: Mapping[str, Any]) -> bool:
        """Whether this run comes by a state, which may be of a run of another length."""
        if state["stages"] == [stage.epochs for stage in self.stages]:
            return True
        return state["epoch"] <= min(state["branch"], self.branch)

    def load(self, state: Mapping[str, Any]) -> None:
        """Load a state; the next `advance` is the epoch after it.

        Raises:
            CheckpointError: The state is of another task, configuration or version, or depends on
                another length, see `continues`.
        """
        if state.get("format") != _STATE_FORMAT:
            raise CheckpointError(
                f"expected a training state of format {_STATE_FORMAT}, found "
                f"{state.get('format')!r}; train again with this version"
            )
        if state["fingerprint"] != self._fingerprint:
            raise CheckpointError(
                "this state is of another run. It was made with\n  "
                f"{state['fingerprint']}\nand is loaded into\n  {self._fingerprint}"
            )
        if not self.continues(state):
            raise CheckpointError(
                f"this state is {state['epoch']} epochs into a run of {sum(state['stages'])}, "
                f"whose length matters beyond epoch {state['branch']}, and is loaded into a run "
                f"of {self.total}; load an earlier state, or train again"
            )
        if state["device"] != self.device.type:
            logger.warning(
                "a run that was trained on %s continues on %s: its numbers differ by rounding from "
                "those of a run on one of them",
                state["device"],
                self.device.type,
            )
        self.epoch = int(state["epoch"])
        self.history = [dict(row) for row in state["history"]]
        self.ema_model.load_state_dict(state["ema_model"])
        self.model.load_state_dict(state["model"])
        self._trainer, self._stage, self._scaler = None, -1, self.precision.scaler()
        if state["stage"] >= 0:
            self.trainer_of(int(state["stage"])).load_state_dict(state["trainer"])

    def predict(self, positions: Positions, *, flips: bool = True) -> NDArray[np.float64]:
        """Predictions (N,) in the task's unit for indices in the store. Collective.

        Args:
            positions: Indices of N samples in the store.
            flips: Whether they are averaged over flips where the task says so.
        """
        with self._isolated():
            flips = flips and self.task.flips
            return self.evaluator.predict(positions, flips=flips).cpu().numpy()

    def evaluate(self, split: str) -> dict[str, NDArray[Any]]:
        """Predictions and truth of a whole split. Collective.

        On `eval_split` they are those that the error after the last epoch is of, not averaged over
        flips: one training has one error there.

        Returns:
            The columns of `prediction_columns`, each (N,).
        """
        positions = self.data.positions(split)
        predictions = self.predict(positions, flips=split != self.task.eval_split)
        return prediction_columns(self.data, positions, predictions)

    def embed(self, split: str, *, most: int = 2000) -> dict[str, NDArray[Any]]:
        """Features of a split, or of `most` samples drawn by the split's seed. Collective.

        Returns:
            features (n, F) float32 as the head sees them, and target (n,) in the task's unit.
        """
        every = self.data.positions(split)
        generator = seeded_generator(self.task.split_seed, "embed")
        positions = every[sample(len(every), most, generator)]
        with self._isolated():
            features = self.evaluator.features(positions).float().cpu().numpy()
        return {"features": features, "target": self.data.store.targets[positions]}

    def export(self, path: Address) -> None:
        """Write model.safetensors and model.json into the folder; only rank 0 has to."""
        with self._isolated():
            export_model(path, self)

    def locate(self, epoch: int) -> tuple[int, int]:
        """The stage of an epoch, and its number within the stage."""
        for index, stage in enumerate(self.stages):
            if epoch < stage.epochs:
                return index, epoch
            epoch -= stage.epochs
        raise TrainingError(f"epoch {epoch} lies behind the last one")

    def _isolated(self) -> AbstractContextManager[None]:
        """The context of everything that is computed."""
        return isolated(self.device, self.task.threads, deterministic=self.task.deterministic)

    def start_stage(self) -> None:
        """Let a stage start from the weights that were evaluated, with the head solved for it."""
        self.model.load_state_dict(self.ema_model.state_dict())

    def train_epoch(self, index: int, epoch: int) -> tuple[float, float]:
        """Take the steps of one epoch of a stage; the mean loss and the last learning rate."""
        if self.stages[index].objective == "probe":
            return math.nan, 0.0
        if epoch == 0:
            self.start_stage()
        return self.trainer_of(index).epoch(epoch)

    def stage_task(self, index: int) -> StageTask:
        """This run in a stage, as a `StageTrainer` takes it."""
        return StageTask(
            task=self.task,
            stage=self.stages[index],
            data=self.data,
            model=self.model,
            ema_model=self.ema_model,
            scaler=self._scaler,
        )

    def trainer_of(self, index: int) -> StageTrainer:
        """The trainer of a stage; a new one where the last was of another stage."""
        if self._trainer is None or self._stage != index:
            self._trainer = StageTrainer(
                self.stage_task(index),
                key=(self.task.seed, index),
                precision=self.precision,
                collective=self.collective,
            )
            self._stage = index
        return self._trainer
