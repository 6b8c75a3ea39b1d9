"""A trained network as one module, from normalised images to predictions in the label's unit."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from supremix.models import Network
from supremix.models.scaling import CovariateScale, TargetScale
from supremix.training.evaluation.evaluator import mean_views


class PredictionGraph(nn.Module):
    """Normalised images and covariates to predictions, as `TrainedModel.predict` computes them.

    Inside are the mean over the mirrored images, the standardisation of the covariates, the network
    and the scale of the label. Outside are decoding, the grid, the normalisation of intensities,
    and of videos the mean over clips.

    Args:
        network: The trained network; the module keeps a copy.
        target: The scale of the label.
        covariates: The scale of the covariates.
        flip_axes: Spatial axes over whose mirrorings the mean is taken; empty for none.
    """

    covariate_mean: Tensor
    covariate_std: Tensor

    def __init__(
        self,
        network: Network,
        target: TargetScale,
        covariates: CovariateScale,
        flip_axes: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        # Weights that lie channels last, for a faster convolution, are of no use to others.
        own: Any = copy.deepcopy(network)  # torch's stubs lack this form of `to`
        self.network: Network = own.to(memory_format=torch.contiguous_format)
        self._plain_swish()
        if not covariates.mean:
            self.network.fusion = _FeaturesAlone()
        self.target, self.flip_axes = target, flip_axes
        self.register_buffer("covariate_mean", torch.tensor(covariates.mean))
        self.register_buffer("covariate_std", torch.tensor(covariates.std))
        self.requires_grad_(False).eval()

    def _plain_swish(self) -> None:
        """Write an efficientnet's activation as ordinary operations, which can be exported."""
        swish = getattr(self.network.encoder, "set_swish", None)
        if callable(swish):
            swish(memory_efficient=False)

    @property
    def members(self) -> tuple[PredictionGraph, ...]:
        """The model alone; of an ensemble, its models."""
        return (self,)

    @property
    def covariates(self) -> int:
        """K, the number of covariates."""
        return len(self.covariate_mean)

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Predict images, of videos single clips.

        Args:
            images: (B, C, *shape), normalised: (pixel - offset) * gain.
            covariates: (B, K) as `covariate_vector` gives them, not standardised; None where K = 0.

        Returns:
            (B,) in the unit of the label.
        """
        known = images  # not looked at
        if covariates is not None and self.covariates:
            known = (covariates - self.covariate_mean) / self.covariate_std
        views = mean_views(self.network, images, known, self.flip_axes)
        head = self.network.head
        standardised = head(views) if head.linear else views[:, -1]
        values = standardised * self.target.std + self.target.mean
        return values.exp() if self.target.transform == "log" else values


class _FeaturesAlone(nn.Module):
    """Features without covariates: no exporter takes an empty tensor for a batch of any size."""

    def forward(self, features: Tensor, _covariates: Tensor) -> Tensor:
        """(B, F) -> (B, F)."""
        return features


class EnsembleGraph(nn.Module):
    """The mean of the predictions of several models, of normalised images and covariates.

    Args:
        members: Models of the same covariates and unit, at least one.
    """

    def __init__(self, members: Sequence[PredictionGraph]) -> None:
        super().__init__()
        self._members = nn.ModuleList(members)
        self.eval()

    @property
    def members(self) -> tuple[PredictionGraph, ...]:
        """The models."""
        return tuple(one for one in self._members if isinstance(one, PredictionGraph))

    @property
    def covariates(self) -> int:
        """K, the number of covariates."""
        return self.members[0].covariates

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Predict images, as each model does, (B,)."""
        return torch.stack([one(images, covariates) for one in self._members]).mean(0)


Graph = PredictionGraph | EnsembleGraph
"""A model, or several as one."""
