"""Laws that every loss over a batch obeys, contrastive ones and regularisers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from loss_catalogue import (
    BATCH,
    SCALAR,
    WITH_PREDICTIONS,
    in_other_unit,
    value_and_gradient,
    value_of,
)

from supremix.losses import BalancedMSELoss, LossInputError, SimCLRLoss

HOT = [name for name, loss in SCALAR.items() if hasattr(loss, "temperature") and name != "conr"]
COLD = sorted(set(SCALAR) - set(HOT))
INVARIANT = sorted(set(BATCH) - {"simclr"})


def _batch(seed, images, width=6, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(images, generator=generator, dtype=torch.float64) * 20
    if seed % 2:
        labels = labels.round()
    labels = labels.repeat_interleave(2)
    embeddings = torch.randn(2 * images, width, generator=generator, dtype=dtype)
    return embeddings.requires_grad_(), labels


@pytest.mark.parametrize("name", SCALAR)
@pytest.mark.parametrize("ends", [(7, 14), (1, 13), (4, 8), (0, 5), (5, 5), (14, 14)])
def test_slices_of_anchors_add_up_to_the_batch(name, ends):
    loss = SCALAR[name]
    for seed in range(2):
        embeddings, labels = _batch(seed, 7)
        cuts = [slice(0, ends[0]), slice(*ends), slice(ends[1], None)]
        parts = [value_and_gradient(loss, embeddings, labels, cut) for cut in cuts]
        whole = value_and_gradient(loss, embeddings, labels)
        for found, wanted in zip(zip(*parts, strict=True), whole, strict=True):
            torch.testing.assert_close(sum(found), wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", INVARIANT)
def test_labels_may_be_shifted(name):
    loss = SCALAR[name]
    for seed in range(3):
        embeddings, labels = _batch(seed, 6)
        here = value_and_gradient(loss, embeddings, labels)
        there = value_and_gradient(loss, embeddings, labels + 1024)
        for one, other in zip(here, there, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", SCALAR)
def test_the_unit_of_the_label_does_not_matter_when_all_hyperparameters_follow(name):
    years, (embeddings, labels) = SCALAR[name], _batch(2, 8)
    here = value_and_gradient(years, embeddings, labels)
    weeks = in_other_unit(years, 52.0)
    if name in WITH_PREDICTIONS:
        # Predictions are columns of the rows, and follow the unit with them.
        there = value_and_gradient(weeks, embeddings * 52, labels * 52)
        power = 2 if isinstance(years, BalancedMSELoss) else 0
        torch.testing.assert_close(here[0] * 52.0**power, there[0], rtol=1e-8, atol=1e-10)
        return
    there = value_and_gradient(weeks, embeddings, labels * 52)
    for one, other in zip(here, there, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", SCALAR)
@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_embeddings_are_zero_with_a_gradient(name, count):
    loss = SimCLRLoss(views=1) if name == "simclr" else SCALAR[name]
    embeddings = torch.randn(count, 4, requires_grad=True)
    value = value_of(loss, embeddings, torch.zeros(count))
    value.backward()
    assert value.item() == 0
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


@pytest.mark.parametrize("name", SCALAR)
def test_a_single_label_in_the_batch_is_finite(name):
    embeddings, labels = _batch(0, 5)
    value, gradient = value_and_gradient(SCALAR[name], embeddings, torch.full_like(labels, 3.0))
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1e-3, 1e3])
@pytest.mark.parametrize("name", HOT)
def test_extremes_stay_finite_and_exact_under_autocast(name, temperature, dtype):
    loss = replace(SCALAR[name], temperature=temperature)
    for scale in (1.0, 1e3):
        exact, labels = _batch(3, 6)
        half = (exact.detach() * scale).to(dtype).requires_grad_()
        double = half.detach().double().requires_grad_()
        options = {"generator": torch.Generator().manual_seed(0)}
        with torch.autocast("cpu", dtype=dtype):
            value = loss(half, labels, **options)
        (found,) = torch.autograd.grad(value, half)
        assert value.dtype == torch.float32
        options = {"generator": torch.Generator().manual_seed(0)}
        expected = loss(double, labels, **options)
        (wanted,) = torch.autograd.grad(expected, double)
        torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-3)
        assert torch.isfinite(found).all()
        limit = float(wanted.abs().max())
        torch.testing.assert_close(found.double(), wanted, rtol=2e-2, atol=2e-2 * limit + 1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", COLD)
def test_the_other_losses_are_float32_and_finite_under_autocast(name, dtype):
    loss = SCALAR[name]
    if name == "conr":
        loss = replace(loss, temperature=1e-3)
    if name == "balanced-mse":
        loss = replace(loss, sigma=1e-3)
    exact, labels = _batch(3, 6)
    features = (exact.detach() * 1e3).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        value = value_of(loss, features, labels)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("name", SCALAR)
def test_without_need_no_gradient_is_computed(name):
    embeddings, labels = _batch(1, 6)
    options = {"generator": torch.Generator().manual_seed(0)}
    bare = value_of(SCALAR[name], embeddings.detach(), labels, **options)
    assert not bare.requires_grad
    torch.testing.assert_close(bare, value_and_gradient(SCALAR[name], embeddings, labels)[0])


@pytest.mark.parametrize("name", INVARIANT)
def test_illegal_batches_are_refused(name):
    loss = BATCH[name]
    with pytest.raises(LossInputError, match="one label per embedding"):
        loss(torch.zeros(4, 2), torch.zeros(3))
    with pytest.raises(LossInputError, match="found 1 of 4"):
        loss(torch.zeros(4, 2), torch.tensor([0.0, 1.0, torch.nan, 2.0]))
    with pytest.raises(LossInputError, match="contiguous slice"):
        loss(torch.zeros(4, 2), torch.zeros(4), anchors=slice(0, 4, 2))


@pytest.mark.parametrize("name", SCALAR)
def test_nan_embeddings_are_not_hidden(name):
    embeddings, labels = _batch(1, 6)
    broken = embeddings.detach().clone()
    broken[0, 0] = torch.nan
    assert torch.isnan(value_of(SCALAR[name], broken, labels))
