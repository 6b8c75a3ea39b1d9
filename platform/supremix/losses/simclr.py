"""Contrast without labels (Chen et al. 2020, arXiv 2002.05709): views of one image attract."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from supremix.losses.common.base import ContrastiveLoss, positive
from supremix.losses.common.contrast import contrast_groups
from supremix.losses.common.errors import LossInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class SimCLRLoss(ContrastiveLoss):
    """The SimCLR loss (NT-Xent): SupCon whose positives are the other views of the image alone.

    Args:
        temperature: Number that similarities are divided by, above 0.
        views: Views of each image, image by image in the batch: row ``views * i + v`` is view v of
            image i. At least 1; with 1 there is no positive and the loss is 0.
        normalize: Whether embeddings are brought to unit length first.

    Raises:
        LossInputError: A value is not legal.
    """

    temperature: float = positive(0.5)
    views: int = 2

    def __post_init__(self) -> None:
        ContrastiveLoss.__post_init__(self)
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
        """Compute the loss of a batch, see `BatchLoss`; labels are not used.

        Args:
            embeddings: ``(M, D)`` floating, all views of all images of the batch.
            labels: Not used.
            samples: ``(M,)`` number of the image that each row is a view of, in any order and
                number; in place of `views`.
            generator: Not used.
            anchors: Rows that are anchors.
        """
        images = self._images(embeddings) if samples is None else samples
        return ContrastiveLoss.__call__(self, embeddings, images, anchors=anchors)

    def _value(self, z: Tensor, labels: Tensor, span: tuple[int, int]) -> Tensor:
        images = torch.unique(labels, return_inverse=True)[1]
        return contrast_groups(z, images, span, self.temperature)

    def _images(self, embeddings: Tensor) -> Tensor:
        count = len(embeddings)
        if count % self.views:
            raise LossInputError(
                f"Expected {self.views} views of each image, found {count} embeddings, which is "
                "not a multiple. Give all views of every image, or the ids of the images as "
                "samples."
            )
        return torch.arange(count) // self.views
