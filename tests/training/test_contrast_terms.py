"""Contrastive losses as terms: of features or embeddings, of one view of an image or two."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from discs import pictures_of

from supremix.losses import ExpLoss, RnCLoss, SupConLoss, SupReMixLoss, YAwareLoss
from supremix.methods.contrast_terms import CONTRAST_TERMS
from supremix.methods.mixing import Mixing
from supremix.methods.recipes import Recipe
from supremix.training import (
    ConfigError,
    Stage,
    Task,
    TrainedModel,
    TrialRun,
    get_method,
    load_checkpoint,
    make_config,
    save_checkpoint,
)
from supremix.training.steps.regression_step import label_stats
from supremix_datasets.stores.store import Store

SMALL = {"batch_size": 18, "projection_dim": 8}
METHODS = tuple(method.name for method in CONTRAST_TERMS)


def stage_of(method: str, store: Store, **values: Any) -> Stage:
    chosen = get_method(method)
    return chosen.stages(make_config(chosen, values), epochs=2, card=store.card)[0]


def run_of(task: Task, method: str, *, epochs: int = 1, **values: Any) -> TrialRun:
    shared = dataclasses.replace(task, method=method, epochs=epochs)
    return TrialRun(shared, {**SMALL, **values}, device="cpu")


def test_the_loss_is_that_of_the_method_of_two_stages(store: Store) -> None:
    found = {name: stage_of(name, store).recipe.terms[0].loss for name in METHODS}
    assert found == {
        "supremix-term": SupReMixLoss(window=5.0),
        "supcon-term": SupConLoss(),
        "rnc-term": RnCLoss(),
        "yaware-term": YAwareLoss(),
        "expw-term": ExpLoss(),
    }


@pytest.mark.parametrize("two_views", [False, True])
@pytest.mark.parametrize("projection", [False, True])
@pytest.mark.parametrize("base", ["l1", "mse"])
def test_a_step_adds_the_weighted_contrast_to_the_mean_loss_of_all_views(
    task: Task, two_views: bool, projection: bool, base: str
) -> None:
    values = {"weight": 3.0, "two_views": two_views, "projection": projection, "base": base}
    run = run_of(task, "rnc-term", **values)
    trainer, network = run.trainer_of(0), run.model
    network.head.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    batch = next(iter(trainer.batches.epoch(0)))
    views = 2 if two_views else 1
    assert len(batch.images) == views * len(batch.members)
    loss = trainer.regression.loss(trainer.module, batch)

    features = network.features(batch.images, batch.covariates)
    rows = torch.from_numpy(batch.members).repeat_interleave(views)
    errors = network.head(features) - run.data.targets[rows]
    power = 1 if base == "l1" else 2
    weight = 3.0 * label_stats(run.data).length(run.data.card.label_scale) ** power
    seen = network.projection(features) if projection else features
    expected = (errors.abs() ** power).mean() + weight * RnCLoss()(seen, run.data.labels[rows])
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("projection", [False, True])
def test_all_of_the_network_that_is_in_use_is_trained(task: Task, projection: bool) -> None:
    run = run_of(task, "supremix-term", projection=projection)
    before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    run.advance()
    same = {name for name, p in run.model.named_parameters() if torch.equal(p, before[name])}
    assert same == set()
    assert (run.model.projection is not None) == projection


def test_two_views_of_an_image_count_as_two(task: Task) -> None:
    seen = [run_of(task, "supcon-term", two_views=two) for two in (False, True)]
    images, doubled = (run.advance()["images_seen"] for run in seen)
    assert doubled == 2 * images


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_goes_on_to_the_same_bits(
    task: Task, tmp_path: Path, precision: str
) -> None:
    half = dataclasses.replace(task, precision=precision)
    whole, resumed = (
        run_of(half, "supremix-term", epochs=2, projection=True, lr=1e-3) for _ in range(2)
    )
    whole.advance()
    save_checkpoint(whole.state(), tmp_path / "here")
    whole.advance()
    resumed.load(load_checkpoint(tmp_path / "here"))
    row = resumed.advance()
    assert math.isfinite(row["loss"])
    assert row["error"] == whole.history[-1]["error"]


def test_a_model_predicts_without_its_projection(
    task: Task, discs: Any, disc_folder: Path, tmp_path: Path
) -> None:
    run = run_of(task, "yaware-term", projection=True)
    run.advance()
    run.export(tmp_path)
    model = TrainedModel.load(tmp_path, dataset=discs)
    positions = run.data.positions("test")
    files, sizes = pictures_of(run, disc_folder, "test")
    found = model.predict(files, pixel_size=sizes)
    assert found == pytest.approx(run.predict(positions), rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weight": 0.0}, "weight"),
        ({"projection_dim": 0}, "projection_dim must be at least 1, found 0"),
        ({"temperature": 0.0}, "temperature"),
        ({"base": "l3"}, "base must be one of l1, mse, huber, found 'l3'"),
    ],
)
def test_values_that_cannot_be_are_refused(
    store: Store, method: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        stage_of(method, store, **values)


def test_mixtures_are_of_one_view() -> None:
    with pytest.raises(ConfigError, match=r"found views=2 with mixing=Mixing"):
        Recipe(views=2, mixing=Mixing(alpha=1.0))
    with pytest.raises(ConfigError, match="found views=0"):
        Recipe(views=0)
