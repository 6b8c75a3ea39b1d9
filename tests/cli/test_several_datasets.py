"""A search over several datasets on a terminal and on its page."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

import supremix
from supremix.cli.views.multi_dataset import show_multi_dataset
from supremix_reports import (
    MethodRun,
    config_text,
    mae_rows,
    read_table,
    write_multi_dataset,
    write_table,
)


def searched(folder: Path, dataset: str, shift: float) -> MethodRun:
    common = {"run": dataset, "dataset": dataset, "method": "l1", "trial": 0, "seed": 0}
    trial = {
        **common, "state": "finished", "error": shift, "epochs": 2, "seconds": 1.0,
        "config": config_text({}), "unit": "years",
    }  # fmt: skip
    samples = [
        {**common, "split": split, "id": f"s{k}", "group": f"g{k}", "target": float(k),
         "prediction": k + shift, "null_prediction": 12.0}
        for split in ("val", "test") for k in range(24)
    ]  # fmt: skip
    place = str(folder / dataset)
    write_table(place, "trials", [trial])
    write_table(place, "predictions", samples)
    write_table(place, "mae", mae_rows(read_table(place, "predictions"), unit="years"))
    return MethodRun.read(
        str(folder), dataset=dataset, method="l1", run=dataset, unit="years", reason=None
    )


def test_each_dataset_has_its_null_model_below_it(tmp_path: Path) -> None:
    content = {"datasets": ["a", "b"], "methods": ["l1"], "objective": "per-dataset"}
    (tmp_path / "multi_dataset.json").write_text(json.dumps(content))
    runs = [searched(tmp_path, "a", 2.0), searched(tmp_path, "b", 20.0)]
    write_multi_dataset(str(tmp_path), runs, {})
    console = Console(width=200, record=True)
    show_multi_dataset(supremix.MultiDatasetResult(tmp_path), console)
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    page = (tmp_path / "multi_dataset.md").read_text()

    took = "trials epochs time images seen training time"
    assert lines[0] == f"dataset unit test skill validation {took}"
    assert [line.split()[0] for line in lines[1:5]] == ["a", "training", "b", "training"]
    assert lines[1].startswith("a years 2 (2 to 2) 0.67 (")
    assert lines[2].startswith("training median years 6 (")
    assert any(line.startswith("l1 on b (test) shows no skill") for line in lines)
    assert "l1 on a (test) shows no skill" not in " ".join(lines)
    assert page.index("l1 on b (test) shows no skill") < page.index("| training median | years |")
