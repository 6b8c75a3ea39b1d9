"""Rank-N-Contrast against plain loops over all triples, and its laws."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from supremix.losses import LossInputError, RnCLoss
from supremix.losses.common.distances import row_distances


def brute_rnc(embeddings, labels, *, temperature=2.0, normalize=False):
    v = functional.normalize(embeddings, dim=1) if normalize else embeddings
    y = labels.tolist()
    count = len(y)

    def level(i, j):
        return -torch.linalg.vector_norm(v[i] - v[j]) / temperature

    total = embeddings.new_zeros(())
    for i in range(count):
        others = [j for j in range(count) if j != i]
        for j in others:
            # What rounding alone puts before or behind j is as far as j.
            reach = abs(y[i] - y[j]) - 1e-12
            terms = [level(i, k) for k in others if abs(y[i] - y[k]) >= reach]
            total = total - level(i, j) + torch.logsumexp(torch.stack(terms), dim=0)
    return total / (count * (count - 1))


def _assert_same(ours, theirs, embeddings, tolerance=1e-9):
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    gradients = [torch.autograd.grad(loss, embeddings)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("temperature", [0.002, 2.0, 100.0])
def test_it_equals_the_brute_force(temperature, normalize, batch):
    for seed in range(7):
        embeddings, labels, _ = batch(seed)
        options = {"temperature": temperature, "normalize": normalize}
        theirs = brute_rnc(embeddings, labels, **options)
        _assert_same(RnCLoss(**options)(embeddings, labels), theirs, embeddings)


@pytest.mark.parametrize("normalize", [True, False])
def test_gradcheck(normalize, batch):
    for seed in range(4):
        embeddings, labels, _ = batch(seed, count=7, width=3)
        assert torch.autograd.gradcheck(
            lambda e, y=labels: RnCLoss(normalize=normalize, temperature=0.7)(e, y),
            (embeddings,),
        )


def test_a_range_beyond_float64_equals_the_brute_force(batch):
    for seed in (1, 4, 8):
        embeddings, labels, _ = batch(seed)
        far = (embeddings.detach() * 1e4).requires_grad_()
        _assert_same(RnCLoss()(far, labels), brute_rnc(far, labels), far)


@pytest.mark.parametrize("label", [0.0, 3.0])
def test_a_single_label_is_the_uniform_contrast(label, batch):
    embeddings, labels, _ = batch(2, count=8)
    labels = torch.full_like(labels, label)
    _assert_same(RnCLoss()(embeddings, labels), brute_rnc(embeddings, labels), embeddings)


def test_ties_broken_by_rounding_are_ties(batch):
    embeddings, _, _ = batch(1, count=12, width=4)
    steps = torch.tensor([3, 1, 2, 4, 3, 0, 6, 5, 2, 7, 1, 4], dtype=torch.float64)
    steps = steps[: len(embeddings)]
    whole = RnCLoss()(embeddings, steps)
    for labels in (steps * 0.1, (steps * 0.1).float(), (steps * 0.05 + 1.15).float()):
        torch.testing.assert_close(RnCLoss()(embeddings, labels), whole, rtol=1e-12, atol=0)


def test_labels_may_be_shifted_stretched_and_mirrored(batch):
    for seed in range(6):
        embeddings, labels, _ = batch(seed)
        whole = RnCLoss()(embeddings, labels)
        for moved in (labels + 1024, labels * 52, -labels):
            _assert_same(RnCLoss()(embeddings, moved), whole, embeddings, 1e-12)
            whole = RnCLoss()(embeddings, labels)


def test_equal_embeddings_give_a_finite_gradient():
    embeddings = torch.ones(6, 3, requires_grad=True)
    RnCLoss()(embeddings, torch.arange(6.0)).backward()
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


def test_it_is_least_where_embeddings_are_in_the_order_of_the_labels():
    labels = torch.arange(8.0)
    ordered = RnCLoss()(labels.unsqueeze(1) * 5, labels)
    shuffled = RnCLoss()(labels[torch.tensor([3, 0, 5, 1, 7, 2, 6, 4])].unsqueeze(1) * 5, labels)
    assert ordered < 0.2 * shuffled


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_are_zero_with_a_gradient(count):
    embeddings = torch.randn(count, 3, requires_grad=True)
    loss = RnCLoss()(embeddings, torch.zeros(count))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


def test_an_illegal_temperature_is_refused():
    with pytest.raises(LossInputError, match="Expected temperature"):
        RnCLoss(temperature=0.0)


def test_distances_are_exact_where_squares_cancel():
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(6, 64, generator=generator) * 10 + 100
    x = torch.cat((base, base + 1e-3 * torch.randn(6, 64, generator=generator), base))
    exact = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(row_distances(x, 0, 18).double(), exact, rtol=1e-6, atol=1e-12)
    assert row_distances(x, 3, 5).diagonal(3).abs().max() == 0


def test_gradients_of_distances_are_those_of_loops():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: row_distances(v, 2, 5)[:, :2], (x,))
