"""An encoder of the user's own, in a module that can be imported by its name."""

from __future__ import annotations

from torch import nn


def build_flat(spatial_dims: int, channels: int) -> nn.Module:
    """A linear layer on all pixels."""
    return nn.Sequential(nn.Flatten(1), nn.LazyLinear(5 * spatial_dims * channels))


class PooledMean(nn.Module):
    """One convolution, and the mean over the image; it is its own builder."""

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        kind = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        self.conv = kind(channels, 16, kernel_size=3, stride=2)

    def forward(self, images):  # type: ignore[no-untyped-def]
        """(B, C, *shape) -> (B, 16)."""
        return self.conv(images).relu().flatten(2).mean(2)


NOTHING = 3
