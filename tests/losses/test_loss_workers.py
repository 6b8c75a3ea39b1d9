"""Every loss over a batch on two and three processes against one process on the whole batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from loss_catalogue import SCALAR, value_of
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from worker_group import begin_on_workers

from supremix.training import Solo
from supremix.training.distributed.collective import share, shares

VIEWS = 2
# Images of a batch: as many for each process, an uneven last batch, and one that leaves a process
# a single image.
SIZES = (12, 7, 4)


def _network(dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 5)).to(dtype)


def _data(images: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(images)
    inputs = torch.randn(images * VIEWS, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 12, (images,), generator=generator)
    return inputs.to(dtype), labels.to(dtype).repeat_interleave(VIEWS)


def step(collective: Any, module: nn.Module, loss: Any, images: int) -> list[Tensor]:
    """Loss of the batch, and gradients of the parameters, as a training step has them."""
    module.zero_grad()
    parameters = list(module.parameters())
    inputs, labels = _data(images, parameters[0].dtype)
    own = share(images, collective.rank, collective.world)
    rows = slice(VIEWS * own.start, VIEWS * own.stop)
    sizes = [VIEWS * n for n in shares(images, collective.world)]
    everyone = collective.gather(module(inputs[rows]), sizes)
    generator = torch.Generator().manual_seed(1)
    value = value_of(loss, everyone, labels, generator=generator, anchors=rows)
    (value * collective.world).backward()
    gradients = [p.grad.clone() for p in parameters if p.grad is not None]
    return [collective.sum(value.detach()), *gradients]


def all_steps(collective: Any) -> dict[str, list[Tensor]]:
    results = {}
    for dtype, sizes in ((torch.float32, SIZES), (torch.float64, SIZES[1:2])):
        module = _network(dtype)
        if collective.world > 1:
            module = DistributedDataParallel(module)
        for name, loss in SCALAR.items():
            for images in sizes:
                results[f"{name} {images} {dtype}"] = step(collective, module, loss, images)
    return results


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_processes_equal_one_process_in_value_and_parameter_gradients(
    world: int, tmp_path: Path
) -> None:
    results = begin_on_workers(world, tmp_path, all_steps)
    alone = all_steps(Solo())
    for found in results():
        assert found.keys() == alone.keys()
        for name, wanted in alone.items():
            assert any(gradient.abs().max() > 0 for gradient in wanted[1:]), name
            exact = "float64" in name
            # Beside 1, or beside the largest entry of what is larger.
            for one, other in zip(found[name], wanted, strict=True):
                scale = max(1.0, float(other.abs().max()))
                limit = 1e-12 if exact else 1e-6
                torch.testing.assert_close(
                    one, other, rtol=0, atol=limit * scale, msg=lambda m, n=name: f"{n}: {m}"
                )
