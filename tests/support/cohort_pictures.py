"""Pictures of a cohort with their table: the brightness is the label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TOML = """
name = "{name}"
target = "thickness"
unit = "{unit}"
shape = [16, 16]
[covariates.sex]
values = {words}
[covariates.age]
default = 50
"""
HERE, THERE = "{ M = 0, F = 1 }", "{ F = 0, M = 1 }"


def write(
    folder: Path, count: int, *, words: str = HERE, unit: str = "mm", low: float = 40, **more: Any
) -> Path:
    """Pictures whose brightness is the label, of patients of two sites, with their table."""
    folder.mkdir()
    rng = np.random.default_rng(count)
    rows = ["file,target,group,site,sex,age"]
    for k in range(count):
        label = rng.uniform(low, low + 80)
        pixels = np.clip(rng.normal(label, 20, (16, 16)) + more.get("brighter", 0), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k:02d}.png")
        age = "" if k == 0 else 20 + k
        rows.append(f"{k:02d}.png,{label:.3f},p{k // 2},{'ab'[k % 2]},{'MF'[k // 2 % 2]},{age}")
    (folder / "labels.csv").write_text("\n".join([*rows, *more.get("rows", [])]) + "\n")
    toml = TOML.format(name=folder.name, unit=unit, words=words)
    (folder / "dataset.toml").write_text(toml)
    return folder
