"""Explanation maps of one image: Grad-CAM, by MONAI's `visualize`, and occlusion.

Occlusion is our own: MONAI's indexes tensors in a way to which PyTorch is about to give another
meaning.

Sources: Selvaraju 2017 (arXiv 1610.02391) for Grad-CAM, its target the predicted number instead of
a class; Zeiler and Fergus 2014 (arXiv 1311.2901) for occlusion.
"""

from __future__ import annotations

import copy
import importlib
import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from supremix._errors import ModelError
from supremix.training.artifacts.graph import Graph, PredictionGraph

GRAD_CAM, OCCLUSION = "grad-cam", "occlusion"
METHODS = (GRAD_CAM, OCCLUSION)

_FINE = 4
"""Points along an axis that the map of a layer should have, as a geometric mean over the axes."""
_AXIS_SHARES = {2: 8, 3: 4}
"""By number of axes, the part of each axis that a hidden box covers: an eighth, a quarter."""
_BATCH = 16


class _Scores(nn.Module):
    """A model of one image's covariates, with its predictions (B, 1) as MONAI expects scores."""

    def __init__(self, graph: Graph, covariates: Tensor) -> None:
        super().__init__()
        self.graph, self._covariates = graph, covariates

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, *shape) -> (B, 1)."""
        return self.graph(images, self._covariates.expand(len(images), -1)).unsqueeze(1)


def last_map_layer(graph: PredictionGraph, image: Tensor) -> str:
    """The layer of an encoder that Grad-CAM looks at.

    It is the last module whose output is still a map of 4 points an axis (geometric mean), and
    where none is, the last of those with the most points: the last convolutional stage, with its
    activation, of a resnet, densenet or efficientnet on a usual grid.

    Args:
        graph: The model.
        image: (1, C, *shape), normalised.

    Returns:
        The module's name in the encoder.

    Raises:
        ModelError: No module of the encoder has maps as output.
    """
    sizes: list[tuple[str, int]] = []
    axes = image.ndim - 2

    def note(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == image.ndim:
                sizes.append((name, math.prod(output.shape[2:])))

        return hook

    encoder = graph.network.encoder
    handles = [m.register_forward_hook(note(name)) for name, m in encoder.named_modules() if name]
    try:
        with torch.no_grad():
            encoder(image)
    finally:
        for handle in handles:
            handle.remove()
    # A module that runs several times has no one map.
    names = [name for name, _ in sizes]
    sizes = [one for one in sizes if names.count(one[0]) == 1 and one[1] > 1]
    most = max((points for _, points in sizes), default=0)
    if not most:
        raise ModelError(
            "Grad-CAM needs a layer whose output is a map, and the encoder has none. Take "
            f"--explain {OCCLUSION}."
        )
    least = min(_FINE**axes, most)
    return next(name for name, points in reversed(sizes) if points >= least)


def grad_cam(graph: Graph, image: Tensor, covariates: Tensor) -> tuple[Tensor, str]:
    """The parts of an image that raise its prediction, relative to each other.

    The gradient of the prediction, averaged over each map of a layer, weights the sum of the maps,
    of which what is positive is taken to the image's grid. It is done for each mirrored image that
    a prediction averages over, and for each model of an ensemble, and the mean is taken.

    Args:
        graph: The model; it is not changed.
        image: (1, C, *shape), normalised.
        covariates: (1, K), not standardised.

    Returns:
        The map (*shape), and the name of the layer.

    Raises:
        ModelError: The encoder has no layer with maps.
    """
    layer = last_map_layer(graph.members[0], image)
    maps = [_camera_map(one, image, covariates, layer) for one in graph.members]
    return torch.stack(maps).mean(0), layer


def _camera_map(graph: PredictionGraph, image: Tensor, covariates: Tensor, layer: str) -> Tensor:
    """The map (*shape) of one model."""
    visualize: Any = importlib.import_module("monai.visualize")
    own = copy.deepcopy(graph)  # MONAI leaves its hooks behind
    own.flip_axes = ()
    camera = visualize.GradCAM(
        _Scores(own, covariates),
        target_layers=f"graph.network.encoder.{layer}",
        postprocessing=_unchanged,
    )
    maps: list[Tensor] = []
    for size in range(len(graph.flip_axes) + 1):
        for axes in itertools.combinations(graph.flip_axes, size):
            mirrored = [axis + 2 for axis in axes]
            view = image.flip(mirrored) if axes else image.clone()
            found = camera(view.requires_grad_(), class_idx=0)
            maps.append((found.flip(mirrored) if axes else found).detach())
    return torch.stack(maps).mean(0)[0, 0]


def _unchanged(values: Tensor) -> Tensor:
    return values


def occlusion(graph: Graph, image: Tensor, covariates: Tensor) -> Tensor:
    """By how much each part of an image changes its prediction, in the unit of the label.

    A box of the image's mean goes over the image, half a box at a time; a point has the mean, over
    the boxes that cover it, of the prediction minus the prediction with the box.

    Args:
        graph: The model; it is not changed.
        image: (1, C, *shape), normalised.
        covariates: (1, K), not standardised.

    Returns:
        The map (*shape): positive where a part raises the prediction.
    """
    whole = image.mean()
    total, count = torch.zeros_like(image[0, 0]), torch.zeros_like(image[0, 0])
    boxes = _boxes(image.shape[2:])
    with torch.no_grad():
        prediction = graph(image, covariates)
        for start in range(0, len(boxes), _BATCH):
            part = boxes[start : start + _BATCH]
            hidden = image.repeat(len(part), *[1] * (image.ndim - 1))
            for number, box in enumerate(part):
                hidden[(number, slice(None), *box)] = whole
            changes = prediction - graph(hidden, covariates.expand(len(part), -1))
            for box, change in zip(part, changes, strict=True):
                total[box] += change
                count[box] += 1
    return total / count


def _boxes(shape: torch.Size) -> list[tuple[slice, ...]]:
    """Boxes that cover an image, half a box apart, the last of each axis at its end."""
    sides = box_size(shape)
    starts = [
        sorted({*range(0, size - side, max(side // 2, 1)), size - side})
        for size, side in zip(shape, sides, strict=True)
    ]
    return [
        tuple(slice(s, s + side) for s, side in zip(corner, sides, strict=True))
        for corner in itertools.product(*starts)
    ]


def box_size(shape: torch.Size) -> list[int]:
    """The size of the box that hides a part of an image of some shape."""
    return [max(size // _AXIS_SHARES[len(shape)], 2) for size in shape]
