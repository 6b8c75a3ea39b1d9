"""Weights by label density, and smoothing of features by label."""

from __future__ import annotations

import math

import pytest
import torch

from supremix.losses import DensityWeights, FeatureSmoothing, LossInputError, smoothing_window


def brute_window(kernel, size, sigma):
    half = size // 2
    shape = {
        "gaussian": lambda k: math.exp(-(k**2) / (2 * sigma**2)),
        "laplace": lambda k: math.exp(-abs(k) / sigma),
        "triangular": lambda k: half + 1 - abs(k),
    }[kernel]
    weights = [shape(k) for k in range(-half, half + 1)]
    return [w / sum(weights) for w in weights]


def brute_weights(labels, width, kernel, size, sigma, reweight):
    counts = {}
    for label in labels:
        counts[math.floor(label / width)] = counts.get(math.floor(label / width), 0) + 1
    if reweight == "inverse":
        every = range(min(counts), max(counts) + 1)
        counts = {k: min(max(counts.get(k, 0), 5), 1000) for k in every}
    window, half = brute_window(kernel, size, sigma), size // 2
    weights = []
    for label in labels:
        home = math.floor(label / width)
        density = sum(w * counts.get(home + k - half, 0) for k, w in enumerate(window))
        weights.append(density ** (-0.5 if reweight == "sqrt_inverse" else -1))
    return [w * len(weights) / sum(weights) for w in weights]


@pytest.mark.parametrize("reweight", ["inverse", "sqrt_inverse"])
@pytest.mark.parametrize("kernel", ["gaussian", "laplace", "triangular"])
@pytest.mark.parametrize(("size", "sigma"), [(1, 2.0), (5, 2.0), (9, 0.7)])
def test_weights_equal_the_brute_force(size, sigma, kernel, reweight):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randn(80, generator=generator, dtype=torch.float64) * 7 - 3
    options = {"kernel": kernel, "size": size, "sigma": sigma, "reweight": reweight}
    found = DensityWeights(label_bin=1.5, **options)(labels)
    wanted = brute_weights(labels.tolist(), 1.5, kernel, size, sigma, reweight)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))
    assert found.mean().item() == pytest.approx(1)


def test_rare_labels_weigh_more_and_neighbours_alike():
    labels = torch.cat((torch.full((90,), 40.0), torch.full((5,), 41.0), torch.full((5,), 70.0)))
    weights = DensityWeights(reweight="inverse")(labels)
    assert weights[99] > 3 * weights[92]
    assert weights[92] < 2 * weights[0]


def test_the_inverse_is_clipped_so_that_one_rare_label_does_not_outweigh_all():
    labels = torch.cat((torch.full((3000,), 1.0), torch.tensor([40.0])))
    weights = DensityWeights(reweight="inverse", size=1)(labels)
    assert weights[-1] / weights[0] == pytest.approx(1000 / 5)


def test_labels_on_the_grid_fall_in_their_own_bins_despite_rounding():
    steps = torch.tensor([0, 1, 1, 2, 3, 3, 3, 7, 23, 23])
    fine = DensityWeights(label_bin=0.05)(steps.float() * 0.05)
    torch.testing.assert_close(fine, DensityWeights()(steps))


def test_a_single_label_weighs_one():
    assert torch.equal(DensityWeights()(torch.full((4,), 5.0)), torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DensityWeights()(torch.zeros(0)), "N of at least 1"),
        (lambda: DensityWeights(label_bin=0.0)(torch.zeros(2)), "Expected label_bin"),
        (lambda: DensityWeights(reweight="none")(torch.zeros(2)), "Expected reweight among"),
        (lambda: DensityWeights()(torch.tensor([0.0, torch.inf])), "found 1 of 2"),
        (lambda: DensityWeights()(torch.tensor([0.0, 1e9])), "Choose wider bins"),
        (lambda: smoothing_window("box"), "gaussian, triangular, laplace, found 'box'"),
        (lambda: smoothing_window(size=4), "odd size of at least 1, found 4"),
        (lambda: smoothing_window(sigma=0.0), "Expected sigma"),
        (lambda: FeatureSmoothing(2, low=0.0, high=0.0), "Expected high - low"),
        (lambda: FeatureSmoothing(2, low=0.0, high=1.0, momentum=1.0), "0 <= momentum < 1"),
        (lambda: FeatureSmoothing(2, low=0.0, high=1.0, start=0), "start of at least 1"),
        (
            lambda: FeatureSmoothing(2, low=0.0, high=1.0).collect(
                torch.zeros(1, 3), torch.zeros(1)
            ),
            "Expected 2 features, found 3",
        ),
    ],
)
def test_what_is_illegal_is_refused(call, message):
    with pytest.raises(LossInputError, match=message):
        call()


