"""Trained models on a cohort: decoded in parallel, predicted in batches, one row an image."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import polars as pl

from supremix._display import notebook_steps
from supremix.training.artifacts.inference import Predictor
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Reader
from supremix_datasets.cards.sample import Rejected, Sample
from supremix_datasets.stores.build import WorkerResult, decode_chunk
from supremix_reports.statistics.conformal.calibration import SEED_SPREAD, SPREAD

Item = TypeVar("Item")
Mapped = TypeVar("Mapped")
Steps = Callable[[int, int], None]
"""Called with the numbers of images done and in all."""

BATCH = 16
"""Images of a forward pass, unless another number is given."""

SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "prediction": pl.Float64,
    "unit": pl.String,
    "feature_distance": pl.Float64,
    "intensity_distance": pl.Float64,
    "out_of_distribution": pl.Boolean,
    "in_training": pl.Boolean,
    "problem": pl.String,
}
"""The columns of a cohort's predictions, without the file."""

VECTORS: dict[str, Any] = {
    "covariates": pl.List(pl.Float64),
    "intensities": pl.List(pl.Float64),
    SPREAD: pl.Float64,
    SEED_SPREAD: pl.Float64,
    "null_prediction": pl.Float64,
    "linear_prediction": pl.Float64,
}
"""Further columns: standardised covariates, intensity profiles, the standard deviations of what
several networks predict, see `Predicted` (null with one), and the predictions of the models without
an image."""


def predict_items(
    predictors: Sequence[Predictor],
    items: Sequence[Sample | Rejected],
    reader: Reader,
    *,
    batch: int = BATCH,
    workers: int | None = None,
    progress: Steps | None = None,
) -> list[pl.DataFrame]:
    """Predict samples; a file that cannot be decoded costs no other its prediction.

    Each file is decoded once for all models. Memory holds the decoded images of about two batches.

    Args:
        predictors: Models of the same dataset and grid, at least one.
        items: Samples with the models' covariates, and images that are rejected already.
        reader: Decodes their files; called in several threads.
        batch: Images of a forward pass, at least 1.
        workers: Threads that decode; by default one for each CPU, at most 8.
        progress: Called after each batch; None for a bar in a notebook, and nothing elsewhere.

    Returns:
        A table a model with the columns of `SCHEMA` and `VECTORS`, a row an item in their order;
        without a prediction `problem` says why.
    """
    threads = workers or min(os.cpu_count() or 1, 8)
    shown = progress or notebook_steps("predicting images")
    decode = functools.partial(_decode, reader, predictors[0].card)
    rows: list[list[dict[str, Any]]] = [[] for _ in predictors]
    decoded = bounded_map(decode, items, threads=threads, ahead=threads + batch)
    for part in _parts(zip(items, decoded, strict=True), batch):
        for own, predictor in zip(rows, predictors, strict=True):
            own.extend(_rows(predictor, part))
        if shown is not None:
            shown(len(rows[0]), len(items))
    return [pl.DataFrame(own, schema=SCHEMA | VECTORS) for own in rows]


def bounded_map(
    function: Callable[[Item], Mapped], items: Iterable[Item], *, threads: int, ahead: int
) -> Iterator[Mapped]:
    """Apply a function to every item in threads, in order, at most `ahead` results ahead."""
    rest = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        pending = deque(pool.submit(function, item) for item in islice(rest, ahead))
        while pending:
            yield pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in islice(rest, 1))


def _parts(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while part := list(islice(items, size)):
        yield part


def _decode(reader: Reader, card: Card, item: Sample | Rejected) -> WorkerResult:
    return item if isinstance(item, Rejected) else decode_chunk(reader, card, [item])[0]


def _rows(
    predictor: Predictor,
    part: Sequence[tuple[Sample | Rejected, WorkerResult]],
) -> list[dict[str, Any]]:
    """The rows of a batch."""
    decoded = [one for _, one in part if not isinstance(one, Rejected)]
    known: Iterator[dict[str, Any]] = iter(())
    if decoded:
        shown = [one.presented for one in decoded]
        predicted = predictor.evaluate(shown)
        columns = predictor.unlike(predicted, [one.hash for one in decoded])
        columns["prediction"] = predicted.predictions.tolist()
        columns["covariates"] = predicted.covariates.tolist()
        columns["intensities"] = predicted.intensities.tolist()
        for name in (SPREAD, SEED_SPREAD):
            values = getattr(predicted, name)
            columns[name] = [None] * len(shown) if values is None else values.tolist()
        columns |= {name: values.tolist() for name, values in predicted.null.items()}
        known = (
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        )
    return [
        {"id": item.id, "unit": predictor.card.unit}
        | ({"problem": one.reason} if isinstance(one, Rejected) else next(known))
        for item, one in part
    ]
