"""A folder of the user's own images with a table, prepared without a cluster."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supremix.cluster import WorkerGroupPlan
from supremix.search import prepare

PLAN = WorkerGroupPlan(count=1, workers=1, cpus=1, gpus=0)


def without_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have searches prepared in this process, for one worker group."""
    monkeypatch.setattr(prepare, "cluster_nodes", list)
    monkeypatch.setattr(prepare, "plan_worker_groups", lambda nodes, **given: PLAN)
    monkeypatch.setattr(prepare, "ray_map", map)


def write_twice(folder: Path) -> Path:
    """Write images of 24 patients, each a second time under another patient's name."""
    folder.mkdir()
    rows = ["file,target,group"]
    for number in range(24):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        shutil.copyfile(folder / f"{number}.png", folder / f"copy-{number}.png")
        rows.append(f"{number}.png,{number + 1},p{number}")
        rows.append(f"copy-{number}.png,{number + 1},q{number}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "dataset.toml").write_text('name = "twice"\nshape = [16, 16]\n')
    return folder


def relabel(folder: Path) -> None:
    """Change the labels of an image and its copy."""
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace("0.png,1,", "0.png,2,"))
