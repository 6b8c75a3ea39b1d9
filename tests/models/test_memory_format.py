"""Encoders with the channels last in memory compute what those in torch's own order do."""

from __future__ import annotations

import copy

import pytest
import torch

from supremix.models import EncoderSpec
from supremix.models.encoders import build_encoder

SHAPES = {2: (33, 40), 3: (33, 36, 34)}
FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", ["resnet", "densenet", "efficientnet"])
def test_features_and_gradients_are_those_of_the_other_order(
    name: str, axes: int, norm: str
) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(EncoderSpec(name=name, width=8, norm=norm), axes, 1).double()
    other = copy.deepcopy(encoder).to(memory_format=torch.contiguous_format)
    images = torch.randn(3, 1, *SHAPES[axes], dtype=torch.float64)
    outputs = [net(images) for net in (encoder, other)]
    torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)
    for output in outputs:
        output.square().mean().backward()
    for mine, theirs in zip(encoder.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("axes", [2, 3])
def test_the_features_keep_that_order_inside(axes: int) -> None:
    encoder = build_encoder(EncoderSpec(width=8), axes, 1)
    found: list[torch.Tensor] = []
    hook = encoder.layer2.register_forward_hook(lambda *call: found.append(call[-1]))
    encoder(torch.randn(2, 1, *SHAPES[axes]))
    hook.remove()
    assert found[0].shape[1] > 1
    assert found[0].is_contiguous(memory_format=FORMATS[axes])
