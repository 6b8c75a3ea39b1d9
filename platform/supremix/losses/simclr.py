"""Contrast without labels (Chen et al. 2020, arXiv 2002.05709): views of one image attract."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.checks import (
    anchor_range,
    check_batch,
    check_positive,
    full_precision,
    nothing,
    prepared,
)
from supremix.losses.common.contrast import evaluate_contrast, group_contrast
from supremix.losses.common.errors import LossInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class SimCLRLoss:
    """The SimCLR loss (NT-Xent): SupCon whose positives are the other views of the image alone.

    Args:
        temperature: what similarities are divided by, above 0.
        views: how many views each image has, image by image in the batch: row ``views * i + v``
            is view v of image i. At least 1; with 1 there is no positive and the loss is 0.
        normalize: whether embeddings are brought to unit length first.

    Raises:
        LossInputError: a value is outside what is legal.
    """

    temperature: float = 0.5
    views: int = 2
    normalize: bool = True

    def __post_init__(self) -> None:
        check_positive("temperature", self.temperature)
        if self.views < 1:
            raise LossInputError(
                f"Expected views of at least 1, found {self.views}. "
                "Give the number of rows that each image has in the batch."
            )

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor | None = None,
        *,
        samples: Tensor | None = None,
        generator: torch.Generator | None = None,
        anchors: slice | None = None,
    ) -> Tensor:
        """Compute the loss of a batch, as ``simclr_loss``; labels and generator are not used."""
        count = len(embeddings)
        images = self._images(embeddings) if samples is None else samples
        check_batch(embeddings, images)
        span = anchor_range(anchors, count)
        groups = torch.unique(images.detach(), return_inverse=True)[1]
        with full_precision(embeddings.device):
            z = prepared(embeddings, normalize=self.normalize)
            problem = group_contrast(z, groups, span, self.temperature)
            return nothing(z) if problem is None else evaluate_contrast(z, problem)

    def _images(self, embeddings: Tensor) -> Tensor:
        count = len(embeddings)
        if count % self.views:
            raise LossInputError(
                f"Expected {self.views} views of each image, found {count} embeddings, which is "
                "not a multiple. Give all views of every image, or the ids of the images as "
                "samples."
            )
        return torch.arange(count, device=embeddings.device) // self.views


def simclr_loss(
    embeddings: Tensor,
    *,
    temperature: float = 0.5,
    views: int = 2,
    samples: Tensor | None = None,
    normalize: bool = True,
    anchors: slice | None = None,
) -> Tensor:
    """Compute the SimCLR loss of a batch.

    Args:
        embeddings: ``(M, D)`` floating, all views of all images of the batch.
        temperature: see ``SimCLRLoss`` for this and the other settings.
        views: rows of each image, which lie together.
        samples: ``(M,)`` which image each row is a view of, in any order and number; in place of
            ``views``.
        normalize: whether embeddings are brought to unit length.
        anchors: only these rows are anchors, against all M; the values of slices that cover the
            batch add up to the whole-batch loss, and so do the gradients. None for all rows.

    Returns:
        A scalar in float32 (float64 for float64 embeddings), also under autocast; 0 with a
        gradient of 0 when no image has two views. It can be differentiated once.

    Raises:
        LossInputError: shapes or settings are not legal.
    """
    loss = SimCLRLoss(temperature=temperature, views=views, normalize=normalize)
    return loss(embeddings, samples=samples, anchors=anchors)
