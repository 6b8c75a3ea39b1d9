"""A folder of ten pictures with a table, as a user of the dataset `table` has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supremix_datasets import (
    get,
)

TABLE = get("table")
Rows = Sequence[Sequence[object]]


def draw(path: Path, seed: int, channels: int = 1) -> None:
    shape = (40, 50) if channels == 1 else (40, 50, channels)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """``make(rows, header, toml)``: a folder of ten pictures ``img/<n>.png`` with a table."""

    def build(
        rows: Rows = (),
        header: Sequence[str] = ("file", "target", "group"),
        toml: str | None = None,
        name: str = "my knees",
    ) -> Path:
        folder = tmp_path / name
        for number in range(10):
            draw(folder / f"img/{number:03d}.png", number)
        rows = rows or [(f"img/{n:03d}.png", 30 + 5 * n, f"p{n}") for n in range(10)]
        lines = [",".join(map(str, row)) for row in (header, *rows)]
        (folder / "labels.csv").write_text("\n".join(lines) + "\n")
        if toml is not None:
            (folder / "dataset.toml").write_text(toml)
        return folder

    return build


def reasons(folder: Path) -> dict[str, str]:
    return {r.id: r.reason for r in TABLE.reader.scan(str(folder)).rejected}
