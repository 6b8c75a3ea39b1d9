"""Measures of a representation, with scipy, scikit-learn and plain loops as references."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from supremix._errors import NonFiniteLossError
from supremix.losses import RnCLoss
from supremix.training import Stage, Task, TrialRun, load_checkpoint, save_checkpoint
from supremix.training.evaluation.measures import RepresentationMeasures, are_due
from supremix.training.evaluation.representation import (
    chord_residual,
    distances,
    knn_mae,
    ordinality,
    rnc_bound,
    rnc_excess,
    sample,
)
from supremix.training.evaluation.site_leakage import classify, site_leakage

NAMES = {
    "ordinality", "rnc_excess", "rnc_excess_flat", "knn_mae", "chord_residual", "site_accuracy",
    "site_chance",
}  # fmt: skip


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(n: int, width: int = 6, *, ties: bool = False, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Features in which the label is a direction among noise."""
    g = draws(seed)
    labels = 30 + 20 * torch.rand(n, generator=g, dtype=torch.float64)
    labels = labels.round() if ties else labels
    noise = torch.randn(n, width, generator=g, dtype=torch.float64)
    return noise + labels[:, None] * torch.linspace(0.3, 0.0, width), labels


def moved(features: Tensor) -> Tensor:
    """The same features turned, scaled and shifted."""
    turn = torch.linalg.qr(torch.randn(features.shape[1], features.shape[1], generator=draws(8)))[0]
    return 37 * features @ turn.double() + 11


def all_measures(v: Tensor, y: Tensor) -> list[float]:
    sites = ["a" if k % 3 else "b" for k in range(len(y))]
    groups = [str(k) for k in range(len(y))]
    return [
        ordinality(v, y),
        *rnc_excess(v, y),
        knn_mae(v[::2], y[::2], v[1::2], y[1::2]),
        chord_residual(v, y, window=5, generator=draws()),
        *site_leakage(v, sites, groups, generator=draws()),
    ]


