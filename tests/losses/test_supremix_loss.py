"""The SupReMix loss against plain loops over mixture vectors, and its laws."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional

from supremix.losses import LossInputError, SupConLoss, SupReMixLoss, draw_beta, supremix_loss

SWITCHES = [
    dict(zip(("mix_neg", "mix_pos", "weights", "stop_gradient", "normalize"), values, strict=True))
    for values in itertools.product((True, False), repeat=5)
]


def _value_and_gradient(loss, embeddings):
    (gradient,) = torch.autograd.grad(loss, embeddings)
    return loss.detach(), gradient


def _assert_equal(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("switches", SWITCHES)
def test_every_switch_equals_the_brute_force(switches, batch, brute):
    for seed in range(7):
        embeddings, labels, lam = batch(seed)
        ours = supremix_loss(embeddings, labels, lam=lam, **switches)
        theirs = brute(embeddings, labels, lam=lam, **switches)
        _assert_equal(
            _value_and_gradient(ours, embeddings), _value_and_gradient(theirs, embeddings)
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.02},
        {"temperature": 50.0},
        {"label_bin": 0.0},
        {"label_bin": 3.0, "label_scale": 3.0},
        {"label_bin": 100.0},
        {"window": 0.0},
        {"window": 0.3},
        {"window": float("inf")},
        {"label_scale": 0.01},
        {"label_bin": 0.0, "window": 0.0},
        {"label_bin": 0.0, "window": 2.0, "label_scale": 40.0, "temperature": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_every_setting_equals_the_brute_force(settings, stop_gradient, batch, brute):
    for seed in range(12):
        embeddings, labels, lam = batch(seed)
        options = {**settings, "stop_gradient": stop_gradient}
        ours = supremix_loss(embeddings, labels, lam=lam, **options)
        theirs = brute(embeddings, labels, lam=lam, **options)
        _assert_equal(
            _value_and_gradient(ours, embeddings), _value_and_gradient(theirs, embeddings)
        )


def test_a_batch_of_several_chunks_equals_the_brute_force(batch, brute, monkeypatch):
    monkeypatch.setattr("supremix.losses.supremix.pairs._CPU_CHUNK", 40)
    for seed in (2, 3, 6):
        embeddings, labels, lam = batch(seed, count=24)
        ours = supremix_loss(embeddings, labels, lam=lam)
        _assert_equal(
            _value_and_gradient(ours, embeddings),
            _value_and_gradient(brute(embeddings, labels, lam=lam), embeddings),
        )


@pytest.mark.parametrize("switches", [s for s in SWITCHES if not s["stop_gradient"]])
def test_gradcheck_without_stop_gradient(switches, batch):
    for seed in range(7):
        embeddings, labels, lam = batch(seed, count=8, width=3)
        assert torch.autograd.gradcheck(
            lambda e, y=labels, m=lam: supremix_loss(e, y, lam=m, window=8.0, **switches),
            (embeddings,),
        )


# Finite differences move the mixtures along, which a stopped gradient must not see: the reference
# of stop_gradient is autograd over detached mixtures, above. Without mixtures none is stopped.
@pytest.mark.parametrize("weights", [True, False])
def test_gradcheck_with_stop_gradient_and_no_mixtures(weights, batch):
    for seed in range(7):
        embeddings, labels, _ = batch(seed, count=8, width=3)
        assert torch.autograd.gradcheck(
            lambda e, y=labels: supremix_loss(e, y, mix_neg=False, mix_pos=False, weights=weights),
            (embeddings,),
        )


def test_gradcheck_under_a_cap_on_pairs(batch):
    embeddings, labels, lam = batch(3, count=10, width=3)

    def loss(e):
        generator = torch.Generator().manual_seed(5)
        return supremix_loss(
            e, labels, lam=lam, generator=generator, max_pairs=2, window=50.0, stop_gradient=False
        )

    assert torch.autograd.gradcheck(loss, (embeddings,))


@pytest.mark.parametrize("stop_gradient", [True, False])
@pytest.mark.parametrize("max_pairs", [None, 3])
def test_slices_of_anchors_add_up_to_the_batch(stop_gradient, max_pairs, batch):
    for seed in range(7):
        embeddings, labels, _ = batch(seed, count=13)
        size = len(labels)

        def run(anchors, e=embeddings, y=labels, s=seed):
            loss = supremix_loss(
                e,
                y,
                anchors=anchors,
                generator=torch.Generator().manual_seed(s),
                max_pairs=max_pairs,
                stop_gradient=stop_gradient,
            )
            return _value_and_gradient(loss, e)

        parts = [run(slice(*ends)) for ends in ((0, 3), (3, 3), (3, 4), (4, size))]
        _assert_equal([sum(values) for values in zip(*parts, strict=True)], run(None))


def test_labels_may_be_shifted_by_whole_bins(batch):
    for seed in range(7):
        embeddings, labels, lam = batch(seed)
        here = supremix_loss(embeddings, labels, lam=lam)
        there = supremix_loss(embeddings, labels + 1024.0, lam=lam)
        _assert_equal(_value_and_gradient(here, embeddings), _value_and_gradient(there, embeddings))


def test_the_order_of_the_batch_does_not_matter(batch):
    embeddings, labels, lam = batch(5, count=12)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    here = supremix_loss(embeddings, labels, lam=lam)
    there = supremix_loss(embeddings[order], labels[order], lam=lam[order][:, order])
    _assert_equal(_value_and_gradient(here, embeddings), _value_and_gradient(there, embeddings))


def test_the_unit_of_the_label_does_not_matter_when_all_settings_follow(batch):
    embeddings, labels, lam = batch(2, count=12)
    years = supremix_loss(embeddings, labels, lam=lam, label_bin=1.0, label_scale=1.0, window=5.0)
    weeks = supremix_loss(
        embeddings, labels * 52, lam=lam, label_bin=52.0, label_scale=52.0, window=260.0
    )
    torch.testing.assert_close(years, weeks, rtol=1e-12, atol=0)


@pytest.mark.parametrize("width", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_labels_on_the_grid_fall_in_their_own_bins_despite_rounding(width, dtype, batch):
    steps = torch.arange(-30, 30, dtype=torch.float64).repeat(2)
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(len(steps), 4, generator=generator, dtype=torch.float64)
    lam = torch.rand(len(steps), len(steps), generator=generator, dtype=torch.float64)
    rounded = torch.tensor([round(s * width, 2) for s in steps.tolist()], dtype=dtype)
    whole = supremix_loss(embeddings, steps, lam=lam, window=5.0)
    fine = supremix_loss(
        embeddings, rounded, lam=lam, label_bin=width, label_scale=width, window=5 * width
    )
    torch.testing.assert_close(fine, whole, rtol=1e-5, atol=0)


@pytest.mark.parametrize("labels", [[0.0, 10.0, 20.0], [4.0], [0.0, 3.0]])
def test_zero_with_a_gradient_when_no_anchor_has_a_positive(labels):
    embeddings = torch.randn(len(labels), 4, requires_grad=True)
    loss = supremix_loss(embeddings, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


def test_an_empty_batch_is_zero():
    embeddings = torch.zeros(0, 4, requires_grad=True)
    assert supremix_loss(embeddings, torch.zeros(0)).item() == 0


def test_the_number_of_anchors_without_a_positive_does_not_change_the_mean(batch, brute):
    embeddings, labels, lam = batch(0)
    lonely = labels.clone()
    lonely[0] = 1e4
    ours = supremix_loss(embeddings, lonely, lam=lam, stop_gradient=False)
    _assert_equal(
        _value_and_gradient(ours, embeddings),
        _value_and_gradient(brute(embeddings, lonely, lam=lam, stop_gradient=False), embeddings),
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1e-3, 1e3])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_extremes_stay_finite_and_exact_under_autocast(dtype, temperature, scale, batch):
    _, labels, lam = batch(1, count=12)
    generator = torch.Generator().manual_seed(0)
    exact = (torch.randn(len(labels), 8, generator=generator) * scale).to(dtype)
    half = exact.clone().requires_grad_()
    double = exact.double().requires_grad_()
    options = {"lam": lam, "temperature": temperature}
    with torch.autocast("cpu", dtype=dtype):
        loss = supremix_loss(half, labels, **options)
    (loss * scale).backward()
    expected = supremix_loss(double, labels, **options)
    (expected * scale).backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-4)
    assert torch.isfinite(half.grad).all()
    limit = float(double.grad.abs().max())
    torch.testing.assert_close(half.grad.double(), double.grad, rtol=2e-2, atol=1e-2 * limit + 1e-6)


def test_raw_embeddings_of_any_size_stay_finite():
    embeddings = torch.full((6, 4), 3e4, dtype=torch.float16)
    embeddings[::2] *= -1
    embeddings.requires_grad_()
    labels = torch.tensor([0.0, 1.0, 2.0, 0.0, 1.0, 2.0])
    loss = supremix_loss(embeddings, labels, normalize=False, temperature=0.01)
    assert torch.isfinite(loss)


def test_a_row_of_zeros_gives_a_finite_gradient(batch):
    embeddings, labels, lam = batch(1, count=10)
    zeros = embeddings.detach().float()
    zeros[0] = 0
    zeros.requires_grad_()
    supremix_loss(zeros, labels, lam=lam).backward()
    assert torch.isfinite(zeros.grad).all()


def test_float32_is_close_to_float64(batch):
    embeddings, labels, lam = batch(9, count=40, width=16)
    single = embeddings.detach().float().requires_grad_()
    ours = _value_and_gradient(supremix_loss(single, labels, lam=lam), single)
    exact = _value_and_gradient(supremix_loss(embeddings, labels, lam=lam), embeddings)
    for one, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-6)


def test_labels_far_apart_in_size_but_close_in_value_keep_their_mixtures(batch):
    # The gaps vanish in float32 next to the labels themselves.
    embeddings, _, _ = batch(0, count=6)
    labels = 1e6 + torch.arange(len(embeddings), dtype=torch.float64) * 1e-5
    small = supremix_loss(
        embeddings.float(), labels, label_bin=0, window=1e-4, label_scale=1e-5, mix_neg=False
    )
    plain = supremix_loss(embeddings, (labels - 1e6) * 1e5, label_bin=0, window=10, mix_neg=False)
    torch.testing.assert_close(small.double(), plain, rtol=1e-4, atol=0)


def test_drawn_lam_is_that_of_draw_beta(batch):
    embeddings, labels, _ = batch(4)
    size = len(labels)
    lam = draw_beta(size, size, alpha=3, beta=2, generator=torch.Generator().manual_seed(1))
    drawn = supremix_loss(
        embeddings, labels, alpha=3, beta=2, generator=torch.Generator().manual_seed(1)
    )
    assert torch.equal(drawn, supremix_loss(embeddings, labels, lam=lam))


@pytest.mark.parametrize("anchors", [None, slice(0, 2), slice(2, 2)])
def test_every_rank_leaves_the_generator_in_the_same_state(anchors, batch):
    embeddings, labels, _ = batch(4)
    whole, part = (torch.Generator().manual_seed(1) for _ in range(2))
    supremix_loss(embeddings, labels, generator=whole, max_pairs=2)
    supremix_loss(embeddings, labels, generator=part, max_pairs=2, anchors=anchors)
    assert torch.equal(whole.get_state(), part.get_state())


def test_a_cap_above_all_windows_changes_nothing(batch):
    embeddings, labels, lam = batch(2, count=16)
    assert torch.equal(
        supremix_loss(embeddings, labels, lam=lam, max_pairs=10_000),
        supremix_loss(embeddings, labels, lam=lam),
    )


def test_a_capped_loss_centres_on_the_whole_loss(batch):
    embeddings, labels, lam = batch(2, count=40)
    generator = torch.Generator().manual_seed(0)
    options = {"lam": lam, "window": 30.0, "temperature": 0.5}
    draws = torch.stack(
        [
            supremix_loss(embeddings, labels, max_pairs=20, generator=generator, **options)
            for _ in range(300)
        ]
    )
    whole = supremix_loss(embeddings, labels, **options)
    error = draws.std() / len(draws) ** 0.5
    # The logarithm of an unbiased denominator is low by half its relative variance, here < 1e-3.
    assert abs(draws.mean() - whole) < 4 * error + 1e-3
    assert draws.std() < 0.05 * whole


def test_without_mixtures_and_weights_it_is_supcon(batch):
    for seed in range(8):
        embeddings, labels, _ = batch(seed)
        ours = supremix_loss(embeddings, labels, mix_neg=False, mix_pos=False, weights=False)
        theirs = SupConLoss(temperature=0.3)(embeddings, labels)
        _assert_equal(
            _value_and_gradient(ours, embeddings), _value_and_gradient(theirs, embeddings)
        )


def test_the_gradient_stops_at_mixtures(batch):
    # One anchor, all others its negatives or the ends of its mixtures: with the gradient stopped
    # only real similarities reach the other embeddings.
    embeddings, _, lam = batch(0, count=4)
    labels = torch.tensor([0.0, -1.0, 1.0, 9.0], dtype=torch.float64)[: len(embeddings)]
    z = functional.normalize(embeddings.detach(), dim=1).requires_grad_()
    options = {"lam": lam, "anchors": slice(0, 1), "normalize": False}
    stopped = _value_and_gradient(supremix_loss(z, labels, **options), z)[1]
    flowing = _value_and_gradient(supremix_loss(z, labels, stop_gradient=False, **options), z)[1]
    assert not torch.allclose(stopped[1], flowing[1])
    assert (stopped[1] @ z[0]).abs() > 0


def test_no_gradient_is_computed_without_need(batch):
    embeddings, labels, lam = batch(4)
    loss = supremix_loss(embeddings.detach(), labels, lam=lam)
    assert not loss.requires_grad
    assert torch.equal(loss, supremix_loss(embeddings, labels, lam=lam).detach())


def test_integer_labels_are_labels(batch):
    embeddings, labels, lam = batch(0)
    assert torch.equal(
        supremix_loss(embeddings, labels.long(), lam=lam),
        supremix_loss(embeddings, labels, lam=lam),
    )


def test_nan_embeddings_are_not_hidden(batch):
    embeddings, labels, lam = batch(1, count=10)
    broken = embeddings.detach().clone()
    broken[0, 0] = torch.nan
    assert torch.isnan(supremix_loss(broken, labels, lam=lam))


def test_the_settings_object_is_the_function(batch):
    embeddings, labels, lam = batch(6)
    loss = SupReMixLoss(temperature=0.5, window=3.0, mix_neg=False)
    assert torch.equal(
        loss(embeddings, labels, lam=lam),
        supremix_loss(embeddings, labels, temperature=0.5, window=3.0, mix_neg=False),
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "Expected temperature to be finite and above 0, found 0.0"),
        ({"label_scale": -1.0}, "Expected label_scale"),
        ({"alpha": float("nan")}, "Expected alpha"),
        ({"beta": float("inf")}, "Expected beta"),
        ({"label_bin": -1.0}, "Expected label_bin of at least 0"),
        ({"window": float("nan")}, "Expected window of at least 0"),
        ({"max_pairs": 0}, "Use None for no cap"),
    ],
)
def test_illegal_settings_are_refused(settings, message):
    with pytest.raises(LossInputError, match=message):
        SupReMixLoss(**settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": torch.zeros(4)}, r"shape \(M, D\)"),
        ({"embeddings": torch.zeros(4, 2, dtype=torch.int64)}, "floating embeddings"),
        ({"labels": torch.zeros(3)}, "one label per embedding"),
        ({"labels": torch.zeros(4, 1)}, "one label per embedding"),
        ({"labels": torch.tensor([0, 1, torch.nan, torch.inf])}, "found 2 of 4"),
        ({"lam": torch.zeros(4, 3)}, r"lam of shape \(4, 4\)"),
        ({"anchors": slice(0, 4, 2)}, "contiguous slice"),
    ],
)
def test_illegal_batches_are_refused(change, message):
    arguments = {"embeddings": torch.zeros(4, 2), "labels": torch.zeros(4), **change}
    with pytest.raises(LossInputError, match=message):
        supremix_loss(arguments.pop("embeddings"), arguments.pop("labels"), **arguments)
