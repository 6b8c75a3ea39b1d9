"""SimCLR, y-Aware, exp and AdaCon against plain loops over the formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from supremix.losses import (
    AdaConLoss,
    ExpLoss,
    LossInputError,
    SimCLRLoss,
    SupConLoss,
    YAwareLoss,
)


def _similarities(embeddings, temperature, normalize):
    z = functional.normalize(embeddings, dim=1) if normalize else embeddings
    return lambda i, j: z[i] @ z[j] / temperature


def _kernel(distance, name, sigma):
    if name == "cauchy":
        return 1 / (1 + (distance / sigma) ** 2)
    weight = math.exp(-(distance**2) / (2 * sigma**2))
    return weight / math.sqrt(2 * math.pi) if name == "gaussian" else weight


def brute_kernel(embeddings, labels, *, temperature, sigma, kernel, normalize, exponential):
    s, y = _similarities(embeddings, temperature, normalize), labels.tolist()
    total = embeddings.new_zeros(())
    for i in range(len(y)):
        others = [j for j in range(len(y)) if j != i]
        weight = {j: _kernel(abs(y[i] - y[j]), kernel, sigma) for j in others}
        slope = {j: 1 - weight[j] if exponential else 1.0 for j in others}
        denominator = torch.log(sum(torch.exp(s(i, t) * slope[t]) for t in others))
        whole = sum(weight.values())
        for j in others:
            total = total - weight[j] / whole * (s(i, j) - denominator)
    return total / len(y)


def brute_simclr(embeddings, samples, *, temperature, normalize):
    s = _similarities(embeddings, temperature, normalize)
    losses = []
    for i in range(len(samples)):
        others = [j for j in range(len(samples)) if j != i]
        denominator = torch.log(sum(torch.exp(s(i, a)) for a in others))
        gaps = [denominator - s(i, p) for p in others if samples[p] == samples[i]]
        if gaps:
            losses.append(sum(gaps) / len(gaps))
    return sum(losses) / len(losses)


def brute_adacon(embeddings, labels, *, temperature, margin, label_bin, reference, normalize):
    s, y = _similarities(embeddings, temperature, normalize), labels.tolist()
    known = y if reference is None else list(reference)

    def place(label):
        return sum((r < label) + (r <= label) for r in known) / (2 * len(known))

    def alike(one, other):
        if label_bin == 0:
            return one == other
        return math.floor(one / label_bin) == math.floor(other / label_bin)

    losses = []
    for i in range(len(y)):
        others = [j for j in range(len(y)) if j != i]
        positives = [j for j in others if alike(y[i], y[j])]
        terms = [s(i, p) for p in positives]
        for n in others:
            if n not in positives:
                apart = min(max(margin * abs(place(y[i]) - place(y[n])), 0.0), 2.0)
                terms.append(s(i, n) + apart / temperature)
        if positives:
            denominator = torch.logsumexp(torch.stack(terms), dim=0)
            losses.append(sum(denominator - s(i, p) for p in positives) / len(positives))
    return sum(losses) / len(losses) if losses else (embeddings * 0).sum()


def _assert_same(ours, theirs, embeddings):
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    gradients = [torch.autograd.grad(loss, embeddings)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("kernel", ["rbf", "gaussian", "cauchy"])
@pytest.mark.parametrize("made", [YAwareLoss, ExpLoss])
def test_kernel_losses_equal_the_brute_force(made, kernel, normalize, batch):
    for seed in range(6):
        embeddings, labels, _ = batch(seed)
        options = {"temperature": 0.4, "sigma": 3.0, "kernel": kernel, "normalize": normalize}
        theirs = brute_kernel(embeddings, labels, exponential=made is ExpLoss, **options)
        _assert_same(made(**options)(embeddings, labels), theirs, embeddings)


@pytest.mark.parametrize("made", [YAwareLoss, ExpLoss, AdaConLoss])
def test_gradcheck(made, batch):
    for seed in range(3):
        embeddings, labels, _ = batch(seed, count=7, width=3)
        assert torch.autograd.gradcheck(
            lambda e, y=labels: made(temperature=0.4)(e, y), (embeddings,)
        )


@pytest.mark.parametrize("made", [YAwareLoss, ExpLoss])
def test_labels_too_far_apart_for_the_kernel_leave_the_nearest(made):
    embeddings = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0.0, 1e3, 3e3], dtype=torch.float64)
    loss = made(sigma=1.0, temperature=1.0)(embeddings, labels)
    z = functional.normalize(embeddings, dim=1)
    s = (z @ z.T).fill_diagonal_(-torch.inf)
    nearest = torch.tensor([1, 0, 1])
    torch.testing.assert_close(loss, functional.cross_entropy(s, nearest))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("views", [2, 3, 4])
def test_simclr_equals_the_brute_force(views, normalize, batch):
    for seed in range(3):
        embeddings, _, _ = batch(seed, count=12)
        options = {"temperature": 0.3, "normalize": normalize}
        samples = [row // views for row in range(len(embeddings))]
        ours = SimCLRLoss(views=views, **options)(embeddings)
        _assert_same(ours, brute_simclr(embeddings, samples, **options), embeddings)


def test_simclr_takes_images_in_any_order_and_number(batch):
    embeddings, _, _ = batch(3, count=9)
    samples = torch.tensor([7, 3, 7, 5, 3, 7, -1, 5, 9])[: len(embeddings)]
    options = {"temperature": 0.3, "normalize": True}
    ours = SimCLRLoss(temperature=0.3)(embeddings, samples=samples)
    _assert_same(ours, brute_simclr(embeddings, samples.tolist(), **options), embeddings)


def test_simclr_is_supcon_on_the_ids_of_the_images(batch):
    embeddings, _, _ = batch(0, count=10)
    ids = torch.arange(5).repeat_interleave(2)
    ours = SimCLRLoss(temperature=0.3)(embeddings, torch.zeros(10))
    assert torch.equal(ours, SupConLoss(temperature=0.3)(embeddings, ids))


def test_one_view_gives_simclr_nothing_to_learn(batch):
    embeddings, _, _ = batch(1, count=8)
    loss = SimCLRLoss(views=1)(embeddings)
    assert loss.item() == 0
    assert torch.autograd.grad(loss, embeddings)[0].abs().max() == 0


@pytest.mark.parametrize("reference", [None, (0.0, 0.0, 1.0, 5.0, 7.5, 30.0)])
@pytest.mark.parametrize("label_bin", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("margin", [0.0, 2.0, 5.0])
def test_adacon_equals_the_brute_force(margin, label_bin, reference, batch):
    for seed in range(6):
        embeddings, labels, _ = batch(seed)
        options = {
            "temperature": 0.2,
            "margin": margin,
            "label_bin": label_bin,
            "reference": reference,
            "normalize": seed % 3 > 0,
        }
        ours = AdaConLoss(**options)(embeddings, labels)
        _assert_same(ours, brute_adacon(embeddings, labels, **options), embeddings)


def test_adacon_at_the_papers_scale_equals_the_brute_force(batch):
    embeddings, labels, _ = batch(0, count=10)
    options = {"temperature": 1 / 150, "margin": 2.0, "label_bin": 1.0, "reference": None}
    theirs = brute_adacon(embeddings, labels, normalize=True, **options)
    _assert_same(AdaConLoss()(embeddings, labels), theirs, embeddings)


def test_equal_labels_lie_in_the_middle_of_their_step():
    # Two thirds of the labels equal: a right-continuous distribution would put 2 at 2/3 from 1.
    embeddings = torch.eye(3, dtype=torch.float64, requires_grad=True)
    loss = AdaConLoss(temperature=1.0, label_bin=1.5, reference=(1.0, 2.0, 2.0))
    # 1 at mid-rank 1/6, 2 at 2/3, 3.5 at 1: margins of twice their distances.
    labels = torch.tensor([1.0, 2.0, 2.0])
    margin = 2 * (2 / 3 - 1 / 6)
    wanted = math.log(1 + math.exp(margin))
    assert loss(embeddings, labels).item() == pytest.approx(wanted)


def test_adacon_without_margin_is_supcon(batch):
    embeddings, labels, _ = batch(5)
    ours = AdaConLoss(margin=0.0, temperature=0.3)(embeddings, labels)
    torch.testing.assert_close(ours, SupConLoss(temperature=0.3)(embeddings, labels))


def test_adacon_counts_labels_and_not_their_unit(batch):
    embeddings, labels, _ = batch(2, count=10)
    ours = AdaConLoss(label_bin=0.0, temperature=0.3)(embeddings, labels.exp())
    torch.testing.assert_close(ours, AdaConLoss(label_bin=0.0, temperature=0.3)(embeddings, labels))


def test_adacon_takes_whole_numbers_with_a_reference_between_them(batch):
    embeddings, labels, _ = batch(0, count=10)
    reference = (0.5, 1.5, 2.5)
    whole = AdaConLoss(reference=reference)(embeddings, labels.long())
    assert torch.equal(whole, AdaConLoss(reference=reference)(embeddings, labels.round()))


@pytest.mark.parametrize(
    ("made", "settings", "message"),
    [
        (SupConLoss, {"temperature": 0.0}, "Expected temperature"),
        (SupConLoss, {"label_bin": -1.0}, "Expected label_bin"),
        (SimCLRLoss, {"temperature": -1.0}, "Expected temperature"),
        (SimCLRLoss, {"views": 0}, "Expected views of at least 1, found 0"),
        (YAwareLoss, {"sigma": 0.0}, "Expected sigma"),
        (YAwareLoss, {"kernel": "box"}, "rbf, gaussian, cauchy, found 'box'"),
        (YAwareLoss, {"temperature": float("nan")}, "Expected temperature"),
        (ExpLoss, {"sigma": float("inf")}, "Expected sigma"),
        (ExpLoss, {"kernel": ""}, "Expected a kernel among"),
        (ExpLoss, {"temperature": 0.0}, "Expected temperature"),
        (AdaConLoss, {"margin": -0.1}, "Expected margin"),
        (AdaConLoss, {"label_bin": float("nan")}, "Expected label_bin"),
        (AdaConLoss, {"temperature": 0.0}, "Expected temperature"),
        (AdaConLoss, {"reference": ()}, "finite, at least one, found 0"),
        (AdaConLoss, {"reference": (1.0, float("nan"))}, "found 2 with 1 that are not"),
    ],
)
def test_illegal_settings_are_refused(made, settings, message):
    with pytest.raises(LossInputError, match=message):
        made(**settings)


def test_a_count_that_views_do_not_divide_is_refused():
    with pytest.raises(LossInputError, match="found 5 embeddings, which is not a multiple"):
        SimCLRLoss()(torch.zeros(5, 2))