def test_no_measure_changes_with_scale_or_shift_nor_but_one_with_a_turn() -> None:
    v, y = made(60)
    expected = all_measures(v, y)
    assert all_measures(37 * v + 11, y) == pytest.approx(expected, rel=1e-6)
    assert all_measures(moved(v), y)[:-2] == pytest.approx(expected[:-2], rel=1e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_ordinality_is_spearmans_of_scipy(ties: bool) -> None:
    v, y = made(40, ties=ties)
    pairs = list(itertools.combinations(range(40), 2))
    apart = [-abs(float(y[i] - y[j])) for i, j in pairs]
    alike = [-float(torch.linalg.vector_norm(v[i] - v[j])) for i, j in pairs]
    assert ordinality(v, y) == pytest.approx(spearmanr(apart, alike).statistic, rel=1e-9)


def test_a_line_is_in_perfect_order_and_locally_linear() -> None:
    y = torch.linspace(0, 10, 50, dtype=torch.float64) ** 1.5
    v = y[:, None] * torch.tensor([1.0, -2.0, 0.5]) + 4
    assert ordinality(v, y) == pytest.approx(1)
    assert chord_residual(v, y, window=4, generator=draws()) == pytest.approx(0, abs=1e-12)
    excess, flat = rnc_excess(v, y)
    assert 0 <= excess < 0.15 * flat


def test_features_without_the_label_measure_as_chance() -> None:
    g = draws(3)
    v = torch.randn(250, 20, generator=g)
    y = torch.rand(250, generator=g)
    excess, flat = rnc_excess(v, y)
    assert abs(ordinality(v, y)) < 0.05
    assert chord_residual(v, y, window=0.2, generator=draws()) == pytest.approx(1, abs=0.05)
    assert 0.97 * flat < excess <= flat


def test_the_bound_is_that_of_the_theorem_and_below_every_loss() -> None:
    labels = torch.tensor([1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 7.5])
    total = 0.0
    for i in range(7):
        others = [abs(float(labels[i] - labels[j])) for j in range(7) if j != i]
        sizes = [others.count(distance) for distance in set(others)]
        total += sum(n * math.log(n) for n in sizes)
    assert rnc_bound(labels) == pytest.approx(total / 42, rel=1e-12)
    v = torch.randn(7, 3, generator=draws(), dtype=torch.float64)
    assert all(float(RnCLoss(temperature=t)(v, labels)) > total / 42 for t in (0.01, 1, 100))


def test_the_bound_takes_distances_up_to_rounding_as_equal() -> None:
    labels = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    assert float(labels[1] - labels[0]) != float(labels[2] - labels[1])
    assert rnc_bound(labels) == pytest.approx(2 * math.log(2) / 6)


def test_the_bound_is_reached_by_features_in_perfect_order() -> None:
    # Distances that grow fast enough leave in each denominator but the nearest terms.
    labels = torch.tensor([0.0, 1.0, 3.0, 7.0], dtype=torch.float64)
    excess, flat = rnc_excess(labels[:, None], labels)
    assert excess < 0.01 < flat


def test_the_excess_is_the_least_of_several_temperatures() -> None:
    v, y = made(30, ties=True)
    excess, flat = rnc_excess(v, y)
    scale = float(
        np.mean([float((v[i] - v[j]).norm()) for i in range(30) for j in range(30) if i != j])
    )
    losses = [float(RnCLoss(temperature=scale * 2.0**-k)(v, y)) for k in range(-1, 11)]
    assert excess == pytest.approx(min(losses) - rnc_bound(y), rel=1e-9)
    assert flat == pytest.approx(float(RnCLoss()(torch.zeros(30, 2), y)) - rnc_bound(y), rel=1e-6)


@pytest.mark.parametrize("neighbours", [1, 5])
def test_nearest_neighbours_are_those_of_scikit_learn(neighbours: int) -> None:
    (v, y), (w, z) = made(80), made(50, seed=2)
    reference = KNeighborsRegressor(neighbours).fit(v, y)
    expected = np.abs(reference.predict(w.numpy()) - z.numpy()).mean()
    assert knn_mae(v, y, w, z, neighbours=neighbours) == pytest.approx(expected, rel=1e-9)


def test_fewer_known_samples_than_neighbours_are_all_taken() -> None:
    (v, y), (w, z) = made(3), made(9, seed=2)
    expected = float((y.mean() - z).abs().mean())
    assert knn_mae(v, y, w, z) == pytest.approx(expected)


def test_the_chord_residual_equals_plain_loops_over_all_triples() -> None:
    v, y = made(14, ties=True)
    off = chance = 0.0
    variance = float((v - v.mean(0)).square().sum(1).mean())
    counted = []
    for j in range(14):
        left = [i for i in range(14) if 0 < y[j] - y[i] < 9]
        right = [k for k in range(14) if 0 < y[k] - y[j] < 9]
        terms = []
        for i, k in itertools.product(left, right):
            a = float((y[k] - y[j]) / (y[k] - y[i]))
            r = float((v[j] - a * v[i] - (1 - a) * v[k]).square().sum())
            terms.append((r, variance * (1 + a * a + (1 - a) ** 2)))
        if terms:
            counted.append(np.mean(terms, axis=0))
    off, chance = np.mean(counted, axis=0)
    found = chord_residual(v, y, window=9, generator=draws(), triples=100_000)
    assert found == pytest.approx(math.sqrt(off / chance), rel=0.01)


@pytest.mark.parametrize("number", [2, 4])
def test_the_probe_for_the_site_is_scikit_learns_ridge_classifier(number: int) -> None:
    g = np.random.default_rng(0)
    x, new = g.normal(size=(90, 7)), g.normal(size=(200, 7))
    classes = np.minimum(g.geometric(0.5, 90) - 1, number - 1)
    x[np.arange(90), classes] += 1
    scaler = StandardScaler().fit(x)
    reference = RidgeClassifier(alpha=1.0, class_weight="balanced", solver="svd")
    reference.fit(scaler.transform(x), classes)
    expected = reference.predict(scaler.transform(new))
    found = classify(*(torch.from_numpy(a) for a in (x, classes, new)), number)
    np.testing.assert_array_equal(found, expected)


def test_a_site_that_shows_is_found_and_one_that_does_not_is_guessed() -> None:
    g = draws(5)
    v = torch.randn(600, 8, generator=g)
    sites = [("a", "b", "c")[k % 3] if k % 10 else None for k in range(600)]
    groups = [str(k // 6 * 3 + k % 3) for k in range(600)]
    hidden, chance = site_leakage(v, sites, groups, generator=draws())
    assert chance == pytest.approx(1 / 3)
    assert hidden == pytest.approx(1 / 3, abs=0.06)
    v[:, :3] += 9 * torch.eye(3).repeat(200, 1)
    assert site_leakage(v, sites, groups, generator=draws())[0] > 0.98


def test_patients_do_not_lie_on_both_sides_of_a_fold() -> None:
    # Each patient has a mark of its own: with it on both sides any site could be told.
    g = draws(6)
    patients = torch.arange(60).repeat_interleave(4)
    v = torch.randn(60, 40, generator=g)[patients] + 0.01 * torch.randn(240, 40, generator=g)
    lot = torch.randint(0, 2, (60,), generator=g)[patients]
    sites = ["ab"[int(s)] for s in lot]
    accuracy, _ = site_leakage(v, sites, [str(int(p)) for p in patients], generator=draws())
    assert accuracy < 0.7


@pytest.mark.parametrize(
    "sites", [["a"] * 30, [None] * 30, ["a"] * 26 + ["b"] * 4], ids=["one", "none", "small"]
)
def test_without_two_sites_there_is_no_leakage(sites: list[str | None]) -> None:
    v, _ = made(30)
    found = site_leakage(v, sites, [str(k) for k in range(30)], generator=draws())
    assert all(math.isnan(x) for x in found)


def test_what_is_not_defined_is_nan() -> None:
    v, y = made(2)
    assert math.isnan(ordinality(v, y))
    assert all(math.isnan(x) for x in rnc_excess(v, y))
    assert math.isnan(knn_mae(v[:0], y[:0], v, y))
    assert math.isnan(chord_residual(v, y, window=99, generator=draws()))
    equal = torch.ones(9, 3)
    assert math.isnan(ordinality(equal, torch.arange(9.0)))
    assert math.isnan(chord_residual(equal, torch.arange(9.0), window=5, generator=draws()))
    flat = rnc_excess(equal, torch.arange(9.0))
    assert flat[0] == flat[1] > 0


def test_distances_far_from_the_origin_keep_their_digits() -> None:
    v, _ = made(20)
    exact = torch.cdist(v, v, compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(distances(v + 1e6, v + 1e6), exact, rtol=1e-7, atol=1e-6)


def test_a_sample_is_drawn_in_order_and_the_same_again() -> None:
    assert sample(5, 9, draws()).tolist() == [0, 1, 2, 3, 4]
    drawn = sample(1000, 20, draws())
    assert drawn.tolist() == sorted(set(drawn.tolist())) == sample(1000, 20, draws()).tolist()
    assert len(drawn) == 20


def stage(objective: Any, epochs: int) -> Stage:
    return Stage(
        name=objective, objective=objective, epochs=epochs, batch_size=2, lr=1, loss=RnCLoss()
    )


def test_they_are_taken_after_the_last_contrast_and_at_the_end() -> None:
    stages = [stage("contrastive", 2), stage("contrastive", 2), stage("regression", 3)]
    due = [(i, e) for i in range(3) for e in range(stages[i].epochs) if are_due(stages, i, e)]
    assert due == [(1, 1), (2, 2)]
    assert are_due([stage("regression", 2)], 0, 1)


class TestInATrial:
    def test_rows_hold_them_where_they_are_due(self, task: Task) -> None:
        run = TrialRun(dataclasses.replace(task, method="supremix", epochs=4), CONFIG)
        rows = [run.advance() for _ in range(4)]
        assert ["measures" in row for row in rows] == [False, True, False, True]
        taken = rows[1]["measures"]
        assert taken.keys() == {"split", *NAMES}
        assert taken["split"] == "val"
        assert math.isnan(taken["site_accuracy"])  # the discs have no sites
        assert taken != rows[3]["measures"]

    def test_an_evaluated_split_has_measures_of_its_own_features(self, task: Task) -> None:
        run = TrialRun(dataclasses.replace(task, epochs=1), {})
        taken = run.advance()["measures"]
        seen, known = run.embed("val"), run.embed("train")
        parts = [torch.from_numpy(d[k]) for d in (known, seen) for k in ("features", "target")]
        assert taken["ordinality"] == pytest.approx(ordinality(*parts[2:]), rel=1e-6)
        assert taken["knn_mae"] == pytest.approx(knn_mae(*parts), rel=1e-6)

    def test_a_resumed_trial_measures_the_same(self, task: Task, tmp_path: Path) -> None:
        long = dataclasses.replace(task, method="supremix", epochs=3)
        whole = TrialRun(long, CONFIG)
        for _ in range(3):
            whole.advance()
        stopped = TrialRun(long, CONFIG)
        stopped.advance()
        save_checkpoint(stopped.state(), tmp_path / "here")
        resumed = TrialRun(long, CONFIG)
        resumed.load(load_checkpoint(tmp_path / "here"))
        while not resumed.done:
            resumed.advance()
        for ours, theirs in zip(resumed.history, whole.history, strict=True):
            assert repr(ours.get("measures")) == repr(theirs.get("measures"))

    def test_a_final_fit_measures_nothing(self, task: Task) -> None:
        final = dataclasses.replace(task, train_splits=("train", "val"), eval_split=None, epochs=1)
        assert "measures" not in TrialRun(final, {}).advance()

    def test_features_that_are_not_finite_are_refused(self, task: Task) -> None:
        run = TrialRun(dataclasses.replace(task, epochs=1), {})
        measures = RepresentationMeasures(run.evaluator, run.data, run.task)
        with pytest.raises(NonFiniteLossError, match="features of the encoder are not finite"):
            measures.compute(torch.full((3, 2), torch.nan), None)


CONFIG = {"batch_size": 20, "pretrain_share": 0.5, "projection_dim": 8, "window": 6.0}
