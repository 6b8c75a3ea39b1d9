"""What may be done to an image of a dataset without changing its label."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from supremix_datasets.errors import CardError


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """Strengths of the augmentation of one dataset; everything is off at 0.

    Every strength is the half-width of a uniform law, or the standard deviation of a normal one,
    so that 0 always means "leave the image as it is".

    Args:
        rotation_deg: Largest rotation in degrees; in 3-D about each axis. ``[0, 180]``.
        translate: Largest shift as a fraction of the image's extent, per axis. ``[0, 1)``.
        scale: Largest relative change of size, isotropic. ``[0, 1)``. Leave at 0 where the label
            is a length and the model does not get the scale.
        shrink: Largest relative reduction of size where it is to go further down than up; at 0
            an image shrinks as far as it grows, by 1 / (1 + scale). ``[0, 1)``.
        flip_axes: Spatial axes that may be mirrored, each with probability one half.
        gamma: Largest absolute log of the exponent of the grey curve. ``>= 0``.
        gain: Largest absolute log of the brightness factor. ``>= 0``.
        noise: Standard deviation of added noise, as a fraction of full scale. ``>= 0``.
        bias_field: Standard deviation of the log of a smooth (quadratic) field. ``>= 0``.
        speckle: Standard deviation of multiplicative noise, relative. ``>= 0``.

    Raises:
        CardError: a strength is outside its range or an axis is repeated.
    """

    rotation_deg: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    shrink: float = 0.0
    flip_axes: tuple[int, ...] = ()
    gamma: float = 0.0
    gain: float = 0.0
    noise: float = 0.0
    bias_field: float = 0.0
    speckle: float = 0.0

    def __post_init__(self) -> None:
        limits = {"rotation_deg": 180.0, "translate": 0.999, "scale": 0.999, "shrink": 0.999}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "flip_axes":
                continue
            high = limits.get(field.name, 10.0)
            if not 0 <= value <= high:
                raise CardError(
                    f"augmentation {field.name} must be in [0, {high:g}] (0 is off), "
                    f"found {value!r}"
                )
        object.__setattr__(self, "flip_axes", tuple(int(axis) for axis in self.flip_axes))
        if len(set(self.flip_axes)) != len(self.flip_axes) or any(a < 0 for a in self.flip_axes):
            raise CardError(
                f"augmentation flip_axes must be different axes counted from 0, "
                f"found {self.flip_axes!r}"
            )

    @property
    def spatial(self) -> bool:
        """Whether pixels move at all."""
        zooms = self.scale or self.shrink
        return bool(self.rotation_deg or self.translate or zooms or self.flip_axes)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Augmentation:
        """The policy that :func:`dataclasses.asdict` was taken of (lists become tuples)."""
        plain: dict[str, Any] = {**data, "flip_axes": tuple(data.get("flip_axes", ()))}
        return cls(**plain)
