"""The networks of MONAI that an encoder can be, by name.

MONAI is imported only when one of them is built: its import takes seconds.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from supremix._choices import ENCODER_FAMILIES
from supremix._errors import ModelError


@dataclass(frozen=True, kw_only=True, slots=True)
class _Size:
    """What differs between two networks of one name; see `build_network`."""

    depth: int | tuple[int, ...]
    width: int
    shortcut: str
    spatial_dims: int
    channels: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedNetwork:
    """A network, or a family of them by its smallest one.

    Attributes:
        family: Its family.
        is_family: Whether it stands for the family.
        build: Builds it of itself and a `_Size`.
        width: Channels after the stem.
        blocks: Blocks of each stage (resnet, densenet).
        bottleneck: Whether a ResNet's blocks are bottlenecks.
        scale: Of an EfficientNet, by how much it is wider and deeper than B0.
    """

    family: str
    build: Callable[[NamedNetwork, _Size], nn.Module]
    width: int
    is_family: bool = False
    blocks: tuple[int, ...] = ()
    bottleneck: bool = False
    scale: tuple[float, float] = (1.0, 1.0)


class _SubsampledShortcut(nn.Module):
    """Every second pixel, with zeros for the channels that are added (He 2016, option A).

    MONAI's own cuts the gradient.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, *shape) -> (B, channels, *smaller)."""
        axes = maps.ndim - 2
        kept = maps[(..., *[slice(None, None, self.stride)] * axes)]
        return functional.pad(kept, (0, 0) * axes + (0, self.channels - kept.shape[1]))


def _resnet(network: NamedNetwork, size: _Size) -> nn.Module:
    """He 2016, a 7-wide stem of stride 2, widths w, 2w, 4w, 8w, four times that of bottlenecks."""
    nets: Any = importlib.import_module("monai.networks.nets.resnet")
    net = nets.ResNet(
        block="bottleneck" if network.bottleneck else "basic",
        layers=_blocks(network, size.depth),
        block_inplanes=[size.width * 2**stage for stage in range(4)],
        spatial_dims=size.spatial_dims,
        n_input_channels=size.channels,
        conv1_t_size=7,
        conv1_t_stride=2,
        feed_forward=False,
        shortcut_type=size.shortcut,
    )
    if size.shortcut == "A":
        expansion = 4 if network.bottleneck else 1
        for stage in range(4):
            first = net.get_submodule(f"layer{stage + 1}")[0]
            if first.downsample is not None:
                width = size.width * 2**stage * expansion
                first.downsample = _SubsampledShortcut(width, first.stride)
    return net


