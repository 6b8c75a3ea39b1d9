"""Stores that are kept on a GPU as a whole, from one trial to the next."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from supremix_datasets.stores.store import Store

SHARE = 0.25
"""Largest part of a process's memory of a GPU that stores take; the rest is for the training."""

_PIECE = 64 << 20

_kept: dict[tuple[str, torch.device], Tensor] = {}


def resident_images(store: Store, device: torch.device) -> Tensor | None:
    """All images of a store on a device, as they are stored; None where they are too large for it.

    Those of the last stores are kept: the next trial on them loads nothing.

    Args:
        store: The store.
        device: A GPU; on a CPU the page cache does the same without a copy.
    """
    if device.type != "cuda":
        return None
    known = _kept.get((store.key, device))
    if known is not None:
        return known
    size = store.images.nbytes
    budget = SHARE * _memory(device)
    if size > budget:
        return None
    if size + sum(images.nbytes for images in _kept.values()) > budget:
        _kept.clear()
    if size > torch.cuda.mem_get_info(device)[0] / 2:
        return None  # others have taken it
    _kept[store.key, device] = load_images(store, device)
    return _kept[store.key, device]


def forget_stores() -> None:
    """Free what is kept; what a trial uses stays until its end."""
    _kept.clear()


def _memory(device: torch.device) -> float:
    """Bytes of the GPU's memory that this process may take."""
    total = torch.cuda.mem_get_info(device)[1]
    return total * torch.cuda.get_per_process_memory_fraction(device)


def load_images(store: Store, device: torch.device) -> Tensor:
    """Copy a store piece by piece: no second copy of it is made in the host's memory."""
    images = store.images
    first = torch.from_numpy(np.array(images[:1]))
    there = torch.empty(images.shape, dtype=first.dtype, device=device)
    step = max(1, _PIECE // max(1, first.nbytes))
    for start in range(0, len(images), step):
        there[start : start + step].copy_(torch.from_numpy(np.array(images[start : start + step])))
    return there
