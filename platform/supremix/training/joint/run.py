"""Joint training: one encoder on several datasets at once, as `TrialRun` trains it on one.

`sharing` decides which weights the networks of the tasks have in common, `interleaving` how their
steps take turns. Each task is evaluated, saved and exported as a trial of its own would be.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from supremix._errors import CheckpointError, TrainingError
from supremix.storage.paths import Address, to_path
from supremix.training.artifacts.checkpoint import State
from supremix.training.distributed.collective import Collective, Solo
from supremix.training.joint.checks import check_stages, check_tasks, split_config
from supremix.training.joint.interleaving import Interleaver
from supremix.training.joint.sharing import share_parameters
from supremix.training.run import TrialRun
from supremix.training.steps.isolation import isolated
from supremix.training.task import Task

_STATE_FORMAT = 1


class JointMember(TrialRun):
    """One task of a joint run: everything of a trial but its steps, which are taken elsewhere."""

    _steps_taken: tuple[float, float] = (math.nan, 0.0)

    @property
    def label_spread(self) -> float:
        """Standard deviation of the labels that are fitted, in the task's unit."""
        return float(self.data.store.targets[self.data.fit].std())

    def finish_epoch(self, loss: float, lr: float) -> dict[str, Any]:
        """Evaluate an epoch whose steps were taken, with this mean loss and last rate; its row."""
        self._steps_taken = loss, lr
        return self.advance()

    def train_epoch(self, index: int, epoch: int) -> tuple[float, float]:
        """The mean loss and the last rate of the steps that were taken."""
        return self._steps_taken


