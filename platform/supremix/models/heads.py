"""The heads that stand on the features: a projection for pretraining, a linear readout."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from supremix.models.norms import BatchNorm1d


class ProjectionHead(nn.Sequential):
    """Linear - BatchNorm - ReLU - Linear - BatchNorm, as in SupReMix (arXiv 2309.16633).

    Args:
        features: width of the input (B, features).
        dim: width D of the embedding (B, D). It is not normalised here; the losses do that.
        hidden: width between the two linear layers; the input's by default.
    """

    def __init__(self, features: int, dim: int = 128, hidden: int | None = None) -> None:
        width = hidden or features
        super().__init__(
            nn.Linear(features, width, bias=False),
            BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Linear(width, dim, bias=False),
            BatchNorm1d(dim),
        )


class RegressionHead(nn.Linear):
    """A linear readout (B, F) -> (B,), zero at the start: it predicts the mean of the targets.

    Zero is the right start because targets are standardised; a head that starts at random has to
    unlearn its guess first.
    """

    linear = True
    """The mean of predictions is the prediction of the mean features."""

    def __init__(self, features: int) -> None:
        super().__init__(features, 1)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name is torch's)
        """(B, F) -> (B,)."""
        return super().forward(input).squeeze(-1)

    def set_solution(self, weight: Tensor, bias: Tensor) -> None:
        """Put a closed-form solution in place: weight (F,), bias ()."""
        with torch.no_grad():
            self.weight.copy_(weight.reshape(1, -1))
            self.bias.copy_(bias.reshape(1))


class BinnedHead(nn.Linear):
    """Logits of K label bins (B, F) -> (B, K); the prediction is the expectation of their centres.

    Weights are zero at the start, so that it predicts what `set_bins` says is usual.

    Args:
        features: width of the input (B, features).
        bins: K, at least 1.
    """

    linear = False
    centres: Tensor

    def __init__(self, features: int, bins: int) -> None:
        super().__init__(features, bins)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)
        self.register_buffer("centres", torch.zeros(bins))

    def logits(self, features: Tensor) -> Tensor:
        """(B, F) -> (B, K)."""
        return super().forward(features)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name is torch's)
        """(B, F) -> (B,), in the unit of the centres."""
        return self.logits(input).float().softmax(1) @ self.centres

    def set_bins(self, centres: Tensor, frequency: Tensor) -> None:
        """Put the bins in place.

        Args:
            centres: (K,) standardised targets in the middle of the bins.
            frequency: (K,) how frequent they are among the samples to fit, at least 0.
        """
        share = frequency / frequency.sum()
        with torch.no_grad():
            self.centres.copy_(centres)
            # A bin without a sample must not start at a probability of exactly 0.
            self.bias.copy_(share.clamp(min=1e-4).log())
