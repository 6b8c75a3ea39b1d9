"""A trained model measured on a labelled dataset that was no part of its search."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

import supremix_datasets
from supremix._display import Displayed
from supremix.external.shift import shift_table, shift_warnings
from supremix.storage.paths import Address, to_path
from supremix.storage.retry import storage_errors
from supremix.training import ModelInputError, TrainedModel
from supremix.training.artifacts.calibrated import CORRECTED, Calibrating
from supremix.training.artifacts.cohort import BATCH, predict_items
from supremix.training.artifacts.loading import load
from supremix.training.evaluation.null_models import NullModels
from supremix_datasets import Card, CovariateError, Dataset, Rejected, Sample
from supremix_reports import (
    Evaluated,
    calibration_rows,
    correction_table,
    coverage_warnings,
    interval_rows,
    mae_rows,
    write_evaluation,
)
from supremix_reports.statistics.conformal.calibration import SEED_SPREAD, SPREAD
from supremix_reports.statistics.conformal.choices import BiasCorrection, IntervalMethod

SPLIT = "test"
"""Split that all images of a cohort are of: the model is tested on them."""

_LEAST = 3
_NO_UNIT = "units"
"""Unit of a table of the user's own that names none."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation(Displayed):
    """A model measured on a cohort.

    Attributes:
        path: Folder that was written.
        predictions: A row an image with its label, prediction, and those of the null models.
        mae: Rows of the table `mae`.
        shift: How the cohort differs from the training data.
        intervals: Coverage and width of the intervals that were asked for, rows of the table
            `intervals`; None without.
        bias: Errors without and with the correction of the bias that was asked for; None without.
        excluded: id and reason of each image without a prediction.
        warnings: What must not be overlooked, in sentences.
        unit: Unit of the label.
    """

    path: str
    predictions: pl.DataFrame
    mae: pl.DataFrame
    shift: pl.DataFrame
    excluded: pl.DataFrame
    warnings: tuple[str, ...]
    unit: str
    intervals: pl.DataFrame | None = None
    bias: pl.DataFrame | None = None

    def facts(self) -> dict[str, str]:
        """The error, on what, and where it is written."""
        row = self.mae.row(by_predicate=pl.col("metric") == "mae", named=True)
        return {
            "dataset": row["dataset"],
            "MAE": f"{row['value']:.4g} {self.unit}",
            "images": str(row["n"]),
            "path": self.path,
        }