class JointRun:
    """Trains one configuration on several tasks; knows nothing of its caller.

    Like a `TrialRun` it can stop after any epoch and go on to the same bits, and W workers compute
    what one process would. Of one task it is that task's `TrialRun`, to the bit. Draws are those
    of each task's own `TrialRun`: the same batches, augmentation and mixtures.

    Args:
        tasks: Tasks, each of another dataset; alike in method, encoder, epochs, seed, averaging,
            precision, threads and pretrained.
        config: Parameters of the method by name, for all tasks; "DATASET.NAME" is for the task of
            that dataset alone, as a length on the label axis has to be.
        collective: The workers that train together; all of them call the same functions.
        device: Device to train on; CUDA when there is one, else the CPU.

    Raises:
        TrainingError: They cannot be trained together; nothing was started.

    Attributes:
        tasks: The members' runs by the name of their dataset.
        shared: By dataset, the names of its parameters that others hold as well, with how many
            hold each.
        total: Number of epochs.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        config: Mapping[str, Any],
        *,
        collective: Collective | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        names = check_tasks(tasks)
        self.collective: Collective = collective or Solo()
        own = split_config(names, config)
        self.tasks = {
            name: JointMember(task, own[name], collective=self.collective, device=device)
            for name, task in zip(names, tasks, strict=True)
        }
        members = list(self.tasks.values())
        check_stages({name: member.stages for name, member in self.tasks.items()})
        axes = [len(member.data.card.shape) for member in members]
        shared = share_parameters([member.ema_model for member in members], axes)
        share_parameters([member.model for member in members], axes)
        self.shared = dict(zip(names, shared, strict=True))
        self._first = members[0]
        self.total = self._first.total
        self._interleaver: Interleaver | None = None
        self._stage = -1

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return self._first.epoch

    @property
    def done(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.total

    @property
    def history(self) -> list[dict[str, Any]]:
        """A row for each epoch, see `advance`."""
        return [self._row(epoch) for epoch in range(self.epoch)]

    def advance(self) -> dict[str, Any]:
        """Train exactly one epoch of every task and evaluate their networks.

        Returns:
            epoch (1 for the first), stage, error (the mean over the tasks of their MAE in standard
            deviations of the labels they fit; NaN where one was not evaluated), lr, seconds, and
            tasks: by dataset, a row as `TrialRun.advance` returns it, its seconds those of all.

        Raises:
            NonFiniteLossError: The training diverged.
            TrainingError: No epoch is left.
        """
        if self.done:
            raise TrainingError(f"all {self.total} epochs of this run are done")
        started = time.perf_counter()
        index, epoch = self._first.locate(self.epoch)
        with isolated(
            self._first.device,
            self._first.task.threads,
            deterministic=self._first.task.deterministic,
        ):
            taken = self._train(index, epoch)
        members = self.tasks.values()
        rows = [m.finish_epoch(*steps) for m, steps in zip(members, taken, strict=True)]
        seconds = time.perf_counter() - started
        for row in rows:
            row["seconds"] = seconds
        return self._row(self.epoch - 1)

    def state(self) -> State:
        """Everything that is needed to go on, copied to the CPU; see `load_checkpoint`."""
        return {
            "joint_format": _STATE_FORMAT,
            "tasks": {name: member.state() for name, member in self.tasks.items()},
            "stage": self._stage,
            "steps": None if self._interleaver is None else self._interleaver.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Load a state; the next `advance` is the epoch after it.

        Raises:
            CheckpointError: The state is of other tasks, of another configuration or version.
        """
        if state.get("joint_format") != _STATE_FORMAT:
            raise CheckpointError(
                f"expected the state of a joint run, of format {_STATE_FORMAT}, found "
                f"{state.get('joint_format')!r}; train again with this version"
            )
        if list(state["tasks"]) != list(self.tasks):
            raise CheckpointError(
                f"this state is of a joint run on {', '.join(state['tasks'])} and is loaded into "
                f"one on {', '.join(self.tasks)}; name the same datasets in the same order"
            )
        for name, member in self.tasks.items():
            member.load(state["tasks"][name])
        self._interleaver, self._stage = None, -1
        if state["stage"] >= 0:
            self.interleaver_of(int(state["stage"])).load_state_dict(state["steps"])

    def evaluate(self, split: str) -> dict[str, NDArray[Any]]:
        """Predictions and truth of a split of every task. Collective.

        Returns:
            dataset and the columns of `TrialRun.evaluate`, each (N,), task after task.
        """
        found = {name: member.evaluate(split) for name, member in self.tasks.items()}
        sizes = [len(columns["id"]) for columns in found.values()]
        names = np.repeat(np.array(list(found), dtype=object), sizes)
        columns = {c: np.concatenate([f[c] for f in found.values()]) for c in found[names[0]]}
        return {"dataset": names, **columns}

    def embed(self, split: str, *, most: int = 2000) -> dict[str, dict[str, NDArray[Any]]]:
        """Features of a split of every task, by dataset, see `TrialRun.embed`. Collective."""
        return {name: member.embed(split, most=most) for name, member in self.tasks.items()}

    def export(self, path: Address) -> None:
        """Write each task's model into a folder of its name, as `TrialRun.export` does."""
        for name, member in self.tasks.items():
            member.export(to_path(path) / name)

    def _row(self, epoch: int) -> dict[str, Any]:
        rows = {name: member.history[epoch] for name, member in self.tasks.items()}
        errors = [row["error"] / self.tasks[name].label_spread for name, row in rows.items()]
        first = rows[next(iter(rows))]
        return {
            **{name: first[name] for name in ("epoch", "stage", "lr", "seconds")},
            "error": float(np.mean(errors)),
            "tasks": rows,
        }

    def _train(self, index: int, epoch: int) -> list[tuple[float, float]]:
        if self._first.stages[index].objective == "probe":
            return [(math.nan, 0.0)] * len(self.tasks)
        if epoch == 0:
            for member in self.tasks.values():
                member.start_stage()
        return self.interleaver_of(index).epoch(epoch)

    def interleaver_of(self, index: int) -> Interleaver:
        """The steps of a stage; new ones where the last were of another stage."""
        if self._interleaver is None or self._stage != index:
            self._interleaver = Interleaver(
                [member.stage_task(index) for member in self.tasks.values()],
                key=(self._first.task.seed, index),
                precision=self._first.precision,
                collective=self.collective,
            )
            self._stage = index
        return self._interleaver


def start_run(
    task: Task | tuple[Task, ...],
    config: Mapping[str, Any],
    *,
    collective: Collective | None = None,
    device: torch.device | str | None = None,
) -> TrialRun | JointRun:
    """The run of one task, or the joint run of several; arguments as theirs."""
    if isinstance(task, Task):
        return TrialRun(task, config, collective=collective, device=device)
    return JointRun(task, config, collective=collective, device=device)
