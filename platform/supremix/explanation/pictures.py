"""Pictures of explanation maps, over the images that they are of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from supremix_datasets import Card
from supremix_reports.figures.plot import drawing, saved

_FRAMES = 3
"""Frames of a clip that are shown, spread over time, with that of the strongest point."""
_STRONGEST = 0.65
"""Opacity of the strongest point of a map."""


def overlay(
    image: NDArray[Any], values: NDArray[Any], card: Card, *, title: str, scale: str, signed: bool
) -> bytes:
    """A map over its image: one picture, three planes of a volume, or frames of a clip, as a PNG.

    Planes and frames go through the strongest point of the map, frames besides evenly over time.

    Args:
        image: (*card.shape) one channel of the image.
        values: (*card.shape) the map.
        card: The model's card.
        title: The line above.
        scale: What the colour bar shows.
        signed: Whether the map has both signs; without, its colours begin at 0.
    """
    panels = _panels(image, values, card)
    largest = float(np.abs(values).max()) or 1.0
    limits = (-largest, largest) if signed else (0.0, largest)
    ratio = max(one.shape[0] / one.shape[1] for _, one, _ in panels)
    width = 3.2 * len(panels) + 1.2
    with drawing(1, len(panels), width=width, height=3.2 * ratio + 0.9) as (figure, axes):
        colours: Any = None
        for panel, (name, picture, part) in zip(axes, panels, strict=True):
            panel.imshow(picture, cmap="gray", interpolation="nearest")
            strength = np.abs(part) / largest * _STRONGEST
            colours = panel.imshow(
                part, cmap="RdBu_r" if signed else "inferno", vmin=limits[0], vmax=limits[1],
                alpha=strength, interpolation="bilinear",
            )  # fmt: skip
            panel.set_title(name)
            panel.set_axis_off()
        bar = figure.colorbar(_opaque(colours), ax=axes, shrink=0.8)
        bar.set_label(scale)
        figure.suptitle(title, fontsize=10)
    return saved(figure, "png", dpi=130)


def _opaque(colours: Any) -> Any:
    """The colours of a map without its opacity, for a colour bar."""
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(norm=colours.norm, cmap=colours.cmap)


def _panels(
    image: NDArray[Any], values: NDArray[Any], card: Card
) -> list[tuple[str, NDArray[Any], NDArray[Any]]]:
    if image.ndim == 2:
        return [("", image, values)]
    x, y, z = np.unravel_index(int(np.abs(values).argmax()), values.shape)
    if card.period is not None:
        frames = np.linspace(0, len(image) - 1, _FRAMES).astype(int)
        shown = sorted({*frames.tolist(), int(x)})
        return [(f"frame {n * card.period + 1}", image[n], values[n]) for n in shown]
    # Axes run to right, anterior and superior: turned, so that up is up.
    return [
        (name, np.rot90(image[index]), np.rot90(values[index]))
        for name, index in (
            ("sagittal", np.s_[x, :, :]),
            ("coronal", np.s_[:, y, :]),
            ("axial", np.s_[:, :, z]),
        )
    ]
