"""Standardisation fitted on the training split, of the target and of the covariates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supremix._errors import TaskError


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetScale:
    """Between the target's unit and what the network fits: (t(y) - mean) / std.

    Args:
        transform: t, "none" or "log".
        mean, std: of t(y) on the fit split.
    """

    transform: str
    mean: float
    std: float

    @classmethod
    def fit(cls, targets: NDArray[np.float64], transform: str = "none") -> TargetScale:
        """Fitted on targets (N,).

        Raises:
            TaskError: all targets are equal, or "log" meets one that is not positive.
        """
        if transform == "log" and not bool((targets > 0).all()):
            raise TaskError(
                'target_transform="log" needs positive targets, the smallest one is '
                f'{targets.min():g}; use target_transform="none"'
            )
        values = np.log(targets) if transform == "log" else targets
        mean, std = float(values.mean()), float(values.std())
        if not std > 1e-12 * (1 + abs(mean)):
            raise TaskError(
                f"all {len(targets)} targets of the fit split equal {targets[0]:g}: there is "
                "nothing to learn; check the target column"
            )
        return cls(transform=transform, mean=mean, std=std)

    def standardise(self, targets: Tensor) -> Tensor:
        """Unit of the task -> what the network fits."""
        values = targets.log() if self.transform == "log" else targets
        return (values - self.mean) / self.std

    def restore(self, predictions: Tensor) -> Tensor:
        """What the network predicts -> unit of the task, float64."""
        values = predictions.double() * self.std + self.mean
        return values.exp() if self.transform == "log" else values

    def length(self, size: float, at: float) -> float:
        """What a small distance of labels comes to on the scale that the network fits.

        Args:
            size: the distance, in the task's unit.
            at: label at which it is measured; it matters where the transform is no straight line.
        """
        return size / (self.std * at if self.transform == "log" else self.std)


@dataclass(frozen=True, kw_only=True, slots=True)
class CovariateScale:
    """(c - mean) / std for each of K covariates; a constant one becomes 0."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def fit(cls, covariates: NDArray[Any]) -> CovariateScale:
        """Fitted on covariates (N, K)."""
        values = covariates.astype(np.float64)
        std = values.std(axis=0)
        still = std <= 1e-9 * (1 + np.abs(values.mean(axis=0)))
        return cls(
            mean=tuple(values.mean(axis=0).tolist()),
            std=tuple(np.where(still, 1.0, std).tolist()),
        )

    def standardise(self, covariates: NDArray[Any]) -> Tensor:
        """(N, K) -> (N, K) float32."""
        values = (covariates.astype(np.float64) - np.array(self.mean)) / np.array(self.std)
        return torch.from_numpy(values.astype(np.float32).reshape(len(covariates), len(self.mean)))
