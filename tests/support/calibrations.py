"""Calibrations and predictions of tests about prediction intervals and bias correction."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from supremix_reports import Calibration, LabelScale

SCALE = LabelScale(edges=(40.0, 60.0), floor=0.5)


def calibration(
    target: Any, prediction: Any, *, patients: Any = None, spread: Any = None
) -> Calibration:
    count, means = len(np.asarray(target)), np.asarray(prediction, float)
    half = 0 if spread is None else np.asarray(spread, float) / np.sqrt(2)
    return Calibration(
        patients=np.arange(count) if patients is None else np.asarray(patients),
        target=np.asarray(target, float),
        predictions=means[:, None] if spread is None else np.stack([means - half, means + half], 1),
        scale=SCALE,
        predicted_by="model",
    )


def frame(seeds: int, patients: int, images: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seeds)
    rows = [
        {"run": "r", "dataset": "d", "method": "l1", "trial": 0, "seed": seed, "split": split,
         "id": f"{split}{p}.{i}", "group": f"{split}{p}", "target": float(p),
         "prediction": p + float(rng.normal())}
        for seed in range(seeds) for split in ("val", "test")
        for p in range(patients) for i in range(images)
    ]  # fmt: skip
    return pl.DataFrame(rows)
