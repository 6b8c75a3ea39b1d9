"""What the trials of a study share: task or tasks, checkpoints, and the orders that follow."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supremix.cluster import WorkerRequest
from supremix.training import Task
from supremix.tuning.ledger.records import TrialRecord, trial_key
from supremix.tuning.study.warm_start import carried
from supremix_spaces import Space

PATIENCE, TIMES, START = 600.0, 20.0, 3600.0
"""An epoch may take 20 times the longest one of its trial so far, at least ten minutes; a trial's
first epoch an hour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialTask:
    """The part of a trial that is trained on one dataset.

    Args:
        dataset: Its name.
        task: Dataset, method, encoder and what else does not change.
        reference: Error that the leg's is divided by, in the dataset's unit.
        spaces: Space that the trial's settings are drawn from, and the dataset's own, into which
            they are carried over; None where both are one.
    """

    dataset: str
    task: Task
    reference: float = 1.0
    spaces: tuple[Space, Space] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialTemplate:
    """What every trial of a search shares.

    A trial of a search for one dataset has one leg. With a joint objective it has one for each
    dataset, trained one after the other with the same settings, and its error is the geometric
    mean of the legs' errors as ratios to their references, over the legs it has come to.

    Args:
        run: Name of the search's run, unlike that of any other that the executor works for.
        legs: At least one.
        epochs: Epochs of a leg.
        checkpoints: Folder with a checkpoint file for each trial that is under way.
        limit: Seconds an epoch may take before its workers are taken to hang; None for a limit
            that follows the trial's own epochs.
        rungs: Epochs after which trials are compared, so that they may end there.
    """

    run: str
    legs: tuple[TrialTask, ...]
    epochs: int
    checkpoints: str
    limit: float | None = None
    rungs: frozenset[int] = frozenset()

    @property
    def total(self) -> int:
        """Epochs of a whole trial."""
        return len(self.legs) * self.epochs

    def goes_on(self, epoch: int, total: int) -> bool:
        """Whether a trial with so many epochs behind it, as a rule, has another one to come.

        Args:
            epoch: Counted over all legs.
            total: Epochs of a leg of the trial, as its worker group says.
        """
        whole = total if len(self.legs) == 1 else self.total
        return epoch < whole and epoch not in self.rungs

    def key(self, name: str) -> str:
        """What one training of this search is called among all that the executor works for."""
        return f"{self.run}/{name}"

    def checkpoint(self, name: str, leg: int = 0) -> str:
        """Where a training's checkpoint lies."""
        return f"{self.checkpoints}/{name}{f'.{leg}' if len(self.legs) > 1 else ''}.pt"

    def order(
        self,
        number: int,
        config: Mapping[str, Any],
        epoch: int,
        *,
        seed: int | None = None,
        longest: float | None = None,
        **more: Any,
    ) -> WorkerRequest:
        """The order to have `epoch` epochs of a trial done.

        Args:
            number: Of the trial.
            config: Its settings.
            epoch: Counted over all legs.
            seed: Of its training; None for the task's.
            longest: Seconds of its longest epoch so far; None before the first.
            more: What else is asked for, see `WorkerRequest`.
        """
        leg = min((epoch - 1) // self.epochs, len(self.legs) - 1)
        task, name = self.legs[leg].task, trial_key(number)
        return WorkerRequest(
            key=self.key(name),
            task=task if seed is None else dataclasses.replace(task, seed=seed),
            config=self.settings(config, leg),
            checkpoint=self.checkpoint(name, leg),
            epoch=epoch - leg * self.epochs,
            limit=self.patience(longest),
            **more,
        )

    def leg_order(self, record: TrialRecord, leg: int, **more: Any) -> WorkerRequest:
        """The order to be at the end of a finished trial's leg, for what `more` asks for."""
        epoch = record.epoch if len(self.legs) == 1 else (leg + 1) * self.epochs
        return self.order(record.number, record.config, epoch, seed=record.seed, **more)

    def settings(self, config: Mapping[str, Any], leg: int) -> dict[str, Any]:
        """A trial's settings as they are on one dataset."""
        spaces = self.legs[leg].spaces
        return dict(config) if spaces is None else carried(config, *spaces)

    def row(self, record: TrialRecord, row: Mapping[str, Any]) -> dict[str, Any]:
        """A leg's row as one of the whole trial: its epoch, its error, its score.

        Args:
            record: The trial before that epoch.
            row: What its worker group reports, epoch and error being the leg's own.
        """
        if len(self.legs) == 1:
            return dict(row)
        leg = record.epoch // self.epochs
        ratio = row["error"] / self.legs[leg].reference
        ended = [record.rows[(k + 1) * self.epochs - 1]["ratio"] for k in range(leg)]
        shown = [r["ratio"] for r in record.rows[leg * self.epochs :]]
        least = min((r for r in [*shown, ratio] if not math.isnan(r)), default=math.nan)
        return {
            **row,
            "epoch": leg * self.epochs + row["epoch"],
            "dataset": self.legs[leg].dataset,
            "ratio": ratio,
            "error": _geometric_mean([*ended, ratio]),
            "score": _geometric_mean([*ended, least]),
        }

    def patience(self, longest: float | None) -> float:
        """Seconds an epoch may take, where the longest one so far (None: none yet) took so many."""
        if self.limit is not None:
            return self.limit
        return START if longest is None else max(PATIENCE, TIMES * longest)


def _geometric_mean(ratios: Sequence[float]) -> float:
    if any(math.isnan(ratio) for ratio in ratios):
        return math.nan
    if min(ratios) <= 0:  # a perfect dataset decides the product
        return 0.0
    return math.exp(math.fsum(map(math.log, ratios)) / len(ratios))
