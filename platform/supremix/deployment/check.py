"""The check of an exported model: its predictions against those of the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supremix._errors import ModelError
from supremix.errors import USER_ERRORS
from supremix.explanation.run_data import read_run_data
from supremix.storage.paths import Address
from supremix.training import TrainedModel
from supremix.training.data.trial_data import to_input
from supremix_datasets import Card, Dataset, Rejected
from supremix_datasets.stores.build import decode_chunk
from supremix_datasets.stores.clips import clip_extent, take_clip
from supremix_datasets.stores.conform import Presented

LIMIT = 1e-4
"""Largest difference that is accepted, in standard deviations of the training labels."""
IMAGES = 8
"""Images that an exported model is checked on."""

Runner = Callable[[Tensor, Tensor], NDArray[Any]]
"""Predicts normalised images (B, C, *shape) with covariates (B, K): (B,)."""


@dataclass(frozen=True, kw_only=True)
class CheckImages:
    """Images to check an exported model on, of videos one clip each.

    Attributes:
        shown: The images on the card's grid.
        words: What they are, in words.
    """

    shown: list[Presented]
    words: str

    def tensors(self, card: Card) -> tuple[Tensor, Tensor]:
        """Normalised images (B, C, *shape) and covariates (B, K)."""
        clips = [
            one.pixels if card.period is None else take_clip(one.pixels, 0, card)
            for one in self.shown
        ]
        stored = torch.from_numpy(np.ascontiguousarray(np.stack(clips)))
        known = torch.from_numpy(np.stack([one.covariates for one in self.shown]))
        return to_input(stored, card.offset, card.gain).float(), known


def check_images(trained: TrainedModel, run: Address, dataset: Dataset | None) -> CheckImages:
    """Images of a run's data or, where these cannot be read, random ones.

    Args:
        trained: The model.
        run: The run folder, or the folder of a model.
        dataset: The dataset, where it is one of the user's own.
    """
    try:
        shown = _real_images(trained.card, run, dataset)
    except (*USER_ERRORS, OSError) as error:
        reason = str(error).partition("\n")[0]
        words = f"{IMAGES} random images (those of the run cannot be read: {reason})"
        return CheckImages(shown=_random_images(trained), words=words)
    return CheckImages(shown=shown, words=f"{len(shown)} images of the run's data")


def _real_images(card: Card, run: Address, dataset: Dataset | None) -> list[Presented]:
    """Images spread over the samples of a run; at least two, so that a batch is checked."""
    data = read_run_data(run, dataset)
    samples = list(data.samples.values())
    chosen = [samples[k] for k in np.linspace(0, len(samples) - 1, IMAGES).astype(int)]
    decoded = decode_chunk(data.reader, card, chosen)
    found = [one.presented for one in decoded if not isinstance(one, Rejected)]
    if len(found) < 2:
        reasons = {one.reason for one in decoded if isinstance(one, Rejected)}
        raise ModelError("; ".join(sorted(reasons)))
    if card.period is None:
        return found
    return [Presented(one.pixels[: clip_extent(card)], one.covariates) for one in found]


def _random_images(trained: TrainedModel) -> list[Presented]:
    card, rng = trained.card, np.random.default_rng(0)
    frames = () if card.period is None else (clip_extent(card),)
    full = 256 if card.dtype == "uint8" else 1
    shape = (IMAGES, *frames, card.channels, *card.frame_shape)
    pixels = rng.uniform(0, full, shape).astype(card.dtype)
    scale = trained.description["covariates"]
    known = rng.normal(scale["mean"], scale["std"], (IMAGES, len(card.covariates)))
    return [
        Presented(image, values.astype(np.float32))
        for image, values in zip(pixels, known, strict=True)
    ]


def largest_difference(run: Runner, trained: TrainedModel, images: CheckImages) -> float:
    """Compare an exported model with the model it was made of, on a batch and on one image.

    Args:
        run: The exported model.
        trained: The model.
        images: Images to predict.

    Returns:
        The largest difference of two predictions, in standard deviations of the training labels.

    Raises:
        ModelError: It is above `LIMIT`, or not finite.
    """
    expected = trained.predictor.evaluate(images.shown).predictions
    pixels, known = images.tensors(trained.card)
    spread = float(trained.description["training"]["labels"]["sd"])
    found = np.concatenate([run(pixels, known), run(pixels[:1], known[:1])])
    largest = float(np.abs(found - np.append(expected, expected[0])).max() / spread)
    if not largest <= LIMIT:
        raise ModelError(
            f"the exported model differs from the model by {largest:.2g} standard deviations of "
            f"the training labels on {images.words}; at most {LIMIT:g} is accepted, so it was not "
            "written. Try another format, and report the encoder and the versions of the packages."
        )
    return largest
