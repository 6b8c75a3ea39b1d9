"""Exchanging the normalisation of a network that was built with batch normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import (
    _BatchNorm,  # pyright: ignore[reportPrivateUsage]
    _NormBase,  # pyright: ignore[reportPrivateUsage]
)

from supremix.models.normalising import group_norm

_CHANNELS_PER_GROUP = 8

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


class _Uncounted(_BatchNorm):
    """A batch normalisation that does not count its batches, which nothing asks for.

    The count costs a kernel a layer in every step on a GPU.
    """

    counts = False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name is torch's)
        """(B, C, ...) -> the same shape, normalised."""
        self._check_input_dim(input)
        return functional.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum or 0.0,
            self.eps,
        )


class BatchNorm1d(_Uncounted, nn.BatchNorm1d):
    """`nn.BatchNorm1d` without a count of batches."""


class BatchNorm2d(_Uncounted, nn.BatchNorm2d):
    """`nn.BatchNorm2d` without a count of batches."""


class BatchNorm3d(_Uncounted, nn.BatchNorm3d):
    """`nn.BatchNorm3d` without a count of batches."""


class GroupNorm(nn.GroupNorm):
    """`nn.GroupNorm` that stays in the type of its input under autocast, its statistics do not."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name is torch's)
        """(B, C, ...) -> the same shape and type, normalised."""
        if input.dtype not in (torch.float16, torch.bfloat16):
            return super().forward(input)
        return group_norm(input, self.weight, self.bias, self.num_groups, self.eps)


_UNCOUNTED: dict[type[nn.Module], type[_Uncounted]] = {
    nn.BatchNorm1d: BatchNorm1d,
    nn.BatchNorm2d: BatchNorm2d,
    nn.BatchNorm3d: BatchNorm3d,
}


def norms_of(module: nn.Module) -> list[nn.Module]:
    """The batch, instance, group and layer normalisations inside."""
    return [m for m in module.modules() if isinstance(m, _NormBase | nn.GroupNorm | nn.LayerNorm)]


def replace_norms(module: nn.Module, norm: str) -> nn.Module:
    """Replace every batch normalisation inside `module`, in place, by the named one.

    MONAI's networks take a `norm` argument, but its ResNet does not hand it down to its blocks;
    replacing afterwards treats every family alike. "instance" is a group normalisation of one
    channel a group; where an encoder shrinks its maps to one pixel nothing is left of them.

    Args:
        module: a network; returned, for chaining.
        norm: "batch", "group" or "instance".
    """
    for name, child in list(module.named_children()):
        if isinstance(child, BatchNorm):
            channels = child.num_features
            if norm == "batch":
                uncounted = _UNCOUNTED[type(child)](channels, child.eps, child.momentum)
                setattr(module, name, uncounted)
                continue
            groups = channels if norm == "instance" else _groups(channels)
            setattr(module, name, GroupNorm(groups, channels))
        else:
            replace_norms(child, norm)
    return module


def _groups(channels: int) -> int:
    """The largest number of equal groups with at least 8 channels each."""
    most = max(channels // _CHANNELS_PER_GROUP, 1)
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)
