"""A store as training sees it: which samples are fitted, and how they get onto the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supremix.training.errors import TaskError
from supremix.training.randomness import derive
from supremix.training.scaling import CovariateScale, TargetScale
from supremix.training.task import Task
from supremix_datasets.card import Card
from supremix_datasets.splits import assign
from supremix_datasets.store import Store

Positions = NDArray[np.int64]
"""Places in the store's index, 0 <= position < len(store)."""

_RESIDENT_BYTES = 4 << 30


class TrialData:
    """The samples of a task on a device.

    Images stay in the memory-mapped store and go to the device in the stored type, four times
    smaller than floats. On CUDA a store of up to 4 GiB is kept on the device as a whole; on a CPU
    the page cache does the same without a copy.

    Args:
        task: which store, splits and share of labels.
        device: where images, targets and covariates are delivered.
    """

    def __init__(self, task: Task, device: torch.device) -> None:
        self.store = Store.open(task.store)
        self.device = device
        self.splits: NDArray[Any] = np.asarray(
            assign(self.store.index, seed=task.split_seed, fractions=task.fractions)
        )
        self.fit = _fraction(task, self.store, self.positions(*task.fit_on))
        if len(self.fit) < 2:
            raise TaskError(
                f"the split {'+'.join(task.fit_on)} of {self.card.name} holds {len(self.fit)} "
                "samples, at least 2 are needed; check the split column and label_fraction"
            )
        transform = task.target_transform or self.card.target_transform
        self.target_scale = TargetScale.fit(self.store.targets[self.fit], transform)
        self.covariate_scale = CovariateScale.fit(self.store.covariates[self.fit])
        self.labels = torch.from_numpy(self.store.targets.astype(np.float64)).to(device)
        self.targets = self.target_scale.standardise(self.labels).float()
        self.covariates = self.covariate_scale.standardise(self.store.covariates).to(device)
        self._offset, self._gain = float(self.card.offset), float(self.card.gain)
        self._resident = self._load_all() if self._fits() else None

    @property
    def card(self) -> Card:
        """The card of the dataset as it was prepared."""
        return self.store.card

    def positions(self, *splits: str) -> Positions:
        """The samples of the named splits, in the order of the index.

        Raises:
            TaskError: no sample is in any of them.
        """
        found = np.flatnonzero(np.isin(self.splits, splits))
        if len(found) == 0:
            raise TaskError(
                f"no sample of {self.card.name} is in the split {'+'.join(splits)}; there are "
                f"{', '.join(sorted(set(self.splits.tolist())))}"
            )
        return found.astype(np.int64)

    def images(self, positions: Positions) -> Tensor:
        """(B, C, *shape) float32 on the device, (stored - offset) * gain."""
        rows = self.store.rows[positions]
        if self._resident is not None:
            stored = self._resident[torch.from_numpy(rows).to(self.device)]
        else:
            # Indexing with an array copies the rows out of the map, once.
            stored = torch.from_numpy(self.store.images[rows]).to(self.device)
        return to_input(stored, self._offset, self._gain)

    def _fits(self) -> bool:
        return self.device.type == "cuda" and self.store.images.nbytes <= _RESIDENT_BYTES

    def _load_all(self) -> Tensor:
        return torch.from_numpy(np.array(self.store.images)).to(self.device)


def to_input(stored: Tensor, offset: float, gain: float) -> Tensor:
    """What a network takes, (stored - offset) * gain in float32, from the stored type."""
    values = stored.float()
    if offset:
        values.sub_(offset)
    return values.mul_(gain) if gain != 1 else values


def _fraction(task: Task, store: Store, fit: Positions) -> Positions:
    """Keep whole groups, drawn by the split's seed, until the share of labels is reached."""
    if task.label_fraction == 1:
        return fit
    groups = np.asarray(store.index["group"].to_list(), dtype=object)[fit]
    ranked = sorted(set(groups.tolist()), key=lambda g: derive(task.split_seed, "labels", str(g)))
    kept = set(ranked[: max(round(task.label_fraction * len(ranked)), 1)])
    return fit[[group in kept for group in groups]]
