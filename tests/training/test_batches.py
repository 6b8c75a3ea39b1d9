from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from supremix.methods.base import Objective
from supremix.training import Stage, Task
from supremix.training.data.batches import Batches, pixel_change, zooms
from supremix.training.data.trial_data import TrialData
from supremix.training.distributed.collective import Solo, share, shares
from supremix_datasets.cards.covariate import Covariate


class Part(Solo):
    """One of several workers that never have to talk."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world


def make(task: Task, objective: Objective, size: int, part: Solo, augment: bool = True) -> Batches:
    stage = Stage(
        name="s", objective=objective, epochs=2, batch_size=size, lr=1.0, loss=torch.nn.L1Loss()
    )
    data = TrialData(task, torch.device("cpu"))
    return Batches(stage, data, key=(0, 0), augment=augment, collective=part)


@pytest.mark.parametrize("size", [1, 7, 16, 50])
def test_an_epoch_holds_every_sample_once_in_batches_of_nearly_one_size(
    task: Task, size: int
) -> None:
    batches = make(task, "regression", size, Solo())
    members = [batch.members for batch in batches.epoch(0)]
    fit = TrialData(task, torch.device("cpu")).fit
    assert sorted(np.concatenate(members)) == fit.tolist()
    sizes = {len(m) for m in members}
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    assert len(members) == batches.steps


def test_epochs_differ_and_repeat_themselves(task: Task) -> None:
    def first(epoch: int) -> tuple[list[int], torch.Tensor]:
        batch = next(make(task, "contrastive", 16, Solo()).epoch(epoch))
        return batch.members.tolist(), batch.images

    assert first(0)[0] == first(0)[0] != first(1)[0]
    assert torch.equal(first(0)[1], first(0)[1])


@pytest.mark.parametrize("objective", ["contrastive", "regression"])
def test_the_parts_of_the_workers_are_the_batch_of_one(task: Task, objective: Objective) -> None:
    whole = next(make(task, objective, 16, Solo()).epoch(1))
    parts = [next(make(task, objective, 16, Part(r, 3)).epoch(1)) for r in range(3)]
    torch.testing.assert_close(torch.cat([p.images for p in parts]), whole.images)
    torch.testing.assert_close(torch.cat([p.covariates for p in parts]), whole.covariates)
    assert {p.generator.initial_seed() for p in parts} == {whole.generator.initial_seed()}
    after = {float(torch.rand((), generator=p.generator)) for p in (*parts, whole)}
    assert len(after) == 1


def test_two_views_of_an_image_are_neighbours_and_differ(task: Task) -> None:
    plain = next(make(task, "contrastive", 8, Solo(), augment=False).epoch(0))
    assert torch.equal(plain.images[0::2], plain.images[1::2])
    moved = next(make(task, "contrastive", 8, Solo()).epoch(0))
    assert not torch.equal(moved.images[0], moved.images[1])
    assert moved.images.shape == (2 * len(moved.members), 1, 24, 32)


def test_a_zoom_changes_the_pixel_size_so_that_lengths_stay(task: Task) -> None:
    data = TrialData(task, torch.device("cpu"))
    matrix = torch.tensor([[[0.0, -0.8], [0.8, 0.0]], [[1.25, 0.0], [0.0, -1.25]]])
    zoom = zooms({"matrix": matrix})
    torch.testing.assert_close(zoom, torch.tensor([1 / 0.8, 0.8]))
    logged = torch.tensor([[2.0], [2.0]]).log()
    after = logged + pixel_change(data.card, logged, zoom)
    torch.testing.assert_close(after.exp()[:, 0] * zoom, torch.tensor([2.0, 2.0]))
    plain = dataclasses.replace(
        data.card, covariates=(Covariate(name="size", per_pixel=True), Covariate(name="age"))
    )
    values = torch.tensor([[2.0, 40.0], [2.0, 40.0]])
    after = values + pixel_change(plain, values, zoom)
    torch.testing.assert_close(after[:, 0] * zoom, torch.tensor([2.0, 2.0]))
    assert after[:, 1].tolist() == [40.0, 40.0]


def test_covariates_of_a_batch_follow_its_zoom(task: Task) -> None:
    moved = next(make(task, "contrastive", 8, Solo()).epoch(0))
    still = next(make(task, "contrastive", 8, Solo(), augment=False).epoch(0))
    spread = TrialData(task, torch.device("cpu")).covariate_scale.std[0]
    change = (moved.covariates - still.covariates).abs() * spread
    assert 0 < change.max() <= np.log(1.1) + 1e-5


@pytest.mark.parametrize(("count", "world"), [(7, 3), (2, 4), (0, 2), (12, 4)])
def test_shares_are_contiguous_and_even(count: int, world: int) -> None:
    rows = [list(range(count))[share(count, rank, world)] for rank in range(world)]
    assert [row for part in rows for row in part] == list(range(count))
    assert tuple(map(len, rows)) == shares(count, world)
    assert max(map(len, rows)) - min(map(len, rows)) <= 1
