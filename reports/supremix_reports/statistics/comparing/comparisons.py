"""Methods against a reference, dataset by dataset and over datasets: differences, gains, tests.

A difference counts as significant when two tests agree after correction for all comparisons of the
table: Wilcoxon's signed-rank test over patients, which asks no shape of the errors but takes the
trained models as they are, and the interval over patients and seeds or folds, which asks whether
models of new seeds or training data would differ too. Requiring both is an intersection-union test
(Berger 1982): its p value is the larger of the two.

This is the one rule about when a difference is shown. There is no verdict from one training, and
none where the better of the two shows no skill: among models that are worth no more than knowing
nothing, none wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
import polars as pl
from scipy import stats

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.comparing.pairing import MethodPredictions, Pair, difference, gain
from supremix_reports.statistics.resampling.bootstrap import (
    LEVEL,
    Interval,
    Resampling,
    drawn,
    ends,
    p_value,
)
from supremix_reports.statistics.resampling.seeds import Array, Spread
from supremix_reports.tables import schema
from supremix_reports.tables.tables import to_arrow

RESAMPLES: Final = 10_000
"""More than for an interval alone: a p value is corrected for many comparisons, so its least, which
is 2 / (resamples + 1), has to be small."""

CORRECTIONS: Final = ("holm", "none")
Row = dict[str, Any]


def compare_methods(
    predictions: pl.DataFrame,
    *,
    reference: str,
    split: str = schema.TEST,
    units: Mapping[str, str] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    correction: str = "holm",
) -> pl.DataFrame:
    """Compare each method with a reference on the same samples of each dataset.

    Args:
        predictions: rows of the table `predictions` of one or more datasets and methods.
        reference: name of the method that the others are compared with.
        split: split of the samples.
        units: unit of each dataset's target.
        level: probability the intervals are to cover; a corrected p value up to 1 − level is
            significant.
        resamples: number of bootstrap samples.
        seed: seed of the drawing.
        correction: "holm" corrects the p values for all comparisons of the table (Holm 1979),
            "none" does not.

    Returns:
        The table `gains` (see `schema.GAINS`): a row a dataset and method other than the
        reference, sorted by them. `significant` and the p values are null where there is no
        verdict, and `note` says why: one seed, other samples, predictions that are all equal or
        no numbers, one patient; no skill of the better one, which is tested and counted all the
        same.

    Raises:
        StatisticsError: no predictions of the split, the reference is not among the methods, or
            an unknown correction, level or number of resamples.
    """
    resampling = Resampling(level=level, resamples=resamples, seed=seed)
    if correction not in CORRECTIONS:
        raise StatisticsError(
            f"correction has to be one of {', '.join(CORRECTIONS)}; got {correction!r}."
        )
    rows: list[Row] = []
    for dataset, tested in _tested(predictions, reference, split).items():
        unit = (units or {}).get(dataset)
        for method in tested:
            if method != reference:
                source = {schema.DATASET: dataset, schema.METHOD: method, schema.UNIT: unit}
                row = _row(tested[method], tested[reference], resampling)
                rows.append(source | {schema.REFERENCE: reference} | row)
    return _with_verdicts(rows, level, correction)


def average_gain(
    predictions: pl.DataFrame,
    *,
    reference: str,
    split: str = schema.TEST,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pl.DataFrame:
    """Return each method's mean over datasets of its gain in percent over a reference.

    Its interval is for these datasets with new patients and seeds: patients are drawn within each
    dataset. It says nothing of other datasets.

    Args:
        predictions: rows of the table `predictions`.
        reference: name of the method that the others are compared with.
        split: split of the samples.
        level: probability the intervals are to cover.
        resamples: number of bootstrap samples.
        seed: seed of the drawing.

    Returns:
        A row a method other than the reference, sorted by name: method, reference, gain, gain_low,
        gain_high, datasets (number of them), seeds (the least of any dataset and of both methods),
        note (datasets it lacks and why, one seed). With one seed the interval is over patients
        alone, which is not enough for a claim. The intervals are not corrected for the number of
        methods.

    Raises:
        StatisticsError: as `compare_methods`.
    """
    resampling = Resampling(level=level, resamples=resamples, seed=seed)
    tested = _tested(predictions, reference, split)
    methods = sorted({method for known in tested.values() for method in known} - {reference})
    rows = [_average(tested, method, reference, resampling) for method in methods]
    return pl.DataFrame(rows, schema=_AVERAGE)


_AVERAGE: Final = {
    schema.METHOD: pl.String,
    schema.REFERENCE: pl.String,
    schema.GAIN: pl.Float64,
    schema.GAIN_LOW: pl.Float64,
    schema.GAIN_HIGH: pl.Float64,
    schema.DATASETS: pl.Int32,
    schema.SEEDS: pl.Int32,
    schema.NOTE: pl.String,
}


def holm(p: Sequence[float]) -> list[float]:
    """Return p values corrected for being several, step by step from the least (Holm 1979)."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected.tolist()


