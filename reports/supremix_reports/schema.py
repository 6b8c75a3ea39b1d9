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
"""Raised when a column changes its name, type or meaning; a new nullable column does not."""

VERSION_KEY: Final = b"supremix_schema"
MEANING_KEY: Final = b"meaning"

# Where a row comes from.
RUN: Final = "run"
DATASET: Final = "dataset"
METHOD: Final = "method"
TRIAL: Final = "trial"
SEED: Final = "seed"
SPLIT: Final = "split"
UNIT: Final = "unit"
# How a trial went.
STATE: Final = "state"
REASON: Final = "reason"
CONFIG: Final = "config"
EPOCH: Final = "epoch"
EPOCHS: Final = "epochs"
STAGE: Final = "stage"
SECONDS: Final = "seconds"
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
# A measure with its interval.
METRIC: Final = "metric"
VALUE: Final = "value"
LOW: Final = "low"
HIGH: Final = "high"
N: Final = "n"
GROUPS: Final = "groups"
SEEDS: Final = "seeds"

FINISHED: Final = "finished"
PRUNED: Final = "pruned"
STOPPED: Final = "stopped"
FAILED: Final = "failed"
STATES: Final = (FINISHED, PRUNED, STOPPED, FAILED)
"""Finished: had all its epochs. Pruned: ended early by the scheduler. Stopped: ended early by the
budget or the user. Failed: ended by an error, told in `reason`."""


def _field(name: str, kind: Any, meaning: str, *, null: bool = False) -> Any:
    return pa.field(name, kind, nullable=null, metadata={MEANING_KEY: meaning.encode()})


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
    _field(REASON, pa.string(), "why the trial ended early or failed", null=True),
    _field(CONFIG, pa.string(), "the trial's settings, a JSON object"),
    _UNIT,
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
)

MAE_TABLE: Final = _schema(
    *_SOURCE,
    _field(SPLIT, pa.string(), "split the measure was taken on"),
    _field(METRIC, pa.string(), "mae, rmse, r2 or pearson"),
    _field(VALUE, pa.float64(), "the measure, over all samples and seeds", null=True),
    _field(LOW, pa.float64(), "lower end of its bootstrap interval over groups", null=True),
    _field(HIGH, pa.float64(), "upper end of its bootstrap interval over groups", null=True),
    _field(N, pa.int64(), "number of samples"),
    _field(GROUPS, pa.int64(), "number of groups"),
    _field(SEEDS, pa.int32(), "number of models, one a seed"),
    _UNIT,
)

SCHEMAS: Final[Mapping[str, Any]] = {
    "trials": TRIALS,
    "curves": CURVES,
    "predictions": PREDICTIONS,
    "mae": MAE_TABLE,
}
"""The tables by name; a table lies in `<folder>/<name>.parquet`."""


def column_names(table: str) -> tuple[str, ...]:
    """Return the column names of a table, in order."""
    return tuple(SCHEMAS[table].names)


def meanings(table: str) -> dict[str, str]:
    """Return what each column of a table means."""
    return {field.name: field.metadata[MEANING_KEY].decode() for field in SCHEMAS[table]}
