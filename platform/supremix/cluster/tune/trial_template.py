"""The template of a study's trials, and the requests to worker groups that follow from it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supremix.cluster import WorkerRequest
from supremix.progress.stalls import epoch_limit
from supremix.training import Task
from supremix.tuning.ledger.records import LENGTHS, TrialRecord, trial_key
from supremix.tuning.study.pruning import recent_error
from supremix.tuning.study.warm_start import transfer_config
from supremix_spaces import Space


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialTask:
    """The part of a trial that is trained on one dataset.

    Args:
        dataset: Name of the dataset.
        task: Dataset, method, encoder and everything else that does not change.
        reference: Error that the error on this dataset is divided by, in the dataset's unit.
        spaces: The space that hyperparameters are drawn from, and the dataset's own, to which they
            are carried over; None where both are one.
    """

    dataset: str
    task: Task
    reference: float = 1.0
    spaces: tuple[Space, Space] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialTemplate:
    """The part that all trials of a search have in common.

    A search for one dataset has one task. A joint objective has one for each dataset: they are
    trained one after the other with the same hyperparameters, and the error of the trial is the
    geometric mean of the errors as ratios to their references, over the tasks begun so far.

    Args:
        run: Name of the search's run, unique among those that the executor works for.
        tasks: Tasks of a trial, at least one.
        epochs: Epochs of one task.
        checkpoints: Folder with a checkpoint file for each trial that is under way.
        limit: Seconds an epoch may take before its workers are taken to hang; None for a limit
            that follows the trial's own epochs.
        rungs: Epochs after which trials are compared, so that they may end there.
    """

    run: str
    tasks: tuple[TrialTask, ...]
    epochs: int
    checkpoints: str
    limit: float | None = None
    rungs: frozenset[int] = frozenset()

    @property
    def total(self) -> int:
        """Epochs of a whole trial."""
        return len(self.tasks) * self.epochs

    def goes_on(self, epoch: int, total: int) -> bool:
        """Whether a trial that has finished `epoch` epochs can be expected to train another.

        Args:
            epoch: Epochs over all tasks.
            total: Epochs of one task, as the worker group says.
        """
        whole = total if len(self.tasks) == 1 else self.total
        return epoch < whole and epoch not in self.rungs

    def key(self, name: str) -> str:
        """The key of one training, unique among all that the executor works for."""
        return f"{self.run}/{name}"

    def checkpoint(self, name: str, task: int = 0) -> str:
        """The address of a training's checkpoint."""
        return f"{self.checkpoints}/{name}{f'.{task}' if len(self.tasks) > 1 else ''}.pt"

    def request(
        self,
        number: int,
        config: Mapping[str, Any],
        epoch: int,
        *,
        seed: int | None = None,
        longest: float | None = None,
        **more: Any,
    ) -> WorkerRequest:
        """The request to have `epoch` epochs of a trial done.

        Args:
            number: Index of the trial in the study.
            config: Hyperparameters of the trial.
            epoch: Epochs over all tasks.
            seed: Seed of its training; None for the task's.
            longest: Seconds of its longest epoch so far; None before the first.
            more: Other fields of the `WorkerRequest`.
        """
        index = min((epoch - 1) // self.epochs, len(self.tasks) - 1)
        task, name = self.tasks[index].task, trial_key(number)
        return WorkerRequest(
            key=self.key(name),
            task=task if seed is None else dataclasses.replace(task, seed=seed),
            config=self.config_for(config, index),
            checkpoint=self.checkpoint(name, index),
            epoch=epoch - index * self.epochs,
            limit=self.time_limit(longest),
            **more,
        )

    def task_request(self, record: TrialRecord, task: int, **more: Any) -> WorkerRequest:
        """The request for results of a finished trial's task; `more` says which."""
        epoch = record.epoch if len(self.tasks) == 1 else (task + 1) * self.epochs
        return self.request(record.number, record.config, epoch, seed=record.seed, **more)

    def config_for(self, config: Mapping[str, Any], task: int) -> dict[str, Any]:
        """A trial's hyperparameters as they are on the dataset of a task."""
        spaces = self.tasks[task].spaces
        return dict(config) if spaces is None else transfer_config(config, *spaces)

    def row(self, record: TrialRecord, row: Mapping[str, Any]) -> dict[str, Any]:
        """A task's row as one of the whole trial, with the trial's epoch, error and score.

        Args:
            record: The trial before that epoch.
            row: The row that the worker group reports, with the task's own epoch and error.
        """
        if len(self.tasks) == 1:
            return dict(row)
        index = record.epoch // self.epochs
        ratio = row["error"] / self.tasks[index].reference
        ended = [record.rows[(k + 1) * self.epochs - 1]["ratio"] for k in range(index)]
        current = [r["ratio"] for r in record.rows[index * self.epochs :]]
        before = record.rows[index * self.epochs - 1] if index else {}
        return {
            **row,
            "epoch": index * self.epochs + row["epoch"],
            **{name: row[name] + before.get(name, 0) for name in LENGTHS},
            "dataset": self.tasks[index].dataset,
            "ratio": ratio,
            "error": _geometric_mean([*ended, ratio]),
            "score": _geometric_mean([*ended, recent_error([*current, ratio])]),
        }

    def time_limit(self, longest: float | None) -> float:
        """Seconds an epoch may take, given the longest of its trial so far (None: none yet)."""
        return epoch_limit(longest, self.limit)


def _geometric_mean(ratios: Sequence[float]) -> float:
    if any(math.isnan(ratio) for ratio in ratios):
        return math.nan
    if min(ratios) <= 0:  # a perfect dataset decides the product
        return 0.0
    return math.exp(math.fsum(map(math.log, ratios)) / len(ratios))
