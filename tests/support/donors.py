"""Networks of others with random weights, small, and the names that their files have."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from monai.networks.nets.densenet import DenseNet
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn

WIDTH = 8
RESNET_CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


def resnet(name: str = "resnet18", **changes: Any) -> nn.Module:
    """A ResNet with the names of torchvision's, whose shortcuts have no biases."""
    block, layers = {
        "resnet10": ("basic", [1, 1, 1, 1]),
        "resnet18": ("basic", [2, 2, 2, 2]),
        "resnet34": ("basic", [3, 4, 6, 3]),
        "resnet50": ("bottleneck", [3, 4, 6, 3]),
    }[name]
    values: dict[str, Any] = {
        "block": block, "layers": layers, "block_inplanes": [WIDTH * 2**i for i in range(4)],
        "spatial_dims": 2, "n_input_channels": 3, "conv1_t_stride": 2, "num_classes": 7,
        "bias_downsample": False,
    }  # fmt: skip
    return _used(ResNet(**(values | changes)))


def densenet121(**changes: Any) -> nn.Module:
    """A DenseNet-121; torchvision's names are those of `torchvision_names`."""
    values: dict[str, Any] = {
        "spatial_dims": 2, "in_channels": 3, "out_channels": 7, "init_features": WIDTH,
        "growth_rate": WIDTH // 2, "block_config": (6, 12, 24, 16),
    }  # fmt: skip
    return _used(DenseNet(**(values | changes)))


def features(donor: nn.Module, images: Tensor) -> Tensor:
    """What its last linear layer sees."""
    seen: list[Tensor] = []
    layers = [m for m in donor.modules() if isinstance(m, nn.Linear)]
    handle = layers[-1].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    with torch.no_grad():
        donor.eval()(images)
    handle.remove()
    return seen[0]


def _used(network: nn.Module) -> nn.Module:
    """The network with statistics and affine parameters as a training leaves them."""
    generator = torch.Generator().manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            for tensor, low in ((module.running_var, 0.5), (module.weight.data, 0.5)):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + low)
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.2 - 0.1)
            module.num_batches_tracked.fill_(9)
    return network


def renamed(state: dict[str, Tensor], rename: Callable[[str], str]) -> dict[str, Tensor]:
    """A state under other names."""
    return {rename(name): tensor for name, tensor in state.items()}


def torchvision_names(name: str) -> str:
    """The name of a DenseNet's tensor in torchvision; MONAI has one module more."""
    return name.replace(".layers.", ".").replace("class_layers.out", "classifier")


def old_torchvision_names(name: str) -> str:
    """The name in the files of torchvision, `norm.1` for `norm1`."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", torchvision_names(name))


def radimagenet_names(name: str) -> str:
    """The name in a ResNet that is a sequence of its children, without the last."""
    first, _, rest = name.partition(".")
    return f"backbone.{RESNET_CHILDREN.index(first)}.{rest}" if first != "fc" else f"head.{rest}"


def radimagenet_dense_names(name: str) -> str:
    """The name in a DenseNet that is a sequence of its features."""
    return torchvision_names(name).replace("features.", "backbone.0.", 1)
