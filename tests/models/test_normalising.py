"""Group normalisation in the type of its input, against torch's in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional

from supremix.models.normalising import group_norm
from supremix.models.norms import GroupNorm

SHAPES = [(3, 8, 5, 4), (2, 6, 3, 4, 5), (4, 6)]


def values(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_torchs_in_value_and_gradient(shape: tuple[int, ...]) -> None:
    inputs = [values(*shape) * 3 + 5, values(shape[1]) + 1, values(shape[1])]
    given = [x.clone().requires_grad_() for x in inputs]
    x, weight, bias = (one.clone().requires_grad_() for one in inputs)
    ours = group_norm(*given, 2, 1e-5)
    theirs = functional.group_norm(x, 2, weight, bias, 1e-5)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for out in (ours, theirs):
        (out * values(*shape).cos()).sum().backward()
    for one, other in zip(given, (x, weight, bias), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_under_autocast_it_stays_in_half_with_statistics_in_full_precision(
    kind: torch.dtype,
) -> None:
    norm = GroupNorm(2, 8)
    # In half the mean of 50 would be wrong by a fifth of the deviation.
    x = (values(3, 8, 40) / 2 + 50).to(kind).requires_grad_()
    with torch.autocast("cpu", dtype=kind):
        y = norm(x)
    expected = functional.group_norm(x.detach().double(), 2)
    assert y.dtype == kind
    rounding = torch.finfo(kind).eps
    torch.testing.assert_close(y.double(), expected, rtol=rounding, atol=rounding)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == kind
    assert norm.weight.grad is not None
    assert norm.weight.grad.dtype == torch.float32


class InFull(nn.GroupNorm):
    """What torch's does under autocast on a GPU; on a CPU it stays in half as well."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(input.float())


def saved_bytes(norm: nn.Module) -> int:
    """What a normalisation between two convolutions keeps for the backward pass."""
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(1, 8, 1), norm, nn.ReLU(), nn.Conv2d(8, 1, 1))
    images = torch.rand(2, 1, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16), saved_tensors_hooks(keep, lambda x: x):
        layers(images)
    return sum(kept.values())


def test_it_keeps_half_of_what_is_kept_in_full_precision() -> None:
    assert saved_bytes(GroupNorm(2, 8)) < 0.55 * saved_bytes(InFull(2, 8))


def test_in_full_precision_it_is_torchs_own() -> None:
    norm, images = GroupNorm(2, 8), torch.rand(3, 8, 5, 4)
    theirs = functional.group_norm(images, 2, norm.weight, norm.bias, norm.eps)
    assert torch.equal(norm(images), theirs)
