"""Losses and encoders of the user's own are tried before anything is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from page_code import PAGE, paste
from torch import Tensor, nn

from supremix.errors import ModelError
from supremix.methods.registry import get_method
from supremix.models import EncoderSpec
from supremix.training import (
    ConfigError,
    EndToEnd,
    EndToEndConfig,
    Method,
    Task,
    TwoStage,
    TwoStageConfig,
    UnknownMethodError,
    preflight,
)

Loss = Callable[..., Any]


def contrasted_by(found: Loss) -> Method:
    @dataclass(frozen=True, kw_only=True)
    class Config(TwoStageConfig):
        def loss(self, card: Any) -> Loss:
            return found

    return TwoStage(name="own", config=Config)


def regressed_by(found: Loss) -> Method:
    @dataclass(frozen=True, kw_only=True)
    class Config(EndToEndConfig):
        def objective(self, card: Any) -> Loss:
            return found

    return EndToEnd(name="own", config=Config)


def contrast(change: Callable[[Tensor], Any]) -> Loss:
    def loss(embeddings: Tensor, labels: Tensor, *, generator: Any, anchors: slice) -> Any:
        return change(embeddings[anchors].square().mean(1))

    return loss


def ask(task: Task, method: Method, workers: int = 1) -> int:
    asked = dataclasses.replace(task, method=method, epochs=2)
    return preflight(asked, {"batch_size": 4}, workers=workers)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (contrast(lambda v: v), r"one finite number.*found a tensor of shape \(16,\)"),
        (contrast(lambda v: v.sum() * torch.nan), r"one finite number.*found nan"),
        (contrast(lambda v: v.sum().detach()), "with a gradient, found no gradient"),
        (contrast(lambda v: 3.0), "found float"),
        (contrast(lambda v: v @ torch.ones(3)), "failed on 8 images: RuntimeError"),
        (lambda z, labels: z.sum(), r"called as loss\(embeddings, labels, \*, generator, anchors"),
    ],
)
def test_a_contrastive_loss_that_gives_something_else_is_refused(
    task: Task, loss: Loss, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ask(task, contrasted_by(loss))


def test_parts_of_several_workers_have_to_add_up(task: Task) -> None:
    mean, total = contrasted_by(contrast(Tensor.mean)), contrasted_by(contrast(Tensor.sum))
    assert ask(task, mean) == ask(task, total, workers=2) > 0
    with pytest.raises(ConfigError, match=r"anchors of 2 workers have to add up.*number of all"):
        ask(task, mean, workers=2)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda p, t: (p - t).abs().mean(), r"a finite number a sample, found .* shape \(\)"),
        (lambda p, t: (p - t) * torch.nan, r"a finite number a sample, found \[nan"),
        (lambda p: p, r"called as loss\(predictions, targets\)"),
    ],
)
def test_a_loss_of_predictions_that_gives_something_else_is_refused(
    task: Task, loss: Loss, message: str
) -> None:
    assert ask(task, regressed_by(lambda p, t: (p - t).square())) > 0
    with pytest.raises(ConfigError, match=message):
        ask(task, regressed_by(loss))


class Gives(nn.Module):
    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()

    def forward(self, images: Tensor) -> Any:
        return images


def gives(change: Callable[[Tensor], Any]) -> type[nn.Module]:
    return type("Own", (Gives,), {"forward": lambda _, images: change(images)})


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (gives(lambda x: x), r"shape \(B, F\), this one returned .* \(2, 1, 24, 32\)"),
        (gives(lambda x: x.flatten()), r"\(B, F\), this one returned"),
        (gives(lambda x: x.flatten(1).mean(0, keepdim=True)), r"\(1, 768\) for two images"),
        (gives(lambda x: (x.flatten(1),)), "returned tuple"),
        (gives(lambda x: x.flatten(1).long()), r"returned torch.int64 \(2, 768\)"),
        (gives(lambda x: x @ torch.ones(3)), r"cannot take images of shape \(2, 1, 24, 32\)"),
        (lambda: Gives(2, 1), r"has to take \(spatial_dims, channels\)"),
        (lambda dims, channels: None, r"must return a torch.nn.Module.*NoneType"),
    ],
)
def test_an_encoder_that_gives_no_features_is_refused(
    task: Task, builder: Any, message: str
) -> None:
    asked = dataclasses.replace(task, encoder=EncoderSpec(builder=builder), method="l1")
    with pytest.raises(ModelError, match=message):
        preflight(asked, {"batch_size": 4})


def test_the_loss_of_the_page_is_the_same_on_one_worker_and_on_several(
    task: Task, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paste(PAGE, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    method = get_method("pairs:METHOD")
    assert ask(task, method, workers=1) == ask(task, method, workers=2)
    with pytest.raises(UnknownMethodError, match=r"no method 'pairs:NO'.*no attribute 'NO'"):
        get_method("pairs:NO")
    with pytest.raises(UnknownMethodError, match=r"a method object needs a name.*found type"):
        get_method("pairs:PairLoss")