class Loops:
    """Feature smoothing with a list per bin."""

    def __init__(self, low, width, bins, size, sigma, momentum):
        self.low, self.width, self.bins, self.momentum = low, width, bins, momentum
        self.window = brute_window("gaussian", size, sigma)
        self.known = {}

    def place(self, label):
        return min(max(math.floor((label - self.low) / self.width), 0), self.bins - 1)

    def finish(self, features, labels):
        rows = {}
        for feature, label in zip(features, labels.tolist(), strict=True):
            rows.setdefault(self.place(label), []).append(feature)
        for b, found in rows.items():
            stack = torch.stack(found)
            mean = stack.mean(0)
            variance = stack.var(0) if len(found) > 1 else torch.zeros_like(mean)
            if b in self.known:
                keep = self.momentum
                old = self.known[b]
                mean = keep * old[0] + (1 - keep) * mean
                variance = keep * old[1] + (1 - keep) * variance
            self.known[b] = mean, variance

    def smooth(self, b):
        half = len(self.window) // 2
        near = [(w, b + k - half) for k, w in enumerate(self.window) if b + k - half in self.known]
        whole = sum(w for w, _ in near)
        return [sum(w * self.known[n][part] for w, n in near) / whole for part in (0, 1)]

    def calibrate(self, feature, label):
        b = self.place(label)
        if b not in self.known:
            return feature
        mean, variance = self.known[b]
        new_mean, new_variance = self.smooth(b)
        moved = [
            float((f - m) * min(max(n / v, 0.1), 10) ** 0.5 + n_m) if v > 0 else float(f)
            for f, m, v, n_m, n in zip(feature, mean, variance, new_mean, new_variance, strict=True)
        ]
        return torch.tensor(moved, dtype=feature.dtype)


def _epoch(seed, count=40, spread=25.0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(count, generator=generator, dtype=torch.float64) * spread - 2
    features = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return features + labels.unsqueeze(1), labels


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_features_are_calibrated_like_in_plain_loops(momentum):
    ours = FeatureSmoothing(3, low=0.0, high=20.0, label_bin=2.0, momentum=momentum)
    theirs = Loops(0.0, 2.0, 10, 5, 2.0, momentum)
    assert ours.bins == 10
    for epoch in range(3):
        features, labels = _epoch(epoch, spread=8.0 + 8 * epoch)
        ours.collect(features[:15], labels[:15])
        ours.collect(features[15:], labels[15:])
        ours.finish()
        theirs.finish(features, labels)
        fresh, where = _epoch(10 + epoch)
        wanted = [theirs.calibrate(f, y) for f, y in zip(fresh, where.tolist(), strict=True)]
        torch.testing.assert_close(ours(fresh, where), torch.stack(wanted))
    assert not torch.allclose(ours(fresh, where), fresh)


def test_a_feature_that_does_not_vary_in_its_bin_stays_as_it_is():
    module = FeatureSmoothing(2, low=0.0, high=10.0)
    labels = torch.tensor([1.5, 1.5, 2.5, 2.5])
    features = torch.tensor([[3.0, 0.1], [3.0, 0.5], [4.0, 0.2], [5.0, 0.9]])
    module.collect(features, labels)
    module.finish()
    moved = module(features, labels)
    assert torch.equal(moved[:2, 0], features[:2, 0])
    assert (moved[:2, 1] != features[:2, 1]).all()
    assert (moved[2:] != features[2:]).all()


def test_features_stay_before_the_start_and_in_evaluation():
    module = FeatureSmoothing(3, low=0.0, high=20.0, start=2)
    features, labels = _epoch(0)
    for _ in range(2):
        assert module(features, labels) is features
        module.collect(features, labels)
        module.finish()
    assert not torch.equal(module(features, labels), features)
    module.eval()
    assert module(features, labels) is features


def test_a_checkpoint_resumes_in_the_middle_of_an_epoch():
    whole, first, second = (FeatureSmoothing(3, low=0.0, high=20.0) for _ in range(3))
    for epoch in range(2):
        features, labels = _epoch(epoch)
        for module in (whole, first):
            module.collect(features[:20], labels[:20])
        second.load_state_dict(first.state_dict())
        for module in (whole, second):
            module.collect(features[20:], labels[20:])
            module.finish()
        first.load_state_dict(second.state_dict())
    features, labels = _epoch(7)
    assert torch.equal(whole(features, labels), second(features, labels))


def test_workers_that_reduce_agree_with_one_process():
    whole, *parts = (FeatureSmoothing(3, low=0.0, high=20.0) for _ in range(3))
    features, labels = _epoch(0)
    whole.collect(features, labels)
    cuts = (slice(0, 25), slice(25, None))
    for module, cut in zip(parts, cuts, strict=True):
        module.collect(features[cut], labels[cut])
    sums = {
        name: parts[0].state_dict()[name] + parts[1].state_dict()[name]
        for name in ("counts", "total", "squares")
    }
    order = iter(("counts", "total", "squares"))
    parts[0].finish(lambda _: sums[next(order)].clone())
    whole.finish()
    torch.testing.assert_close(parts[0](features, labels), whole(features, labels))


def test_gradients_flow_through_the_calibration():
    module = FeatureSmoothing(3, low=0.0, high=20.0)
    features, labels = _epoch(0)
    module.collect(features, labels)
    module.finish()
    leaf = features[:6].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: module(f, labels[:6]), (leaf,))
    half = features.half()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert module(half, labels).dtype == torch.float16
