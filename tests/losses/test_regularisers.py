"""RankSim, ordinal entropy and ConR against plain loops over the formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from supremix.losses import ConRLoss, LossInputError, OrdinalEntropyLoss, RankSimLoss
from supremix.losses.common.ranks import row_ranks


def _unit(features):
    return functional.normalize(features, dim=1)


def _assert_same(ours, theirs, features):
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
    gradients = [torch.autograd.grad(loss, features)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-10)


def brute_rank(values, close=0.0):
    """Mean place among the values, the largest first, as a share of their number."""
    ranks = []
    for value in values:
        above = sum(other > value + close for other in values)
        equal = sum(abs(other - value) <= close for other in values)
        ranks.append((above + (equal + 1) / 2) / len(values))
    return ranks


class BlackboxRank(torch.autograd.Function):
    """Ranks of one list, differentiated by perturbing it along the incoming gradient."""

    @staticmethod
    def forward(ctx, values, lam):
        ctx.values, ctx.lam = values.tolist(), lam
        return values.new_tensor(brute_rank(ctx.values))

    @staticmethod
    def backward(ctx, grad):
        moved = [v + ctx.lam * g for v, g in zip(ctx.values, grad.tolist(), strict=True)]
        before, after = brute_rank(ctx.values), brute_rank(moved)
        return grad.new_tensor(
            [-(b - a) / ctx.lam for b, a in zip(before, after, strict=True)]
        ), None


def brute_ranksim(features, labels, *, gamma, lam):
    z, y = _unit(features), labels.tolist()
    losses = []
    for i in range(len(y)):
        cosine = torch.stack([z[i] @ z[j] for j in range(len(y))])
        wanted = features.new_tensor(brute_rank([-abs(y[i] - other) for other in y], 1e-12))
        losses.append(gamma * functional.mse_loss(BlackboxRank.apply(cosine, lam), wanted))
    return sum(losses)


@pytest.mark.parametrize(("gamma", "lam"), [(100.0, 2.0), (1.0, 0.5), (30.0, 0.01), (1e-3, 1e3)])
def test_ranksim_equals_the_brute_force(gamma, lam, batch):
    for seed in range(8):
        features, labels, _ = batch(seed)
        ours = RankSimLoss(gamma=gamma, lam=lam)(features, labels)
        theirs = brute_ranksim(features, labels, gamma=gamma, lam=lam)
        _assert_same(ours, theirs, features)


def test_the_gradient_of_ranksim_is_linear_in_what_it_is_scaled_by(batch):
    features, labels, _ = batch(4, count=12)
    (plain,) = torch.autograd.grad(RankSimLoss()(features, labels), features)
    (scaled,) = torch.autograd.grad(RankSimLoss()(features, labels) * 2**16, features)
    assert torch.equal(scaled, plain * 2**16)
    assert plain.abs().max() > 0


def test_ranksim_is_zero_where_features_are_ordered_like_labels():
    angle = torch.linspace(0, 1, 7, dtype=torch.float64)
    features = torch.stack((angle.cos(), angle.sin()), dim=1)
    labels = angle * 30 + 2
    # Neighbours at the same angle are ties that rounding breaks in the features: move them apart.
    uneven = angle**1.5
    features = torch.stack((uneven.cos(), uneven.sin()), dim=1)
    assert RankSimLoss()(features, uneven * 30 + 2).item() == 0
    assert RankSimLoss()(features, labels.flip(0) ** 2).item() > 0


def test_ranksim_descends(batch):
    features, labels, _ = batch(1, count=16, width=8)
    x = features.detach().clone().requires_grad_()
    start = RankSimLoss()(x, labels).item()
    for _ in range(200):
        (gradient,) = torch.autograd.grad(RankSimLoss(gamma=1.0, lam=2.0)(x, labels), x)
        x = (x - 0.125 * gradient).detach().requires_grad_()
    assert RankSimLoss()(x, labels).item() < 0.5 * start


def test_ranks_share_ties():
    values = torch.tensor([[3.0, 1.0, 3.0, 2.0], [5.0, 5.0, 5.0, 5.0], [1.0, 2.0, 3.0, 4.0]])
    wanted = torch.tensor([[1.5, 4, 1.5, 3], [2.5, 2.5, 2.5, 2.5], [4, 3, 2, 1]]) / 4
    assert torch.equal(row_ranks(values), wanted)


def brute_ordinal_entropy(features, labels, *, spread, tightness, label_bin, label_scale):
    z, y = _unit(features), labels.tolist()
    groups = {}
    for i, label in enumerate(y):
        groups.setdefault(label if label_bin == 0 else math.floor(label / label_bin), []).append(i)
    centres = {b: _unit(sum(z[i] for i in rows).unsqueeze(0))[0] for b, rows in groups.items()}
    middle = {b: sum(y[i] for i in rows) / len(rows) for b, rows in groups.items()}
    held = [
        torch.linalg.vector_norm(z[i] - centres[b]) if len(rows) > 1 else 0 * z[i].sum()
        for b, rows in groups.items()
        for i in rows
    ]
    farthest = max(abs(one - other) for one in middle.values() for other in middle.values())
    label_scale = label_scale or farthest
    apart = [
        abs(middle[b] - middle[c]) / label_scale * torch.linalg.vector_norm(centres[b] - centres[c])
        for b in groups
        for c in groups
        if b != c
    ]
    loss = tightness * sum(held) / len(held)
    return loss - spread * sum(apart) / len(apart) if apart else loss


@pytest.mark.parametrize("label_bin", [0.0, 1.0, 5.0, 1e3])
def test_ordinal_entropy_equals_the_brute_force(label_bin, batch):
    for seed in range(10):
        features, labels, _ = batch(seed)
        scale = None if seed % 2 else 2.0
        options = {"spread": 0.3, "tightness": 0.7, "label_bin": label_bin, "label_scale": scale}
        ours = OrdinalEntropyLoss(**options)(features, labels)
        _assert_same(ours, brute_ordinal_entropy(features, labels, **options), features)


def test_ordinal_entropy_in_closed_form():
    # Two bins at right angles, one of two samples 60 degrees apart: their centre at 30 to each.
    angles = torch.tensor([-30.0, 30.0, 90.0], dtype=torch.float64).deg2rad()
    features = torch.stack((angles.cos(), angles.sin()), dim=1) * 3
    loss = OrdinalEntropyLoss()(features, torch.tensor([4.0, 4.0, 50.0]))
    held = 2 * (2 * math.sin(math.radians(15))) / 3
    assert loss.item() == pytest.approx(held - math.sqrt(2))


def test_gradcheck_of_ordinal_entropy(batch):
    # No sample is alone in its bin: there the distance from the centre has a kink.
    features, _, _ = batch(3, count=8, width=3)
    labels = torch.tensor([0.0, 0.5, 2.0, 2.0, 7.0, 7.5, 7.0, 2.5])[: len(features)]
    assert torch.autograd.gradcheck(
        lambda f: OrdinalEntropyLoss(spread=0.3, tightness=0.7)(f, labels), (features,)
    )


def test_a_sample_alone_in_its_bin_has_no_tightness(batch):
    features, _, _ = batch(3, count=6)
    labels = torch.arange(float(len(features))) * 10
    loss = OrdinalEntropyLoss(spread=0.0, tightness=1.0)(features, labels)
    assert loss.item() == 0
    assert torch.autograd.grad(loss, features)[0].abs().max() == 0


def brute_conr(features, labels, predictions, *, temperature, window, push):
    z, y, p = _unit(features), labels.tolist(), predictions.tolist()
    total = (features * 0).sum()
    for i in range(len(y)):
        others = [j for j in range(len(y)) if j != i]
        positives = [j for j in others if abs(y[i] - y[j]) <= window]
        negatives = [j for j in others if j not in positives and abs(p[i] - p[j]) <= window]
        if not (positives and negatives):
            continue
        terms = [z[i] @ z[j] / temperature for j in positives]
        terms += [z[i] @ z[j] / temperature + push * abs(y[i] - y[j]) for j in negatives]
        denominator = torch.logsumexp(torch.stack(terms), dim=0)
        gaps = [denominator - z[i] @ z[j] / temperature for j in positives]
        total = total + sum(gaps) / len(gaps)
    return total / len(y)


@pytest.mark.parametrize("push", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("window", [0.0, 1.0, 6.0])
def test_conr_equals_the_brute_force(window, push, batch):
    found = 0
    for seed in range(10):
        features, labels, _ = batch(seed, count=12)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(len(labels), generator=generator, dtype=torch.float64)
        predictions = labels.round() + (2 * noise).round()
        options = {"temperature": 0.2, "window": window, "push": push}
        ours = ConRLoss(**options)(features, labels, predictions)
        _assert_same(ours, brute_conr(features, labels, predictions, **options), features)
        ours = ConRLoss(**options)(features, labels, predictions)
        found += ours.item() > 0
    assert found


def test_conr_gradcheck_and_no_gradient_to_predictions(batch):
    features, labels, _ = batch(2, count=8, width=3)
    predictions = (labels / 10).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda f: ConRLoss(window=2.0)(f, labels, predictions), (features,)
    )
    ConRLoss(window=2.0)(features, labels, predictions).backward()
    assert predictions.grad is None


@pytest.mark.parametrize("temperature", [1e-3, 0.07, 1e3])
def test_anchors_without_positives_or_negatives_give_conr_zero_and_not_nan(temperature):
    features = torch.randn(3, 4, requires_grad=True)
    far = torch.tensor([0.0, 50.0, 90.0])
    near = torch.zeros(3)
    for labels, predictions in ((far, near), (near, near), (near, far), (far, far)):
        loss = ConRLoss(temperature=temperature)(features, labels, predictions)
        assert loss.item() == 0
        assert torch.autograd.grad(loss, features)[0].abs().max() == 0


def test_conr_uses_its_temperature(batch):
    features, labels, _ = batch(0, count=10)
    predictions = torch.zeros_like(labels)
    warm = ConRLoss(temperature=1.0)(features, labels, predictions)
    assert abs(warm - ConRLoss(temperature=0.07)(features, labels, predictions)) > 1e-3


@pytest.mark.parametrize(
    ("made", "settings", "message"),
    [
        (RankSimLoss, {"gamma": 0.0}, "Expected gamma"),
        (RankSimLoss, {"lam": -2.0}, "Expected lam"),
        (OrdinalEntropyLoss, {"spread": -1.0}, "Expected spread"),
        (OrdinalEntropyLoss, {"tightness": float("nan")}, "Expected tightness"),
        (OrdinalEntropyLoss, {"label_bin": -1.0}, "Expected label_bin"),
        (OrdinalEntropyLoss, {"label_scale": 0.0}, "Expected label_scale"),
        (ConRLoss, {"temperature": 0.0}, "Expected temperature"),
        (ConRLoss, {"window": -1.0}, "Expected window"),
        (ConRLoss, {"push": -0.1}, "Expected push"),
        (ConRLoss, {"push": float("inf")}, "Expected push"),
    ],
)
def test_illegal_settings_are_refused(made, settings, message):
    with pytest.raises(LossInputError, match=message):
        made(**settings)


def test_conr_needs_a_prediction_for_each():
    with pytest.raises(LossInputError, match=r"shape \(3,\)"):
        ConRLoss()(torch.zeros(4, 2), torch.zeros(4), torch.zeros(3))
