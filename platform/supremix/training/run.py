"""A trial: one configuration on one task, epoch after epoch, that can stop and go on anywhere."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from supremix._errors import CheckpointError, TrainingError
from supremix.methods.registry import get_method, make_config
from supremix.models import RegressionHead
from supremix.storage.paths import Address
from supremix.training.artifacts.checkpoint import State, frozen
from supremix.training.artifacts.export import export_model
from supremix.training.build import build_twins, fingerprint
from supremix.training.data.randomness import generator
from supremix.training.data.trial_data import Positions, TrialData
from supremix.training.distributed.collective import Collective, Solo
from supremix.training.evaluation.evaluator import Evaluator
from supremix.training.evaluation.measure_schedule import Measurer, Measures, is_measured
from supremix.training.evaluation.metrics import METRICS, regression_metrics
from supremix.training.evaluation.probe import fit_ridge
from supremix.training.evaluation.representation import sample
from supremix.training.preflight import check_batches
from supremix.training.steps.isolation import isolated
from supremix.training.steps.precision import Precision
from supremix.training.steps.regression_step import check_recipes, label_stats
from supremix.training.steps.stage_trainer import StageTrainer
from supremix.training.task import Task

_STATE_FORMAT = 1


class TrialRun:
    """Trains one configuration; knows nothing of who calls it.

    Weights, order, augmentation and mixing are functions of (task.seed, stage, epoch, step), so a
    run that is saved after any epoch and loaded in another process goes on to the same bits, and
    W workers compute what one process would, to rounding. After every epoch, also in pretraining,
    the regression head holds a usable readout: during pretraining that is the ridge probe's.

    Args:
        task: what to train on.
        config: parameters of the method by name; what is missing takes its default.
        collective: the workers that train together; all of them call the same functions.
        device: where to train; CUDA when there is one, else the CPU.

    Raises:
        TrainingError: the task or the configuration cannot be trained; nothing was started.

    Attributes:
        total: number of epochs. epoch: how many are done. history: a row for each, see `advance`.
        network: the network as it is judged and kept, the running average of the one in training.
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
        self.stages = self.method.stages(self.config, epochs=task.epochs, card=self.data.card)
        check_batches(self.stages, len(self.data.fit), self.collective.world)
        check_recipes(self.stages, self.data)
        self.total = sum(stage.epochs for stage in self.stages)
        self.epoch = 0
        self.history: list[dict[str, Any]] = []
        self.network, self._trainee = build_twins(
            task,
            self.data.card,
            self.stages,
            collective=self.collective,
            device=self.device,
            stats=label_stats(self.data),
        )
        self._evaluator = Evaluator(
            self.network,
            self.data,
            collective=self.collective,
            precision=self.precision,
            batch=task.eval_batch,
        )
        self._measurer = Measurer(self._evaluator, self.data, task)
        self._fingerprint = fingerprint(task, self.config, self.data.store.key)
        self._stepper: StageTrainer | None = None
        self._stepper_stage = -1

    @property
    def done(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.total

    def advance(self) -> dict[str, Any]:
        """Train exactly one epoch and judge the network.

        Returns:
            epoch (1 for the first), stage, error (MAE on `eval_split` in the task's unit: of the
            ridge probe while pretraining, of the head after), loss, mae, rmse, r2, pearson,
            probe_mae (NaN outside of pretraining), lr, seconds. NaN where nothing was judged.
            After the last epoch of pretraining and that of the trial also measures, what
            `Measurer.take` returns, where a split is judged.

        Raises:
            NonFiniteLossError: the training diverged.
            TrainingError: no epoch is left.
        """
        if self.done:
            raise TrainingError(f"all {self.total} epochs of this run are done")
        started = time.perf_counter()
        index, epoch = self._locate(self.epoch)
        stage = self.stages[index]
        with isolated(self.device, self.task.threads):
            loss, lr = self._train(index, epoch)
            judged, measures = self._judge_epoch(index, epoch)
        self.epoch += 1
        row: dict[str, Any] = {
            "epoch": self.epoch,
            "stage": stage.name,
            "error": judged["mae"],
            "loss": loss,
            **judged,
            "probe_mae": math.nan if stage.objective == "regression" else judged["mae"],
            "lr": lr,
            "seconds": time.perf_counter() - started,
        }
        if measures:
            row["measures"] = measures
        self.history.append(row)
        return row

    def state(self) -> State:
        """Everything that is needed to go on, copied to the CPU; see `load_checkpoint`."""
        stepper = self._stepper
        return {
            "format": _STATE_FORMAT,
            "fingerprint": self._fingerprint,
            "epoch": self.epoch,
            "history": frozen(self.history),
            "network": frozen(self.network.state_dict()),
            "trainee": frozen(self._trainee.state_dict()),
            "stage": self._stepper_stage,
            "optimizer": None if stepper is None else frozen(stepper.optimizer.state_dict()),
            "scaler": None if stepper is None else frozen(stepper.scaler.state_dict()),
            "direct": None
            if stepper is None or stepper.direct is None
            else frozen(stepper.direct.state_dict()),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a state; the next `advance` is the epoch after it.

        Raises:
            CheckpointError: the state is of another task, configuration or version.
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
        self.epoch = int(state["epoch"])
        self.history = [dict(row) for row in state["history"]]
        self.network.load_state_dict(state["network"])
        self._trainee.load_state_dict(state["trainee"])
        self._stepper, self._stepper_stage = None, -1
        if state["stage"] >= 0:
            stepper = self._stepper_for(int(state["stage"]))
            stepper.optimizer.load_state_dict(frozen(state["optimizer"]))
            stepper.scaler.load_state_dict(state["scaler"])
            if stepper.direct is not None:
                stepper.direct.load_state_dict(state.get("direct") or {})

    def predict(self, positions: Positions) -> NDArray[np.float64]:
        """Predictions (N,) in the task's unit for places in the store's index. Collective."""
        with isolated(self.device, self.task.threads):
            return self._evaluator.predict(positions, flips=self.task.flips).cpu().numpy()

    def judge(self, split: str) -> dict[str, NDArray[Any]]:
        """Predictions beside the truth for a whole split. Collective.

        Returns:
            id, group, target, prediction, site and sex, each (N,).
        """
        positions = self.data.positions(split)
        index = self.data.store.index[positions.tolist()]
        columns = {name: np.array(index[name].to_list(), dtype=object) for name in ("id", "group")}
        return {
            **columns,
            "target": self.data.store.targets[positions],
            "prediction": self.predict(positions),
            "site": np.array(index["site"].to_list(), dtype=object),
            "sex": np.array(sexes(index), dtype=object),
        }

    def embed(self, split: str, *, most: int = 2000) -> dict[str, NDArray[Any]]:
        """Features of a split, or of as many of its samples, drawn by the split's seed. Collective.

        Returns:
            features (n, F) float32 as the head sees them, and target (n,) in the task's unit.
        """
        every, draws = self.data.positions(split), generator(self.task.split_seed, "embed")
        positions = every[sample(len(every), most, draws)]
        with isolated(self.device, self.task.threads):
            features = self._evaluator.features(positions).float().cpu().numpy()
        return {"features": features, "target": self.data.store.targets[positions]}

    def export(self, path: Address) -> None:
        """Write model.safetensors and model.json into the folder; only rank 0 has to."""
        export_model(path, self)

    def _locate(self, epoch: int) -> tuple[int, int]:
        """The stage an epoch belongs to, and its number within the stage."""
        for index, stage in enumerate(self.stages):
            if epoch < stage.epochs:
                return index, epoch
            epoch -= stage.epochs
        raise TrainingError(f"epoch {epoch} lies behind the last one")

    def _train(self, index: int, epoch: int) -> tuple[float, float]:
        if self.stages[index].objective == "probe":
            return math.nan, 0.0
        if epoch == 0:
            # A stage sets out from what was judged, with the head solved for it.
            self._trainee.load_state_dict(self.network.state_dict())
        return self._stepper_for(index).epoch(epoch)

    def _stepper_for(self, index: int) -> StageTrainer:
        if self._stepper is None or self._stepper_stage != index:
            self._stepper = StageTrainer(
                self.stages[index],
                self._trainee,
                self.data,
                average=self.network,
                averaging=self.task.averaging,
                key=(self.task.seed, index),
                augment=self.task.augment,
                precision=self.precision,
                collective=self.collective,
                chunk=self.task.chunk,
            )
            self._stepper_stage = index
        return self._stepper

    def _judge_epoch(self, index: int, epoch: int) -> tuple[dict[str, float], Measures]:
        """The metrics after an epoch of a stage, and the measures where they are due."""
        stage, fitted = self.stages[index], None
        if stage.objective != "regression":
            last = epoch == stage.epochs - 1
            if not last and (self.epoch + 1) % self.task.probe_every:
                known = self.history[-1] if self.history else {}
                return {name: known.get(name, math.nan) for name in METRICS}, {}
            fitted = self._solve_head(self.data.fit if last else self._probe_samples())
        if self.task.eval_split is None:
            return dict.fromkeys(METRICS, math.nan), {}
        positions = self.data.positions(self.task.eval_split)
        features, predictions = self._evaluator.judge(positions)
        labels = self.data.labels[torch.from_numpy(positions).to(self.device)]
        metrics = regression_metrics(predictions, labels)
        due = is_measured(self.stages, index, epoch)
        return asdict(metrics), self._measurer.take(features, fitted) if due else {}

    def _solve_head(self, positions: Positions) -> tuple[Positions, Tensor]:
        """Put the ridge solution on frozen features into the head; returns these features."""
        features = self._evaluator.features(positions)
        targets = self.data.targets[torch.from_numpy(positions).to(self.device)]
        ridge = fit_ridge(features, targets)
        # Rank 0's, lest workers of different make end with different last digits.
        weight, bias = self.collective.broadcast((ridge.weight.cpu(), ridge.bias.cpu()))
        head = self.network.head
        if not isinstance(head, RegressionHead):
            raise TrainingError("a probe is a linear readout, and this network has another head")
        head.set_solution(weight, bias)
        return positions, features

    def _probe_samples(self) -> Positions:
        fit, most = self.data.fit, self.task.probe_samples
        if len(fit) <= most:
            return fit
        drawn: Tensor = torch.randperm(len(fit), generator=generator(self.task.seed, "probe"))
        return np.sort(fit[drawn[:most].numpy()])


def sexes(index: pl.DataFrame) -> list[str | None]:
    """``(N,)`` female or male, None where it is not known, from the covariates of a store's index.

    Datasets call the covariate sex or male; it is 1 for male, 0 for female and 0.5 for not known.
    """
    name = next((name for name in ("sex", "male") if name in index.columns), None)
    if name is None:
        return [None] * len(index)
    return [{0.0: "female", 1.0: "male"}.get(value) for value in index[name].to_list()]
