"""The training steps of several tasks, one at a time, under one optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from supremix._errors import NonFiniteLossError
from supremix.methods.base import Stage
from supremix.models import Network
from supremix.training.artifacts.checkpoint import frozen
from supremix.training.data.batches import Batch
from supremix.training.data.randomness import derive, generator
from supremix.training.data.trial_data import TrialData
from supremix.training.distributed.collective import Collective
from supremix.training.steps.ema import Averager
from supremix.training.steps.precision import Precision
from supremix.training.steps.schedule import build_optimizer, rate, set_rate
from supremix.training.steps.stage_trainer import StageTrainer
from supremix.training.task import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One task of a stage: what to train, and on what.

    Attributes:
        task: its settings. stage: of this task. data: its samples.
        network: what is trained. average: what follows as the average of its weights.
    """

    task: Task
    stage: Stage
    data: TrialData
    network: Network
    average: Network


class TurnStepper(StageTrainer):
    """The steps of one task; optimizer and schedule are those of all."""

    def take(self, batch: Batch) -> Tensor:
        """One step; this worker's part of the loss."""
        return self._step(batch)


class Interleaver:
    """Optimizer, schedule and losses of a stage of several tasks.

    An epoch has every batch that each task would have alone, in a random order. A step is of one
    task: it changes that task's own weights and the shared ones, and no other's.

    Args:
        parts: the tasks, their stages alike but for loss and batch size.
        key: seed and stage, from which everything random is derived.
        precision: of the forward pass.
        collective: fellow workers; their gradients are averaged.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        key: tuple[int | str, ...],
        precision: Precision,
        collective: Collective,
    ) -> None:
        self._parts, self._key, self._collective = parts, key, collective
        self._stage = parts[0].stage
        self._turns = [self._turn(part, precision) for part in parts]
        union = nn.ModuleList([part.network for part in parts])
        averages = nn.ModuleList([part.average for part in parts])
        self._optimizer = build_optimizer(
            union, lr=self._stage.lr, weight_decay=self._stage.weight_decay
        )
        self._scaler = precision.scaler()
        for turn in self._turns:
            turn.optimizer, turn.scaler = self._optimizer, self._scaler
        self._per_epoch = sum(turn.batches.steps for turn in self._turns)
        self._steps = self._stage.epochs * self._per_epoch
        averaging = parts[0].task.averaging
        self._averager = Averager(union, averages, steps=averaging * self._steps)

    def epoch(self, epoch: int) -> list[tuple[float, float]]:
        """Train for one epoch of the stage; of each task the mean loss, and the last rate.

        Raises:
            NonFiniteLossError: a mean loss is NaN or infinite.
        """
        for part in self._parts:
            part.network.train()
        zero = torch.zeros((), dtype=torch.float64, device=self._parts[0].data.device)
        totals, lr = [zero.clone() for _ in self._parts], self._stage.lr
        # Dropout in a user's encoder draws from the global generator of the worker.
        torch.manual_seed(derive(*self._key, epoch, "global", self._collective.rank))
        batches = [turn.batches.epoch(epoch) for turn in self._turns]
        for step, place in enumerate(self._order(epoch), start=epoch * self._per_epoch):
            lr = rate(step, self._steps, self._stage.lr, warmup=self._stage.warmup)
            set_rate(self._optimizer, lr)
            batch = next(batches[place])
            totals[place] += self._turns[place].take(batch) * len(batch.members)
            self._averager.update(step)
        for turn in self._turns:
            if turn.direct is not None:
                turn.direct.end_epoch()
        return [(self._mean(i, total, epoch), lr) for i, total in enumerate(totals)]

    def state_dict(self) -> dict[str, Any]:
        """What changes beside the networks, copied to the CPU."""
        direct = [None if t.direct is None else t.direct.state_dict() for t in self._turns]
        return {
            "optimizer": frozen(self._optimizer.state_dict()),
            "scaler": frozen(self._scaler.state_dict()),
            "direct": frozen(direct),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        self._optimizer.load_state_dict(frozen(state["optimizer"]))
        self._scaler.load_state_dict(state["scaler"])
        for turn, direct in zip(self._turns, state["direct"], strict=True):
            if turn.direct is not None:
                turn.direct.load_state_dict(direct)

    def _turn(self, part: Part, precision: Precision) -> TurnStepper:
        return TurnStepper(
            part.stage,
            part.network,
            part.data,
            average=part.average,
            averaging=part.task.averaging,
            key=self._key,
            augment=part.task.augment,
            precision=precision,
            collective=self._collective,
            chunk=part.task.chunk,
        )

    def _order(self, epoch: int) -> Iterator[int]:
        """Whose turn it is at each step of an epoch."""
        counts = torch.tensor([turn.batches.steps for turn in self._turns])
        turns = torch.repeat_interleave(torch.arange(len(counts)), counts)
        draws = generator(*self._key, epoch, "turns")
        yield from turns[torch.randperm(len(turns), generator=draws)].tolist()

    def _mean(self, place: int, total: Tensor, epoch: int) -> float:
        part = self._parts[place]
        loss = float(self._collective.sum(total)) / len(part.data.fit)
        if not math.isfinite(loss):
            raise NonFiniteLossError(
                f"the loss of {part.data.card.name} in stage {part.stage.name!r} became {loss} in "
                f"its epoch {epoch + 1}; the learning rate {part.stage.lr:g} is probably too high"
            )
        return loss
