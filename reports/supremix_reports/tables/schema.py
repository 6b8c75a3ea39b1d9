"""The schema of every result table: names, types and meaning of all columns, in this file only.

Each table is one Parquet file. A column's meaning travels in the file as its field's metadata, the
version of this schema as the table's. Columns may be null where the schema says so; a number that
does not exist (the error of a failed trial, the R² of a constant target) is null, never NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import pyarrow  # pyright: ignore[reportMissingTypeStubs]

# pyarrow carries no type information.
pa = cast("Any", pyarrow)

SCHEMA_VERSION: Final = 1
"""Raised when a column changes its name, type or meaning; not for a new nullable column, a new
table, or a new name of a measure. A table of any other version is refused."""

VERSION_KEY: Final = b"supremix_schema"
MEANING_KEY: Final = b"meaning"

# Where a row comes from.
RUN: Final = "run"
DATASET: Final = "dataset"
METHOD: Final = "method"
TRIAL: Final = "trial"
SEED: Final = "seed"
SPLIT: Final = "split"
FOLD: Final = "fold"
REPEAT: Final = "repeat"
FOLDS: Final = "folds"
UNIT: Final = "unit"
# How a trial went.
STATE: Final = "state"
REASON: Final = "reason"
CONFIG: Final = "config"
REPLICATE_OF: Final = "replicate_of"
EPOCH: Final = "epoch"
EPOCHS: Final = "epochs"
STEPS: Final = "steps"
IMAGES_SEEN: Final = "images_seen"
STAGE: Final = "stage"
SECONDS: Final = "seconds"
TRAINING_SECONDS: Final = "training_seconds"
LEARNING_RATE: Final = "lr"
LOSS: Final = "loss"
# Measures.
ERROR: Final = "error"
MAE: Final = "mae"
RMSE: Final = "rmse"
R2: Final = "r2"
PEARSON: Final = "pearson"
PROBE_MAE: Final = "probe_mae"
# A sample and what was predicted for it.
ID: Final = "id"
GROUP: Final = "group"
TARGET: Final = "target"
PREDICTION: Final = "prediction"
SITE: Final = "site"
SEX: Final = "sex"
NULL_PREDICTION: Final = "null_prediction"
LINEAR_PREDICTION: Final = "linear_prediction"
LABEL_LOW: Final = "label_low"
LABEL_HIGH: Final = "label_high"
# Errors of models without an image, and what a model is worth against them.
NULL_MAE: Final = "null_mae"
LINEAR_MAE: Final = "linear_mae"
SKILL: Final = "skill"
SKILL_LOW: Final = "skill_low"
SKILL_HIGH: Final = "skill_high"
BEYOND_RANGE: Final = "beyond_range"
# A measure with its interval, or of a representation.
FIRST: Final = "first"
SECOND: Final = "second"
FIRST_SHARE: Final = "first_share"
SECOND_SHARE: Final = "second_share"
MEASURE: Final = "measure"
METRIC: Final = "metric"
VALUE: Final = "value"
LOW: Final = "low"
HIGH: Final = "high"
KIND: Final = "kind"
NAME: Final = "name"
CATEGORY: Final = "category"
MEAN: Final = "mean"
SD: Final = "sd"
MEDIAN: Final = "median"
N: Final = "n"
GROUPS: Final = "groups"
SEEDS: Final = "seeds"
# A method among others: how many of its trials ended how, what came out.
TRAIN: Final = "train"
VAL: Final = "val"
VAL_LOW: Final = "val_low"
VAL_HIGH: Final = "val_high"
TEST: Final = "test"
TEST_LOW: Final = "test_low"
TEST_HIGH: Final = "test_high"
DIFFERENCE: Final = "difference"
DIFFERENCE_LOW: Final = "difference_low"
DIFFERENCE_HIGH: Final = "difference_high"
# A method against a reference.
REFERENCE: Final = "reference"
GAIN: Final = "gain"
GAIN_LOW: Final = "gain_low"
GAIN_HIGH: Final = "gain_high"
P: Final = "p"
P_BOOTSTRAP: Final = "p_bootstrap"
P_ADJUSTED: Final = "p_adjusted"
SIGNIFICANT: Final = "significant"
NOTE: Final = "note"
DATASETS: Final = "datasets"
# Models on an outside cohort.
COHORT_NAME: Final = "cohort"
CALIBRATION_SLOPE: Final = "calibration_slope"
CALIBRATION_INTERCEPT: Final = "calibration_intercept"
BIAS: Final = "bias"
MAE_LOW: Final = "mae_low"
MAE_HIGH: Final = "mae_high"
NULL_MAE_LOW: Final = "null_mae_low"
NULL_MAE_HIGH: Final = "null_mae_high"
LINEAR_MAE_LOW: Final = "linear_mae_low"
LINEAR_MAE_HIGH: Final = "linear_mae_high"
CALIBRATION_SLOPE_LOW: Final = "calibration_slope_low"
CALIBRATION_SLOPE_HIGH: Final = "calibration_slope_high"
CALIBRATION_INTERCEPT_LOW: Final = "calibration_intercept_low"
CALIBRATION_INTERCEPT_HIGH: Final = "calibration_intercept_high"
BIAS_LOW: Final = "bias_low"
BIAS_HIGH: Final = "bias_high"
EXCLUDED: Final = "excluded"
WARNINGS: Final = "warnings"
# Whether a training had flattened.
FALL: Final = "last_quarter_fall"
DOUBLING: Final = "doubling_gain"
DOUBLING_LOW: Final = "doubling_gain_low"
DOUBLING_HIGH: Final = "doubling_gain_high"
CONVERGENCE: Final = "convergence"
CONVERGENCE_NOTE: Final = "convergence_note"
# Prediction intervals.
INTERVAL: Final = "interval"
LEVEL: Final = "level"
REGION: Final = "region"
COVERAGE: Final = "coverage"
COVERAGE_LOW: Final = "coverage_low"
COVERAGE_HIGH: Final = "coverage_high"
WIDTH: Final = "width"
CALIBRATION_GROUPS: Final = "calibration_groups"
EXACT: Final = "exact"

FINISHED: Final = "finished"
PRUNED: Final = "pruned"
STOPPED: Final = "stopped"
FAILED: Final = "failed"
STATES: Final = (FINISHED, PRUNED, STOPPED, FAILED)
"""Finished: had all its epochs. Pruned: ended early by the scheduler. Stopped: ended early by the
budget or the user. Failed: ended by an error, named in `reason`."""


def _field(name: str, kind: Any, meaning: str, *, null: bool = False) -> Any:
    return pa.field(name, kind, nullable=null, metadata={MEANING_KEY: meaning.encode()})


def _interval(name: str, value: str, interval: str) -> tuple[Any, ...]:
    """The three columns of a number with its interval."""
    return (
        _field(name, pa.float64(), value, null=True),
        _field(f"{name}_{LOW}", pa.float64(), f"lower end of {interval}", null=True),
        _field(f"{name}_{HIGH}", pa.float64(), f"upper end of {interval}", null=True),
    )


_SOURCE = (
    _field(DATASET, pa.string(), "name of the dataset"),
    _field(METHOD, pa.string(), "name of the method"),
)
_TRIAL = (
    _field(RUN, pa.string(), "name of the run folder"),
    *_SOURCE,
    _field(TRIAL, pa.int32(), "number of the trial in its run, from 0"),
)
_UNIT = _field(UNIT, pa.string(), "unit of the target, of every error and interval")
_MEASURES = (
    _field(MAE, pa.float64(), "mean absolute error on validation, in the unit", null=True),
    _field(RMSE, pa.float64(), "root mean squared error on validation, in the unit", null=True),
    _field(R2, pa.float64(), "coefficient of determination on validation", null=True),
    _field(PEARSON, pa.float64(), "Pearson correlation on validation", null=True),
)
_POSSIBLE = (
    _field(LABEL_LOW, pa.float64(), "lowest label that is possible, where known", null=True),
    _field(LABEL_HIGH, pa.float64(), "highest label that is possible, where known", null=True),
)
_FOLD = (
    _field(
        FOLD,
        pa.int32(),
        "fold of the cross-validation that the model was not trained on, from 0; null without "
        "folds",
        null=True,
    ),
    _field(REPEAT, pa.int32(), "repeat of the cross-validation, from 0; likewise", null=True),
)
_FOLDS = _field(
    FOLDS,
    pa.int32(),
    "number of folds whose predictions are pooled, each of other models; null without folds",
    null=True,
)
_LENGTH = (
    _field(STEPS, pa.int64(), "steps of the optimizer since the trial began", null=True),
    _field(
        IMAGES_SEEN,
        pa.int64(),
        "images that these steps took; where a step takes two views of each image, as a "
        "contrastive one does, they count as two",
        null=True,
    ),
)


def _meaning(field: Any) -> str:
    return field.metadata[MEANING_KEY].decode()


def _compares(field: Any) -> bool:
    """Whether a column is a number or a verdict of a comparison."""
    return field.name.startswith((DIFFERENCE, GAIN, P)) or field.name == SIGNIFICANT


def _schema(*fields: Any) -> Any:
    return pa.schema(fields, metadata={VERSION_KEY: str(SCHEMA_VERSION).encode()})


TRIALS: Final = _schema(
    *_TRIAL,
    _field(STATE, pa.string(), "finished, pruned, stopped or failed"),
    _field(
        ERROR,
        pa.float64(),
        "what the search minimises: the last epoch's mean absolute error on validation (of a "
        "ridge probe while pretraining), in the unit; null when the trial had none",
        null=True,
    ),
    *_MEASURES,
    _field(EPOCHS, pa.int32(), "epochs trained, both stages together"),
    _field(SECONDS, pa.float64(), "seconds spent in training and validation"),
    _field(SEED, pa.int64(), "seed of the trial"),
    _field(
        REPLICATE_OF,
        pa.int32(),
        "number of the trial whose hyperparameters this one retrains with another seed, at the end "
        "of the search; null for a trial that tried hyperparameters of its own",
        null=True,
    ),
    _field(REASON, pa.string(), "why the trial ended early or failed", null=True),
    _field(CONFIG, pa.string(), "the trial's hyperparameters, a JSON object"),
    _UNIT,
    *_LENGTH,
    _field(
        FALL,
        pa.float64(),
        "how much the error of a finished trial fell over the last quarter of its last trained "
        "stage, in the unit; below 0 where it rose",
        null=True,
    ),
    *_interval(
        DOUBLING,
        "how much it would fall if that stage were twice as long, in the unit",
        "its 95 % interval",
    ),
    _field(
        CONVERGENCE,
        pa.string(),
        "whether a finished trial had flattened: flattened, still falling or cannot be said",
        null=True,
    ),
    _field(CONVERGENCE_NOTE, pa.string(), "why it cannot be said", null=True),
    *_FOLD,
)

CURVES: Final = _schema(
    *_TRIAL,
    _field(EPOCH, pa.int32(), "epochs done when the row was measured, from 1, over both stages"),
    _field(STAGE, pa.string(), "pretrain or regress"),
    _field(ERROR, pa.float64(), "as in trials, after this epoch", null=True),
    _field(LOSS, pa.float64(), "mean training loss of the epoch", null=True),
    *_MEASURES,
    _field(
        PROBE_MAE,
        pa.float64(),
        "mean absolute error on validation of a ridge probe on frozen features, in the unit",
        null=True,
    ),
    _field(LEARNING_RATE, pa.float64(), "learning rate at the end of the epoch", null=True),
    _field(SECONDS, pa.float64(), "seconds the epoch took, validation included"),
    *_LENGTH,
)

PREDICTIONS: Final = _schema(
    *_TRIAL,
    _field(SEED, pa.int64(), "seed of the model"),
    _field(SPLIT, pa.string(), "split of the sample: train, val or test"),
    _field(ID, pa.string(), "name of the sample"),
    _field(GROUP, pa.string(), "what must not be split: the patient"),
    _field(TARGET, pa.float64(), "true value, in the task's unit"),
    _field(PREDICTION, pa.float64(), "predicted value, in the task's unit"),
    _field(SITE, pa.string(), "where the sample was acquired, where known", null=True),
    _field(SEX, pa.string(), "sex in the words of the data, where known", null=True),
    _field(
        NULL_PREDICTION,
        pa.float64(),
        "what a model that knows nothing predicts: the median of the labels that the model was "
        "trained on, in the task's unit; null where not recorded",
        null=True,
    ),
    _field(
        LINEAR_PREDICTION,
        pa.float64(),
        "what a linear model of the covariates predicts, with the least absolute error on what the "
        "model was trained on; null where the dataset has no covariates",
        null=True,
    ),
    *_POSSIBLE,
    *_FOLD,
)

MAE_TABLE: Final = _schema(
    *_SOURCE,
    _field(SPLIT, pa.string(), "split the measure was taken on"),
    _field(
        METRIC,
        pa.string(),
        "mae, rmse, r2 or pearson; mae_many, mae_median or mae_few, of the samples whose label bin "
        "has many, middling or few training samples; balanced_mae, the mean over label bins; "
        "null_mae and linear_mae, the error of predicting the training median and of a linear "
        "model of the covariates on the same samples; skill, 1 minus mae in units of the least of "
        "these two; beyond_range, the number of predictions beyond the labels that are possible; "
        "of an evaluation of another cohort also calibration_slope and calibration_intercept, of "
        "the line of the label on the prediction, and bias, the mean of prediction minus truth",
    ),
    _field(VALUE, pa.float64(), "the measure, over all samples and seeds", null=True),
    _field(
        LOW,
        pa.float64(),
        "lower end of its bootstrap interval over groups, and over seeds where there are several",
        null=True,
    ),
    _field(
        HIGH,
        pa.float64(),
        "upper end of its bootstrap interval over groups, and over seeds where there are several",
        null=True,
    ),
    _field(N, pa.int64(), "number of samples"),
    _field(GROUPS, pa.int64(), "number of groups"),
    _field(SEEDS, pa.int32(), "number of models, one a seed"),
    _UNIT,
    _field(
        RUN,
        pa.string(),
        "name of the run folder; null where the predictions are of several runs",
        null=True,
    ),
    *_POSSIBLE,
    _FOLDS,
)


COMPARISON: Final = _schema(
    *_SOURCE,
    _field(RUN, pa.string(), "name of the method's own run folder, in that of the comparison"),
    _field(TRIAL, pa.int32(), "number of the method's best trial", null=True),
    *_interval(
        VAL,
        "mean absolute error on validation of the best trial, in the unit",
        "its 95 % interval over groups, and over seeds where there are several",
    ),
    *_interval(
        TEST,
        "mean absolute error on test of the final model, in the unit",
        "its 95 % interval over groups, and over seeds where there are several",
    ),
    *_interval(
        DIFFERENCE,
        "its test error minus that of the method with the least one, whose own is 0",
        "its 95 % paired bootstrap interval over groups: both methods on the same drawn groups",
    ),
    _field(N, pa.int64(), "number of test samples", null=True),
    _field(GROUPS, pa.int64(), "number of test groups", null=True),
    *(
        _field(state, pa.int32(), f"number of trials that were {state}")
        for state in (FINISHED, PRUNED, STOPPED)
    ),
    _field(FAILED, pa.int32(), "number of trials that failed"),
    _field(EPOCHS, pa.int32(), "epochs of all trials together, the final training left out"),
    _field(SECONDS, pa.float64(), "seconds of training and validation of all trials together"),
    _field(SEED, pa.int64(), "seed of the search and of its trials", null=True),
    _field(REASON, pa.string(), "why the method has no result", null=True),
    _UNIT,
    *_interval(
        SKILL,
        "1 minus its error in units of that of the better null model (the training median, a "
        "linear model of the covariates), on the same samples of test, or of validation where it "
        "has no test error",
        "its 95 % paired bootstrap interval over groups, and over seeds where there are several",
    ),
    _field(
        SIGNIFICANT,
        pa.bool_(),
        "whether its error is significantly larger than the least one, by the rule of the table "
        "gains; null without a verdict",
        null=True,
    ),
    _field(NOTE, pa.string(), "why there is no verdict on the difference", null=True),
    _field(
        CONVERGENCE,
        pa.string(),
        "whether the training of its best hyperparameters had flattened, as in trials",
        null=True,
    ),
    _field(
        IMAGES_SEEN,
        pa.int64(),
        "images seen in a training with its best hyperparameters",
        null=True,
    ),
    _field(
        TRAINING_SECONDS,
        pa.float64(),
        "seconds of training and validation that such a training took, on average",
        null=True,
    ),
    _FOLDS,
)

MEASURES: Final = _schema(
    *_TRIAL,
    _field(EPOCH, pa.int32(), "epochs done when the measure was taken, from 1, over both stages"),
    _field(STAGE, pa.string(), "stage that this epoch ended: pretrain or regress"),
    _field(SPLIT, pa.string(), "split the measure was taken on"),
    _field(
        MEASURE,
        pa.string(),
        "ordinality, rnc_excess, rnc_excess_flat, knn_mae (in the task's unit), chord_residual, "
        "site_accuracy or site_chance",
    ),
    _field(VALUE, pa.float64(), "the measure, null where it is not defined", null=True),
)

GAINS: Final = _schema(
    *_SOURCE,
    _field(REFERENCE, pa.string(), "name of the method that this one is compared with"),
    *_interval(
        DIFFERENCE,
        "its mean absolute error minus that of the reference on the same samples, in the unit; "
        "below 0 where the method is better",
        "its interval over groups and, where both have several, seeds",
    ),
    *_interval(
        GAIN,
        "the error it saves, in percent of the reference's; above 0 where the method is better",
        "its interval over groups and, where both have several, seeds",
    ),
    _field(
        P,
        pa.float64(),
        "p value of Wilcoxon's signed-rank test over the groups' mean absolute errors; null "
        "where nothing was tested",
        null=True,
    ),
    _field(
        P_BOOTSTRAP,
        pa.float64(),
        "least 1 − level at which the difference's interval does not reach 0; null where nothing "
        "was tested",
        null=True,
    ),
    _field(
        P_ADJUSTED,
        pa.float64(),
        "the larger of the two, corrected for all comparisons of the table; null where nothing was "
        "tested",
        null=True,
    ),
    _field(
        SIGNIFICANT,
        pa.bool_(),
        "whether p_adjusted is at most 1 − level; null without a verdict",
        null=True,
    ),
    _field(SEEDS, pa.int32(), "number of seeds, of the one of the two with fewer", null=True),
    _field(GROUPS, pa.int64(), "number of groups", null=True),
    _field(N, pa.int64(), "number of samples", null=True),
    _field(UNIT, pa.string(), "unit of the target and of the difference, where known", null=True),
    _field(NOTE, pa.string(), "why there is no verdict, or no comparison", null=True),
)

DEFAULTS: Final = _schema(
    _field(RUN, pa.string(), "name of the run folder"),
    _field(
        TRIAL,
        pa.int32(),
        "number of the trial whose hyperparameters are compared with the defaults: the best ones "
        "of the search other than these",
    ),
    _field(SPLIT, pa.string(), "split the errors were measured on: val"),
    *GAINS,
)

EMBEDDING: Final = _schema(
    *_TRIAL,
    _field(SPLIT, pa.string(), "split of the sample: val"),
    _field(FIRST, pa.float64(), "first principal component of its features, turned with the label"),
    _field(SECOND, pa.float64(), "second principal component of its features, likewise"),
    _field(FIRST_SHARE, pa.float64(), "share of the features' variance that the first one has"),
    _field(SECOND_SHARE, pa.float64(), "share of the features' variance that the second one has"),
    _field(TARGET, pa.float64(), "true value, in the unit"),
    _UNIT,
)

COHORT: Final = _schema(
    _field(RUN, pa.string(), "name of the run folder"),
    _field(DATASET, pa.string(), "name of the dataset"),
    _field(
        SPLIT,
        pa.string(),
        "train, val or test; null for all three together, and for what was excluded",
        null=True,
    ),
    _field(KIND, pa.string(), "what the row describes: label, covariate, site or excluded"),
    _field(NAME, pa.string(), "name of the label or covariate, or site", null=True),
    _field(
        CATEGORY,
        pa.string(),
        "word of a category in the words of the data, null where it is not known; the site; of "
        "what was excluded the reason",
        null=True,
    ),
    _field(N, pa.int64(), "number of images, of a number those where it is known"),
    _field(GROUPS, pa.int64(), "number of patients; null for what was excluded", null=True),
    _field(MEAN, pa.float64(), "mean of a number over images; null for a category", null=True),
    _field(SD, pa.float64(), "its standard deviation over images", null=True),
    _field(MEDIAN, pa.float64(), "its median over images", null=True),
    _field(LOW, pa.float64(), "its lowest value", null=True),
    _field(HIGH, pa.float64(), "its highest value", null=True),
)

INTERVALS: Final = _schema(
    _field(RUN, pa.string(), "name of the run folder"),
    *_SOURCE,
    _field(SPLIT, pa.string(), "split the coverage was measured on: test"),
    _field(INTERVAL, pa.string(), "kind of interval: split, normalised or mondrian"),
    _field(LEVEL, pa.float64(), "probability that the interval is to cover with"),
    _field(
        REGION,
        pa.string(),
        "all; of mondrian intervals the third of the training labels that the prediction is in: "
        "low, middle or high",
    ),
    *_interval(
        COVERAGE,
        "share of images whose label is in their interval, each patient counted alike",
        "its 95 % interval over patients (Wilson)",
    ),
    _field(WIDTH, pa.float64(), "mean width of the intervals, in the unit", null=True),
    _field(N, pa.int64(), "number of test images"),
    _field(GROUPS, pa.int64(), "number of test patients"),
    _field(
        CALIBRATION_GROUPS,
        pa.int64(),
        "number of calibration patients, of all regions; with folds the least of a fold",
    ),
    _field(
        EXACT,
        pa.bool_(),
        "whether the calibration patients were predicted by the very networks that the model is; "
        "else by networks that were trained on fewer patients",
    ),
    _UNIT,
    _field(NOTE, pa.string(), "why there is no interval or no coverage", null=True),
    _FOLDS,
)

_OVER = "its 95 % interval over groups and, where there are several, models"

EXTERNAL: Final = _schema(
    _field(COHORT_NAME, pa.string(), "name of the outside cohort"),
    _field(DATASET, pa.string(), "name of the dataset that the models were trained on"),
    _field(METHOD, pa.string(), "name of the method"),
    *_interval(
        TEST,
        "mean absolute error on the test split of that dataset, in the unit",
        "its 95 % interval, as in mae",
    ),
    *_interval(MAE, "mean absolute error on the cohort, in the unit", _OVER),
    *_interval(
        NULL_MAE, "error on the cohort of predicting the median of the training labels", _OVER
    ),
    *_interval(
        LINEAR_MAE, "error on the cohort of the linear model of the training's covariates", _OVER
    ),
    *_interval(SKILL, "1 minus mae in units of the least of these two errors on the cohort", _OVER),
    *_interval(
        CALIBRATION_SLOPE, "slope of the line of the label on the prediction; 1 if perfect", _OVER
    ),
    *_interval(CALIBRATION_INTERCEPT, "intercept of that line; 0 if perfect", _OVER),
    *_interval(BIAS, "mean of prediction minus truth, in the unit", _OVER),
    _field(N, pa.int64(), "number of images of the cohort with a prediction", null=True),
    _field(GROUPS, pa.int64(), "number of their groups", null=True),
    _field(SEEDS, pa.int32(), "number of models, one a test seed and fold", null=True),
    _field(EXCLUDED, pa.int64(), "number of images without a prediction", null=True),
    _field(UNIT, pa.string(), "unit of the label and of every error"),
    _field(REFERENCE, pa.string(), "name of the method that this one is compared with"),
    *(_field(one.name, one.type, _meaning(one), null=True) for one in GAINS if _compares(one)),
    _field(NOTE, pa.string(), "why there is no verdict, or no comparison", null=True),
    _field(
        WARNINGS,
        pa.string(),
        "what must not be overlooked, such as that the cohort lies outside of the training data; "
        "a line each",
        null=True,
    ),
    _field(REASON, pa.string(), "why it was not measured", null=True),
)

SCHEMAS: Final[Mapping[str, Any]] = {
    "trials": TRIALS,
    "curves": CURVES,
    "predictions": PREDICTIONS,
    "mae": MAE_TABLE,
    "measures": MEASURES,
    "comparison": COMPARISON,
    "gains": GAINS,
    "defaults": DEFAULTS,
    "embedding": EMBEDDING,
    "cohort": COHORT,
    "intervals": INTERVALS,
    "external": EXTERNAL,
}
"""The tables by name; a table lies in `<folder>/<name>.parquet`."""


def column_names(table: str) -> tuple[str, ...]:
    """Return the column names of a table, in order."""
    return tuple(SCHEMAS[table].names)


def meanings(table: str) -> dict[str, str]:
    """Return what each column of a table means."""
    return {field.name: _meaning(field) for field in SCHEMAS[table]}
