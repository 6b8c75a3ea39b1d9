"""The rows of the table ``cohort``: patients, labels and covariates by split, and exclusions."""

from __future__ import annotations

from typing import Any

import polars as pl

from supremix_datasets import Store
from supremix_datasets.cards.covariate import Covariate
from supremix_datasets.cards.sample import SPLITS
from supremix_datasets.stores.store import as_read

Row = dict[str, Any]


def cohort_rows(store: Store, splits: Any, *, run: str) -> list[Row]:
    """Describe the images of a dataset, split by split and together, and those excluded.

    Args:
        store: The prepared images.
        splits: (N,) split of each image: train, val or test.
        run: Name of the run folder.
    """
    source = {"run": run, "dataset": store.card.name}
    index = store.index.with_columns(pl.Series("split", splits, dtype=pl.String))
    parts = [*((name, index.filter(pl.col("split") == name)) for name in SPLITS), (None, index)]
    rows = [
        {**source, "split": split, **row}
        for split, part in parts
        if part.height
        for row in _part_rows(store, part)
    ]
    reasons = (
        store.quarantine.group_by("reason").len("n").sort("n", "reason", descending=[True, False])
    )
    return rows + [
        {**source, "kind": "excluded", "category": reason, "n": count}
        for reason, count in reasons.iter_rows()
    ]


def _part_rows(store: Store, part: pl.DataFrame) -> list[Row]:
    label = _numbers(part, "target") | {"kind": "label", "name": store.card.target}
    sites = _categories(part, "site") if part["site"].count() else []
    return [
        label,
        *(row for covariate in store.card.covariates for row in _covariate(part, covariate)),
        *({"kind": "site", "name": "site", **row} for row in sites),
    ]


def _covariate(part: pl.DataFrame, covariate: Covariate) -> list[Row]:
    """One row of a number, one a word of a category; as the dataset has it, before a logarithm."""
    column = as_read(covariate.name)
    if covariate.words:
        rows = _categories(part, column)
    else:
        rows = [_numbers(part.with_columns(pl.col(column).cast(pl.Float64)), column)]
    return [{"kind": "covariate", "name": covariate.name, **row} for row in rows]


def _numbers(part: pl.DataFrame, column: str) -> Row:
    known = part.filter(pl.col(column).is_not_null())
    values = known[column]
    return {
        **_counts(known),
        "mean": values.mean(),
        "sd": values.std(),
        "median": values.median(),
        "low": values.min(),
        "high": values.max(),
    }


def _categories(part: pl.DataFrame, column: str) -> list[Row]:
    """By word, in the order of the words; last, without one, where it is not known."""
    parts = part.sort(column, nulls_last=True).partition_by(column, maintain_order=True)
    return [{**_counts(own), "category": own[column][0]} for own in parts]


def _counts(part: pl.DataFrame) -> Row:
    return {"n": part.height, "groups": part["group"].n_unique()}
