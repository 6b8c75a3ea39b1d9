"""The losses of predictions against plain loops, and their laws."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats

from supremix.losses import BalancedMSELoss, HuberLoss, LossInputError, SoftLabels, l1, mse


def _pairs(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    targets = (torch.randn(count, generator=generator, dtype=torch.float64) * 3).round()
    predictions = targets + torch.randn(count, generator=generator, dtype=torch.float64) * 2
    return predictions.requires_grad_(), targets


def _huber(error, delta):
    return error**2 / 2 if abs(error) <= delta else delta * (abs(error) - delta / 2)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (l1, abs),
        (mse, lambda e: e**2),
        (HuberLoss(), lambda e: _huber(e, 1.0)),
        (HuberLoss(delta=0.3), lambda e: _huber(e, 0.3)),
        (HuberLoss(delta=5.0), lambda e: _huber(e, 5.0)),
    ],
)
def test_a_loss_gives_one_value_a_sample(ours, theirs):
    predictions, targets = _pairs(9)
    errors = (predictions.detach() - targets).tolist()
    wanted = torch.tensor([theirs(e) for e in errors], dtype=torch.float64)
    torch.testing.assert_close(ours(predictions, targets).detach(), wanted)
    assert torch.autograd.gradcheck(lambda p: ours(p, targets), (predictions,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("loss", [l1, mse, HuberLoss()])
def test_half_precision_does_not_overflow(loss, dtype):
    predictions = torch.tensor([300.0, -3e4], dtype=dtype, requires_grad=True)
    with torch.autocast("cpu", dtype=dtype):
        values = loss(predictions, torch.tensor([-300.0, 3e4]))
    assert values.dtype == torch.float32
    assert torch.isfinite(values).all()


def brute_balanced(predictions, targets, sigma):
    total = predictions.new_zeros(())
    for i in range(len(targets)):
        terms = [-((predictions[i] - y) ** 2) / (2 * sigma**2) for y in targets.tolist()]
        total = total - 2 * sigma**2 * (terms[i] - torch.logsumexp(torch.stack(terms), 0))
    return total / len(targets)


@pytest.mark.parametrize("sigma", [1e-3, 0.5, 1.0, 1e3])
def test_balanced_mse_equals_the_brute_force(sigma):
    for seed in range(4):
        predictions, targets = _pairs(8, seed)
        ours = BalancedMSELoss(sigma=sigma)(predictions, targets)
        theirs = brute_balanced(predictions, targets, sigma)
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
        gradients = [torch.autograd.grad(loss, predictions)[0] for loss in (ours, theirs)]
        torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-8)


def test_balanced_mse_gradcheck():
    predictions, targets = _pairs(6)
    assert torch.autograd.gradcheck(lambda p: BalancedMSELoss()(p, targets), (predictions,))


@pytest.mark.parametrize("cuts", [(0, 3, 9), (0, 2, 5, 9), (0, 0, 9)])
def test_slices_of_balanced_mse_add_up(cuts):
    predictions, targets = _pairs(9)
    parts = [
        BalancedMSELoss()(predictions, targets, anchors=slice(a, b))
        for a, b in itertools.pairwise(cuts)
    ]
    whole = BalancedMSELoss()(predictions, targets)
    torch.testing.assert_close(sum(parts), whole)
    gradients = [torch.autograd.grad(value, predictions)[0] for value in (sum(parts), whole)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("count", [0, 1])
def test_balanced_mse_of_fewer_than_two_is_zero(count):
    predictions, targets = _pairs(count)
    BalancedMSELoss()(predictions, targets).backward()
    assert BalancedMSELoss()(predictions, targets).item() == 0
    assert predictions.grad.abs().sum() == 0


def test_balanced_mse_of_targets_far_apart_is_the_squared_error_of_none():
    # With no other target near, nothing competes: the loss is zero whatever the small error.
    predictions = torch.tensor([0.1, 99.8], dtype=torch.float64)
    assert BalancedMSELoss()(predictions, torch.tensor([0.0, 100.0])).item() == pytest.approx(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: l1(torch.zeros(2, 1), torch.zeros(2)), r"predictions of shape \(B,\)"),
        (lambda: mse(torch.zeros(2), torch.zeros(2, 1)), "one target per prediction"),
        (
            lambda: HuberLoss()(torch.zeros(2, dtype=torch.int64), torch.zeros(2)),
            "floating predictions",
        ),
        (lambda: HuberLoss(delta=0.0)(torch.zeros(2), torch.zeros(2)), "Expected delta"),
        (lambda: HuberLoss(delta=-1.0), "Expected delta"),
        (lambda: BalancedMSELoss(sigma=0.0), "Expected sigma"),
        (lambda: BalancedMSELoss()(torch.zeros(2), torch.tensor([0, torch.nan])), "found 1 of 2"),
        (lambda: SoftLabels(low=3.0, high=3.0), "Expected low < high"),
        (lambda: SoftLabels(low=0.0, high=1.0, label_bin=0.0), "Expected label_bin"),
        (lambda: SoftLabels(low=0.0, high=1.0, sigma=-1.0), "Expected sigma"),
        (lambda: SoftLabels(low=0.0, high=1e9, label_bin=1e-3), "Choose wider bins"),
        (lambda: SoftLabels(low=0.0, high=2.0).targets(torch.tensor([2.5])), "1 of 1 outside"),
        (lambda: SoftLabels(low=0.0, high=2.0).expectation(torch.zeros(1, 3)), r"shape \(B, 2\)"),
        (lambda: SoftLabels.covering(torch.zeros(0)), "found none"),
    ],
)
def test_what_is_illegal_is_refused(call, message):
    with pytest.raises(LossInputError, match=message):
        call()


def brute_soft(label, grid):
    masses = []
    for k in range(grid.count):
        low = grid.low + k * grid.label_bin
        reference = stats.norm(label, grid.sigma)
        masses.append(reference.cdf(low + grid.label_bin) - reference.cdf(low))
    return [m / sum(masses) for m in masses]


@pytest.mark.parametrize("sigma", [0.2, 1.0, 8.0])
@pytest.mark.parametrize("label_bin", [0.5, 1.0, 2.0])
def test_soft_labels_equal_the_brute_force(label_bin, sigma):
    grid = SoftLabels(low=-3.0, high=6.0, label_bin=label_bin, sigma=sigma)
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([-3.0, -1.25, 0.0, 2.5, 5.9], dtype=torch.float64)
    logits = torch.randn(5, grid.count, generator=generator, dtype=torch.float64)
    logits.requires_grad_()
    found = grid.loss(logits, labels)
    for row, label in enumerate(labels.tolist()):
        soft = brute_soft(label, grid)
        shares = logits[row].softmax(0)
        wanted = sum(p * (math.log(p) - torch.log(shares[k])) for k, p in enumerate(soft) if p > 0)
        torch.testing.assert_close(found[row], wanted, rtol=1e-8, atol=1e-9)
        middle = sum(
            float(shares[k].detach()) * (grid.low + (k + 0.5) * label_bin)
            for k in range(grid.count)
        )
        assert float(grid.expectation(logits)[row].detach()) == pytest.approx(middle)
    assert torch.autograd.gradcheck(lambda x: grid.loss(x, labels), (logits,))
    assert torch.autograd.gradcheck(grid.expectation, (logits,))


def test_the_right_distribution_has_no_loss_and_nearly_the_label_as_expectation():
    labels = torch.tensor([20.0, 43.7, 80.2], dtype=torch.float64)
    grid = SoftLabels.covering(labels, sigma=2.0)
    logits = grid.targets(labels).clamp(min=1e-300).log()
    torch.testing.assert_close(grid.loss(logits, labels), torch.zeros(3, dtype=torch.float64))
    assert (grid.expectation(logits) - labels).abs().max() < 0.03


def test_a_grid_covers_its_labels_on_whole_bins():
    labels = torch.tensor([0.31, 2.62])
    grid = SoftLabels.covering(labels, label_bin=0.1, sigma=0.1)
    assert grid.low == pytest.approx(0.0)
    assert grid.count == 30
    assert len(grid.centres()) == 30
    assert SoftLabels(low=0.0, high=2.3, label_bin=0.1).count == 23


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_soft_labels_do_not_overflow_in_half_precision(dtype):
    grid = SoftLabels(low=0.0, high=100.0, sigma=0.01)
    logits = torch.full((2, 100), 3e4, dtype=dtype)
    logits[:, ::2] *= -1
    logits.requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        loss = grid.loss(logits, torch.tensor([0.0, 100.0]))
        prediction = grid.expectation(logits)
    loss.sum().backward()
    assert loss.dtype == prediction.dtype == torch.float32
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()
