"""Exchanging the normalisation of a network that was built with batch normalisation."""

from __future__ import annotations

from torch import nn

_CHANNELS_PER_GROUP = 8

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def replace_norms(module: nn.Module, norm: str) -> nn.Module:
    """Replace every batch normalisation inside `module`, in place, by the named one.

    MONAI's networks take a `norm` argument, but its ResNet does not hand it down to its blocks;
    replacing afterwards treats every family alike. "instance" is a group normalisation of one
    channel a group; where an encoder shrinks its maps to one pixel nothing is left of them.

    Args:
        module: a network; returned, for chaining.
        norm: "batch" (nothing changes), "group" or "instance".
    """
    if norm == "batch":
        return module
    for name, child in list(module.named_children()):
        if isinstance(child, BatchNorm):
            channels = child.num_features
            groups = channels if norm == "instance" else _groups(channels)
            setattr(module, name, nn.GroupNorm(groups, channels))
        else:
            replace_norms(child, norm)
    return module


def _groups(channels: int) -> int:
    """The largest number of equal groups with at least 8 channels each."""
    most = max(channels // _CHANNELS_PER_GROUP, 1)
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)
