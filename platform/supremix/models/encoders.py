"""Encoders: images (B, C, *shape) to features (B, F), from MONAI by name or from a user's builder.

An encoder is described by an `EncoderSpec`, a small picklable value, and built where it is needed
(in the worker). MONAI is imported only when one of its networks is asked for: its import takes
seconds and a user's own builder needs none of it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from supremix._choices import ENCODERS, NORMS
from supremix._errors import ModelError, unknown_name
from supremix.models.norms import replace_norms

EncoderBuilder = Callable[[int, int], nn.Module]
"""builder(spatial_dims, channels) -> a module that maps (B, C, *shape) to (B, F)."""


class UnknownEncoderError(ModelError):
    """An encoder, or a normalisation, of a name that does not exist."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderSpec:
    """Which encoder to build, and how large.

    Args:
        name: one of `encoder_names()`; only a label when `builder` is given.
        depth: a multiplier of the family's smallest usual depth (1 gives ResNet-10, half a
            DenseNet-121, EfficientNet-B0; 2 gives ResNet-18, DenseNet-121), or the number of
            blocks of each stage (resnet, densenet).
        width: channels after the stem; later stages grow from it as the family prescribes.
        norm: "batch", "group" (8 channels or more a group) or "instance".
        builder: a callable of the user's own that takes (spatial_dims, channels); it must be
            picklable (defined in a module), and overrides `name`, `depth` and `width`.
    """

    name: str = "resnet"
    depth: int | tuple[int, ...] = 1
    width: int = 16
    norm: str = "batch"
    builder: EncoderBuilder | None = None

    def __post_init__(self) -> None:
        if self.builder is None and self.name not in _FAMILIES:
            raise UnknownEncoderError(unknown_name("encoder", self.name, encoder_names()))
        if self.norm not in NORMS:
            raise UnknownEncoderError(unknown_name("norm", self.norm, NORMS))
        depths = (self.depth,) if isinstance(self.depth, int) else tuple(self.depth)
        if not depths or min(depths) < 1 or self.width < 1:
            raise ModelError(
                "an encoder's depth and width must be positive whole numbers, found "
                f"depth={self.depth!r}, width={self.width!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a builder is code and is left out, its place marked."""
        plain = asdict(self)
        plain["builder"] = None if self.builder is None else getattr(self.builder, "__name__", "?")
        return plain

    @classmethod
    def from_dict(
        cls, plain: dict[str, Any], *, builder: EncoderBuilder | None = None
    ) -> EncoderSpec:
        """The inverse of `to_dict`; the builder, which is code, has to be handed in."""
        named = plain.get("builder")
        if named is not None and builder is None:
            raise ModelError(
                f"this encoder was built by a callable named {named!r}, which a file does not "
                "hold; pass the same callable as builder="
            )
        depth = plain["depth"]
        return cls(
            name=plain["name"],
            depth=depth if isinstance(depth, int) else tuple(depth),
            width=plain["width"],
            norm=plain["norm"],
            builder=builder,
        )


def encoder_names() -> tuple[str, ...]:
    """The names `EncoderSpec` knows."""
    return tuple(sorted(_FAMILIES))


def import_encoders() -> None:
    """Import the networks of MONAI.

    The import leaves frames behind that are never freed, with all that is local to their callers.
    So a process that frees its trainings imports before the first of them.
    """
    for name in ENCODERS:
        importlib.import_module(f"monai.networks.nets.{name}")


def build_encoder(spec: EncoderSpec, spatial_dims: int, channels: int) -> nn.Module:
    """A freshly initialised encoder, images (B, channels, *shape) -> features (B, F).

    Weights are drawn from torch's global generator: seed it, or fork it, around the call.

    Raises:
        ModelError: a depth of a form that the family does not take.
        ModelError: the user's builder returned something that is no `nn.Module`.
    """
    if spec.builder is not None:
        # What it is declared to return and what it returns may differ: it is the user's.
        module: Any = spec.builder(spatial_dims, channels)
        if not isinstance(module, nn.Module):
            raise ModelError(
                "the encoder's builder must return a torch.nn.Module that maps images to "
                f"features (B, F), it returned {type(module).__name__}"
            )
        return module
    return replace_norms(_FAMILIES[spec.name](spec, spatial_dims, channels), spec.norm)


def feature_width(encoder: nn.Module, channels: int, shape: Sequence[int]) -> int:
    """F, found by a dry run on one blank image of the given spatial shape."""
    was_training = encoder.training
    encoder.eval()
    with torch.no_grad():
        features: torch.Tensor = encoder(torch.zeros(1, channels, *shape))
    encoder.train(was_training)
    if features.ndim != 2:
        raise ModelError(
            f"an encoder must return features of shape (B, F), this one returned "
            f"{tuple(features.shape)} for one image; flatten or pool its output"
        )
    return int(features.shape[1])


def _resnet(spec: EncoderSpec, spatial_dims: int, channels: int) -> nn.Module:
    """He 2016, basic blocks, a 7-wide stem of stride 2, widths w, 2w, 4w, 8w."""
    nets: Any = importlib.import_module("monai.networks.nets.resnet")
    return nets.ResNet(
        block="basic",
        layers=_blocks(spec, (1, 1, 1, 1)),
        block_inplanes=[spec.width * 2**stage for stage in range(4)],
        spatial_dims=spatial_dims,
        n_input_channels=channels,
        conv1_t_size=7,
        conv1_t_stride=2,
        feed_forward=False,
    )


def _densenet(spec: EncoderSpec, spatial_dims: int, channels: int) -> nn.Module:
    """Huang 2017; the growth rate is half the width, as in DenseNet-121 (width 64, growth 32)."""
    nets: Any = importlib.import_module("monai.networks.nets.densenet")
    net = nets.DenseNet(
        spatial_dims=spatial_dims,
        in_channels=channels,
        out_channels=1,
        init_features=spec.width,
        growth_rate=max(spec.width // 2, 1),
        block_config=_blocks(spec, (3, 6, 12, 8)),
    )
    net.class_layers.out = nn.Identity()
    return net


def _efficientnet(spec: EncoderSpec, spatial_dims: int, channels: int) -> nn.Module:
    """Tan 2019; B0 has width 32 and depth 1. Dropout is off: it would differ between workers."""
    if not isinstance(spec.depth, int):
        raise ModelError(
            f"efficientnet takes one depth, a multiplier such as 1, found {spec.depth!r}"
        )
    nets: Any = importlib.import_module("monai.networks.nets.efficientnet")
    net = nets.EfficientNet(
        _EFFICIENTNET_B0,
        spatial_dims=spatial_dims,
        in_channels=channels,
        num_classes=1,
        width_coefficient=spec.width / 32,
        depth_coefficient=float(spec.depth),
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
_FAMILIES: dict[str, Callable[[EncoderSpec, int, int], nn.Module]] = dict(
    zip(ENCODERS, (_resnet, _densenet, _efficientnet), strict=True)
)


def _blocks(spec: EncoderSpec, base: tuple[int, ...]) -> list[int]:
    if isinstance(spec.depth, int):
        return [blocks * spec.depth for blocks in base]
    if len(spec.depth) != len(base):
        raise ModelError(
            f"{spec.name} has {len(base)} stages, so depth is one number or {len(base)} of them, "
            f"found {spec.depth!r}"
        )
    return list(spec.depth)
