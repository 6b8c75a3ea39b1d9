"""The training steps of several tasks, one at a time, under one optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

import torch
from torch import Tensor, nn

from supremix._errors import NonFiniteLossError
from supremix.training.data.randomness import derive, seeded_generator
from supremix.training.distributed.collective import Collective
from supremix.training.steps.ema import Averager
from supremix.training.steps.precision import Precision
from supremix.training.steps.schedule import (
    averaged_by_optimizer,
    build_optimizer,
    layer_scales,
    set_rate,
)
from supremix.training.steps.stage_trainer import StageTask, StageTrainer, schedule_of


class Interleaver:
    """Optimizer, schedule and losses of a stage of several tasks.

    An epoch has every batch that each task would have alone, in a random order. A step is of one
    task: it changes that task's own weights and the shared ones, and no other's.

    Args:
        tasks: The tasks, their stages alike but for loss and batch size.
        key: Seed and stage, from which everything random is derived.
        precision: Precision of the forward pass.
        collective: Fellow workers; their gradients are averaged.

    Attributes:
        trainers: Of each task, whose optimizer and scaler are those of all.
    """

    def __init__(
        self,
        tasks: Sequence[StageTask],
        *,
        key: tuple[int | str, ...],
        precision: Precision,
        collective: Collective,
    ) -> None:
        self._tasks, self._key, self._collective = tasks, key, collective
        self._stage = tasks[0].stage
        self.trainers = [
            StageTrainer(one, key=key, precision=precision, collective=collective) for one in tasks
        ]
        self._union = nn.ModuleList([one.model for one in tasks])
        self._averages = nn.ModuleList([one.ema_model for one in tasks])
        self._optimizer = build_optimizer(
            self._union,
            lr=self._stage.lr,
            weight_decay=self._stage.weight_decay,
            schedule=self._stage.schedule,
            scales={
                parameter: scale
                for one in tasks
                for parameter, scale in layer_scales(one.model, self._stage.layer_decay).items()
            },
        )
        for trainer in self.trainers:
            trainer.optimizer, trainer.scaler = self._optimizer, tasks[0].scaler
        self._per_epoch = sum(trainer.batches.steps for trainer in self.trainers)
        self._schedule = schedule_of(
            self._stage, self._per_epoch, averaging=tasks[0].task.averaging
        )
        self._averager = Averager(self._union, self._averages, self._schedule.kept)

    def epoch(self, epoch: int) -> list[tuple[float, float]]:
        """Train for one epoch of the stage; of each task the mean loss, and the last rate.

        Raises:
            NonFiniteLossError: a mean loss is NaN or infinite.
        """
        for one in self._tasks:
            one.model.train()
        zero = torch.zeros((), dtype=torch.float64, device=self._tasks[0].data.device)
        totals, lr = [zero.clone() for _ in self._tasks], self._stage.lr
        # Dropout in a user's encoder draws from the global generator of the worker.
        torch.manual_seed(derive(*self._key, epoch, "global", self._collective.rank))
        with ExitStack() as stack:
            opened = [closing(trainer.batches.epoch(epoch)) for trainer in self.trainers]
            batches = [stack.enter_context(one) for one in opened]
            for step, turn in enumerate(self._order(epoch), start=epoch * self._per_epoch):
                lr = self._schedule.rate(step)
                set_rate(self._optimizer, lr)
                batch = next(batches[turn])
                totals[turn].add_(self.trainers[turn].step(batch), alpha=len(batch.members))
                self._averager.update(step)
        averaged_by_optimizer(self._optimizer, self._union, self._averages)
        for trainer in self.trainers:
            if trainer.regression is not None:
                trainer.regression.end_epoch()
        return [(self._mean(i, total, epoch), lr) for i, total in enumerate(totals)]

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes apart from the networks, copied to the CPU."""
        # Optimizer and scaler are those of all: the first one's state is enough.
        regression = [trainer.regression_state() for trainer in self.trainers]
        return {**self.trainers[0].state_dict(), "regression": regression}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state."""
        first, *others = state["regression"]
        self.trainers[0].load_state_dict({**state, "regression": first})
        for trainer, regression in zip(self.trainers[1:], others, strict=True):
            trainer.load_regression_state(regression)

    def _order(self, epoch: int) -> Iterator[int]:
        """The task of each step of an epoch, by its index."""
        counts = torch.tensor([trainer.batches.steps for trainer in self.trainers])
        turns = torch.repeat_interleave(torch.arange(len(counts)), counts)
        generator = seeded_generator(*self._key, epoch, "turns")
        yield from turns[torch.randperm(len(turns), generator=generator)].tolist()

    def _mean(self, turn: int, total: Tensor, epoch: int) -> float:
        one = self._tasks[turn]
        loss = float(self._collective.sum(total)) / len(one.data.fit)
        if not math.isfinite(loss):
            raise NonFiniteLossError(
                f"the loss of {one.data.card.name} in stage {one.stage.name!r} became {loss} in "
                f"its epoch {epoch + 1}; the learning rate {one.stage.lr:g} is probably too high"
            )
        return loss
