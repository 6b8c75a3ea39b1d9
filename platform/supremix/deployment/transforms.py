"""The preprocessing of a bundle, for MONAI's `Compose`: files to images on the model's grid.

MONAI's transforms have no form for it: its resampling takes no means over the area of a new pixel,
and the datasets' readers know what of a file is the image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from supremix_datasets import Card
from supremix_datasets.registry import get
from supremix_datasets.stores.clips import clip_step, covering_starts, take_clip
from supremix_datasets.stores.conform import Presented, present


class LoadOnGrid:
    """Read an image file as `supremix predict` reads it, and bring it to the model's grid.

    Takes ``{"image": address, "covariates": {name: value}}``; returns it with ``images``, float32
    (N, C, *shape), one image or the clips that cover a video, not normalised yet, and with
    ``covariates``, float32 (N, K).

    Args:
        config: Path of configs/preprocessing.json of the bundle.
    """

    def __init__(self, config: str) -> None:
        known = json.loads(Path(config).read_text(encoding="utf-8"))
        self.card = Card.from_dict(known["card"])
        self._thorough = bool(known["thorough"])
        self._reader = get(known["dataset"]).reading(self.card)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Load one image."""
        address = str(data["image"])
        shown = present(self.card, self._reader.decode(address), data.get("covariates") or {})
        images = self._clips(shown)
        known = torch.from_numpy(shown.covariates).expand(len(images), -1)
        return {**data, "file": address, "images": images, "covariates": known}

    def _clips(self, shown: Presented) -> Tensor:
        pixels, card = shown.pixels, self.card
        if card.period is None:
            return torch.from_numpy(pixels[None].astype(np.float32))
        starts = covering_starts(len(pixels), card, clip_step(card, thorough=self._thorough))
        clips = np.stack([take_clip(pixels, start, card) for start in starts])
        return torch.from_numpy(clips.astype(np.float32))
