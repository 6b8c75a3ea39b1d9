"""Mixing: partners of the samples of a batch, their shares, and the place in the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supremix.losses import LossInputError, c_mixup_partners, draw_mixing, mix, mixup_partners

LOCATIONS = ("inputs", "features", "either")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixed:
    """The mixtures of one step, the same on every worker.

    Attributes:
        partners: (M,) row of the whole batch that each row is mixed with.
        shares: (M,) float32, share of the row itself.
        inputs: Whether images and covariates are mixed, or else features.
    """

    partners: Tensor
    shares: Tensor
    inputs: bool

    def mix(self, values: Tensor) -> Tensor:
        """The mixtures of what belongs to the whole batch, (M, ...) floating."""
        return mix(values, self.partners, self.shares)

    def among(self, rows: NDArray[np.int64]) -> Mixed:
        """The mixtures among some rows (n,), ascending; a row whose partner is elsewhere stays."""
        partners = self.partners.numpy()[rows]
        ranks = np.searchsorted(rows, partners).clip(max=len(rows) - 1)
        here = rows[ranks] == partners
        return Mixed(
            partners=torch.from_numpy(np.where(here, ranks, np.arange(len(rows)))),
            shares=self.shares[torch.from_numpy(rows)],
            inputs=self.inputs,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixing:
    """The distribution that mixtures are drawn from.

    Args:
        alpha: Shape of Beta(alpha, alpha), from which each sample's share is drawn; above 0.
        bandwidth: Bandwidth of the Gaussian of label distance, in the task's unit, that makes
            near labels likelier partners; None for partners that are all equally likely.
        where: "inputs", "features" (what the head sees), or "either", drawn in each step.

    Raises:
        LossInputError: A value is not legal.
    """

    alpha: float
    bandwidth: float | None = None
    where: str = "inputs"

    def __post_init__(self) -> None:
        if self.where not in LOCATIONS:
            raise LossInputError(
                f"Expected where among {', '.join(LOCATIONS)}, found {self.where!r}. Choose one."
            )
        # Refuses what a step would refuse.
        self.draw(torch.arange(2.0), torch.Generator())

    def draw(self, labels: Tensor, generator: torch.Generator) -> Mixed:
        """Draw the mixtures of a batch.

        Args:
            labels: (M,) of the whole batch in the task's unit, on the CPU.
            generator: Generator of the step.
        """
        count = len(labels)
        coin = float(torch.rand((), generator=generator))
        if self.bandwidth is None:
            partners = mixup_partners(count, generator=generator)
        else:
            partners = c_mixup_partners(labels, bandwidth=self.bandwidth, generator=generator)
        return Mixed(
            partners=partners,
            shares=draw_mixing(count, alpha=self.alpha, generator=generator),
            inputs=self.where == "inputs" or (self.where == "either" and coin < 0.5),
        )
