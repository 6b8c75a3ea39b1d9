"""A search of three patients, in all the surroundings at once that are not as one would like."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.long]

Run = Callable[..., "subprocess.CompletedProcess[str]"]
TOML = "shape = [16, 16]\n[covariates.sex]\nvalues = { M = 0, F = 1 }\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Ten pictures of each of three patients, the first of them a woman."""
    folder = tmp_path / "own"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,target,group,sex"]
    for k in range(30):
        target = rng.uniform(1, 10)
        pixels = np.clip(rng.normal(20 + 20 * target, 8, (20, 20)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:02d}.png")
        rows.append(f"{k:02d}.png,{target:.3f},é{k % 3},{'FMM'[k % 3]}")
    (folder / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    (folder / "dataset.toml").write_text(TOML)
    return folder


@pytest.fixture
def supremix(tmp_path: Path) -> Run:
    """The command line: output in ASCII, a long temporary folder, a home that is no folder."""
    temporary = tmp_path / "slurm_job_0123456789" / "slurm_job_0123456789"
    temporary.mkdir(parents=True)
    there = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    there |= {"TMPDIR": str(temporary), "HOME": "/dev/null", "PYTHONIOENCODING": "ascii"}
    there.pop("SUPREMIX_CACHE", None)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "supremix.cli", *words]
        return subprocess.run(command, check=False, env=there, capture_output=True, text=True)

    return run


def test_a_search_works_or_says_in_a_sentence_what_it_lacks(
    source: Path, tmp_path: Path, supremix: Run
) -> None:
    out, cache = tmp_path / "run", str(tmp_path / "cache")
    words = (
        "search", "--dataset", "table", "--source", str(source), "--out", str(out), "--method",
        "l1", "--trials", "1", "--epochs", "2", "--concurrent-trials", "1", "--finalists", "1",
        "--confirm-seeds", "0", "--width", "4", "--set", "batch_size=2",
    )  # fmt: skip

    refused = supremix(*words)
    assert refused.returncode == 2
    assert re.search(r"\nerror: /dev/null\S* cannot be written to: .*--cache", refused.stderr)
    assert not out.exists()

    done = supremix(*words, "--cache", cache)
    assert done.returncode == 0, done.stderr
    rows = pl.read_parquet(out / "predictions.parquet")
    assert set(rows.select("group", "sex").rows()) <= {("é0", "F"), ("é1", "M"), ("é2", "M")}
    assert rows["split"].n_unique() == 2

    image = str(source / "00.png")
    assert "--with sex=...  M or F" in supremix("predict", str(out)).stdout
    assert supremix("predict", str(out), image, "--with", "sex=F").returncode == 0
    unknown = supremix("predict", str(out), image, "--with", "sex=7")
    assert unknown.returncode == 2
    assert unknown.stderr.endswith("\nerror: sex must be M or F, found '7'\n")
