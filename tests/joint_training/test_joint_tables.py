"""The tables of a joint training: each model calibrates itself on validation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from supremix.joint_training.joint import JointResult
from supremix.joint_training.report import PAGE, Trained, write_joint_tables
from supremix.runs.folder import RunFolder
from supremix_reports import Calibration, LabelScale
from supremix_reports.tables.tables import to_parquet

PATIENTS = 40
UNITS = {"brains": "years", "hands": "months"}
LABELS = {name: np.arange(50.0) for name in UNITS}


def trained(run: RunFolder, name: str, trial: int, datasets: list[str]) -> Trained:
    """A training with its models and the file of its predictions."""
    rng = np.random.default_rng(trial)
    columns = {"run": run.name, "method": "l1" if trial else "joint-l1", "trial": trial}
    columns |= {"dataset": datasets[0]} if trial else {}
    rows = [
        {
            **columns, "seed": 0, "dataset": dataset, "split": split, "id": f"{split}{n}",
            "group": f"{split}{n}", "target": float(n), "prediction": n + rng.normal(),
            "null_prediction": 20.0,
        }
        for dataset in datasets
        for split in ("val", "test")
        for n in range(PATIENTS)
    ]  # fmt: skip
    for dataset in datasets:
        folder = run.path / ("alone" if trial else "joint") / dataset
        folder.mkdir(parents=True)
        (folder / "model.json").write_text("{}")
    file = str(run.path / f"{name}.parquet")
    Path(file).write_bytes(to_parquet("predictions", rows))
    row = {"epoch": 1, "stage": "regress", "mae": 1.0, "seconds": 1.0}
    epochs = [{"tasks": dict.fromkeys(datasets, row)}] if not trial else [row]
    return Trained(columns=columns, rows=epochs, predictions=file)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    run.create({})
    both = [
        trained(run, "joint", 0, list(UNITS)),
        *(trained(run, name, trial, [name]) for trial, name in enumerate(UNITS, start=1)),
    ]
    write_joint_tables(run, both, method="l1", units=UNITS, labels=LABELS, cohort=[])
    return run


@pytest.mark.parametrize(("folder", "method"), [("joint", "joint-l1"), ("alone", "l1")])
def test_each_model_is_calibrated_by_its_own_predictions_on_validation(
    run: RunFolder, folder: str, method: str
) -> None:
    own = JointResult(run.path).predictions.filter(
        (pl.col("method") == method) & (pl.col("dataset") == "hands") & (pl.col("split") == "val")
    )
    kept = json.loads((run.path / folder / "hands" / "calibration.json").read_text())
    found = Calibration.from_dict(kept)
    assert (found.exact, found.count) == (True, PATIENTS)
    assert found.prediction.tolist() == own["prediction"].to_list()
    assert found.scale == LabelScale.of(LABELS["hands"])


def test_the_coverage_of_each_is_measured_on_test(run: RunFolder) -> None:
    rows = JointResult(run.path).intervals.filter(
        (pl.col("interval") == "split") & (pl.col("level") == 0.9)
    )
    assert rows.select("method", "dataset", "unit").rows() == [
        ("joint-l1", "brains", "years"),
        ("joint-l1", "hands", "months"),
        ("l1", "brains", "years"),
        ("l1", "hands", "months"),
    ]
    assert set(rows["exact"]) == {True}
    assert rows["coverage"].null_count() == 0
    page = (run.path / PAGE).read_text()
    assert f"- joint-l1 on hands: 0.9 prediction intervals: {rows['coverage'][1]:.1%}" in page
