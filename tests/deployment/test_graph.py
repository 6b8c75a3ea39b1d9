"""The exported graph: every family of encoders, in two and three dimensions."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from supremix.deployment.program import (
    exported_program,
    onnx_bytes,
    onnx_runner,
    program_bytes,
    program_runner,
)
from supremix.errors import ModelError
from supremix.models import EncoderSpec, Network
from supremix.models.scaling import CovariateScale, TargetScale
from supremix.training.artifacts.graph import EnsembleGraph, PredictionGraph

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")

LOG = TargetScale(transform="log", mean=1.0, std=0.2)
COVARIATES = CovariateScale(mean=(1.0, 2.0), std=(1.0, 3.0))
NONE = CovariateScale(mean=(), std=())


def network(
    spec: EncoderSpec, shape: tuple[int, ...], covariates: int, bins: int | None
) -> Network:
    torch.manual_seed(0)
    made = Network(spec, channels=1, shape=shape, covariates=covariates, fusion="film", bins=bins)
    for parameter in made.head.parameters():
        nn.init.normal_(parameter, 0, 0.1)
    return made.eval()


def test_it_is_the_formula() -> None:
    made = network(EncoderSpec(width=4), (16, 16), 2, None)
    graph = PredictionGraph(made, LOG, COVARIATES, (0, 1))
    images, known = torch.rand(3, 1, 16, 16), torch.rand(3, 2)
    scaled = (known - torch.tensor([1.0, 2.0])) / torch.tensor([1.0, 3.0])
    views = [
        made.regress(images.flip([2 + a for a in axes]) if axes else images, scaled)
        for size in range(3)
        for axes in itertools.combinations((0, 1), size)
    ]
    expected = LOG.restore(torch.stack(views).mean(0)).float()
    assert torch.allclose(graph(images, known), expected, rtol=1e-5)


def test_an_ensemble_is_the_mean_of_its_models() -> None:
    members = [
        PredictionGraph(network(EncoderSpec(width=width), (16, 16), 2, None), LOG, COVARIATES)
        for width in (4, 8)
    ]
    images, known = torch.rand(3, 1, 16, 16), torch.rand(3, 2)
    graph = EnsembleGraph(members)
    expected = torch.stack([one(images, known) for one in members]).mean(0)
    assert torch.allclose(graph(images, known), expected)
    assert (graph.covariates, graph.members) == (2, tuple(members))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "shape", "covariates", "bins"),
    [
        (EncoderSpec(name="resnet", width=4), (32, 24), 2, None),
        (EncoderSpec(name="densenet", width=8, depth=(1, 1, 1, 1), norm="group"), (32, 32), 0, 5),
        (EncoderSpec(name="efficientnet", width=8), (32, 32), 2, None),
        (EncoderSpec(name="resnet", width=4, norm="group"), (16, 24, 32), 0, None),
    ],
    ids=["resnet", "densenet", "efficientnet", "resnet-3d"],
)
def test_a_batch_of_another_size_is_predicted_as_by_the_graph(
    spec: EncoderSpec, shape: tuple[int, ...], covariates: int, bins: int | None
) -> None:
    scale = COVARIATES if covariates else NONE
    graph = PredictionGraph(network(spec, shape, covariates, bins), LOG, scale, (1,))
    images, known = torch.rand(3, 1, *shape), torch.rand(3, covariates)
    expected = graph(images, known).numpy()
    exported = exported_program(graph, images[:2], spec.name)
    found = program_runner(program_bytes(exported), covariates)(images, known)
    assert found == pytest.approx(expected, rel=1e-5)
    content = onnx_bytes(exported, graph, {"fact": "text"}, spec.name)
    assert onnx_runner(content, covariates)(images, known) == pytest.approx(expected, rel=1e-4)


class Branching(nn.Module):
    """An encoder that looks at its values, which no exported program can."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)) if images.mean().item() > 0.5 else images.amax((2, 3))


def test_an_encoder_that_cannot_be_exported_is_refused_by_name() -> None:
    def build(spatial_dims: int, channels: int) -> nn.Module:
        return Branching()

    made = network(EncoderSpec(name="mine", builder=build), (8, 8), 0, None)
    graph = PredictionGraph(made, LOG, NONE)
    with pytest.raises(ModelError, match="the encoder 'mine' cannot be exported"):
        exported_program(graph, torch.rand(2, 1, 8, 8), "mine")
