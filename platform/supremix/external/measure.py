"""Trained models measured on a labelled dataset that was no part of their search."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from supremix._display import Displayed
from supremix.external.cohort import LEAST, Cohort
from supremix.external.shift import shift_table, shift_warnings
from supremix.storage.paths import Address, to_path
from supremix.storage.retry import storage_errors
from supremix.training import ModelInputError, TrainedModel
from supremix.training.artifacts.calibrated import CORRECTED, Calibrating
from supremix.training.artifacts.cohort import BATCH, predict_items
from supremix.training.artifacts.ensemble import pooled_facts
from supremix.training.artifacts.training_facts import training_words
from supremix_datasets import Sample
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

SPLIT = "test"
"""Split that all images of a cohort are of: the model is tested on them."""

EVALUATIONS = "evaluations"
"""Folder of a run that its evaluations on cohorts go into by default."""

MODEL = "model"
"""Column of the predictions of several models that names the model."""


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


def measure(
    models: Mapping[str, TrainedModel],
    cohort: Cohort,
    out: Address,
    asked: Calibrating | None = None,
    *,
    batch: int = BATCH,
    workers: int | None = None,
    ids: bool = False,
    date: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a model on a cohort, or several of the same method, dataset and grid.

    Of several models, errors and calibration are means over the models, with intervals over
    patients and models; distances from the training images are means, too.

    Args:
        models: The models by the names that the column `model` has for them; with one there is no
            such column.
        cohort: The dataset.
        out: Folder to write.
        asked: What is asked of the calibration of a single model.
        batch: Images of a forward pass.
        workers: Threads that decode.
        ids: Whether the pages name images.
        date: The day on the pages; None for today (UTC).
        progress: Called with the numbers of images done and in all.

    Raises:
        ModelInputError: As for `evaluate`.
    """
    asked, (trained, *more) = asked or Calibrating(), models.values()
    remarks = cohort.check(trained.card)
    predicted = predict_items(
        [one.predictor for one in models.values()],
        cohort.matched(trained.card),
        cohort.dataset.reader,
        batch=batch,
        workers=workers,
        progress=progress,
    )
    problems = predicted[0]["problem"]
    rejected = [(one.id, one.reason) for one in cohort.scan.rejected]
    failed = predicted[0].filter(problems.is_not_null()).select("id", "problem")
    excluded = pl.DataFrame(
        [*rejected, *failed.rows()], schema={"id": pl.String, "reason": pl.String}, orient="row"
    )
    samples = list(itertools.compress(cohort.scan.samples, problems.is_null()))
    if len(samples) < LEAST:
        raise ModelInputError(cohort.too_few(failed["problem"], len(samples)))
    target = pl.Series("target", [one.target for one in samples], dtype=pl.Float64)
    kept = [one.filter(problems.is_null()).with_columns(target) for one in predicted]
    predictions, intervals = _prediction_table(models, cohort, samples, kept), None
    unit, facts = trained.card.unit, trained.description["training"]
    if more:
        facts = pooled_facts([one.description["training"] for one in models.values()])
    else:
        columns = asked.columns(trained.calibration, kept[0], target.to_numpy())
        predictions = predictions.drop(MODEL).with_columns(columns)
        spread = kept[0][SEED_SPREAD]
        intervals = _coverage(trained, predictions.with_columns(spread), asked)
    mae = pl.DataFrame(
        [*mae_rows(predictions, unit=unit), *calibration_rows(predictions, unit=unit)],
        infer_schema_length=None,
    )
    together = _together(kept)
    shift = shift_table(together, facts, trained.card)
    bias = (
        None
        if asked.correct_bias is None
        else correction_table(predictions, predictions[CORRECTED], asked.correct_bias)
    )
    warnings = (
        *remarks,
        *cohort.scan.warnings,
        *shift_warnings(shift, together, facts, trained.card),
        *([] if intervals is None else coverage_warnings(intervals)),
    )
    path = to_path(out)
    with storage_errors(str(path)):
        write_evaluation(
            str(path),
            Evaluated(
                predictions=predictions,
                mae=mae,
                shift=shift,
                intervals=intervals,
                bias=bias,
                excluded=excluded,
                warnings=warnings,
                target=trained.card.target,
                facts=_facts(models, cohort, predictions, excluded, training_words(facts)),
            ),
            ids=ids,
            date=date,
        )
    return Evaluation(
        path=str(path),
        predictions=predictions,
        mae=mae,
        shift=shift,
        intervals=intervals,
        bias=bias,
        excluded=excluded,
        warnings=warnings,
        unit=unit,
    )


