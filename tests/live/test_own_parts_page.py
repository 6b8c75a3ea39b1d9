"""The page on a reader, an encoder and a loss of one's own does what it says."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from page_code import PAGE, paste, run_python, supremix_in

pytestmark = pytest.mark.slow


def test_what_the_page_has_one_paste_runs_in_python_and_in_a_shell(tmp_path: Path) -> None:
    assert paste(PAGE, tmp_path) == ["draw.py", "knees.py", "nets.py", "pairs.py", "search.py"]
    assert run_python(tmp_path, "draw.py").returncode == 0

    checked = supremix_in(tmp_path, "check", "knees:DATASET", "--source", "study")
    assert checked.returncode == 0, checked.stderr
    assert "46 of 48 images usable, of 23 patients" in checked.stdout
    assert "not used" not in checked.stdout

    searched = run_python(tmp_path, "search.py")
    assert searched.returncode == 0, searched.stderr
    assert "temperature" in searched.stdout

    out = ("--with", "age=55", "--out", "predictions.csv")
    predicted = supremix_in(tmp_path, "predict", "runs/knees", "study/P001", *out)
    assert predicted.returncode == 0, predicted.stderr
    assert pl.read_csv(tmp_path / "predictions.csv")["prediction"].is_not_null().all()

    again = supremix_in(tmp_path, "search", str(tmp_path / "runs/knees/spec.json"), "--dry-run")
    assert again.returncode == 0, again.stderr
    assert 'dataset = "knees:DATASET"' in again.stdout
    assert 'encoder = "nets:SmallNet"' in again.stdout
    assert 'method = "pairs:METHOD"' in again.stdout
