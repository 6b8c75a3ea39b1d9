"""The training steps of one stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from supremix._errors import ConfigError, NonFiniteLossError
from supremix.methods.base import Stage
from supremix.models import Network
from supremix.training.data.batches import Batch, Batches
from supremix.training.data.randomness import derive
from supremix.training.data.trial_data import TrialData
from supremix.training.distributed.collective import Collective, Distributed
from supremix.training.steps.ema import Averager
from supremix.training.steps.gradient_cache import ChunkedStep
from supremix.training.steps.precision import Precision
from supremix.training.steps.regression_step import RegressionStep
from supremix.training.steps.schedule import (
    Schedule,
    averaged_by_optimizer,
    build_optimizer,
    layer_scales,
    set_rate,
)
from supremix.training.steps.state import frozen
from supremix.training.task import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class StageTask:
    """A task in one of its stages.

    Attributes:
        task: The task.
        stage: Its stage.
        data: Its samples.
        model: The network in training, on the device, its norms synchronised where needed.
        ema_model: The running average of its weights.
        scaler: Scales the loss as fp16 needs it. It is the run's: a new one in each stage would
            skip the first steps of the stage, until it had found the scale again.
    """

    task: Task
    stage: Stage
    data: TrialData
    model: Network
    ema_model: Network
    scaler: torch.amp.GradScaler


class StageTrainer:
    """Optimizer, schedule and loss of a stage, applied to a network.

    Args:
        part: The stage, its task, samples and networks.
        key: Seed and stage, from which everything random is derived.
        precision: Precision of the forward pass.
        collective: Fellow workers; their gradients are averaged.

    Attributes:
        loss: The loss of the stage.
        module: The network, or its data-parallel wrapper.
        regression: Computes the loss of a regression stage, None in a contrastive one.
        batches: The batches of an epoch.
    """

    def __init__(
        self,
        part: StageTask,
        *,
        key: tuple[int | str, ...],
        precision: Precision,
        collective: Collective,
    ) -> None:
        task, stage, data, network = part.task, part.stage, part.data, part.model
        if stage.loss is None:
            raise ConfigError(f"stage {stage.name!r} is to be trained and has no loss")
        self.stage, self._network, self._data, self.loss = stage, network, data, stage.loss
        self._key, self._precision, self._collective = key, precision, collective
        self._contrastive = stage.objective == "contrastive"
        network.train_for(
            project=stage.projected is not None,
            regress=not self._contrastive,
            frozen_norms=stage.frozen_norms,
            freeze=stage.freeze,
        )
        self._chunked = (
            ChunkedStep(network, chunk=task.chunk, precision=precision, collective=collective)
            if task.chunk is not None and self._contrastive
            else None
        )
        self.module = network if self._chunked else _parallel(network, collective)
        self.regression = (
            None
            if self._contrastive
            else RegressionStep(stage, network, data, precision=precision, collective=collective)
        )
        self._trained = [p for p in network.parameters() if p.requires_grad]
        self.batches = Batches(
            stage, data, key=key, augment=task.augment, collective=collective, chunk=task.chunk
        )
        self.optimizer = build_optimizer(
            network,
            lr=stage.lr,
            weight_decay=stage.weight_decay,
            schedule=stage.schedule,
            scales=layer_scales(network, stage.layer_decay),
        )
        self.scaler = part.scaler
        self._schedule = schedule_of(stage, self.batches.steps, averaging=task.averaging)
        self._ema_model = part.ema_model
        self._averager = Averager(network, part.ema_model, self._schedule.kept)

    def epoch(self, epoch: int) -> tuple[float, float]:
        """Train for one epoch of this stage; mean loss of all workers, and the last rate.

        Raises:
            NonFiniteLossError: the mean loss is NaN or infinite.
        """
        self._network.train()
        total = torch.zeros((), dtype=torch.float64, device=self._data.device)
        lr, before = self.stage.lr, epoch * self.batches.steps
        # Dropout in a user's encoder draws from the global generator of the worker.
        torch.manual_seed(derive(*self._key, epoch, "global", self._collective.rank))
        with closing(self.batches.epoch(epoch)) as batches:
            for step, batch in enumerate(batches, start=before):
                lr = self._schedule.rate(step)
                set_rate(self.optimizer, lr)
                # Summed on the device: reading a number every step would make the device wait.
                total.add_(self.step(batch), alpha=len(batch.members))
                self._averager.update(step)
        averaged_by_optimizer(self.optimizer, self._network, self._ema_model)
        if self.regression is not None:
            self.regression.end_epoch()
        loss = float(self._collective.sum(total)) / len(self._data.fit)
        if not math.isfinite(loss):
            raise NonFiniteLossError(
                f"the loss of stage {self.stage.name!r} became {loss} in its epoch {epoch + 1}; "
                f"the learning rate {self.stage.lr:g} is probably too high for this network"
            )
        return loss, lr

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes apart from the networks, copied to the CPU."""
        return {
            "optimizer": frozen(self.optimizer.state_dict()),
            "scaler": frozen(self.scaler.state_dict()),
            "regression": self.regression_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state."""
        self.optimizer.load_state_dict(frozen(state["optimizer"]))
        self.scaler.load_state_dict(state["scaler"])
        self.load_regression_state(state["regression"])

    def regression_state(self) -> dict[str, Any]:
        """What changes in the loss of a regression, copied to the CPU."""
        return {} if self.regression is None else frozen(self.regression.state_dict())

    def load_regression_state(self, state: Mapping[str, Any]) -> None:
        """Load what `regression_state` returned."""
        if self.regression is not None:
            self.regression.load_state_dict(state)

    def step(self, batch: Batch) -> Tensor:
        """Take one step; this worker's part of the loss."""
        loss = self.backward(batch)
        if self.stage.clip is not None:
            self.scaler.unscale_(self.optimizer)
            clip_grad_norm_(self._trained, self.stage.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def backward(self, batch: Batch) -> Tensor:
        """Leave the batch's gradient in the parameters; returns this worker's part of the loss."""
        if self._chunked is not None:
            return self._chunked.backward(
                batch, lambda embeddings: self.contrast(embeddings, batch), self.scaler.scale
            )
        regression = self.regression
        loss = self._at_once(batch) if regression is None else regression.loss(self.module, batch)
        # Losses of the workers add up to the batch's; the wrapper averages gradients over them.
        world = self._collective.world
        self.scaler.scale(loss * world if world > 1 else loss).backward()
        return loss.detach()

    def _at_once(self, batch: Batch) -> Tensor:
        """The contrastive loss, all images in one forward pass."""
        with self._precision.autocast():
            embeddings: Tensor = self.module(batch.images, batch.covariates, True)
        return self.contrast(embeddings, batch)

    def contrast(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """This worker's part of the loss, from its embeddings (V n, D)."""
        everyone = self._collective.gather(embeddings.float(), batch.sizes(self._collective.world))
        labels = self._data.labels[torch.from_numpy(batch.rows)]
        return self.loss(everyone, labels, generator=batch.generator, anchors=batch.own_rows)


def schedule_of(stage: Stage, epoch_steps: int, *, averaging: float) -> Schedule:
    """The schedule of a stage whose epochs have so many steps."""
    return Schedule(
        name=stage.schedule,
        peak=stage.lr,
        steps=stage.epochs * epoch_steps,
        epoch_steps=epoch_steps,
        warmup=stage.warmup,
        averaging=averaging,
    )


def _parallel(network: Network, collective: Collective) -> torch.nn.Module:
    if collective.world == 1:
        return network
    # Norm statistics are the same on all workers already: nothing to broadcast.
    group = collective.tensors if isinstance(collective, Distributed) else None
    return DistributedDataParallel(network, process_group=group, forward_sync_buffers=False)
