"""Partners and shares of mixup."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from supremix.losses import LossInputError, c_mixup_partners, draw_mixing, mix, mixup_partners


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_partners_are_a_permutation_that_the_generator_decides():
    partners = mixup_partners(20, generator=_generator())
    assert sorted(partners.tolist()) == list(range(20))
    assert torch.equal(partners, mixup_partners(20, generator=_generator()))
    torch.manual_seed(3)
    first = mixup_partners(20)
    torch.manual_seed(3)
    assert torch.equal(first, mixup_partners(20))


@pytest.mark.parametrize("bandwidth", [0.5, 3.0, 1e3])
def test_partners_by_label_follow_the_kernel(bandwidth):
    labels, generator, rounds = torch.tensor([0.0, 1.0, 1.0, 4.0, 9.0]), _generator(), 1000
    counts = torch.zeros(5, 5)
    for _ in range(rounds):
        partners = c_mixup_partners(labels, bandwidth=bandwidth, generator=generator)
        counts[torch.arange(5), partners] += 1
    for i in range(5):
        weights = [
            math.exp(-(float(labels[i] - labels[j]) ** 2) / (2 * bandwidth**2)) * (i != j)
            for j in range(5)
        ]
        wanted = torch.tensor(weights) / sum(weights)
        assert (counts[i] / rounds - wanted).abs().max() < 0.07
        assert counts[i, i] == 0


def test_a_sample_far_from_all_gets_the_nearest():
    labels = torch.tensor([0.0, 1e6, 3e6])
    partners = c_mixup_partners(labels, bandwidth=1e-3, generator=_generator())
    assert partners.tolist() == [1, 0, 1]


@pytest.mark.parametrize("count", [0, 1])
def test_a_sample_alone_is_its_own_partner(count):
    partners = c_mixup_partners(torch.zeros(count), bandwidth=1.0, generator=_generator())
    assert partners.tolist() == [0] * count


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_shares_follow_the_beta_distribution(alpha):
    shares = draw_mixing(20_000, alpha=alpha, generator=_generator(1))
    assert shares.shape == (20_000,)
    reference = stats.beta(alpha, alpha)
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(shares.double().std()) == pytest.approx(reference.std(), rel=0.02)


def test_mixing_is_what_loops_do():
    values = torch.randn(4, 2, 3, generator=_generator(), dtype=torch.float64)
    partners, shares = torch.tensor([2, 0, 2, 1]), torch.tensor([0.0, 1.0, 0.25, 0.5])
    found = mix(values, partners, shares)
    for i in range(4):
        share = float(shares[i])
        wanted = share * values[i] + (1 - share) * values[partners[i]]
        torch.testing.assert_close(found[i], wanted)
    assert torch.equal(mix(values[:, 0, 0], partners, shares), found[:, 0, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: c_mixup_partners(torch.zeros(2), bandwidth=0.0), "Expected bandwidth"),
        (lambda: c_mixup_partners(torch.zeros(2, 1), bandwidth=1.0), r"labels of shape \(B,\)"),
        (lambda: c_mixup_partners(torch.tensor([torch.nan]), bandwidth=1.0), "found 1 of 1"),
        (lambda: draw_mixing(3, alpha=0.0), "finite and above 0"),
        (lambda: mix(torch.zeros(3), torch.zeros(2).long(), torch.zeros(3)), "lengths 3, 2, 3"),
        (lambda: mix(torch.zeros(3).long(), torch.zeros(3).long(), torch.zeros(3)), "floating"),
    ],
)
def test_what_is_illegal_is_refused(call, message):
    with pytest.raises(LossInputError, match=message):
        call()
