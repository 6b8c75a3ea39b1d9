"""Laws that every loss over a batch obeys, contrastive ones and regularisers."""

from __future__ import annotations

import pytest
import torch

from supremix.losses import (
    AdaConLoss,
    BalancedMSELoss,
    ConRLoss,
    ExpLoss,
    LossInputError,
    OrdinalEntropyLoss,
    RankSimLoss,
    RnCLoss,
    SimCLRLoss,
    SupConLoss,
    SupReMixLoss,
    YAwareLoss,
)

CONTRASTIVE = {
    "supremix": SupReMixLoss(),
    "supremix-flowing": SupReMixLoss(stop_gradient=False),
    "supremix-capped": SupReMixLoss(max_pairs=3, window=20.0),
    "supremix-sphere": SupReMixLoss(normalize_mixtures=True),
    "supremix-sphere-flowing": SupReMixLoss(
        normalize_mixtures=True, stop_gradient=False, max_pairs=4, window=20.0
    ),
    "supcon": SupConLoss(),
    "simclr": SimCLRLoss(),
    "rnc": RnCLoss(),
    "yaware": YAwareLoss(),
    "expw": ExpLoss(),
    "adacon": AdaConLoss(temperature=0.1),
    "ranksim": RankSimLoss(),
    "ordinal-entropy": OrdinalEntropyLoss(),
}
# Losses of a temperature, each as a function of it.
HOT = {
    "supremix-sphere": lambda t: SupReMixLoss(temperature=t, normalize_mixtures=True),
    "supcon": lambda t: SupConLoss(temperature=t),
    "simclr": lambda t: SimCLRLoss(temperature=t),
    "rnc": lambda t: RnCLoss(temperature=t),
    "yaware": lambda t: YAwareLoss(temperature=t),
    "expw": lambda t: ExpLoss(temperature=t),
    "adacon": lambda t: AdaConLoss(temperature=t),
}
INVARIANT = sorted(set(CONTRASTIVE) - {"simclr"})


