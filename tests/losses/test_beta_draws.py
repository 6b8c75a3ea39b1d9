"""Beta draws against scipy's Beta distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from supremix.losses import LossInputError, draw_beta
from supremix.losses.common.beta import CELLS

SHAPES = [(2, 8), (1, 1), (0.2, 0.2), (0.5, 5), (8, 2), (1, 30), (60, 40)]


# At (0.2, 0.2) one value in forty is so close to 1 that float32 has no number for it.
@pytest.mark.parametrize(("alpha", "beta"), [s for s in SHAPES if s != (0.2, 0.2)])
def test_draws_follow_the_distribution(alpha, beta):
    draws = draw_beta(300, 300, alpha=alpha, beta=beta, generator=torch.Generator().manual_seed(3))
    assert draws.min() >= 0
    assert draws.max() <= 1
    values = draws.double().flatten().numpy()
    assert stats.kstest(values, stats.beta(alpha, beta).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("alpha", "beta"), SHAPES)
def test_moments_are_those_of_the_distribution(alpha, beta):
    draws = draw_beta(500, 500, alpha=alpha, beta=beta, generator=torch.Generator().manual_seed(4))
    reference = stats.beta(alpha, beta)
    assert float(draws.mean()) == pytest.approx(reference.mean(), abs=5 * reference.std() / 500)
    assert float(draws.std()) == pytest.approx(reference.std(), rel=0.01)


@pytest.mark.parametrize(("alpha", "beta"), SHAPES)
def test_the_error_of_the_table_is_within_its_bound(alpha, beta, monkeypatch):
    # The probabilities themselves in place of random ones: no noise is left, only the table.
    even = (torch.arange(1 << 18) / (1 << 18)).view(1, -1)
    monkeypatch.setattr(torch, "rand", lambda *_args, **_keywords: even.clone())
    values = draw_beta(1, even.numel(), alpha=alpha, beta=beta).double().flatten().numpy()
    # Where float32 has no number left between two values, the one above stands for both.
    low = stats.beta(alpha, beta).cdf(np.nextafter(values.astype(np.float32), np.float32(-1)))
    high = stats.beta(alpha, beta).cdf(np.nextafter(values.astype(np.float32), np.float32(2)))
    wanted = even.double().flatten().numpy()
    assert (low <= wanted + 1 / CELLS).all()
    assert (high >= wanted - 1 / CELLS).all()


def test_rows_kept_are_rows_of_the_whole_and_the_generator_moves_alike():
    one, other = (torch.Generator().manual_seed(7) for _ in range(2))
    whole = draw_beta(9, 9, alpha=2, beta=8, generator=one)
    part = draw_beta(9, 9, alpha=2, beta=8, generator=other, keep=slice(3, 5))
    assert torch.equal(part, whole[3:5])
    assert torch.equal(one.get_state(), other.get_state())


def test_without_a_generator_the_global_one_decides():
    torch.manual_seed(11)
    first = draw_beta(3, 3, alpha=2, beta=8)
    torch.manual_seed(11)
    assert torch.equal(first, draw_beta(3, 3, alpha=2, beta=8))


@pytest.mark.parametrize(("alpha", "beta"), [(0, 1), (1, -2), (float("nan"), 1)])
def test_illegal_shapes_are_refused(alpha, beta):
    with pytest.raises(LossInputError, match="finite and above 0"):
        draw_beta(2, 2, alpha=alpha, beta=beta)
