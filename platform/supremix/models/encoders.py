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

from supremix._choices import ENCODER_FAMILIES, NORMS, SHORTCUTS
from supremix._errors import ModelError, unknown_name
from supremix.models.networks import FAMILY_WIDTH, NETWORKS, build_network
from supremix.models.norms import replace_norms
from supremix.models.own_encoder import import_path, imported
from supremix_datasets.own_objects import takes

EncoderBuilder = Callable[[int, int], nn.Module]
"""builder(spatial_dims, channels) -> a module that maps (B, C, *shape) to (B, F)."""


class UnknownEncoderError(ModelError):
    """An encoder, or a normalisation, of a name that does not exist."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderSpec:
    """Which encoder to build, and how large.

    Args:
        name: one of `encoder_names()`: a family, or a network by its usual name (resnet50), whose
            depth is fixed; only a label when `builder` is given.
        depth: for a family, a multiplier of its smallest usual depth (1 gives ResNet-10, half a
            DenseNet-121, EfficientNet-B0; 2 gives ResNet-18, DenseNet-121), or the number of
            blocks of each stage (resnet, densenet).
        width: channels after the stem; later stages grow from it as the family prescribes. None
            gives 16 for a family, and the published width of a network by name.
        norm: "batch", "group" (8 channels or more a group) or "instance".
        shortcut: of a ResNet, where a stage changes the width: "B", a 1x1 convolution, or "A",
            subsampling and zeros, without parameters (He 2016), as in MedicalNet's resnet18 and
            resnet34.
        builder: a callable of the user's own that takes (spatial_dims, channels); it must be
            picklable (defined in a module), and overrides `name`, `depth` and `width`.
    """

    name: str = "resnet"
    depth: int | tuple[int, ...] = 1
    width: int | None = None
    norm: str = "batch"
    shortcut: str = "B"
    builder: EncoderBuilder | None = None

    def __post_init__(self) -> None:
        if self.builder is None and self.name not in NETWORKS:
            raise UnknownEncoderError(unknown_name("encoder", self.name, encoder_names()))
        if self.norm not in NORMS:
            raise UnknownEncoderError(unknown_name("norm", self.norm, NORMS))
        if self.shortcut not in SHORTCUTS:
            raise UnknownEncoderError(unknown_name("shortcut", self.shortcut, SHORTCUTS))
        if self.width is None:
            width = FAMILY_WIDTH if self.builder else NETWORKS[self.name].width
            object.__setattr__(self, "width", width)
        depths = (self.depth,) if isinstance(self.depth, int) else tuple(self.depth)
        if not depths or min(depths) < 1 or self.channels < 1:
            raise ModelError(
                "an encoder's depth and width must be positive whole numbers, found "
                f"depth={self.depth!r}, width={self.width!r}"
            )
        if self.builder is None:
            self._check_fits_name()

    def _check_fits_name(self) -> None:
        family = NETWORKS[self.name].family
        if self.name != family and self.depth != 1:
            raise ModelError(
                f"{self.name} has its depth in its name, found depth={self.depth!r} as well; leave "
                f"depth out, or take the family (encoder={family!r})"
            )
        if self.shortcut != "B" and family != "resnet":
            raise ModelError(
                f"only a ResNet has a shortcut to choose, found shortcut={self.shortcut!r} with "
                f"{self.name}; leave shortcut out"
            )

    @property
    def channels(self) -> int:
        """The width as a number."""
        return self.width or 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a builder is code, and stands there by its import path."""
        plain = asdict(self)
        plain["builder"] = None if self.builder is None else import_path(self.builder)
        return plain

    @classmethod
    def from_dict(
        cls, plain: dict[str, Any], *, builder: EncoderBuilder | None = None
    ) -> EncoderSpec:
        """The inverse of `to_dict`.

        Args:
            plain: What `to_dict` returned.
            builder: The builder of an encoder of the user's own; None imports it by its path.

        Raises:
            ModelError: It cannot be imported.
        """
        path = plain.get("builder")
        if path is not None and builder is None:
            builder = imported(path)
        depth = plain["depth"]
        return cls(
            name=plain["name"],
            depth=depth if isinstance(depth, int) else tuple(depth),
            width=plain["width"],
            norm=plain["norm"],
            shortcut=plain["shortcut"],
            builder=builder,
        )


def encoder_names() -> tuple[str, ...]:
    """The names `EncoderSpec` knows."""
    return tuple(sorted(NETWORKS))


def import_encoders() -> None:
    """Import the networks of MONAI.

    The import leaves frames behind that are never freed, with all that is local to their callers.
    So a process that frees its trainings imports before the first of them.
    """
    for name in ENCODER_FAMILIES:
        importlib.import_module(f"monai.networks.nets.{name}")


def build_encoder(spec: EncoderSpec, spatial_dims: int, channels: int) -> nn.Module:
    """A freshly initialised encoder, images (B, channels, *shape) -> features (B, F).

    Weights are drawn from torch's global generator: seed it, or fork it, around the call.

    Raises:
        ModelError: a depth of a form that the family does not take.
        ModelError: the user's builder returned something that is no `nn.Module`.
    """
    if spec.builder is not None:
        if not takes(spec.builder, spatial_dims, channels):
            raise ModelError(
                f"the encoder's builder {import_path(spec.builder)} has to take (spatial_dims, "
                "channels), two numbers by position, and no other without a default"
            )
        # What it is declared to return and what it returns may differ: it is the user's.
        module: Any = spec.builder(spatial_dims, channels)
        if not isinstance(module, nn.Module):
            raise ModelError(
                "the encoder's builder must return a torch.nn.Module that maps images to "
                f"features (B, F), it returned {type(module).__name__}"
            )
        return module
    network = build_network(
        spec.name,
        depth=spec.depth,
        width=spec.channels,
        shortcut=spec.shortcut,
        spatial_dims=spatial_dims,
        channels=channels,
    )
    return replace_norms(network, spec.norm)


def feature_width(encoder: nn.Module, channels: int, shape: Sequence[int]) -> int:
    """F, found by a dry run on two blank images of the given spatial shape.

    Raises:
        ModelError: The encoder cannot take such images, or gives no features (B, F).
    """
    was_training = encoder.training
    encoder.eval()
    images = torch.zeros(2, channels, *shape)
    try:
        with torch.no_grad():
            features: Any = encoder(images)
    except (RuntimeError, TypeError, ValueError) as error:  # of the user's own or of its layers
        raise ModelError(
            f"the encoder cannot take images of shape {tuple(images.shape)} (B, C, *shape): {error}"
        ) from error
    encoder.train(was_training)
    tensor = isinstance(features, torch.Tensor)
    if not tensor or features.ndim != 2 or len(features) != 2 or not features.is_floating_point():
        found = f"{features.dtype} {tuple(features.shape)}" if tensor else type(features).__name__
        raise ModelError(
            f"an encoder must return floating features of shape (B, F), this one returned {found} "
            "for two images; flatten or pool its output"
        )
    return int(features.shape[1])
