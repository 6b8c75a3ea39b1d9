"""Searches and predictions made up for the plots: cheap, and with a structure that is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

SPACE: dict[str, dict[str, Any]] = {
    "alpha": {"type": "float", "low": 0.5, "high": 8.0, "log": True},
    "beta": {"type": "float", "low": 1.0, "high": 16.0, "log": True},
    "temperature": {"type": "float", "low": 0.07, "high": 1.0, "log": True, "default": 0.3},
    "weights": {"type": "choice", "options": [True, False]},
    "label_scale": {"type": "float", "low": 1.0, "high": 4.0, "when": {"weights": [True]}},
    "batch_size": {"type": "choice", "options": [16, 32], "default": 32},
    "depth": {"type": "int", "low": 1, "high": 4},
    "projection_dim": {"type": "fixed", "value": 128},
}


def _config(g: np.random.Generator) -> dict[str, Any]:
    config: dict[str, Any] = {
        "alpha": float(np.exp(g.uniform(np.log(0.5), np.log(8)))),
        "beta": float(np.exp(g.uniform(np.log(1), np.log(16)))),
        "temperature": float(np.exp(g.uniform(np.log(0.07), 0))),
        "weights": bool(g.integers(2)),
        "batch_size": int(g.choice([16, 32])),
        "depth": int(g.integers(1, 5)),
        "projection_dim": 128,
    }
    return config | ({"label_scale": float(g.uniform(1, 4))} if config["weights"] else {})


def _search(
    dataset: str = "made", method: str = "supremix", *, n: int = 24, seed: int = 0, scale: float = 1
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The error follows from the temperature alone, but for little noise; trial 3 is pruned, 5
    failed, and the last one trains trial 0 anew."""
    g = np.random.default_rng(seed)
    source = {"run": f"{dataset}/{method}", "dataset": dataset, "method": method}
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for i in range(n + 1):
        config = _config(g) if i < n else json.loads(rows[0]["config"])
        state = {3: "pruned", 5: "failed"}.get(i, "finished")
        epochs = {"pruned": 2, "failed": 0}.get(state, 4)
        error = scale * float(2 + np.log(config["temperature"] / 0.25) ** 2 + g.normal(0, 0.01))
        rows.append(
            source
            | {"trial": i, "state": state, "error": None if state == "failed" else error}
            | {
                "epochs": epochs,
                "replicate_of": 0 if i == n else None,
                "config": json.dumps(config),
            }
        )
        for epoch in range(1, epochs + 1):
            stage = "pretrain" if epoch <= 2 else "regress"
            value = error * (1 + (epochs - epoch) / 4)
            curves.append(source | {"trial": i, "epoch": epoch, "stage": stage, "error": value})
    whole = {"trial": pl.Int32, "epochs": pl.Int32, "replicate_of": pl.Int32}
    trials = pl.DataFrame(rows, schema_overrides=whole, infer_schema_length=None)
    return trials, pl.DataFrame(curves, schema_overrides={"trial": pl.Int32})


def _predictions(*, n: int = 60, seeds: int = 1, images: int = 1, seed: int = 0) -> pl.DataFrame:
    """Ages from 20 to 80, drawn to the mean by a third; `images` of each patient."""
    g = np.random.default_rng(seed)
    target = np.repeat(g.uniform(20, 80, n), images)
    shared = g.normal(0, 3, len(target))
    frames = [
        pl.DataFrame(
            {
                "dataset": "made",
                "method": "supremix",
                "seed": s,
                "split": "test",
                "id": [f"image-{i:04d}" for i in range(len(target))],
                "group": [f"patient-{i // images:04d}" for i in range(len(target))],
                "target": target,
                "prediction": 50 + 2 / 3 * (target - 50) + shared + g.normal(0, 1, len(target)),
                "site": [("Leeds", "Porto", "Turku")[i % 3] for i in range(len(target))],
            }
        )
        for s in range(seeds)
    ]
    return pl.concat(frames)


@pytest.fixture
def space() -> dict[str, dict[str, Any]]:
    return SPACE


@pytest.fixture
def search() -> Callable[..., tuple[pl.DataFrame, pl.DataFrame]]:
    """Tables `trials` and `curves` of a search that was never run."""
    return _search


@pytest.fixture
def predicted() -> Callable[..., pl.DataFrame]:
    """A table `predictions` of models that were never trained."""
    return _predictions
