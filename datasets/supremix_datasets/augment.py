"""Augmentation of whole batches on the training device: drawn apart from applied.

What is drawn are a few numbers per image, on the CPU and from one generator, so that they are the
same on every rank and on every device; the rows of the draw are the images' own parameters.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement

import torch
import torch.nn.functional as F
from torch import Tensor

from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.card import FOREGROUND_LEVEL, FULL_SCALE, Card
from supremix_datasets.errors import CardError

PIECE = 64 << 20
"""Bytes of images that are augmented at once: what lies between two steps stays small."""

POOL = 1 << 20
POOL_SEED = 20_230_916


class Augmenter:
    """Applies one policy to batches of images of one shape.

    Shapes: n images, C channels, ``shape`` with d = 2 or 3 axes.

    Args:
        augmentation: Strengths of the augmentation.
        shape: Spatial shape of the images.
        fill: Value of the model's input outside an image.
        white: Distance of full scale from ``fill`` in the model's input; grey curve and noise are
            relative to it. ``> 0``.

    Raises:
        CardError: an axis to flip is not one of the shape, or ``white`` is not positive.
    """

    def __init__(
        self,
        augmentation: Augmentation,
        shape: tuple[int, ...],
        *,
        fill: float = 0.0,
        white: float = 1.0,
    ) -> None:
        if len(shape) not in (2, 3) or any(a >= len(shape) for a in augmentation.flip_axes):
            raise CardError(
                f"augmentation needs images with 2 or 3 axes and flips among them; found shape "
                f"{tuple(shape)}, flip_axes {augmentation.flip_axes}"
            )
        if not white > 0:
            raise CardError(f"white must be positive, found {white}")
        self.policy = augmentation
        self.shape = tuple(shape)
        self.fill = float(fill)
        self.white = float(white)
        self._kept: dict[tuple[str, torch.device], Tensor] = {}

    @classmethod
    def of(cls, card: Card) -> Augmenter:
        """The augmenter of a card, for images ``(stored - offset) * gain``.

        The frames of a clip are moved and lit as one: the augmenter is that of its frames.
        """
        levels = FOREGROUND_LEVEL if card.intensity == "foreground" else FULL_SCALE
        full = 255.0 if card.intensity == "stored" else levels[card.dtype]
        policy = card.augmentation
        if card.period is not None:
            flips = tuple(axis - 1 for axis in policy.flip_axes)
            policy = dataclasses.replace(policy, flip_axes=flips)
        return cls(
            policy,
            card.frame_shape,
            fill=(card.fill - card.offset) * card.gain,
            white=full * abs(card.gain),
        )

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the parameters of n images.

        Always draws the same count of numbers, no matter what is switched on.

        Args:
            n: Number of images that are drawn for.
            generator: A CPU generator.

        Returns:
            CPU tensors with leading n: ``matrix`` (n, d, d) and ``shift`` (n, d) from output to
            input pixels about the centre, ``gain``, ``gamma`` (n,), ``bias`` (n, B) and
            ``start`` (n, 2), offsets into the pool of noise.
        """
        policy, d = self.policy, len(self.shape)
        turns = 1 if d == 2 else 3
        uniform = torch.rand(n, turns + 2 * d + 3, generator=generator)
        span = uniform * 2 - 1
        bias = torch.randn(n, len(self._monomials()), generator=generator) * policy.bias_field
        start = torch.randint(0, POOL, (n, 2), generator=generator)
        angles = span[:, :turns] * math.radians(policy.rotation_deg)
        extent = torch.tensor(self.shape, dtype=torch.float32)
        flips = torch.ones(n, d)
        for axis in policy.flip_axes:
            flips[:, axis] = torch.where(uniform[:, turns + d + axis] < 0.5, -1.0, 1.0)
        high = math.log1p(policy.scale)
        low = math.log1p(-policy.shrink) if policy.shrink else -high
        zoom = (low + uniform[:, turns + 2 * d] * (high - low)).exp()
        return {
            "matrix": _rotation(angles, d) * flips[:, None, :] / zoom[:, None, None],
            "shift": span[:, turns : turns + d] * policy.translate * extent,
            "gain": (span[:, turns + 2 * d + 1] * policy.gain).exp(),
            "gamma": (span[:, turns + 2 * d + 2] * policy.gamma).exp(),
            "bias": bias,
            "start": start,
        }

    def apply(self, images: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Apply drawn parameters; a batch gives what its images give one by one.

        Args:
            images: ``(n, C, *shape)`` or, clips of frames, ``(n, C, T, *shape)``; floating point,
                on any device.
            params: Rows of a :meth:`draw`, one per image, or of :meth:`maps` of them; those of
                maps, but for ``start``, may be on the device of the images already.

        Returns:
            New images of the same shape, dtype and device.
        """
        if "theta" not in params:
            params = self.maps(params)
        level = images.float().flatten(1, -len(self.shape) - 1)
        step = max(1, PIECE // (level[:1].nbytes or 1))
        if step >= len(level):
            return self._apply(level, params).to(images.dtype).reshape(images.shape)
        done = torch.empty_like(images)
        for first in range(0, len(level), step):
            part = slice(first, first + step)
            chosen = {name: values[part] for name, values in params.items()}
            done[part] = self._apply(level[part], chosen).reshape(done[part].shape)
        return done

    def _apply(self, level: Tensor, params: dict[str, Tensor]) -> Tensor:
        """What `apply` gives for (n, C, *shape) float32, which stays as it is."""
        level = self._light(self._move(level, params), params)
        policy = self.policy
        if policy.speckle:
            for part, noise in self._noise(params["start"][:, 0], level):
                part.addcmul_(part, noise, value=policy.speckle)
        if policy.noise:
            for part, noise in self._noise(params["start"][:, 1], level):
                part.add_(noise, alpha=policy.noise * self.white)
        if self.fill:
            level.add_(self.fill)
        return level

    def _move(self, level: Tensor, params: dict[str, Tensor]) -> Tensor:
        """A new tensor: the images moved, as differences from the fill."""
        if self.fill:
            level = level - self.fill
        if self.policy.spatial:
            theta = params["theta"].to(level.device, non_blocking=True)
            return F.grid_sample(level, self._grid(theta), align_corners=False)
        return level if self.fill else level.clone()

    def _light(self, level: Tensor, params: dict[str, Tensor]) -> Tensor:
        """The images in another light, in place: of volumes it moves more than the network."""
        policy = self.policy
        if policy.gamma:
            level = self._curve(level, params["gamma"])
        if policy.gain:
            level.mul_(self._column(params["gain"], level))
        if policy.bias_field:
            coefficients = params["bias"].to(level.device, non_blocking=True)
            field = (coefficients @ self._keep("basis", level.device)).exp_()
            level.mul_(field.reshape(level.shape[0], 1, *self.shape))
        return level

    def maps(self, params: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rows of a draw as they are applied: ``theta`` in place of ``matrix`` and ``shift``."""
        # affine_grid counts axes backwards and in half-extents: convert from pixels
        half = torch.tensor(self.shape, dtype=torch.float32) / 2
        matrix = params["matrix"] * half[None, None, :] / half[None, :, None]
        shift = params["shift"] / half
        theta = torch.cat([matrix.flip(1, 2), shift.flip(1)[:, :, None]], dim=2)
        others = {name: params[name] for name in ("gain", "gamma", "bias", "start")}
        return {"theta": theta, **others}

    def _grid(self, theta: Tensor) -> Tensor:
        if not theta.is_cuda:
            return _grid(theta, self.shape)
        # One product: on a GPU it is launches that cost.
        places = theta.flatten(0, 1) @ self._keep("places", theta.device)
        return places.reshape(len(theta), -1, *self.shape).movedim(1, -1)

    def _curve(self, level: Tensor, gamma: Tensor) -> Tensor:
        share = (level / self.white).clamp_min_(1e-6).pow_(self._column(gamma, level))
        return torch.where(level > 0, share.mul_(self.white), level)

    def _noise(self, start: Tensor, level: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Parts of the batch, which are written to, with the noise of each."""
        size = level[0].numel()
        pool = self._keep(f"pool{size}", level.device)
        noises = [pool[s : s + size] for s in start.tolist()]
        if len(self.shape) == 2:
            # Of small images it is the number of operations that costs.
            yield level, torch.stack(noises).reshape(level.shape)
            return
        yield from zip(level, (noise.reshape(level.shape[1:]) for noise in noises), strict=True)

    def _column(self, values: Tensor, level: Tensor) -> Tensor:
        shape = (-1,) + (1,) * (level.ndim - 1)
        return values.to(level.device, non_blocking=True).reshape(shape)

    def _monomials(self) -> list[tuple[int, ...]]:
        axes = range(len(self.shape))
        return [m for k in (1, 2) for m in combinations_with_replacement(axes, k)]

    def _keep(self, name: str, device: torch.device) -> Tensor:
        """A constant, made once per device: basis of the field, places, or a pool of noise."""
        if (name, device) not in self._kept:
            if name == "places":
                made = _places(self.shape)
            elif name == "basis":
                made = self._make_basis()
            else:  # a slice of the pool is an image's noise, and costs a copy
                pool = torch.Generator().manual_seed(POOL_SEED)
                made = torch.randn(POOL + int(name[4:]), generator=pool)
            self._kept[name, device] = made.to(device)
        return self._kept[name, device]

    def _make_basis(self) -> Tensor:
        """``(B, numel)``: linear and quadratic monomials, each with mean 0 and square mean 1."""
        lines = [torch.linspace(-1, 1, size) for size in self.shape]
        axes = torch.stack(torch.meshgrid(*lines, indexing="ij")).flatten(1)
        rows = torch.stack([axes[list(m)].prod(0) for m in self._monomials()])
        rows = rows - rows.mean(1, keepdim=True)
        return rows / rows.square().mean(1, keepdim=True).sqrt()


def _grid(theta: Tensor, shape: Sequence[int]) -> Tensor:
    """What `affine_grid` gives, (n, *shape, d), axis by axis.

    It multiplies a (pixels, d + 1) matrix for every image, which on a CPU takes five times as long
    as sampling the image; sums of lines that broadcast take less than that.
    """
    d = len(shape)
    lines = [
        torch.linspace(1 / size - 1, 1 - 1 / size, size, device=theta.device).reshape(
            (1,) * (axis + 1) + (size,) + (1,) * (d - 1 - axis)
        )
        for axis, size in enumerate(shape)
    ]
    grid = torch.empty(len(theta), *shape, d, device=theta.device, dtype=theta.dtype)
    for axis, row in enumerate(theta.unbind(1)):
        weights = [w.reshape(-1, *(1,) * d) for w in row.unbind(1)]
        *terms, last = (w * line for w, line in zip(weights[:d], reversed(lines), strict=True))
        torch.add(sum(terms, start=weights[d]), last, out=grid[..., axis])
    return grid


def _places(shape: Sequence[int]) -> Tensor:
    """Every pixel's place as `affine_grid` counts, and a 1, ``(d + 1, numel)``."""
    lines = [torch.linspace(1 / size - 1, 1 - 1 / size, size) for size in shape]
    axes = torch.stack(torch.meshgrid(*lines, indexing="ij")).flatten(1).flip(0)
    return torch.cat((axes, torch.ones(1, axes.shape[1])))


def _rotation(angles: Tensor, d: int) -> Tensor:
    """``(n, d, d)``: rotation in the plane, or about the three axes one after the other."""
    n = angles.shape[0]
    total = torch.eye(d).expand(n, d, d)
    planes = [(0, 1)] if d == 2 else [(1, 2), (0, 2), (0, 1)]
    for k, (a, b) in enumerate(planes):
        turn = torch.eye(d).repeat(n, 1, 1)
        cos, sin = angles[:, k].cos(), angles[:, k].sin()
        turn[:, a, a], turn[:, b, b] = cos, cos
        turn[:, a, b], turn[:, b, a] = -sin, sin
        total = total @ turn
    return total
