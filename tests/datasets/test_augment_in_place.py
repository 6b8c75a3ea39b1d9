"""Augmentation in place and in pieces: the same numbers, and fewer bytes written."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from supremix_datasets import Augmentation, Augmenter, augment

EVERYTHING = Augmentation(
    rotation_deg=30, translate=0.1, scale=0.1, flip_axes=(0, 1), gamma=0.2, gain=0.2, noise=0.05,
    bias_field=0.2, speckle=0.1,
)  # fmt: skip
SHAPES = [(16, 24), (10, 12, 14)]


class Written(TorchDispatchMode):
    """Counts the bytes that operations write: into new tensors, and in place."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        made = function(*args, **(kwargs or {}))
        views = any(r.alias_info and not r.alias_info.is_write for r in function._schema.returns)
        if not views and not function._schema.name.startswith("aten::empty"):
            self.bytes += sum(x.nbytes for x in tree_leaves(made) if isinstance(x, Tensor))
        return made


def plainly(augmenter: Augmenter, images: Tensor, params: dict[str, Tensor]) -> Tensor:
    """`Augmenter.apply` as one would write it, with a new tensor for every step."""
    policy, shape, fill, white = augmenter.policy, augmenter.shape, augmenter.fill, augmenter.white
    maps = augmenter.maps(params)
    one = (-1,) + (1,) * (images.ndim - 1)
    level = images - fill
    level = F.grid_sample(level, plain_grid(maps["theta"], shape), align_corners=False)
    share = (level / white).clamp_min(1e-6).pow(params["gamma"].reshape(one))
    level = torch.where(level > 0, share * white, level)
    level = level * params["gain"].reshape(one)
    basis = augmenter._keep("basis", level.device)
    level = level * (params["bias"] @ basis).exp().reshape(len(level), 1, *shape)
    pool = augmenter._keep(f"pool{level[0].numel()}", level.device)

    def noise(column: int) -> Tensor:
        starts = params["start"][:, column].tolist()
        rows = [pool[start : start + level[0].numel()] for start in starts]
        return torch.stack(rows).reshape(level.shape)

    level = torch.addcmul(level, level, noise(0), value=policy.speckle)
    level = torch.add(level, noise(1), alpha=policy.noise * white)
    return level + fill


def plain_grid(theta: Tensor, shape: tuple[int, ...]) -> Tensor:
    d = len(shape)
    lines = [
        torch.linspace(1 / size - 1, 1 - 1 / size, size).reshape(
            (1,) * (axis + 1) + (size,) + (1,) * (d - 1 - axis)
        )
        for axis, size in enumerate(shape)
    ]
    planes: list[Tensor] = []
    for row in theta.unbind(1):
        weights = [w.reshape(-1, *(1,) * d) for w in row.unbind(1)]
        terms = [w * line for w, line in zip(weights[:d], reversed(lines), strict=True)]
        planes.append(sum(terms, start=weights[d]))
    return torch.stack(planes, -1)


def drawn(shape: tuple[int, ...]) -> tuple[Augmenter, Tensor, dict[str, Tensor]]:
    augmenter = Augmenter(EVERYTHING, shape, fill=0.2, white=0.7)
    images = torch.rand(6, 1, *shape, generator=torch.Generator().manual_seed(1)) + 0.1
    return augmenter, images, augmenter.draw(6, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_in_place_gives_the_numbers_of_new_tensors(shape: tuple[int, ...]) -> None:
    augmenter, images, params = drawn(shape)
    kept = images.clone()
    assert torch.equal(augmenter.apply(images, params), plainly(augmenter, images, params))
    assert torch.equal(images, kept)


@pytest.mark.parametrize("policy", [Augmentation(), Augmentation(gain=0.2)])
def test_what_was_loaded_is_not_written_to(policy: Augmentation) -> None:
    augmenter = Augmenter(policy, SHAPES[0])
    images = torch.rand(3, 1, *SHAPES[0])
    kept = images.clone()
    augmenter.apply(images, augmenter.draw(3, torch.Generator().manual_seed(0))).zero_()
    assert torch.equal(images, kept)


@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_give_what_the_batch_gives(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    augmenter, images, params = drawn(shape)
    whole = augmenter.apply(images, params)
    monkeypatch.setattr(augment, "PIECE", 4 * images[0].nbytes)
    # The field is a product of matrices, which rounds by their size.
    torch.testing.assert_close(augmenter.apply(images, params), whole, rtol=1e-6, atol=1e-6)


def test_of_volumes_a_quarter_of_the_bytes_are_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    augmenter, images, params = drawn((20, 24, 28))
    augmenter.apply(images, params)  # what is made once is made
    written = list[float]()
    for apply in (augmenter.apply, lambda x, p: plainly(augmenter, x, p)):
        with Written() as count:
            apply(images, params)
        written.append(count.bytes / images.nbytes)
    in_place, new = written
    assert in_place < 0.78 * new, written
