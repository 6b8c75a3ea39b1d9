"""Folders of benchmarks and single runs with made-up results, written without any search."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from supremix_reports import embedding_rows, mae_rows, write_table

UNITS = {"brains": "years", "hearts": "points", "hands": "months"}
ERRORS = {"supremix": 4.0, "rnc": 5.0, "l1": 6.0}
"""Mean absolute error of each method, about, in the unit of the dataset."""

SPACE: dict[str, Any] = {
    "lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True, "default": 1e-3},
    "temperature": {"type": "float", "low": 0.05, "high": 1.0, "log": True, "default": 0.3},
    "alpha": {"type": "float", "low": 0.5, "high": 8.0, "log": True, "default": 2.0},
    "beta": {"type": "float", "low": 1.0, "high": 16.0, "log": True, "default": 8.0},
    "batch_size": {"type": "choice", "options": [16, 32, 64], "default": 32},
    "head": {"type": "fixed", "value": "probe"},
}
ENVIRONMENT: dict[str, Any] = {
    "started": "2026-01-31T12:00:00+00:00",
    "python": "3.11.7",
    "system": "Linux-6.1-x86_64",
    "processor": "x86_64",
    "nodes": [{"CPU": 2.0, "memory": 16852314932.0}],
    "packages": {"supremix": "0.1.0", "torch": "2.13.0", "ray": "2.60.0", "mlflow": None},
    "plan": {"worker_groups": 1, "workers": 1, "cpus": 2.0, "gpus": 0.0},
    "images": {"train": 60, "val": 20, "test": 20},
    "excluded": 0,
}
EPOCHS = 4


def write_json(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n")


def write_benchmark(
    folder: Path,
    *,
    datasets: Sequence[str] = ("brains", "hearts"),
    methods: Sequence[str] = ("supremix", "rnc", "l1"),
    seeds: int = 3,
    reference: str | None = None,
    **more: Any,
) -> Path:
    """A benchmark of made-up cells; `more` goes to `write_cell`."""
    index: dict[str, Any] = {
        "datasets": list(datasets),
        "methods": list(methods),
        "test_seeds": seeds,
    }
    if reference is not None:
        index["reference"] = reference
    write_json(folder / "benchmark.json", index)
    for dataset in datasets:
        for method in methods:
            run = f"{folder.name}/{dataset}/{method}"
            write_cell(
                folder / dataset / method,
                run=run,
                dataset=dataset,
                method=method,
                seeds=seeds,
                **more,
            )
    return folder


def write_cell(
    folder: Path,
    *,
    run: str | None = None,
    dataset: str = "brains",
    method: str = "supremix",
    seeds: int = 1,
    patients: int = 40,
    trials: int = 8,
    split: int = 0,
    spec: dict[str, Any] | None = None,
    environment: dict[str, Any] | None = None,
    cohort: bool = False,
) -> Path:
    """One search, concluded: `patients` on test with one or two images each, after `split`."""
    source = {"run": run or folder.name, "dataset": dataset, "method": method}
    unit = UNITS.get(dataset, "mm")
    generator = np.random.default_rng(zlib.crc32(f"{dataset} {method} {split}".encode()))
    command = (
        f"/home/somebody/supremix search --dataset {dataset} --source /home/somebody/{dataset}"
    )
    asked = {"dataset": dataset, "source": f"/home/somebody/{dataset}", "method": method}
    write_json(folder / "spec.json", asked | {"trials": trials, "seed": 0} | (spec or {}))
    told = ENVIRONMENT | {"command": f"{command} --method {method}", "dataset": dataset}
    write_json(folder / "environment.json", told | {"unit": unit} | (environment or {}))
    write_json(folder / "space.json", SPACE)
    (folder / "ledger.jsonl").write_text('{"event":"session","worker_groups":1}\n')
    _write_trials(folder, source, unit, trials, generator)
    predictions = _predictions(source, method, seeds, patients, split, generator)
    write_table(str(folder), "predictions", predictions)
    write_table(str(folder), "mae", mae_rows(pl.DataFrame(predictions), unit=unit, resamples=200))
    write_table(str(folder), "measures", [_measure(source)])
    if cohort:
        label = {"kind": "label", "name": "age", "n": patients, "groups": patients}
        where = {"run": source["run"], "dataset": dataset, "split": "test"}
        write_table(str(folder), "cohort", [where | label])
    points = generator.normal(size=(30, 2))
    told = source | {"trial": 0, "split": "val", "unit": unit}
    write_table(str(folder), "embedding", embedding_rows(points, points[:, 0], **told))
    return folder


def _measure(source: dict[str, str]) -> dict[str, Any]:
    told = {"trial": 0, "epoch": EPOCHS, "stage": "pretrain", "split": "val"}
    return {**source, **told, "measure": "ordinality", "value": 0.8}


def _write_trials(
    folder: Path, source: dict[str, str], unit: str, number: int, generator: np.random.Generator
) -> None:
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for trial in range(number):
        config = {
            "lr": float(10 ** generator.uniform(-4, -1)),
            "temperature": float(10 ** generator.uniform(-1.3, 0)),
            "alpha": float(generator.uniform(0.5, 8)),
            "beta": float(generator.uniform(1, 16)),
            "batch_size": int(generator.choice([16, 32, 64])),
            "head": "probe",
        }
        base = ERRORS.get(source["method"], 7.0) + abs(np.log10(config["lr"]) + 2.5)
        pruned = trial % 4 == 3
        epochs = EPOCHS // 2 if pruned else EPOCHS
        errors = [base * (1 + 1 / epoch) for epoch in range(1, epochs + 1)]
        curves += [
            {
                **source, "trial": trial, "epoch": epoch, "stage": "regress", "error": error,
                "loss": error / 10, "mae": error, "seconds": 2.0,
            }
            for epoch, error in enumerate(errors, 1)
        ]  # fmt: skip
        rows.append(
            {
                **source, "trial": trial, "state": "pruned" if pruned else "finished",
                "error": errors[-1], "mae": errors[-1], "epochs": epochs, "seconds": 2.0 * epochs,
                "seed": trial, "reason": "behind other trials" if pruned else None,
                "config": json.dumps(config), "unit": unit,
            }
        )  # fmt: skip
    write_table(str(folder), "trials", rows)
    write_table(str(folder), "curves", curves)


def _predictions(
    source: dict[str, str],
    method: str,
    seeds: int,
    patients: int,
    split: int,
    generator: np.random.Generator,
) -> list[dict[str, Any]]:
    """The same samples and labels for every method of a dataset."""
    common = np.random.default_rng(zlib.crc32(f"{source['dataset']} {split}".encode()))
    rows: list[dict[str, Any]] = []
    for name, groups in (("val", max(2, patients // 2)), ("test", patients)):
        images = [(g, i) for g in range(groups) for i in range(1 + g % 2)]
        target = {g: float(common.uniform(20, 80)) for g in range(groups)}
        hard = {g: float(common.normal(0, 2)) for g in range(groups)}
        for seed in range(seeds if name == "test" else 1):
            shift = generator.normal(0, 0.3)
            for g, i in images:
                noise = generator.normal(0, ERRORS.get(method, 7.0))
                rows.append(
                    {
                        **source, "trial": 0, "seed": seed, "split": name,
                        "id": f"image-{split}-{name}-{g:03d}-{i}",
                        "group": f"patient-{split}-{name}-{g:03d}", "target": target[g],
                        "prediction": target[g] + hard[g] + shift + noise,
                        "site": ("north", "south")[g % 2], "null_prediction": 50.0,
                        "label_low": 0.0, "label_high": 120.0,
                    }
                )  # fmt: skip
    return rows