def evaluate(
    model: Address | TrainedModel,
    dataset: str | Dataset,
    source: str,
    out: Address | None = None,
    *,
    interval: float | None = None,
    interval_method: IntervalMethod = "split",
    correct_bias: BiasCorrection | None = None,
    batch: int = BATCH,
    workers: int | None = None,
    device: str = "cpu",
    ids: bool = False,
    date: str | None = None,
    ensemble: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a trained model on a labelled dataset, such as the patients of another hospital.

    The images are brought to the model's grid; labels must have its unit. Null models are those of
    the training data.

    Args:
        model: A run folder or a model's folder, or a model that is loaded.
        dataset: Name of a dataset (``"table"`` for your own), or a `Dataset`.
        source: Its folder or address.
        out: Folder to write; None for ``evaluations/NAME`` in the run folder, or in the working
            folder for a model that is loaded.
        interval: Probability with which an interval is to cover, such as 0.9; None for none.
        interval_method: split, normalised or mondrian, see docs/predict.md.
        correct_bias: cole or beheshti: errors after this correction of the bias towards the mean
            are shown next to the uncorrected ones; None for none.
        batch: Images of a forward pass.
        workers: Threads that decode; None for one for each CPU, at most 8.
        device: Where to compute, unless the model is loaded.
        ids: Whether the pages name images.
        ensemble: Whether to measure the mean of the networks of all seeds, as `supremix.load` takes
            it, unless the model is loaded.
        date: The day on the pages; None for today (UTC).
        progress: Called with the numbers of images done and in all.

    Returns:
        What was measured.

    Raises:
        ModelInputError: The dataset's label has another unit, it lacks a covariate that the model
            needs, fewer than three images have a prediction, or there are no such intervals or
            correction.
        USER_ERRORS: Of `supremix.errors`: the model or the folder cannot be read.
    """
    trained = (
        model if isinstance(model, TrainedModel) else load(model, device=device, ensemble=ensemble)
    )
    asked = Calibrating(
        interval=interval, interval_method=interval_method, correct_bias=correct_bias
    )
    asked.check(trained.calibration, labels=True)
    chosen = supremix_datasets.get(dataset).at(source)
    remarks = _check_match(trained.card, chosen.card)
    scan = chosen.scan(source)
    matched = [_matched(sample, chosen.card, trained.card) for sample in scan.samples]
    predicted = predict_items(
        trained.predictor,
        matched,
        chosen.reader,
        batch=batch,
        workers=workers,
        progress=progress,
    )
    problems = predicted["problem"]
    rejected = [(one.id, one.reason) for one in scan.rejected]
    failed = predicted.filter(problems.is_not_null()).select("id", "problem").rows()
    excluded = pl.DataFrame(
        [*rejected, *failed], schema={"id": pl.String, "reason": pl.String}, orient="row"
    )
    samples = list(itertools.compress(scan.samples, problems.is_null()))
    if len(samples) < _LEAST:
        raise ModelInputError(_too_few(excluded, len(samples), source))
    kept = predicted.filter(problems.is_null()).with_columns(
        pl.Series("target", [one.target for one in samples], dtype=pl.Float64)
    )
    columns = asked.columns(trained.calibration, kept, kept["target"].to_numpy())
    predictions = _prediction_table(trained, chosen.card, samples, kept).with_columns(columns)
    unit, facts = trained.card.unit, trained.description["training"]
    mae = pl.DataFrame(
        [*mae_rows(predictions, unit=unit), *calibration_rows(predictions, unit=unit)],
        infer_schema_length=None,
    )
    shift = shift_table(kept, facts, trained.card)
    intervals = _coverage(trained, predictions.with_columns(kept[SEED_SPREAD]), asked)
    bias = (
        None
        if correct_bias is None
        else correction_table(predictions, predictions[CORRECTED], correct_bias)
    )
    warnings = (
        *remarks,
        *scan.warnings,
        *shift_warnings(shift, kept, facts, trained.card),
        *([] if intervals is None else coverage_warnings(intervals)),
    )
    target = to_path(_folder(model, chosen.card.name) if out is None else out)
    with storage_errors(str(target)):
        write_evaluation(
            str(target),
            Evaluated(
                predictions=predictions,
                mae=mae,
                shift=shift,
                intervals=intervals,
                bias=bias,
                excluded=excluded,
                warnings=warnings,
                target=trained.card.target,
                facts=_facts(trained, chosen.card, predictions, excluded),
            ),
            ids=ids,
            date=date,
        )
    return Evaluation(
        path=str(target),
        predictions=predictions,
        mae=mae,
        shift=shift,
        intervals=intervals,
        bias=bias,
        excluded=excluded,
        warnings=warnings,
        unit=unit,
    )


def _coverage(
    trained: TrainedModel, predictions: pl.DataFrame, asked: Calibrating
) -> pl.DataFrame | None:
    """What share of the cohort its intervals cover."""
    if asked.interval is None or trained.calibration is None:
        return None
    rows = interval_rows(
        trained.calibration,
        predictions,
        unit=trained.card.unit,
        levels=[asked.interval],
        methods=[asked.interval_method],
    )
    source = predictions.row(0, named=True)
    names = ("dataset", "method", "split")
    return pl.DataFrame(
        [{"run": "", **{name: source[name] for name in names}, **row} for row in rows],
        infer_schema_length=None,
    )


def _folder(model: Address | TrainedModel, name: str) -> str:
    home = "" if isinstance(model, TrainedModel) else f"{str(model).rstrip('/')}/"
    return f"{home}evaluations/{name}"


def _check_match(card: Card, other: Card) -> list[str]:
    """Check that a cohort has the model's label and covariates; returns what is to be said."""
    needed = [one.name for one in card.covariates if one.default is None]
    known = {one.name for one in other.covariates}
    lacking = [name for name in needed if name not in known]
    if lacking:
        raise ModelInputError(
            f"the model needs {', '.join(lacking)} with each image, and {other.name!r} has "
            f"{', '.join(sorted(known)) or 'no covariates'}. Declare the column, for a table of "
            f"your own in dataset.toml: [covariates.{lacking[0]}]."
        )
    remarks = _check_sequences(card, other)
    if other.unit == _NO_UNIT != card.unit:
        return [*remarks, f"The table names no unit: its labels are taken to be in {card.unit}."]
    if other.unit != card.unit:
        raise ModelInputError(
            f"the model predicts {card.target} in {card.unit}, and the labels of {other.name!r} "
            f"are {other.target} in {other.unit}. Give labels in {card.unit}."
        )
    return remarks


def _check_sequences(card: Card, other: Card) -> list[str]:
    """Check that a cohort has as many files an image; returns what is to be said of their names."""
    ours, theirs = card.sequences, other.sequences
    if max(1, len(ours)) != max(1, len(theirs)):
        raise ModelInputError(
            f"the model takes {max(1, len(ours))} file(s) an image ({', '.join(ours) or 'any'}), "
            f"and those of {other.name!r} have {max(1, len(theirs))}. Name as many, in that order."
        )
    if len(ours) < 2 or ours == theirs:
        return []
    return [
        f"The files of an image are called {', '.join(theirs)} here and {', '.join(ours)} in the "
        "training data; they are taken in this order."
    ]


def _matched(sample: Sample, theirs: Card, ours: Card) -> Sample | Rejected:
    """A sample with the model's covariates: categories by their words, whatever their numbers."""
    known = {one.name: one for one in theirs.covariates}
    covariates: dict[str, float] = {}
    try:
        for own in ours.covariates:
            if own.name in sample.covariates:
                value = sample.covariates[own.name]
                word = known[own.name].word(value) if own.name in known else None
                covariates[own.name] = own.number(f"{value:.12g}" if word is None else word)
    except CovariateError as error:
        return Rejected(id=sample.id, reason=str(error), address=sample.address)
    return dataclasses.replace(sample, covariates=covariates)


def _too_few(excluded: pl.DataFrame, count: int, source: str) -> str:
    common = Counter(excluded["reason"].to_list()).most_common(3)
    reasons = "; ".join(f"{reason} ({times}×)" for reason, times in common)
    return (
        f"only {count} images in {source!r} have a prediction and a label, at least {_LEAST} are "
        f"needed. Most frequent reasons: {reasons or 'there are no more images'}."
    )


def _prediction_table(
    trained: TrainedModel, card: Card, samples: list[Sample], kept: pl.DataFrame
) -> pl.DataFrame:
    facts = trained.description["training"]["null_models"]
    null = NullModels(median=facts["median"], linear=tuple(facts["linear"]))
    covariates = np.array(kept["covariates"].to_list()).reshape(kept.height, -1)
    known = {one.name: one for one in card.covariates}
    spread = (SPREAD,) if len(trained.predictor.members) > 1 else ()
    sex = [
        known["sex"].word(one.covariates.get("sex")) if "sex" in known else None for one in samples
    ]
    low, high = trained.card.label_range
    return kept.drop("unit", "problem", "covariates", "intensities").select(
        pl.lit(card.name).alias("dataset"),
        pl.lit(trained.description["method"]).alias("method"),
        pl.lit(trained.description["seed"], dtype=pl.Int64).alias("seed"),
        pl.lit(SPLIT).alias("split"),
        "id",
        pl.Series("group", [one.group for one in samples], dtype=pl.String),
        "target",
        "prediction",
        pl.Series("site", [one.site for one in samples], dtype=pl.String),
        pl.Series("sex", sex, dtype=pl.String),
        pl.Series("age", [one.covariates.get("age") for one in samples], dtype=pl.Float64),
        *(
            pl.Series(name, values).fill_nan(None)
            for name, values in null.predict(covariates).items()
        ),
        pl.lit(low).alias("label_low"),
        pl.lit(high).alias("label_high"),
        "feature_distance",
        "intensity_distance",
        "out_of_distribution",
        "in_training",
        *spread,
    )


def _facts(
    trained: TrainedModel, card: Card, predictions: pl.DataFrame, excluded: pl.DataFrame
) -> list[tuple[str, str]]:
    facts, description = trained.description["training"], trained.description
    labels, networks = predictions["target"], len(trained.predictor.members)
    kind = f"{description['method']}, trained on {trained.card.name}"
    return [
        ("Model", kind + (f"; the mean of {networks} networks" if networks > 1 else "")),
        ("Training data", f"{facts['images']} images of {facts['patients']} patients"),
        ("Cohort", f"{card.name}: {card.title}"),
        (
            "Measured on",
            f"{predictions.height} images of {predictions['group'].n_unique()} patients, "
            f"{trained.card.target} {labels.min():.4g} to {labels.max():.4g} {trained.card.unit}",
        ),
        ("Excluded", f"{excluded.height} images"),
    ]
