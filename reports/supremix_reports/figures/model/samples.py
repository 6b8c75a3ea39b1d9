"""The predictions of a model as numbers: which count, each sample over the seeds, the worst."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import polars as pl

from supremix_reports.figures.plot import counted, number
from supremix_reports.statistics.resampling.bootstrap import DEFAULT, Resampling
from supremix_reports.statistics.resampling.intervals import Array
from supremix_reports.tables import schema
from supremix_reports.tables.frames import folds_of

CASE: Final = "case"
SEX: Final = "sex"
ABSOLUTE: Final = "absolute_error"
LOWEST: Final = "lowest"
HIGHEST: Final = "highest"


@dataclass(frozen=True, slots=True)
class Samples:
    """The predictions of one dataset and method on one split.

    Args:
        rows: those that are complete, a row a sample and seed, by target, prediction and id; with
            the column `error`, prediction minus target.
        each: a row a sample: id, group, target, `prediction`, the mean over seeds, `lowest` and
            `highest` of the seeds, `error`, `absolute_error`, the mean of the seeds' absolute
            errors, `seeds`; by target, prediction and id.
        split: that they are of.
        missing: number of predictions left out, as their target or prediction is no number.
        resampling: how intervals are drawn.
    """

    rows: pl.DataFrame
    each: pl.DataFrame
    split: str
    missing: int
    resampling: Resampling = DEFAULT

    @property
    def seeds(self) -> int:
        """Number of models."""
        return self.rows[schema.SEED].n_unique()

    @property
    def groups(self) -> int:
        """Number of patients."""
        return self.rows[schema.GROUP].n_unique()

    def column(self, name: str) -> Array:
        """A column of `rows`, (N,)."""
        return self.rows[name].to_numpy()

    @property
    def folds(self) -> int:
        """Number of folds of a cross-validation; 0 without folds."""
        return 0 if folds_of(self.rows) is None else self.rows[schema.FOLD].n_unique()

    @property
    def over(self) -> str:
        """What the intervals of an error are over."""
        if self.folds:
            return "patients and folds"
        return "patients and seeds" if self.seeds > 1 else "patients"

    @property
    def over_patients(self) -> str:
        """What the intervals of all else are over."""
        return "patients (for these models; not over seeds)" if self.seeds > 1 else "patients"

    def describe(self) -> str:
        """Say in words what they are, and what was left out."""
        models = f"{self.seeds} models of different seeds" if self.seeds > 1 else "one model"
        if self.folds:
            models = f"models of {self.folds} folds"
            models += f", {self.seeds} repeats or seeds" if self.seeds > 1 else ""
        text = (
            f"{counted(self.each.height, 'sample')} of {counted(self.groups, 'patient')} "
            f"({self.split} split), {models}"
        )
        if self.missing:
            text += f"; {counted(self.missing, 'prediction')} left out: missing or not finite"
        if self.each[schema.SEEDS].n_unique() > 1:
            text += "; some samples lack the prediction of a seed"
        if self.rows[schema.PREDICTION].n_unique() == 1:
            text += "; all predictions are equal"
        return text + "."


class Predicted(NamedTuple):
    """What the figures of the models of one dataset and method are drawn from.

    Args:
        samples: The predictions.
        words: Method and dataset, as captions have them.
        target: Name of the label.
        unit: Unit of the label.
        ids: Whether samples are named.
    """

    samples: Samples
    words: str
    target: str
    unit: str
    ids: bool


def with_interval(value: float, low: float | None, high: float | None) -> str:
    """Return a number with its interval as a caption has it."""
    if low is None or high is None or math.isnan(low):
        return f"{number(value)} (one patient: no interval)"
    return f"{number(value)} ({number(low)} to {number(high)})"


def samples(predictions: pl.DataFrame, split: str, resampling: Resampling = DEFAULT) -> Samples:
    """Gather the predictions of a split.

    Args:
        predictions: rows of the table `predictions`, of one dataset and method.
        split: "train", "val" or "test".
        resampling: how intervals are drawn.
    """
    part = predictions.filter(pl.col(schema.SPLIT) == split)
    # A comparison with null is null, which `filter` leaves out as well.
    finite = pl.col(schema.TARGET).is_finite() & pl.col(schema.PREDICTION).is_finite()
    order = [schema.TARGET, schema.PREDICTION, schema.ID]
    error = (pl.col(schema.PREDICTION) - pl.col(schema.TARGET)).alias(schema.ERROR)
    rows = part.filter(finite).with_columns(error).sort(*order, schema.SEED)
    return Samples(
        rows=rows,
        each=_over_seeds(rows).sort(order),
        split=split,
        missing=part.height - rows.height,
        resampling=resampling,
    )


def _over_seeds(rows: pl.DataFrame) -> pl.DataFrame:
    prediction = pl.col(schema.PREDICTION)
    about = [name for name in (schema.SITE, SEX) if name in rows.columns]
    return (
        rows.group_by(schema.ID, maintain_order=True)
        .agg(
            pl.col(schema.GROUP, schema.TARGET, *about).first(),
            prediction.mean(),
            prediction.min().alias(LOWEST),
            prediction.max().alias(HIGHEST),
            pl.col(schema.ERROR).mean(),
            pl.col(schema.ERROR).abs().mean().alias(ABSOLUTE),
            pl.col(schema.SEED).n_unique().cast(pl.Int32).alias(schema.SEEDS),
        )
        .sort(schema.ID)
    )


def worst_cases(
    predictions: pl.DataFrame, n: int = 10, ids: bool = False, *, split: str = schema.TEST
) -> pl.DataFrame:
    """Return the samples with the largest errors of every dataset and method.

    Args:
        predictions: rows of the table `predictions`.
        n: number of samples of each dataset and method.
        ids: with the names of sample and patient, site and sex, and exact numbers; without, the
            numbers are rounded to two significant digits, so that nobody is recognised by them.
        split: "train", "val" or "test".

    Returns:
        Columns dataset, method, case ("case 1" is the worst), with `ids` id and group, and site
        and sex where they are known, target, prediction (mean over seeds), lowest, highest (of the
        seeds), error (prediction minus target, mean over seeds), absolute_error (mean of the
        seeds' absolute errors, which ranks), seeds. Predictions that are no numbers are not
        ranked.
    """
    keys = [schema.DATASET, schema.METHOD]
    parts = predictions.sort(keys).partition_by(keys, maintain_order=True)
    found = pl.concat([_worst(part, n, split, ids=ids) for part in parts or [predictions]])
    about = [name for name in (schema.SITE, SEX) if name in found.columns]
    known = [name for name in about if ids and found[name].count()]
    named = [schema.ID, schema.GROUP] if ids else []
    numbers = [schema.TARGET, schema.PREDICTION, LOWEST, HIGHEST, schema.ERROR, ABSOLUTE]
    found = found.select(*keys, CASE, *named, *known, *numbers, schema.SEEDS)
    return found if ids else found.with_columns(pl.col(numbers).round_sig_figs(2))


def _worst(part: pl.DataFrame, n: int, split: str, *, ids: bool) -> pl.DataFrame:
    each = samples(part, split).each
    # Without ids, ties are broken by numbers alone, so that the order tells nothing of the names.
    ties = [schema.TARGET, schema.PREDICTION, *([schema.ID] if ids else [])]
    down = [True, *(False for _ in ties)]
    ranked = each.sort(ABSOLUTE, *ties, descending=down, maintain_order=True).head(n)
    case: Any = pl.format("case {}", pl.int_range(1, pl.len() + 1)).alias(CASE)
    return ranked.with_columns(
        case,
        pl.lit(part[schema.DATASET].first(), dtype=pl.String).alias(schema.DATASET),
        pl.lit(part[schema.METHOD].first(), dtype=pl.String).alias(schema.METHOD),
    )
