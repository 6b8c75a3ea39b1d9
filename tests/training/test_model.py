from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from discs import pictures_of
from own_encoder import PooledMean, build_flat
from torch import nn

from supremix._errors import ModelError
from supremix.models import EncoderSpec
from supremix.training import ModelInputError, Task, TrainedModel, TrialRun
from supremix_datasets.cards.dataset import Dataset


@pytest.fixture
def run(task: Task) -> TrialRun:
    run = TrialRun(dataclasses.replace(task, method="supremix", epochs=2), {"batch_size": 16})
    run.advance()
    run.advance()
    return run


def files(run: TrialRun, folder: Path) -> tuple[list[str], list[float]]:
    """Files of the first four of the test split, and their pixel sizes."""
    paths, sizes = pictures_of(run, folder, "test")
    return paths[:4], sizes[:4]


@pytest.mark.parametrize("flips", [False, True])
def test_a_loaded_model_predicts_what_the_run_predicts(
    run: TrialRun, discs: Dataset, disc_folder: Path, tmp_path: Path, flips: bool
) -> None:
    run.task = dataclasses.replace(run.task, flips=flips)
    run.export(tmp_path)
    model = TrainedModel.load(tmp_path, dataset=discs)
    paths, sizes = files(run, disc_folder)
    expected = run.predict(run.data.positions("test"))[:4]
    np.testing.assert_allclose(model.predict(paths, pixel_size=sizes), expected, rtol=1e-4)
    one = model.predict(paths[0], pixel_size=sizes[0])
    assert isinstance(one, float)
    assert one == pytest.approx(expected[0], rel=1e-4)
    assert model.predict(np.load(paths[0]), pixel_size=sizes[0]) == one
    assert model.facts()["predicts"] == f"{model.card.target} in {model.card.unit}"
    assert model.facts()["covariates"].startswith("pixel_size (a positive number")
    assert repr(model).startswith("<TrainedModel predicts: ")


def test_a_model_trained_in_half_precision_is_evaluated_as_it_predicts(
    task: Task, discs: Dataset, disc_folder: Path, tmp_path: Path
) -> None:
    half = dataclasses.replace(task, precision="bf16", epochs=1)
    run, passes = TrialRun(half, {"batch_size": 16}, device="cpu"), set[tuple[bool, torch.dtype]]()
    for network in (run.model, run.ema_model):
        network.encoder.register_forward_hook(lambda own, _, y: passes.add((own.training, y.dtype)))
    run.advance()
    run.export(tmp_path)
    paths, sizes = files(run, disc_folder)

    assert passes == {(True, torch.bfloat16), (False, torch.float32)}
    np.testing.assert_allclose(
        TrainedModel.load(tmp_path, dataset=discs).predict(paths, pixel_size=sizes),
        run.predict(run.data.positions("test"))[:4],
        rtol=1e-4,
    )


def test_flips_change_the_prediction_and_make_it_the_same_for_mirrored_images(
    run: TrialRun, discs: Dataset, disc_folder: Path, tmp_path: Path
) -> None:
    run.task = dataclasses.replace(run.task, flips=True)
    run.export(tmp_path)
    model = TrainedModel.load(tmp_path, dataset=discs)
    image = np.load(files(run, disc_folder)[0][0])
    plain = model.predict(image, pixel_size=1.0)
    assert model.predict(image[::-1], pixel_size=1.0) == pytest.approx(plain, rel=1e-5)


def test_a_missing_covariate_is_named(
    run: TrialRun, discs: Dataset, disc_folder: Path, tmp_path: Path
) -> None:
    run.export(tmp_path)
    model = TrainedModel.load(tmp_path, dataset=discs)
    paths, _ = files(run, disc_folder)
    with pytest.raises(ModelInputError, match="needs pixel_size"):
        model.predict(paths[0])
    with pytest.raises(ModelInputError, match="found also \\['age'\\]"):
        model.predict(paths[0], pixel_size=1, age=3)
    with pytest.raises(ModelInputError, match="one for each of the 4 images; found 2"):
        model.predict(paths, pixel_size=[1, 2])


def test_without_a_reader_arrays_still_work(run: TrialRun, tmp_path: Path) -> None:
    run.export(tmp_path)
    model = TrainedModel.load(tmp_path)
    with pytest.raises(ModelInputError, match="load the model with dataset="):
        model.predict("image.npy", pixel_size=1)
    noise = np.random.default_rng(0).uniform(0, 255, (24, 32))
    assert np.isfinite(model.predict(noise, pixel_size=1))


def test_the_files_hold_weights_and_words_alone(run: TrialRun, tmp_path: Path) -> None:
    run.export(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    described = json.loads((tmp_path / "model.json").read_text())
    assert described["card"]["unit"] == "mm"
    assert described["config"]["batch_size"] == 16


def test_a_folder_without_a_usable_model_is_refused(run: TrialRun, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model in"):
        TrainedModel.load(tmp_path)
    run.export(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="does not fit"):
        TrainedModel.load(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ModelError, match="not of format 2"):
        TrainedModel.load(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        TrainedModel.load(tmp_path)


def build_tiny(spatial_dims: int, channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 3, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(1))


@pytest.mark.parametrize("builder", [PooledMean, build_flat])
def test_an_encoder_of_the_users_own_is_imported_by_its_path(
    task: Task, tmp_path: Path, builder: Any
) -> None:
    own = dataclasses.replace(task, encoder=EncoderSpec(builder=builder))
    TrialRun(own, {}).export(tmp_path)
    image = np.random.default_rng(0).uniform(0, 255, (24, 32))
    found, given = (TrainedModel.load(tmp_path, **more) for more in ({}, {"builder": builder}))
    assert found.predict(image, pixel_size=1) == given.predict(image, pixel_size=1)


def test_an_encoder_that_cannot_be_imported_has_to_be_handed_in(task: Task, tmp_path: Path) -> None:
    def inside(spatial_dims: int, channels: int) -> nn.Module:
        return build_tiny(spatial_dims, channels)

    own = dataclasses.replace(task, encoder=EncoderSpec(builder=inside))
    TrialRun(own, {}).export(tmp_path)
    with pytest.raises(ModelError, match=r"cannot be imported here.*given itself, as builder="):
        TrainedModel.load(tmp_path)
    image = np.random.default_rng(0).uniform(0, 255, (24, 32))
    model = TrainedModel.load(tmp_path, builder=inside)
    assert np.isfinite(model.predict(image, pixel_size=1))