def _densenet(network: NamedNetwork, size: _Size) -> nn.Module:
    """Huang 2017; the growth rate is half the width, as in DenseNet-121 (width 64, growth 32)."""
    nets: Any = importlib.import_module("monai.networks.nets.densenet")
    net = nets.DenseNet(
        spatial_dims=size.spatial_dims,
        in_channels=size.channels,
        out_channels=1,
        init_features=size.width,
        growth_rate=max(size.width // 2, 1),
        block_config=_blocks(network, size.depth),
    )
    net.class_layers.out = nn.Identity()
    return net


def _efficientnet(network: NamedNetwork, size: _Size) -> nn.Module:
    """Tan 2019; B0 has width 32 and depth 1. Dropout is off: it would differ between workers."""
    if not isinstance(size.depth, int):
        raise ModelError(
            f"efficientnet takes one depth, a multiplier such as 1, found {size.depth!r}"
        )
    wider, deeper = network.scale
    # A family's width is measured against B0's, that of a network by name against its own.
    usual = 32 if network.is_family else network.width
    nets: Any = importlib.import_module("monai.networks.nets.efficientnet")
    net = nets.EfficientNet(
        _EFFICIENTNET_B0,
        spatial_dims=size.spatial_dims,
        in_channels=size.channels,
        num_classes=1,
        width_coefficient=wider * size.width / usual,
        depth_coefficient=deeper * size.depth,
        dropout_rate=0.0,
        drop_connect_rate=0.0,
    )
    net.set_submodule("_fc", nn.Identity())
    return net


_EFFICIENTNET_B0 = [
    "r1_k3_s11_e1_i32_o16_se0.25",
    "r2_k3_s22_e6_i16_o24_se0.25",
    "r2_k5_s22_e6_i24_o40_se0.25",
    "r3_k3_s22_e6_i40_o80_se0.25",
    "r3_k5_s11_e6_i80_o112_se0.25",
    "r4_k5_s22_e6_i112_o192_se0.25",
    "r1_k3_s11_e6_i192_o320_se0.25",
]
FAMILY_WIDTH = 16
_RESNETS: dict[str, tuple[tuple[int, ...], bool]] = {
    "resnet10": ((1, 1, 1, 1), False),
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
    "resnet152": ((3, 8, 36, 3), True),
    "resnet200": ((3, 24, 36, 3), True),
}
_DENSENETS: dict[str, tuple[int, ...]] = {
    "densenet121": (6, 12, 24, 16),
    "densenet169": (6, 12, 32, 32),
    "densenet201": (6, 12, 48, 32),
}
_EFFICIENTNETS: dict[str, tuple[int, tuple[float, float]]] = {
    "efficientnet-b0": (32, (1.0, 1.0)),
    "efficientnet-b1": (32, (1.0, 1.1)),
    "efficientnet-b2": (32, (1.1, 1.2)),
    "efficientnet-b3": (40, (1.2, 1.4)),
    "efficientnet-b4": (48, (1.4, 1.8)),
    "efficientnet-b5": (48, (1.6, 2.2)),
    "efficientnet-b6": (56, (1.8, 2.6)),
    "efficientnet-b7": (64, (2.0, 3.1)),
}
_MAKERS: dict[str, Callable[[NamedNetwork, _Size], nn.Module]] = dict(
    zip(ENCODER_FAMILIES, (_resnet, _densenet, _efficientnet), strict=True)
)


def _network(family: str, *, width: int = 64, **more: Any) -> NamedNetwork:
    return NamedNetwork(family=family, build=_MAKERS[family], width=width, **more)


_SMALLEST = {"resnet": (1, 1, 1, 1), "densenet": (3, 6, 12, 8), "efficientnet": ()}
NETWORKS: dict[str, NamedNetwork] = {
    **{f: _network(f, width=FAMILY_WIDTH, blocks=b, is_family=True) for f, b in _SMALLEST.items()},
    **{n: _network("resnet", blocks=b, bottleneck=k) for n, (b, k) in _RESNETS.items()},
    **{n: _network("densenet", blocks=b) for n, b in _DENSENETS.items()},
    **{n: _network("efficientnet", width=w, scale=s) for n, (w, s) in _EFFICIENTNETS.items()},
}


def usual_name(blocks: Sequence[int], *, bottleneck: bool | None = None) -> str | None:
    """The name of the network with so many blocks in its stages; None where there is none.

    Args:
        blocks: Blocks of each stage.
        bottleneck: Whether they are bottlenecks of a ResNet; None for a DenseNet's.
    """
    wanted = tuple(blocks)
    known: dict[str, Any] = _DENSENETS if bottleneck is None else _RESNETS
    value = wanted if bottleneck is None else (wanted, bottleneck)
    return next((name for name, found in known.items() if found == value), None)


def _blocks(network: NamedNetwork, depth: int | tuple[int, ...]) -> list[int]:
    base = network.blocks
    if isinstance(depth, int):
        return [blocks * depth for blocks in base]
    if len(depth) != len(base):
        raise ModelError(
            f"{network.family} has {len(base)} stages, so depth is one number or {len(base)} of "
            f"them, found {depth!r}"
        )
    return list(depth)


def build_network(name: str, **size: Any) -> nn.Module:
    """A freshly initialised network, images (B, channels, *shape) -> features (B, F).

    Args:
        name: A name of `NETWORKS`.
        size: depth, width and shortcut of an `EncoderSpec`; spatial_dims and channels of the
            images.

    Raises:
        ModelError: The depth has a form that the family does not take.
    """
    network = NETWORKS[name]
    return network.build(network, _Size(**size))