def _batch(seed, images, width=6, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(images, generator=generator, dtype=torch.float64) * 20
    if seed % 2:
        labels = labels.round()
    labels = labels.repeat_interleave(2)
    embeddings = torch.randn(2 * images, width, generator=generator, dtype=dtype)
    return embeddings.requires_grad_(), labels


def _evaluate(loss, embeddings, labels, anchors=None, seed=0):
    value = loss(embeddings, labels, generator=torch.Generator().manual_seed(seed), anchors=anchors)
    (gradient,) = torch.autograd.grad(value, embeddings)
    return value.detach(), gradient


@pytest.mark.parametrize("name", CONTRASTIVE)
@pytest.mark.parametrize("ends", [(7, 14), (1, 13), (4, 8), (0, 5), (5, 5), (14, 14)])
def test_slices_of_anchors_add_up_to_the_batch(name, ends, request):
    loss = CONTRASTIVE[name]
    for seed in range(2):
        embeddings, labels = _batch(seed, 7)
        cuts = [slice(0, ends[0]), slice(*ends), slice(ends[1], None)]
        parts = [_evaluate(loss, embeddings, labels, cut) for cut in cuts]
        whole = _evaluate(loss, embeddings, labels)
        for found, wanted in zip(zip(*parts, strict=True), whole, strict=True):
            torch.testing.assert_close(sum(found), wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", INVARIANT)
def test_labels_may_be_shifted(name):
    loss = CONTRASTIVE[name]
    for seed in range(3):
        embeddings, labels = _batch(seed, 6)
        here = _evaluate(loss, embeddings, labels)
        there = _evaluate(loss, embeddings, labels + 1024)
        for one, other in zip(here, there, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("years", "weeks"),
    [
        (SupConLoss(), SupConLoss(label_bin=52.0)),
        (YAwareLoss(), YAwareLoss(sigma=260.0)),
        (YAwareLoss(kernel="cauchy"), YAwareLoss(kernel="cauchy", sigma=260.0)),
        (ExpLoss(kernel="gaussian"), ExpLoss(kernel="gaussian", sigma=104.0)),
        (ExpLoss(kernel="cauchy"), ExpLoss(kernel="cauchy", sigma=104.0)),
        (AdaConLoss(), AdaConLoss(label_bin=52.0)),
        (RnCLoss(), RnCLoss()),
        (RankSimLoss(), RankSimLoss()),
        (OrdinalEntropyLoss(), OrdinalEntropyLoss(label_bin=52.0, label_scale=52.0)),
        (
            SupReMixLoss(normalize_mixtures=True),
            SupReMixLoss(normalize_mixtures=True, label_bin=52.0, label_scale=52.0, window=260.0),
        ),
    ],
)
def test_the_unit_of_the_label_does_not_matter_when_all_settings_follow(years, weeks):
    embeddings, labels = _batch(2, 8)
    here = _evaluate(years, embeddings, labels)
    there = _evaluate(weeks, embeddings, labels * 52)
    for one, other in zip(here, there, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_the_unit_does_not_matter_to_conr_and_balanced_mse_either():
    features, labels = _batch(2, 8)
    predictions = labels / 10
    years = ConRLoss(window=2.0)(features, labels, predictions)
    weeks = ConRLoss(window=104.0, push=0.01 / 52)(features, labels * 52, predictions * 52)
    torch.testing.assert_close(years, weeks)
    error = BalancedMSELoss()(predictions, labels)
    large = BalancedMSELoss(sigma=52.0)(predictions * 52, labels * 52)
    torch.testing.assert_close(error * 52**2, large)


@pytest.mark.parametrize("name", CONTRASTIVE)
@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_embeddings_are_zero_with_a_gradient(name, count):
    loss = SimCLRLoss(views=1) if name == "simclr" else CONTRASTIVE[name]
    embeddings = torch.randn(count, 4, requires_grad=True)
    value = loss(embeddings, torch.zeros(count))
    value.backward()
    assert value.item() == 0
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_a_single_label_in_the_batch_is_finite(name):
    embeddings, labels = _batch(0, 5)
    value, gradient = _evaluate(CONTRASTIVE[name], embeddings, torch.full_like(labels, 3.0))
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1e-3, 1e3])
@pytest.mark.parametrize("name", HOT)
def test_extremes_stay_finite_and_exact_under_autocast(name, temperature, dtype):
    loss = HOT[name](temperature)
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
@pytest.mark.parametrize("made", [RankSimLoss, OrdinalEntropyLoss, ConRLoss, BalancedMSELoss])
def test_regularisers_are_float32_and_finite_under_autocast(made, dtype):
    exact, labels = _batch(3, 6)
    features = (exact.detach() * 1e3).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        if made is BalancedMSELoss:
            value = made(sigma=1e-3)(features[:, 0], labels)
        elif made is ConRLoss:
            value = made(temperature=1e-3)(features, labels, features.detach()[:, 0] / 1e3)
        else:
            value = made()(features, labels)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_without_need_no_gradient_is_computed(name):
    embeddings, labels = _batch(1, 6)
    options = {"generator": torch.Generator().manual_seed(0)}
    bare = CONTRASTIVE[name](embeddings.detach(), labels, **options)
    assert not bare.requires_grad
    torch.testing.assert_close(bare, _evaluate(CONTRASTIVE[name], embeddings, labels)[0])


@pytest.mark.parametrize("name", INVARIANT)
def test_illegal_batches_are_refused(name):
    loss = CONTRASTIVE[name]
    with pytest.raises(LossInputError, match="one label per embedding"):
        loss(torch.zeros(4, 2), torch.zeros(3))
    with pytest.raises(LossInputError, match="found 1 of 4"):
        loss(torch.zeros(4, 2), torch.tensor([0.0, 1.0, torch.nan, 2.0]))
    with pytest.raises(LossInputError, match="contiguous slice"):
        loss(torch.zeros(4, 2), torch.zeros(4), anchors=slice(0, 4, 2))


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_nan_embeddings_are_not_hidden(name):
    embeddings, labels = _batch(1, 6)
    broken = embeddings.detach().clone()
    broken[0, 0] = torch.nan
    assert torch.isnan(CONTRASTIVE[name](broken, labels))
