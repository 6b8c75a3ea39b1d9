"""Indices of images of several patients, as splits and folds take them."""

from __future__ import annotations

import numpy as np
import polars as pl


def table(n: int = 300, seed: int = 0) -> pl.DataFrame:
    """n images of about 2n/3 patients, labels that repeat within a patient."""
    rng = np.random.default_rng(seed)
    patients = rng.integers(0, 2 * n // 3, n)
    return pl.DataFrame(
        {
            "group": [f"{patient:04d}" for patient in patients],
            "target": patients % 97 + rng.normal(0, 1, n),
            "split": pl.Series([None] * n, dtype=pl.String),
        }
    )
