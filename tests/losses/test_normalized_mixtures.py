"""SupReMix with mixtures at unit length against plain loops over mixture vectors."""

from __future__ import annotations

import itertools

import pytest
import torch

from supremix.losses import SupReMixLoss, supremix_loss

SWITCHES = [
    dict(zip(("mix_neg", "mix_pos", "weights", "stop_gradient", "normalize"), values, strict=True))
    for values in itertools.product((True, False), repeat=5)
]


def _assert_same(ours, theirs, embeddings):
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
    gradients = [torch.autograd.grad(loss, embeddings)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("switches", SWITCHES)
def test_every_switch_equals_the_brute_force(switches, batch, brute):
    for seed in range(4):
        embeddings, labels, lam = batch(seed)
        options = {"lam": lam, "normalize_mixtures": True, "window": 8.0, **switches}
        ours = supremix_loss(embeddings, labels, **options)
        _assert_same(ours, brute(embeddings, labels, **options), embeddings)


@pytest.mark.parametrize("stop_gradient", [True, False])
@pytest.mark.parametrize("temperature", [0.01, 50.0])
def test_extreme_temperatures_equal_the_brute_force(temperature, stop_gradient, batch, brute):
    for seed in (2, 5, 8):
        embeddings, labels, lam = batch(seed, count=10)
        options = {
            "lam": lam,
            "normalize_mixtures": True,
            "temperature": temperature,
            "stop_gradient": stop_gradient,
        }
        ours = supremix_loss(embeddings, labels, **options)
        _assert_same(ours, brute(embeddings, labels, **options), embeddings)


def test_a_batch_of_several_chunks_equals_the_brute_force(batch, brute, monkeypatch):
    monkeypatch.setattr("supremix.losses.supremix.pairs._CPU_CHUNK", 40)
    embeddings, labels, lam = batch(2, count=20)
    options = {"lam": lam, "normalize_mixtures": True, "stop_gradient": False}
    ours = supremix_loss(embeddings, labels, **options)
    _assert_same(ours, brute(embeddings, labels, **options), embeddings)


def test_gradcheck_under_a_cap_on_pairs(batch):
    embeddings, labels, lam = batch(3, count=10, width=3)
    loss = SupReMixLoss(
        normalize_mixtures=True, max_pairs=2, window=50.0, stop_gradient=False, temperature=0.5
    )
    assert torch.autograd.gradcheck(
        lambda e: loss(e, labels, lam=lam, generator=torch.Generator().manual_seed(5)),
        (embeddings,),
    )


def test_a_cap_that_no_anchor_reaches_changes_nothing(batch):
    embeddings, labels, lam = batch(2, count=16)
    options = {"lam": lam, "normalize_mixtures": True}
    capped = supremix_loss(embeddings, labels, max_pairs=10_000, **options)
    torch.testing.assert_close(capped, supremix_loss(embeddings, labels, **options))


def test_a_capped_loss_centres_on_the_whole_loss(batch):
    embeddings, labels, lam = batch(2, count=24)
    generator = torch.Generator().manual_seed(0)
    options = {"lam": lam, "window": 30.0, "temperature": 0.5, "normalize_mixtures": True}
    fixed = embeddings.detach()
    draws = torch.stack(
        [
            supremix_loss(fixed, labels, max_pairs=20, generator=generator, **options)
            for _ in range(40)
        ]
    )
    error = draws.std() / len(draws) ** 0.5
    whole = supremix_loss(fixed, labels, **options)
    assert abs(draws.mean() - whole) < 4 * error + 1e-3
    assert error > 0


def test_without_mixtures_the_option_changes_nothing(batch):
    embeddings, labels, _ = batch(4)
    options = {"mix_neg": False, "mix_pos": False}
    _assert_same(
        supremix_loss(embeddings, labels, normalize_mixtures=True, **options),
        supremix_loss(embeddings, labels, **options),
        embeddings,
    )


def test_a_mixture_of_opposite_ends_is_finite():
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    lam = torch.full((3, 3), 0.5)
    loss = supremix_loss(
        z, torch.tensor([0.0, 2.0, 1.0]), lam=lam, normalize_mixtures=True, stop_gradient=False
    )
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()
