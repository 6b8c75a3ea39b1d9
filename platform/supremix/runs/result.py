"""The result of a search, read from its run folder: `Result` and `Best`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import polars as pl
from upath import UPath

from supremix._display import Displayed, shown_values
from supremix.errors import RunFolderError
from supremix.runs.folder import RunFolder
from supremix.storage.paths import Address
from supremix.training import TrainedModel
from supremix.training.artifacts.loading import load
from supremix.tuning.ledger.ledger import conclusion, read_events
from supremix.tuning.ledger.records import read_records
from supremix_reports import (
    Convergence,
    Interval,
    best_convergence,
    best_error,
    convergence_sentence,
    defaults_sentence,
    read_table,
    seeds_interval,
    trials_frame,
)


@dataclass(frozen=True, repr=False)
class Best(Displayed):
    """The best hyperparameters of a search.

    Args:
        trial: Number of the trial that had them.
        config: The hyperparameters.
        error: MAE in the task's unit: on the test split, or without a test the mean over the
            trainings with new seeds on validation. Without those it is that trial's own error, the
            least of many, and optimistically biased.
        basis: What it was measured on, in words.
        interval: The same error with its 95 % interval over patients and, where there are several,
            seeds.
        against_defaults: Whether it is better than the defaults, in words; see `Result.defaults`.
        convergence: Whether its training has flattened, in words; see `Result.convergence`. Empty
            where none was finished.
        model: Folder of the model.
    """

    trial: int
    config: dict[str, Any]
    error: float
    basis: str
    interval: Interval
    against_defaults: str
    convergence: str
    model: UPath

    def facts(self) -> dict[str, str]:
        """The error with its interval, what it was measured on, and the hyperparameters."""
        low, high = f"{self.interval.low:.4g}", f"{self.interval.high:.4g}"
        return {
            "trial": str(self.trial),
            "MAE": f"{self.error:.4g} ({low} to {high}) {self.basis}",
            "defaults": self.against_defaults,
            "hyperparameters": shown_values(self.config),
            "model": str(self.model),
        }

    def load(self, **objects: Any) -> TrainedModel:
        """The trained model, to predict with; `objects` as for `supremix.load`."""
        return load(self.model, **objects)


class RunTables:
    """The tables of a run, each read when it is first asked for."""

    path: UPath

    @functools.cached_property
    def curves(self) -> pl.DataFrame:
        """A row a trial and epoch; of a joint training a row a model, dataset and epoch."""
        return read_table(str(self.path), "curves")

    @functools.cached_property
    def predictions(self) -> pl.DataFrame:
        """A row a sample and model: of the best trial on validation, of final models on test."""
        return read_table(str(self.path), "predictions")

    @functools.cached_property
    def mae(self) -> pl.DataFrame:
        """A row a split and metric with its interval: MAE and others, also by label density."""
        return read_table(str(self.path), "mae")

    @functools.cached_property
    def intervals(self) -> pl.DataFrame:
        """Coverage and width of prediction intervals on test, a row for each kind and level."""
        return read_table(str(self.path), "intervals")


class Result(Displayed, RunTables):
    """The result of a search, read from its run folder.

    Args:
        path: The run folder, or its fsspec address.

    Raises:
        RunFolderError: The folder is not that of a concluded search, or cannot be read.
    """

    def __init__(self, path: Address) -> None:
        run = RunFolder(path)
        run.read_spec()
        self.path = run.path
        self._events = read_events(run.ledger)
        final = conclusion(self._events)
        if final is None:
            raise RunFolderError(
                f"the search in {self.path} is not concluded; resume it with "
                f"supremix search --resume {self.path}"
            )
        self._best_number: int = final["trial"]

    def facts(self) -> dict[str, str]:
        """What was searched, the error of the best hyperparameters, and how the defaults compare.

        Raises:
            USER_ERRORS: A table of the run cannot be read.
        """
        row, best = self.mae.row(0, named=True), self.best
        return {
            "dataset": row["dataset"],
            "method": row["method"],
            "trials": str(sum(r.replicate_of is None for r in read_records(self._events).values())),
            "best": f"trial {best.trial}, MAE {best.error:.4g} {row['unit']} {best.basis}",
            "defaults": best.against_defaults,
            "convergence": best.convergence,
            "folder": str(self.path),
        }

    @functools.cached_property
    def trials(self) -> pl.DataFrame:
        """A row a trial, best first, a column a hyperparameter."""
        return trials_frame(self._trials)

    @functools.cached_property
    def _trials(self) -> pl.DataFrame:
        return read_table(str(self.path), "trials")

    @functools.cached_property
    def measures(self) -> pl.DataFrame:
        """A row a trial, epoch and measure of its representation; see docs/measures.md."""
        return read_table(str(self.path), "measures")

    @functools.cached_property
    def cohort(self) -> pl.DataFrame:
        """Patients, labels and covariates by split, and what was excluded."""
        return read_table(str(self.path), "cohort")

    @functools.cached_property
    def best(self) -> Best:
        """The best hyperparameters."""
        records = read_records(self._events)
        record, interval = records.get(self._best_number), self.test or self.validation
        new_seeds = any(r.replicate_of == self._best_number for r in records.values())
        error = best_error(self.mae, new_seeds=new_seeds)
        if record is None or interval is None or error is None:
            raise RunFolderError(f"the ledger of {self.path} has no finished trial.")
        return Best(
            trial=record.number,
            config=record.config,
            error=error.value,
            basis=error.basis,
            interval=interval,
            against_defaults=defaults_sentence(
                next(self.defaults.iter_rows(named=True), None), record.number
            ),
            convergence=convergence_sentence(
                self._trials, self.curves, record.number, str(self.path)
            ),
            model=self.path / "best",
        )

    @functools.cached_property
    def defaults(self) -> pl.DataFrame:
        """What the search found against the defaults: a row, or none where one lacks."""
        return read_table(str(self.path), "defaults")

    @functools.cached_property
    def convergence(self) -> Convergence | None:
        """Whether the training of the best hyperparameters has flattened, in numbers.

        None where none was finished.
        """
        return best_convergence(self._trials, self.curves, self.best.trial)

    @functools.cached_property
    def validation(self) -> Interval | None:
        """MAE of the best hyperparameters on validation: of their trainings with new seeds.

        Without any it is that of the trial that was chosen by it.
        """
        return self._interval("val")

    @functools.cached_property
    def test(self) -> Interval | None:
        """MAE of the final models, one a test seed, on the test split, with its 95 % interval.

        None where it was not asked for.
        """
        return self._interval("test")

    def _interval(self, split: str) -> Interval | None:
        rows = self.predictions.filter(pl.col("split") == split)
        if rows.is_empty():
            return None
        errors = rows["prediction"] - rows["target"]
        return seeds_interval(errors.to_numpy(), rows["group"].to_numpy(), rows["seed"].to_numpy())
