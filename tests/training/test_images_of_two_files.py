"""A model of images that are two files each, from the table to predictions of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from supremix.models import EncoderSpec
from supremix.training import Task, TrainedModel, TrialRun
from supremix_datasets import prepare

TOML = 'name = "twofold"\nshape = [16, 16]\n[columns]\nfile = ["{ID}_a.png", "{ID}_b.png"]\n'


def test_a_model_of_two_files_takes_a_tuple_or_a_table(tmp_path: Path) -> None:
    folder, rng = tmp_path / "own", np.random.default_rng(0)
    folder.mkdir()
    for k in range(20):
        for part in "ab":
            pixels = rng.integers(0, 255, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{k:02d}_{part}.png")
    rows = "\n".join(f"{k:02d},{k},p{k}" for k in range(20))
    (folder / "labels.csv").write_text(f"ID,target,group\n{rows}\n")
    (folder / "dataset.toml").write_text(TOML)
    store = prepare("table", folder, cache=tmp_path / "cache")
    task = Task(store=store.path, method="l1", encoder=EncoderSpec(width=4), epochs=1, threads=1)
    run = TrialRun(task, {"batch_size": 8})
    run.advance()
    run.export(tmp_path / "model")
    model = TrainedModel.load(tmp_path / "model")
    assert model.facts()["image"].startswith("pictures (a, b), on a grid of 16 x 16")
    pairs = [(folder / f"{k:02d}_a.png", folder / f"{k:02d}_b.png") for k in range(20)]
    from_table = model.predict_table(str(folder))["prediction"].to_numpy()
    np.testing.assert_allclose(model.predict(pairs), from_table, rtol=1e-5)
    swapped = model.predict([(b, a) for a, b in pairs])
    assert not np.allclose(swapped, from_table, rtol=1e-3)
