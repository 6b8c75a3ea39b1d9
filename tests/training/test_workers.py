"""Two and three processes over gloo against one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from worker_group import on_workers

from supremix.models import EncoderSpec
from supremix.training import Distributed, Solo, Task, TrialRun, save_checkpoint
from supremix.training.distributed.collective import share
from supremix.training.distributed.sync_norm import synchronise_norms


def operations(collective: Distributed) -> dict[str, Any]:
    """Gather rows of uneven number and differentiate a loss that is each rank's own."""
    rank, world = collective.rank, collective.world
    x = (torch.arange(rank + 1, dtype=torch.float64) + 10 * rank).reshape(-1, 1).requires_grad_()
    everyone = collective.gather(x)
    ((rank + 1) * (everyone**2).sum()).backward()
    return {
        "gathered": everyone.detach().flatten().tolist(),
        "gradient": x.grad.flatten().tolist() if x.grad is not None else None,
        "x": x.detach().flatten().tolist(),
        "sum": collective.sum(torch.tensor([1.0, rank])).tolist(),
        "word": collective.broadcast("zero" if rank == 0 else "other"),
        "weights": sum(range(1, world + 1)),
    }


def test_gather_keeps_rank_order_and_sends_every_gradient_home(tmp_path: Path) -> None:
    for result in on_workers(3, tmp_path, operations):
        assert result["gathered"] == [0, 10, 11, 20, 21, 22]
        assert result["gradient"] == [2 * v * result["weights"] for v in result["x"]]
        assert result["sum"] == [3, 3]
        assert result["word"] == "zero"


def normalise(collective: Any, images: torch.Tensor, weights: torch.Tensor) -> dict[str, Any]:
    """A batch norm over this rank's rows: outputs, gradients, running statistics."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(1), nn.BatchNorm1d(12)).double()
    module = synchronise_norms(module, collective)
    mine = share(len(images), collective.rank, collective.world)
    x = images[mine].clone().requires_grad_()
    output = module(x)
    (output * weights[mine]).sum().backward()
    gradients = [collective.sum(p.grad) for p in module.parameters()]
    module.eval()
    return {
        "output": output.detach(),
        "input": x.grad,
        "gradients": gradients,
        "buffers": [b.double() for b in module.buffers()],
        "evaluated": module(x).detach(),
    }


def test_batch_norm_over_workers_is_batch_norm_of_the_whole_batch(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(7, 3, 2, 2, generator=generator, dtype=torch.float64) * 5 + 100
    weights = torch.rand(7, 12, generator=generator, dtype=torch.float64)
    alone = normalise(Solo(), images, weights)
    parts = on_workers(2, tmp_path, normalise, images, weights)
    for name in ("output", "input", "evaluated"):
        joined = torch.cat([part[name] for part in parts])
        torch.testing.assert_close(joined, alone[name], rtol=1e-12, atol=1e-12)
    for part in parts:
        torch.testing.assert_close(part["gradients"], alone["gradients"], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(part["buffers"], alone["buffers"], rtol=1e-12, atol=1e-12)


def train(collective: Any, task: Task, config: dict[str, Any], folder: str) -> dict[str, Any]:
    run = TrialRun(task, config, collective=collective, device="cpu")
    if collective.world > 1:
        # Half way through a checkpoint, to see that workers resume as well.
        run.advance()
        state = run.state()
        run = TrialRun(task, config, collective=collective, device="cpu")
        run.load(state)
    while not run.done:
        run.advance()
    if collective.rank == 0:
        save_checkpoint(run.state(), Path(folder) / f"of{collective.world}")
    evaluated = run.evaluate("test")
    return {
        "history": [
            {
                k: v
                for k, v in (r | r.get("measures", {})).items()
                if k not in ("seconds", "measures")
            }
            for r in run.history
        ],
        "ema_model": run.state()["ema_model"],
        "predictions": torch.from_numpy(evaluated["prediction"]),
    }


@pytest.mark.parametrize(
    ("method", "world", "config"),
    [
        ("l1", 2, {"batch_size": 20, "lr": 1e-3}),
        ("supremix", 2, {"batch_size": 18, "lr": 1e-3, "finetune_lr": 1e-4}),
        (
            "supremix",
            2,
            {"batch_size": 18, "lr": 1e-3, "finetune_lr": 1e-4, "finetune_norms": "frozen"},
        ),
        (
            "supremix",
            2,
            {"batch_size": 18, "lr": 1e-3, "finetune_lr": 1e-4, "freeze": 1, "layer_decay": 0.5},
        ),
        ("supremix", 3, {"batch_size": 25, "lr": 1e-3, "head": "probe"}),
    ],
)
def test_many_workers_train_what_one_process_trains(
    task: Task, tmp_path: Path, method: str, world: int, config: dict[str, Any]
) -> None:
    # Smooth throughout: behind a ReLU or a max-pool, rounding tips single units over.
    smooth = EncoderSpec(builder=build_smooth)
    shared = dataclasses.replace(task, method=method, epochs=2, encoder=smooth)
    alone = train(Solo(), shared, config, str(tmp_path))
    for result in on_workers(world, tmp_path, train, shared, config, str(tmp_path)):
        for ours, reference in zip(result["history"], alone["history"], strict=True):
            for name, value in reference.items():
                if not isinstance(value, float):
                    assert ours[name] == value
                else:
                    np.testing.assert_allclose(ours[name], value, rtol=2e-3, err_msg=name)
        for name, value in alone["ema_model"].items():
            torch.testing.assert_close(result["ema_model"][name], value, rtol=2e-3, atol=2e-4)
        torch.testing.assert_close(
            result["predictions"], alone["predictions"], rtol=2e-3, atol=2e-3
        )


def build_smooth(spatial_dims: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Sequential(
            nn.Conv2d(channels, 4, 5, stride=2, bias=False), nn.BatchNorm2d(4), nn.SiLU()
        ),
        nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.SiLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
    )


def test_a_group_has_to_exist() -> None:
    with pytest.raises(RuntimeError, match="init_process_group first, or use Solo"):
        Distributed()