def _tested(
    predictions: pl.DataFrame, reference: str, split: str
) -> dict[str, dict[str, MethodPredictions | str]]:
    """By dataset and method; every method has an entry in every dataset."""
    part = predictions.filter(pl.col(schema.SPLIT) == split)
    methods = sorted(part[schema.METHOD].unique().to_list())
    if not methods:
        known = ", ".join(sorted(predictions[schema.SPLIT].unique().to_list())) or "none"
        raise StatisticsError(
            f"There are no predictions of the split {split!r} to compare. Splits: {known}."
        )
    if reference not in methods:
        raise StatisticsError(
            f"The reference {reference!r} is not among the methods with predictions of {split!r}: "
            f"{', '.join(methods)}. Name one of them."
        )
    return {
        dataset: {
            method: MethodPredictions.of(
                part.filter((pl.col(schema.DATASET) == dataset) & (pl.col(schema.METHOD) == method))
            )
            for method in methods
        }
        for dataset in sorted(part[schema.DATASET].unique().to_list())
    }


def _pair(method: MethodPredictions | str, reference: MethodPredictions | str) -> Pair | str:
    """The two on the same samples, or why there are none."""
    if isinstance(method, str):
        return method
    if isinstance(reference, str):
        return f"reference: {reference}"
    if not method.samples.equals(reference.samples):
        return "other samples than the reference"
    groups = method.samples[schema.GROUP].to_numpy()
    folds = None
    if method.folds is not None and reference.folds is not None:
        folds = method.folds, reference.folds
    return Pair(method.errors, reference.errors, groups, folds)


def _gainful(
    method: MethodPredictions | str, reference: MethodPredictions | str, resampling: Resampling
) -> Pair | str:
    """As `_pair`, where there is something to gain."""
    pair = _pair(method, reference)
    if isinstance(pair, str) or isinstance(method, str) or isinstance(reference, str):
        return pair
    if not pair.reference.any():
        return "the reference makes no errors"
    return next(iter(_no_skill(method, reference, resampling)), pair)


def _row(
    method: MethodPredictions | str, reference: MethodPredictions | str, resampling: Resampling
) -> Row:
    pair = _pair(method, reference)
    if isinstance(pair, str) or isinstance(method, str) or isinstance(reference, str):
        return {schema.NOTE: pair}
    doubts = _doubts(method, reference, len(np.unique(pair.groups)))
    notes = doubts + _no_skill(method, reference, resampling)
    return {
        **_numbers(pair, resampling, tested=not doubts),
        schema.SEEDS: min(len(pair.method), len(pair.reference)),
        schema.N: method.samples.height,
        schema.NOTE: "; ".join(notes) or None,
    }


def _no_skill(
    method: MethodPredictions, reference: MethodPredictions, resampling: Resampling
) -> list[str]:
    """Why the better of two methods wins nothing, if so; drawn as its interval in `mae` is."""
    better = min(reference, method, key=lambda one: float(one.errors.mean()))
    lacking = better.lacks_skill(level=resampling.level, seed=resampling.seed)
    return ["the skill of the better one is not shown"] if lacking else []