def _together(kept: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The images as several models see them: mean distances, trained on where any model was."""
    distances = [
        pl.mean_horizontal(*(one[name] for one in kept), ignore_nulls=False).alias(name)
        for name in ("feature_distance", "intensity_distance")
    ]
    trained = pl.any_horizontal(*(one["in_training"] for one in kept)).alias("in_training")
    return kept[0].with_columns(*distances, trained)


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


def _prediction_table(
    models: Mapping[str, TrainedModel],
    cohort: Cohort,
    samples: Sequence[Sample],
    kept: Sequence[pl.DataFrame],
) -> pl.DataFrame:
    """The predictions of all models; where two models have one seed, they are numbered instead."""
    known = {one.name: one for one in cohort.card.covariates}
    sex = [
        known["sex"].word(one.covariates.get("sex")) if "sex" in known else None for one in samples
    ]
    seeds = [one.description["seed"] for one in models.values()]
    if len(set(seeds)) < len(seeds):
        seeds = list(range(len(seeds)))
    return pl.concat(
        table.select(
            pl.lit(cohort.card.name).alias("dataset"),
            pl.lit(trained.description["method"]).alias("method"),
            pl.lit(seed, dtype=pl.Int64).alias("seed"),
            pl.lit(SPLIT).alias("split"),
            "id",
            pl.Series("group", [one.group for one in samples], dtype=pl.String),
            "target",
            "prediction",
            pl.Series("site", [one.site for one in samples], dtype=pl.String),
            pl.Series("sex", sex, dtype=pl.String),
            pl.Series("age", [one.covariates.get("age") for one in samples], dtype=pl.Float64),
            pl.col("null_prediction", "linear_prediction").fill_nan(None),
            *(
                pl.lit(end, dtype=pl.Float64).alias(name)
                for name, end in zip(
                    ("label_low", "label_high"), trained.card.label_range, strict=True
                )
            ),
            "feature_distance",
            "intensity_distance",
            "out_of_distribution",
            "in_training",
            *((SPREAD,) if len(trained.predictor.members) > 1 else ()),
            pl.lit(name).alias(MODEL),
        )
        for (name, trained), seed, table in zip(models.items(), seeds, kept, strict=True)
    )


def _facts(
    models: Mapping[str, TrainedModel],
    cohort: Cohort,
    predictions: pl.DataFrame,
    excluded: pl.DataFrame,
    training: str,
) -> list[tuple[str, str]]:
    trained, card, labels = next(iter(models.values())), cohort.card, predictions["target"]
    kind = f"{trained.description['method']}, trained on {trained.card.name}"
    networks = len(trained.predictor.members)
    if len(models) > 1:
        kind = f"{len(models)} models of {kind}"
    elif networks > 1:
        kind += f"; the mean of {networks} networks"
    return [
        ("Model", kind),
        ("Training data", training),
        ("Cohort", f"{card.name}: {card.title}"),
        (
            "Measured on",
            f"{predictions['id'].n_unique()} images of {predictions['group'].n_unique()} patients, "
            f"{trained.card.target} {labels.min():.4g} to {labels.max():.4g} {trained.card.unit}",
        ),
        ("Excluded", f"{excluded.height} images"),
    ]
