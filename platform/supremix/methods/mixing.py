"""Which samples of a batch are mixed, in what shares, and where in the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supremix.losses import LossInputError, c_mixup_partners, draw_mixing, mix, mixup_partners

PLACES = ("inputs", "features", "either")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixed:
    """The mixtures of one step, the same on every worker.

    Attributes:
        partners: (M,) row of the whole batch that each row is mixed with.
        shares: (M,) float32, share of the row itself.
        inputs: whether images and covariates are mixed, or else features.
    """

    partners: Tensor
    shares: Tensor
    inputs: bool

    def mix(self, values: Tensor) -> Tensor:
        """The mixtures of what belongs to the whole batch, (M, ...) floating."""
        return mix(values, self.partners, self.shares)

    def among(self, rows: NDArray[np.int64]) -> Mixed:
        """The mixtures among some rows (n,), ascending; who has no partner there stays alone."""
        partners = self.partners.numpy()[rows]
        places = np.searchsorted(rows, partners).clip(max=len(rows) - 1)
        here = rows[places] == partners
        return Mixed(
            partners=torch.from_numpy(np.where(here, places, np.arange(len(rows)))),
            shares=self.shares[torch.from_numpy(rows)],
            inputs=self.inputs,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixing:
    """How mixtures are drawn.

    Args:
        alpha: shares are drawn from Beta(alpha, alpha), one for each sample; above 0.
        bandwidth: of the Gaussian of label distance, in the task's unit, that makes near labels
            likelier partners; None for partners that are all equally likely.
        where: "inputs", "features" (what the head sees), or "either", drawn anew in each step.

    Raises:
        LossInputError: a value is outside what is legal.
    """

    alpha: float
    bandwidth: float | None = None
    where: str = "inputs"

    def __post_init__(self) -> None:
        if self.where not in PLACES:
            raise LossInputError(
                f"Expected where among {', '.join(PLACES)}, found {self.where!r}. Choose one."
            )
        # Refuses what a step would refuse.
        self.draw(torch.arange(2.0), torch.Generator())

    def draw(self, labels: Tensor, draws: torch.Generator) -> Mixed:
        """Draw the mixtures of a batch.

        Args:
            labels: (M,) of the whole batch in the task's unit, on the CPU.
            draws: the step's generator.
        """
        count = len(labels)
        coin = float(torch.rand((), generator=draws))
        if self.bandwidth is None:
            partners = mixup_partners(count, generator=draws)
        else:
            partners = c_mixup_partners(labels, bandwidth=self.bandwidth, generator=draws)
        return Mixed(
            partners=partners,
            shares=draw_mixing(count, alpha=self.alpha, generator=draws),
            inputs=self.where == "inputs" or (self.where == "either" and coin < 0.5),
        )