def _numbers(pair: Pair, resampling: Resampling, *, tested: bool) -> Row:
    """Difference and gain with their intervals; the p values where they are to be tested."""
    sums = pair.sums
    resamples = drawn(sums, resampling.resamples, resampling.seed)
    row: Row = {schema.GROUPS: len(sums)}
    for name, measure in ((schema.DIFFERENCE, difference), (schema.GAIN, gain)):
        value, spread = float(measure(sums.sum(axis=0))), pair.spread(measure)
        row |= _columns(name, value, measure(resamples), len(sums), spread, resampling)
    if tested:
        draws, spread = difference(resamples), pair.spread(difference)
        row[schema.P] = _wilcoxon(pair.differences())
        row[schema.P_BOOTSTRAP] = p_value(row[schema.DIFFERENCE], draws, len(sums), spread)
    return row


def _doubts(method: MethodPredictions, reference: MethodPredictions, groups: int) -> list[str]:
    """Why no verdict is given, if so."""
    doubts = {
        "one seed": min(method.models, reference.models) < 2,
        "one patient": groups < 2,
        "all predictions equal": method.constant,
        "reference: all predictions equal": reference.constant,
    }
    return [text for text, so in doubts.items() if so]


def _columns(
    name: str, value: float, draws: Array, groups: int, spread: Spread, resampling: Resampling
) -> Row:
    low, high = ends(value, draws, groups, spread, resampling.level)
    return Interval(value=value, low=low, high=high, n=groups, groups=groups).row(name)


def _wilcoxon(differences: Array) -> float:
    """The p value of Wilcoxon's signed-rank test; 1 where nothing differs."""
    if not differences.any():
        return 1.0
    # scipy's stubs do not know what the test returns.
    return float(cast("Any", stats.wilcoxon(differences)).pvalue)


def _with_verdicts(rows: list[Row], level: float, correction: str) -> pl.DataFrame:
    """The rows with corrected p values and verdicts, as the table `gains`."""
    sure = [row for row in rows if row.get(schema.P) is not None]
    joint = [max(row[schema.P], row[schema.P_BOOTSTRAP]) for row in sure]
    for row, p in zip(sure, holm(joint) if correction == "holm" else joint, strict=True):
        row[schema.P_ADJUSTED] = p
        if row[schema.NOTE] is None:
            row[schema.SIGNIFICANT] = p <= 1 - level
    return cast("pl.DataFrame", pl.from_arrow(to_arrow("gains", rows)))


def _average(
    tested: Mapping[str, Mapping[str, MethodPredictions | str]],
    method: str,
    reference: str,
    resampling: Resampling,
) -> Row:
    pairs = {
        name: _gainful(known[method], known[reference], resampling)
        for name, known in tested.items()
    }
    lacking = [f"without {name}: {why}" for name, why in pairs.items() if isinstance(why, str)]
    usable = [pair for pair in pairs.values() if isinstance(pair, Pair)]
    row: Row = {schema.METHOD: method, schema.REFERENCE: reference, schema.DATASETS: len(usable)}
    if not usable:
        return row | {schema.NOTE: "; ".join(lacking)}
    seeds = min(min(len(pair.method), len(pair.reference)) for pair in usable)
    single = seeds < 2 and any(pair.folds is None for pair in usable)
    notes = [*lacking, *(["one seed"] if single else [])]
    return row | _mean_gain(usable, resampling) | {
        schema.SEEDS: seeds, schema.NOTE: "; ".join(notes) or None
    }  # fmt: skip


def _mean_gain(pairs: Sequence[Pair], resampling: Resampling) -> Row:
    """The mean of the gains; each dataset's patients are drawn on their own."""
    every = [pair.sums for pair in pairs]
    value = float(np.mean([gain(sums.sum(0)) for sums in every]))
    draws = np.mean(
        [
            gain(drawn(sums, resampling.resamples, (resampling.seed, k)))
            for k, sums in enumerate(every)
        ],
        axis=0,
    )
    spread = Spread.joined([pair.spread(gain) for pair in pairs]).scaled(1 / len(pairs))
    fewest = min(len(sums) for sums in every)
    return _columns(schema.GAIN, value, draws, fewest, spread, resampling)
