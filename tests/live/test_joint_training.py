"""Two datasets of other dimensions trained together in Ray Train workers, stopped and gone on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from live_support import TINY, assert_nothing_left, draw_head, write_heads

import supremix
from supremix import Progress
from supremix.errors import JointInterrupted, RunFolderError, SpecError, TrainingError
from supremix.joint_training import driver as joint_work

pytestmark = [pytest.mark.slow, pytest.mark.long]

CONFIG = {"batch_size": 6, "projection_dim": 8}


def train(out: Path, heads: str, **more: Any) -> supremix.JointResult:
    arguments: dict[str, Any] = {
        "method": "supremix", "config": CONFIG, "epochs": 2, "width": 4, "cpus_per_worker": 1,
        "phantoms": 20, "seed": 5, **more,
    }  # fmt: skip
    return supremix.joint(
        ["hc18", "ukb-t1"],
        {"hc18": heads},
        shapes={"hc18": TINY["shape"], "ukb-t1": (14, 16, 14)},
        out=out,
        **arguments,
    )


def test_a_stopped_joint_training_goes_on_to_the_same_numbers(
    tmp_path: Path, local_ray: None
) -> None:
    heads = str(write_heads(tmp_path / "heads", 30))

    def stop(progress: Progress) -> None:
        if progress.message == "training alone/hc18" and progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(JointInterrupted, match="same command and --out"):
        train(tmp_path / "run", heads, progress=stop)
    with pytest.raises(RunFolderError, match="holds another run"):
        train(tmp_path / "run", heads, seed=6)
    result = train(tmp_path / "run", heads)
    assert_nothing_left()
    whole = train(tmp_path / "whole", heads)
    columns = ["trial", "dataset", "split", "id", "prediction"]
    assert result.predictions.select(columns).equals(whole.predictions.select(columns))
    check(result)
    assert train(tmp_path / "run", heads).rows == result.rows  # nothing is trained again


def check(result: supremix.JointResult) -> None:
    assert [(row.dataset, row.split) for row in result.rows] == [
        (name, split) for name in ("hc18", "ukb-t1") for split in ("val", "test")
    ]
    assert {row.unit for row in result.rows} == {"mm", "years"}
    curves = result.curves.group_by("method", "dataset").len()
    assert curves["len"].to_list() == [2] * 4
    text = (result.path / "joint.md").read_text()
    for row in result.rows:
        assert f"{row.joint.value:.3g}" in text
    predictions = result.predictions.filter(
        (pl.col("dataset") == "hc18") & (pl.col("trial") == 0) & (pl.col("split") == "test")
    )
    error = (predictions["prediction"] - predictions["target"]).abs().mean()
    assert result.rows[1].joint.value == pytest.approx(error)
    model = result.load("hc18")
    picture = draw_head(9.0, np.random.default_rng(0))
    assert np.isfinite(model.predict(picture, pixel_size=0.5))


def test_what_cannot_be_trained_leaves_no_folder(
    tmp_path: Path, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = str(write_heads(tmp_path / "heads", 30))
    monkeypatch.setattr(joint_work, "started_executor", None)
    with pytest.raises(TrainingError, match="take a batch_size of at most"):
        train(tmp_path / "run", heads, config={"hc18.batch_size": 500})
    with pytest.raises(TrainingError, match="'hc17', which is not trained"):
        train(tmp_path / "run", heads, config={"hc17.lr": 0.1})
    assert not (tmp_path / "run").exists()
    with pytest.raises(SpecError, match="named twice"):
        supremix.joint(["ukb-t1", "ukb-t1"])
    with pytest.raises(SpecError, match="given for 'hc18', which is not among"):
        supremix.joint(["ukb-t1"], {"hc18": heads})
