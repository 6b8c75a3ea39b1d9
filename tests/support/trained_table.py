"""A run folder with a model, trained on a table of tiny images without a search."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from supremix.models import EncoderSpec
from supremix.runs.folder import write_json
from supremix.search.spec import SearchSpec
from supremix.storage.paths import to_path
from supremix.training import Task, TrialRun
from supremix_datasets import prepare
from supremix_reports import write_table

TOML = """
name = "bright"
target = "thickness"
unit = "mm"
shape = {shape}
[covariates.sex]
values = {{ M = 0, F = 1 }}
[covariates.age]
default = 50
"""


def write_images(folder: Path, count: int, shape: tuple[int, ...]) -> Path:
    """Images whose brightness is the label, pictures or volumes, with their table."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(count)
    rows = ["file,target,group,sex,age"]
    for k in range(count):
        label = rng.uniform(40, 120)
        pixels = np.clip(rng.normal(label, 20, shape), 0, 255)
        if len(shape) == 2:
            name = f"{k:02d}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
        else:
            name = f"{k:02d}.nii.gz"
            affine = np.diag([2.0, 2.0, 2.0, 1.0])
            nib.save(nib.Nifti1Image(pixels.astype(np.float32), affine), folder / name)
        rows.append(f"{name},{label:.3f},p{k // 2},{'MF'[k // 2 % 2]},{20 + k}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "dataset.toml").write_text(TOML.format(shape=list(shape)))
    return folder


def train_on_table(root: Path, shape: tuple[int, ...] = (16, 16), count: int = 48) -> Path:
    """Train on such images for two epochs, and return the run folder with the best model."""
    source, cache = write_images(root / "images", count, shape), root / "cache"
    store = prepare("table", source, cache=cache)
    task = Task(store=store.path, method="l1", encoder=EncoderSpec(width=4), epochs=2, threads=1)
    run = TrialRun(task, {"batch_size": 16})
    run.advance()
    run.advance()
    folder = root / "run"
    run.export(folder / "best")
    spec = SearchSpec(dataset="table", source=str(source), method="l1", trials=1, cache=str(cache))
    write_json(to_path(folder / "spec.json"), spec.to_dict())
    _write_predictions(folder, run)
    return folder


def _write_predictions(folder: Path, run: TrialRun) -> None:
    own = {"run": folder.name, "dataset": "bright", "method": "l1", "trial": 0}
    own |= {"seed": run.task.seed, "split": "test"}
    columns = run.evaluate("test")
    rows = [
        own | dict(zip(columns, row, strict=True))
        for row in zip(*(column.tolist() for column in columns.values()), strict=True)
    ]
    write_table(str(folder), "predictions", rows)


def with_second_network(run: Path, folder: Path, *, by: float) -> Path:
    """A copy of a run with the network of a second seed, which predicts `by` more."""
    shutil.copytree(run, folder)
    other = folder / "best" / "networks" / "1"
    shutil.copytree(run / "best", other)
    description = json.loads((other / "model.json").read_text())
    description["target"]["mean"] += by
    (other / "model.json").write_text(json.dumps(description))
    return folder
