"""Base classes of the losses: checked hyperparameters, and the loss of a batch of embeddings."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from supremix.losses.common.checks import (
    check_not_negative,
    check_positive,
    checked_labels,
    full_precision,
    nothing,
    prepared,
)

_POSITIVE, _NOT_NEGATIVE = {"check": check_positive}, {"check": check_not_negative}


def positive(default: float) -> float:
    """A dataclass field whose value has to be finite and above 0; NaN for no default."""
    return field(default=default, metadata=_POSITIVE)


def not_negative(default: float) -> float:
    """A dataclass field whose value has to be at least 0; infinity is legal."""
    return field(default=default, metadata=_NOT_NEGATIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Base class of every loss: a frozen dataclass that checks its hyperparameters when made.

    A hyperparameter declared by `positive` or `not_negative` needs no check of its own. A subclass
    with further rules calls ``Loss.__post_init__(self)`` first.

    Raises:
        LossInputError: A value is not legal.
    """

    def __post_init__(self) -> None:
        for one in fields(self):
            if "check" in one.metadata:
                one.metadata["check"](one.name, getattr(self, one.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLoss(Loss, ABC):
    """Base class of the losses of a batch of embeddings and their labels."""

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        anchors: slice | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: ``(M, D)`` floating, all views of all images of the batch; for a
                regulariser the features that the head of the network sees.
            labels: ``(M,)`` real and finite, in the unit of the task. On the CPU, also where the
                embeddings are on a GPU: there the host would wait for them.
            generator: Source of everything random; a loss without randomness leaves it alone.
            anchors: Only these rows are anchors, against all M. The values of slices that cover
                the batch add up to the loss of the whole batch, and so do the gradients: this is
                what makes W processes equal to one. None for all rows.

        Returns:
            A scalar in float32 (float64 for float64 embeddings), also under autocast; 0 with a
            gradient of 0 where there is nothing to learn from. It can be differentiated once.

        Raises:
            LossInputError: Shapes do not fit, or a label is not finite.
        """
        known, span = checked_labels(embeddings, labels, anchors)
        with full_precision(embeddings.device):
            z = self._prepare(embeddings)
            return nothing(z) if len(z) < 2 else self._value(z, known, span)

    def _prepare(self, embeddings: Tensor) -> Tensor:
        return prepared(embeddings, normalize=True)

    @abstractmethod
    def _value(self, z: Tensor, labels: Tensor, span: tuple[int, int]) -> Tensor:
        """The loss of at least two prepared rows, which alone are on the device.

        Args:
            z: ``(M, D)``.
            labels: ``(M,)`` on the CPU.
            span: The first anchor and the one after the last.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastiveLoss(BatchLoss):
    """Base class of the losses that compare embeddings at a temperature.

    Args:
        temperature: Number that similarities or distances are divided by, above 0.
        normalize: Whether embeddings are brought to unit length first.
    """

    temperature: float = positive(math.nan)
    normalize: bool = True

    def _prepare(self, embeddings: Tensor) -> Tensor:
        return prepared(embeddings, normalize=self.normalize)
