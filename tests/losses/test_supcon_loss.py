"""The SupCon loss against plain loops, and its laws."""

from __future__ import annotations

import pytest
import torch

from supremix.losses import LossInputError, SupConLoss


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("label_bin", [0.0, 1.0, 4.0])
def test_it_equals_the_brute_force(label_bin, normalize, batch, brute):
    for seed in range(12):
        embeddings, labels, _ = batch(seed)
        options = {"temperature": 0.2, "label_bin": label_bin, "normalize": normalize}
        ours = SupConLoss(**options)(embeddings, labels)
        theirs = brute(embeddings, labels, mix_neg=False, mix_pos=False, weights=False, **options)
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
        gradients = [torch.autograd.grad(loss, embeddings)[0] for loss in (ours, theirs)]
        torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)
        assert torch.autograd.gradcheck(
            lambda e, y=labels, o=options: SupConLoss(**o)(e, y), (embeddings,)
        )


def test_slices_of_anchors_add_up_to_the_batch(batch):
    for seed in range(12):
        embeddings, labels, _ = batch(seed, count=11)
        parts = [
            SupConLoss()(embeddings, labels, anchors=slice(*ends))
            for ends in ((0, 2), (2, 2), (2, 7), (7, None))
        ]
        whole = SupConLoss()(embeddings, labels)
        torch.testing.assert_close(sum(parts), whole, rtol=1e-12, atol=1e-12)
        gradients = [torch.autograd.grad(loss, embeddings)[0] for loss in (sum(parts), whole)]
        torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("labels", [[], [1.0], [0.0, 5.0, 9.0]])
def test_zero_with_a_gradient_when_no_anchor_has_a_positive(labels):
    embeddings = torch.randn(len(labels), 3, requires_grad=True)
    loss = SupConLoss()(embeddings, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_tiny_temperature_stays_finite_under_autocast(dtype):
    generator = torch.Generator().manual_seed(0)
    embeddings = (torch.randn(8, 4, generator=generator) * 100).to(dtype).requires_grad_()
    labels = torch.arange(4).repeat(2)
    with torch.autocast("cpu", dtype=dtype):
        loss = SupConLoss(temperature=1e-3)(embeddings, labels)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(embeddings.grad).all()
    exact = SupConLoss(temperature=1e-3)(embeddings.detach().double(), labels)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-4, atol=1e-3)


def test_illegal_settings_are_refused():
    with pytest.raises(LossInputError, match="Expected temperature"):
        SupConLoss(temperature=-1.0)(torch.zeros(2, 2), torch.zeros(2))
    with pytest.raises(LossInputError, match="Expected label_bin"):
        SupConLoss(label_bin=-1.0)(torch.zeros(2, 2), torch.zeros(2))
