"""The methods that train end to end."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from discs import pictures_of
from torch import Tensor, nn
from worker_group import begin_on_workers

from supremix.losses import BalancedMSELoss, DensityWeights, HuberLoss, SoftLabels
from supremix.methods.mixing import Mixed, Mixing
from supremix.methods.recipes import LabelStats, Recipe, SoftBins
from supremix.methods.terms import InTaskUnit
from supremix.models import BinnedHead, EncoderSpec
from supremix.models.scaling import TargetScale
from supremix.training import (
    ConfigError,
    EndToEnd,
    EndToEndConfig,
    Solo,
    Stage,
    Task,
    TrainedModel,
    TrialRun,
    get_method,
    load_checkpoint,
    make_config,
    method_names,
    preflight,
    save_checkpoint,
)
from supremix.training.steps.regression_step import label_stats
from supremix_datasets.stores.store import Store
from supremix_spaces import space_for

METHODS: dict[str, dict[str, Any]] = {
    "l1": {},
    "mse": {},
    "huber": {"delta": 3.0},
    "soft-labels": {},
    "balanced-mse": {"sigma": 4.0},
    "mixup": {"alpha": 1.0, "reweight": "inverse"},
    "manifold-mixup": {"base": "mse"},
    "c-mixup": {"where": "features"},
    "adacon": {"weight": 0.1, "temperature": 0.1, "base": "huber"},
    "ranksim": {"gamma": 1.0},
    "ordinal-entropy": {"spread": 0.1, "tightness": 0.1, "base": "mse"},
    "conr": {"window": 4.0, "smooth": True, "reweight": "sqrt_inverse"},
    "lds": {},
    "fds": {"reweight": "inverse", "label_bin": 4.0},
    "supremix-term": {"projection": True, "projection_dim": 8, "window": 6.0},
    "supcon-term": {"two_views": False, "label_bin": 4.0, "base": "mse"},
    "rnc-term": {"weight": 5.0, "smooth": True},
    "yaware-term": {"two_views": False, "projection": True, "projection_dim": 8},
    "expw-term": {"base": "huber", "reweight": "inverse"},
}


def of(task: Task, method: str, **changes: Any) -> Task:
    return dataclasses.replace(task, method=method, **{"epochs": 2, **changes})


def rows(run: TrialRun) -> list[dict[str, Any]]:
    kept = [
        {k: v for k, v in row.items() if k not in ("seconds", "measures")} for row in run.history
    ]
    return [{k: "nan" if v != v else v for k, v in row.items()} for row in kept]


def stage_of(method: str, store: Store, **values: Any) -> Stage:
    chosen = get_method(method)
    return chosen.stages(make_config(chosen, values), epochs=2, card=store.card)[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_and_goes_on_to_the_same_bits(
    task: Task, tmp_path: Path, method: str
) -> None:
    config = {"batch_size": 18, **METHODS[method]}
    whole, resumed = (TrialRun(of(task, method), config) for _ in range(2))
    whole.advance()
    save_checkpoint(whole.state(), tmp_path / "here")
    whole.advance()
    resumed.load(load_checkpoint(tmp_path / "here"))
    resumed.advance()
    assert all(math.isfinite(row["loss"]) and math.isfinite(row["error"]) for row in rows(whole))
    assert rows(whole) == rows(resumed)
    states = [{**run.state(), **run.state()["trainer"]} for run in (whole, resumed)]
    for part in ("ema_model", "model", "regression"):
        assert states[0][part].keys() == states[1][part].keys()
        assert all(torch.equal(t, states[1][part][n]) for n, t in states[0][part].items())


def test_no_method_is_left_out() -> None:
    known = {name for name in method_names() if isinstance(get_method(name), EndToEnd)}
    assert known == METHODS.keys()


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarticConfig(EndToEndConfig):
    strength: float = 1.0

    def objective(self, card: object) -> Any:
        return lambda predictions, targets: self.strength * (predictions - targets) ** 4


def test_a_loss_of_the_users_own_becomes_a_method(task: Task) -> None:
    own: Any = EndToEnd(name="quartic", config=QuarticConfig)
    losses = [
        TrialRun(of(task, own, epochs=1), {"batch_size": 54, "strength": strength}).advance()[
            "loss"
        ]
        for strength in (1, 2)
    ]
    assert losses[1] == pytest.approx(2 * losses[0])


def test_feature_smoothing_carries_its_statistics(task: Task) -> None:
    run = TrialRun(of(task, "fds"), {"batch_size": 18})
    run.advance()
    state = run.state()["trainer"]["regression"]
    assert int(state["_extra_state"]) == 1
    assert int(state["seen"].sum()) > 10
    assert float(state["counts"].sum()) == 0
    # Calibration begins with the second epoch: until then it is L1 to the bit.
    plain = TrialRun(of(task, "lds"), {"batch_size": 18, "reweight": "none"})
    plain.advance()
    assert rows(plain) == rows(run)
    run.advance()
    plain.advance()
    assert rows(plain)[1]["loss"] != rows(run)[1]["loss"]


def test_without_weights_what_remains_is_l1(task: Task) -> None:
    plain = TrialRun(of(task, "l1", epochs=1), {"batch_size": 18})
    bare = TrialRun(of(task, "lds", epochs=1), {"batch_size": 18, "reweight": "none"})
    weighted = TrialRun(of(task, "lds", epochs=1), {"batch_size": 18})
    losses = [run.advance()["loss"] for run in (plain, bare, weighted)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0] != pytest.approx(losses[2], rel=1e-3)


def smooth_encoder(spatial_dims: int, channels: int) -> nn.Module:
    # Smooth throughout: behind a ReLU or a max-pool, rounding tips single units over.
    return nn.Sequential(
        nn.Conv2d(channels, 4, 5, stride=3, bias=False),
        nn.GroupNorm(2, 4),
        nn.SiLU(),
        nn.Conv2d(4, 6, 3, stride=2),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
    )


def steps(task: Task, collective: Any) -> dict[str, list[Tensor]]:
    """Of each method: losses and gradients of batches, and what it keeps beside the network."""
    found: dict[str, list[Tensor]] = {}
    for method, values in {"l1": {}, **METHODS}.items():
        # 54 images: batches of 14, 14, 13 and 13, which two and three workers share unevenly.
        config = {"batch_size": 16, **values}
        run = TrialRun(of(task, method), config, collective=collective, device="cpu")
        trainer = run.trainer_of(0)
        run.model.train()
        batches = list(trainer.batches.epoch(1))
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in run.model.parameters():
                parameter.copy_(torch.rand(parameter.shape) - 0.5)
            # An epoch of one step: features are smoothed by its statistics from now on.
            found[method] = [collective.sum(trainer.regression.loss(trainer.module, batches[1]))]
        trainer.regression.end_epoch()
        for batch in (batches[0], batches[-1]):
            own = trainer.backward(batch)
            found[method].append(collective.sum(own))
            for parameter in run.model.parameters():
                assert parameter.grad is not None
                found[method].append(parameter.grad.clone())
                parameter.grad = None
        trainer.regression.end_epoch()
        found[method] += [v.double() for v in trainer.regression.state_dict().values()]
    return found


def steps_of(collective: Any, task: Task) -> dict[str, list[Tensor]]:
    return steps(task, collective)


def test_two_and_three_workers_compute_what_one_process_computes(
    task: Task, tmp_path: Path
) -> None:
    encoder = EncoderSpec(builder=smooth_encoder)
    alike = dataclasses.replace(task, encoder=encoder, eval_split=None)
    groups = [begin_on_workers(world, tmp_path, steps_of, alike) for world in (2, 3)]
    alone = steps(alike, Solo())
    for found in (result for results in groups for result in results()):
        for method, values in alone.items():
            for ours, reference in zip(found[method], values, strict=True):
                limit = 2e-5 * max(1.0, float(reference.abs().max()))
                torch.testing.assert_close(
                    ours, reference, rtol=0, atol=limit, msg=lambda m, w=method: f"{w}: {m}"
                )


def load(task: Task, recipe_method: str, values: dict[str, Any]) -> tuple[TrialRun, Any]:
    run = TrialRun(of(task, recipe_method), {"batch_size": 18, **values})
    return run, next(iter(run.trainer_of(0).batches.epoch(0)))


def test_inputs_are_mixed_with_their_partners_after_augmentation(task: Task) -> None:
    _, plain = load(task, "l1", {})
    run, batch = load(task, "mixup", {"alpha": 1.0})
    mixed = batch.mixed
    share = mixed.shares[:, None, None, None]
    expected = share * plain.images + (1 - share) * plain.images[mixed.partners]
    torch.testing.assert_close(batch.images, expected)
    flat = mixed.shares[:, None]
    covariates = flat * plain.covariates + (1 - flat) * plain.covariates[mixed.partners]
    torch.testing.assert_close(batch.covariates, covariates)
    direct = run.trainer_of(0).regression
    truth = direct.truth(batch.members, mixed)
    targets = run.data.targets[torch.from_numpy(batch.members)]
    expected = mixed.shares * targets + (1 - mixed.shares) * targets[mixed.partners]
    torch.testing.assert_close(truth.targets, expected)
    torch.testing.assert_close(truth.labels, run.data.target_scale.restore(expected))


def test_mixed_features_and_targets_meet_in_the_loss(task: Task) -> None:
    run, batch = load(task, "c-mixup", {"where": "features"})
    direct, network = run.trainer_of(0).regression, run.model
    with torch.no_grad():
        network.head.weight.normal_(generator=torch.Generator().manual_seed(0))
        loss = direct.loss(network, batch)
        features = network.features(batch.images, batch.covariates)
        targets = run.data.targets[torch.from_numpy(batch.members)]
        seen, wanted = batch.mixed.mix(features), batch.mixed.mix(targets)
        torch.testing.assert_close(loss, (network.head(seen) - wanted).abs().mean())


def test_mixtures_go_where_they_are_told() -> None:
    labels, draws = torch.arange(6.0), torch.Generator().manual_seed(0)
    either = [Mixing(alpha=1.0, where="either").draw(labels, draws).inputs for _ in range(40)]
    assert 5 < sum(either) < 35
    assert not Mixing(alpha=1.0, where="features").draw(labels, draws).inputs
    near = Mixing(alpha=1.0, bandwidth=0.3).draw(labels, draws)
    assert set((near.partners - torch.arange(6)).abs().tolist()) == {1}


def test_mixtures_among_some_rows_are_those_of_all() -> None:
    mixed = Mixed(partners=torch.tensor([3, 0, 1, 2]), shares=torch.rand(4), inputs=True)
    values, rows = torch.rand(4, 2), np.array([1, 3, 0])
    kept = np.sort(rows)
    found = mixed.among(kept).mix(values[kept])
    # 0 and 1 have their partners among the rows, 3 has not and is left as it is.
    torch.testing.assert_close(found[:2], mixed.mix(values)[:2])
    torch.testing.assert_close(found[2], values[3])


def test_rare_labels_weigh_more(task: Task) -> None:
    run = TrialRun(of(task, "lds"), {"batch_size": 18, "reweight": "inverse"})
    direct, fit = run.trainer_of(0).regression, run.data.fit
    weights = direct.weights
    wanted = DensityWeights(reweight="inverse")(torch.from_numpy(run.data.store.targets[fit]))
    torch.testing.assert_close(weights[fit], wanted.float())
    assert float(weights[fit].mean()) == pytest.approx(1)
    assert float(weights.sum()) == pytest.approx(len(fit), rel=1e-5)
    batch = next(iter(run.trainer_of(0).batches.epoch(0)))
    with torch.no_grad():
        loss = direct.loss(run.model, batch)
        errors = (run.model(batch.images, batch.covariates) - run.data.targets[batch.members]).abs()
    torch.testing.assert_close(loss, (errors * weights[batch.members]).mean())


def test_soft_labels_predict_the_expectation(task: Task) -> None:
    run = TrialRun(of(task, "soft-labels"), {"batch_size": 18, "label_bin": 2.0, "sigma": 3.0})
    stats = label_stats(run.data)
    grid = SoftLabels.covering(stats.labels, label_bin=2.0, sigma=3.0)
    head = run.ema_model.head
    assert isinstance(head, BinnedHead)
    assert head.out_features == grid.count
    start = run.predict(run.data.fit)
    assert start.mean() == pytest.approx(float(stats.labels.mean()), abs=0.3)
    run.advance()
    positions = run.data.positions("val")
    features = run.evaluator.features(positions)
    expected = grid.expectation(head.logits(features).double())
    np.testing.assert_allclose(run.predict(positions), expected.detach(), rtol=1e-5)


@pytest.mark.parametrize("flips", [False, True])
def test_a_model_with_bins_predicts_what_its_run_predicts(
    task: Task, discs: Any, disc_folder: Path, tmp_path: Path, flips: bool
) -> None:
    run = TrialRun(of(task, "soft-labels", flips=flips, epochs=1), {"batch_size": 9, "lr": 1e-2})
    run.advance()
    run.export(tmp_path)
    model = TrainedModel.load(tmp_path, dataset=discs)
    positions = run.data.positions("test")
    files, sizes = pictures_of(run, disc_folder, "test")
    found = model.predict(files, pixel_size=sizes)
    np.testing.assert_allclose(found, run.predict(positions), rtol=1e-4)
    if flips:
        # The mean of the predictions of four views, not the prediction of their mean.
        features = run.evaluator.features(positions, flips=True)
        of_mean = run.data.target_scale.restore(run.ema_model.head(features)).detach()
        assert not np.allclose(found, of_mean, rtol=1e-5)


def test_soft_labels_of_logarithms_stay_above_zero() -> None:
    labels = torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64)
    scale = TargetScale.fit(labels.numpy(), "log")
    stats, bins = LabelStats(labels=labels, scale=scale), SoftBins(label_bin=1.0, sigma=2.0)
    assert bins.grid(stats).low == 0
    assert bool(scale.standardise(bins.grid(stats).centres()).isfinite().all())
    assert float(bins.frequency(stats).sum()) == pytest.approx(1)


def test_lengths_of_losses_are_in_the_unit_of_the_task() -> None:
    labels = torch.linspace(10, 30, 101, dtype=torch.float64)
    plain = LabelStats(labels=labels, scale=TargetScale.fit(labels.numpy()))
    std = float(labels.std(correction=0))
    assert InTaskUnit(HuberLoss(delta=3.0), "delta").bind(plain) == HuberLoss(delta=3.0 / std)
    noise = InTaskUnit(BalancedMSELoss(sigma=2.0), "sigma").bind(plain)
    assert noise == BalancedMSELoss(sigma=2.0 / std)
    curved = LabelStats(labels=labels, scale=TargetScale.fit(labels.numpy(), "log"))
    ends = torch.tensor([19.995, 20.005], dtype=torch.float64)
    apart = float(curved.scale.standardise(ends).diff())
    assert curved.length(0.01) == pytest.approx(apart, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_of_the_space_is_one_of_the_method(store: Store, method: str) -> None:
    space = space_for(
        method, window=5.0, label_bin=1.0, label_scale=1.0, train_size=500, pretrained=True
    )
    chosen = get_method(method)
    config = make_config(chosen, space.defaults())
    # At the start of the search is what the method does by itself.
    assert chosen.stages(config, epochs=2, card=store.card) == chosen.stages(
        make_config(chosen, {}), epochs=2, card=store.card
    )
    own = {field.name for field in dataclasses.fields(config)}
    assert own - set(space.names) <= {"delta"}


@pytest.mark.parametrize(
    ("method", "values", "message"),
    [
        ("huber", {"delta": 0.0}, "delta to be finite and above 0"),
        ("soft-labels", {"sigma": -1.0}, "sigma to be finite and above 0"),
        ("balanced-mse", {"sigma": 0.0}, "sigma to be finite and above 0"),
        ("mixup", {"alpha": 0.0}, "alpha to be finite and above 0"),
        ("mixup", {"where": "middle"}, "where among inputs, features, either, found 'middle'"),
        ("c-mixup", {"bandwidth": 0.0}, "bandwidth to be finite and above 0"),
        ("adacon", {"weight": 0.0}, "weight to be finite and above 0"),
        ("ranksim", {"gamma": 0.0}, "gamma to be finite and above 0"),
        ("conr", {"base": "l3"}, "base must be one of l1, mse, huber, found 'l3'"),
        ("lds", {"reweight": "cube"}, "reweight must be one of none, inverse, sqrt_inverse"),
        ("lds", {"kernel": "box"}, "kernel among gaussian"),
        ("fds", {"size": 4}, "odd size"),
        ("fds", {"momentum": 1.0}, "momentum < 1"),
        ("ordinal-entropy", {"spread": -1.0}, "spread of at least 0"),
    ],
)
def test_what_cannot_be_is_refused_before_training(
    store: Store, method: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        stage_of(method, store, **values)


def test_bins_that_the_data_refuse_are_refused_before_training(task: Task) -> None:
    for method in ("soft-labels", "lds", "fds"):
        with pytest.raises(ConfigError, match=r"wider bins|at most 100000 bins"):
            preflight(of(task, method), {"label_bin": 1e-6})


def test_parts_that_exclude_one_another_are_refused() -> None:
    bins = SoftBins(label_bin=1.0, sigma=1.0)
    with pytest.raises(ConfigError, match="leave density and bins out"):
        Recipe(coupled=True, bins=bins)
    with pytest.raises(ConfigError, match="is probe and has a recipe"):
        Stage(name="regress", objective="probe", epochs=1, batch_size=2, recipe=Recipe())
