"""No batch of one image where it is normalised over the batch, or contrasted."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from supremix._errors import BatchTooLargeError, ConfigError
from supremix.models import EncoderSpec
from supremix.training import Task, TrialRun, preflight
from supremix.training.distributed.collective import shares
from supremix.training.length import steps_of


class OwnEncoder(nn.Sequential):
    """An encoder of the user's own, with or without batch normalisation."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(2), nn.Flatten(), norm)


def with_norm(dims: int, channels: int) -> nn.Module:
    return OwnEncoder(nn.BatchNorm1d(4 * channels))


def without_norm(dims: int, channels: int) -> nn.Module:
    return OwnEncoder(nn.Identity())


def of(task: Task, **encoder: object) -> Task:
    return dataclasses.replace(task, encoder=EncoderSpec(**{"width": 4, **encoder}))


@pytest.mark.parametrize("encoder", [{}, {"name": "densenet"}, {"builder": with_norm}])
def test_batches_of_one_are_refused_under_batch_normalisation(
    task: Task, encoder: dict[str, object]
) -> None:
    message = r"nothing to normalise over .* batch_size of at least 2, .*--norm group"
    with pytest.raises(ConfigError, match=message):
        preflight(of(task, **encoder), {"batch_size": 1})
    with pytest.raises(ConfigError, match=message):
        TrialRun(of(task, **encoder), {"batch_size": 1})


@pytest.mark.parametrize("encoder", [{"norm": "group"}, {"builder": without_norm}])
def test_batches_of_one_are_trained_on_under_others(task: Task, encoder: dict[str, object]) -> None:
    run = TrialRun(of(dataclasses.replace(task, epochs=1), **encoder), {"batch_size": 1})
    assert run.advance()["epoch"] == 1


def test_one_image_is_not_contrasted(task: Task) -> None:
    other = dataclasses.replace(of(task, norm="group"), method="supcon")
    with pytest.raises(ConfigError, match="contrast a batch of one image with nothing"):
        preflight(other, {"batch_size": 1})


def test_several_workers_need_an_image_each(task: Task) -> None:
    with pytest.raises(BatchTooLargeError, match="3 workers share batches of 2 images"):
        preflight(task, {"batch_size": 2}, workers=3)
    with pytest.raises(ConfigError, match="nothing to normalise over"):
        preflight(task, {"batch_size": 1}, workers=3)


def test_no_rest_of_one_image_is_left() -> None:
    for samples in range(2, 70):
        for size in range(2, samples + 1):
            sizes = shares(samples, steps_of(samples, size))
            assert sum(sizes) == samples
            assert min(sizes) >= 2
            assert max(sizes) <= size + (size == 2 and samples % 2)
        assert steps_of(samples, 1) == samples


def test_an_odd_number_of_images_is_trained_in_batches_of_two(task: Task) -> None:
    from supremix.training.data.trial_data import TrialData

    count = len(TrialData(task, torch.device("cpu")).fit)
    odd = dataclasses.replace(task, epochs=1, label_fraction=1 - (count % 2 == 0) / count)
    run = TrialRun(odd, {"batch_size": 2})
    assert run.advance()["epoch"] == 1
