"""Explanation maps: against their formulas, and without a trace on the model."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from supremix.errors import ModelError
from supremix.explanation.maps import box_size, grad_cam, last_map_layer, occlusion
from supremix.models import EncoderSpec, Network
from supremix.models.scaling import CovariateScale, TargetScale
from supremix.training.artifacts.graph import EnsembleGraph, PredictionGraph

SCALE = TargetScale(transform="none", mean=50.0, std=10.0)
NONE = CovariateScale(mean=(), std=())
EMPTY = torch.zeros(1, 0)


class Pixels(nn.Module):
    """All pixels as features: with the head a linear model."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Convolution(nn.Module):
    """A map of two channels, its square, and the mean over space."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(1, 2, 3, padding=1, dtype=torch.float64)

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images).square().mean((2, 3)).to(images.dtype)


def graph_of(
    builder: type[nn.Module], shape: tuple[int, ...], flips: tuple[int, ...] = ()
) -> PredictionGraph:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    try:
        spec = EncoderSpec(name="own", builder=lambda axes, channels: builder())
        made = Network(spec, channels=1, shape=shape)
        nn.init.normal_(made.head.weight)
        return PredictionGraph(made, SCALE, NONE, flips)
    finally:
        torch.set_default_dtype(torch.float32)


def brute_force(graph: PredictionGraph, image: Tensor) -> Tensor:
    """The mean over all boxes that cover a point of the prediction minus that with the box."""
    shape, box = image.shape[2:], box_size(image.shape[2:])
    whole, total, count = graph(image, EMPTY), torch.zeros(shape), torch.zeros(shape)
    starts: list[list[int]] = []
    for size, side in zip(shape, box, strict=True):
        number = math.ceil((size - side) / (side // 2)) + 1
        starts.append([min(k * (side // 2), size - side) for k in range(number)])
    for corner in itertools.product(*starts):
        index = tuple(slice(s, s + side) for s, side in zip(corner, box, strict=True))
        hidden = image.clone()
        hidden[(0, slice(None), *index)] = image.mean()
        total[index] += (whole - graph(hidden, EMPTY)).item()
        count[index] += 1
    return total / count


@pytest.mark.parametrize(("shape", "flips"), [((16, 24), (1,)), ((8, 12, 8), ())])
def test_occlusion_of_a_linear_model_is_brute_force(
    shape: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    graph, image = graph_of(Pixels, shape, flips), torch.rand(1, 1, *shape, dtype=torch.float64)
    found = occlusion(graph, image, EMPTY)
    assert found.shape == shape
    assert torch.allclose(found.float(), brute_force(graph, image).float(), atol=1e-4)


def test_what_has_no_weight_changes_nothing() -> None:
    graph, image = graph_of(Pixels, (32, 32)), torch.rand(1, 1, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        graph.network.head.weight.view(32, 32)[:16] = 0
    found = occlusion(graph, image, EMPTY)
    assert found[:14].abs().max() < 1e-9
    assert found[18:].abs().max() > 1e-3


def test_grad_cam_is_its_formula() -> None:
    graph = graph_of(Convolution, (8, 8), (1,))
    image = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    convolution, weights = graph.network.encoder.maps, graph.network.head.weight[0]
    maps: list[Tensor] = []
    for view in (image, image.flip(3)):
        activation = convolution(view)[0]
        # The prediction is std * sum of weights * mean of squares: its gradient by hand.
        gradient = 10.0 * weights[:, None, None] * 2 * activation / 64
        found = (gradient.mean((1, 2))[:, None, None] * activation).sum(0).clamp(min=0)
        maps.append(found if view is image else found.flip(1))
    found, layer = grad_cam(graph, image, EMPTY)
    assert layer == "maps"
    assert torch.allclose(found.double(), torch.stack(maps).mean(0), rtol=1e-6)


@pytest.mark.parametrize(
    ("spec", "shape", "layer"),
    [
        (EncoderSpec(name="resnet", width=4), (128, 128), "layer4"),
        (EncoderSpec(name="resnet", width=4), (64, 64), "layer3"),
        (EncoderSpec(name="resnet", width=4), (64, 64, 64), "layer3"),
        (
            EncoderSpec(name="densenet", width=8, depth=(1, 1, 1, 1)),
            (128, 128),
            "class_layers.relu",
        ),
        (EncoderSpec(name="efficientnet", width=8), (128, 128), "_bn1"),
    ],
    ids=["resnet", "resnet-small", "resnet-3d", "densenet", "efficientnet"],
)
def test_the_layer_is_the_last_that_is_fine_enough(
    spec: EncoderSpec, shape: tuple[int, ...], layer: str
) -> None:
    made = Network(spec, channels=1, shape=shape)
    nn.init.normal_(made.head.weight)
    graph, image = PredictionGraph(made, SCALE, NONE, (1,)), torch.rand(1, 1, *shape)
    assert last_map_layer(graph, image) == layer
    before = {name: value.clone() for name, value in graph.state_dict().items()}
    first, second = grad_cam(graph, image, EMPTY)[0], grad_cam(graph, image, EMPTY)[0]
    assert first.shape == shape
    assert torch.equal(first, second)
    assert first.min() >= 0
    assert not graph.training
    assert all(torch.equal(before[name], value) for name, value in graph.state_dict().items())
    assert all(one.grad is None and not one.requires_grad for one in graph.parameters())
    assert not any(one._forward_hooks or one._backward_hooks for one in graph.modules())


def test_the_map_of_an_ensemble_is_the_mean_of_its_models() -> None:
    first, second = (graph_of(Convolution, (8, 8), flips) for flips in ((), (1,)))
    image = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    expected = (grad_cam(first, image, EMPTY)[0] + grad_cam(second, image, EMPTY)[0]) / 2
    found, _ = grad_cam(EnsembleGraph([first, second]), image, EMPTY)
    assert torch.allclose(found, expected)


def test_without_maps_there_is_no_grad_cam() -> None:
    graph = graph_of(Pixels, (8, 8))
    with pytest.raises(ModelError, match="--explain occlusion"):
        grad_cam(graph, torch.rand(1, 1, 8, 8), EMPTY)
