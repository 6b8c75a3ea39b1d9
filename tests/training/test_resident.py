"""Stores kept on a GPU: which, for how long, and how they get there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from supremix.training import forget_stores
from supremix.training.data import resident
from supremix.training.data.resident import resident_images

CUDA = torch.device("cuda:0")


@dataclasses.dataclass
class Gpu:
    """Memory of a pretended GPU in bytes, and what was loaded onto it."""

    total: int
    free: int
    share: float = 1.0
    loaded: list[str] = dataclasses.field(default_factory=list)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    gpu = Gpu(total=4000, free=4000)
    load = resident.load_images

    def counted(store: Any, device: torch.device) -> torch.Tensor:
        gpu.loaded.append(store.key)
        return load(store, torch.device("cpu"))

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (gpu.free, gpu.total))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: gpu.share)
    monkeypatch.setattr(resident, "load_images", counted)
    monkeypatch.setattr(resident, "_PIECE", 30)
    forget_stores()
    yield gpu
    forget_stores()


def store(key: str, images: int) -> Any:
    values = np.arange(images * 10, dtype=np.uint8).reshape(images, 2, 5)
    return SimpleNamespace(key=key, images=values)


def test_a_store_is_copied_whole_in_pieces_and_kept_for_the_next_trial(gpu: Gpu) -> None:
    one = store("a", 50)
    there = resident_images(one, CUDA)

    assert there is not None
    assert np.array_equal(there.numpy(), one.images)
    assert resident_images(store("a", 50), CUDA) is there
    assert gpu.loaded == ["a"]
    forget_stores()
    assert resident_images(one, CUDA) is not there


@pytest.mark.parametrize(
    ("images", "share", "free", "fits"),
    [
        (100, 1.0, 4000, True),  # a quarter of the memory
        (101, 1.0, 4000, False),
        (25, 0.25, 4000, True),  # a quarter of a quarter
        (26, 0.25, 4000, False),
        (100, 1.0, 2000, True),  # half of what is free
        (100, 1.0, 1999, False),
    ],
)
def test_only_what_leaves_room_for_the_training_is_kept(
    images: int, share: float, free: int, fits: bool, gpu: Gpu
) -> None:
    gpu.share, gpu.free = share, free
    assert (resident_images(store("a", images), CUDA) is not None) == fits


def test_another_store_takes_the_room_of_the_last_ones(gpu: Gpu) -> None:
    for key in ("a", "b", "a", "b"):  # both fit, as those of a joint training do
        resident_images(store(key, 50), CUDA)
    assert gpu.loaded == ["a", "b"]
    for key in ("c", "a"):
        resident_images(store(key, 50), CUDA)
    assert gpu.loaded == ["a", "b", "c", "a"]


def test_on_a_cpu_nothing_is_copied(gpu: Gpu) -> None:
    assert resident_images(store("a", 1), torch.device("cpu")) is None
