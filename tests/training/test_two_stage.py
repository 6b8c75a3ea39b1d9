"""The contrastive methods, trained in both ways their second stage can go."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from supremix.losses import ExpLoss, RnCLoss, SimCLRLoss, SupConLoss, SupReMixLoss, YAwareLoss
from supremix.methods.contrastive import CONTRASTIVE
from supremix.training import (
    ConfigError,
    JointRun,
    Task,
    TrialRun,
    TwoStage,
    TwoStageConfig,
    get_method,
    load_checkpoint,
    make_config,
    save_checkpoint,
    start_run,
)
from supremix_datasets.cards.card import Card
from supremix_datasets.stores.store import Store

NORMS = (torch.nn.modules.batchnorm._NormBase, torch.nn.GroupNorm)
METHODS = tuple(method.name for method in CONTRASTIVE)
SMALL = {"batch_size": 16, "projection_dim": 8}


def pretraining(method: Any, card: Card, **values: object) -> Any:
    chosen = get_method(method)
    return chosen.stages(make_config(chosen, values), epochs=4, card=card)[0]


def rows(run: TrialRun) -> list[dict[str, Any]]:
    kept = [
        {k: v for k, v in row.items() if k not in ("seconds", "measures")} for row in run.history
    ]
    return [{k: "nan" if v != v else v for k, v in row.items()} for row in kept]


@pytest.mark.parametrize("joint", [False, True])
def test_the_scale_of_a_half_precision_loss_goes_on_from_stage_to_stage(
    task: Task, tmp_path: Path, joint: bool
) -> None:
    """It starts at 65536, at which the gradients of a first step may be infinite."""
    half = dataclasses.replace(task, method="supremix", epochs=2, precision="fp16")

    def start() -> TrialRun | JointRun:
        config = {**SMALL, "head": "finetune", "pretrain_share": 0.5}
        return start_run((half,) if joint else half, config, device="cpu")

    def scaler(run: TrialRun | JointRun, stage: int) -> torch.amp.GradScaler:
        if isinstance(run, TrialRun):
            return run.trainer_of(stage).scaler
        return run.interleaver_of(stage).trainers[0].scaler

    whole, resumed = start(), start()
    whole.advance()
    scaler(whole, 0).update(64.0)
    save_checkpoint(whole.state(), tmp_path / "here")
    resumed.load(load_checkpoint(tmp_path / "here"))
    for run in (whole, resumed):
        run.advance()
        assert scaler(run, 1).get_scale() == 64
    assert scaler(resumed, 1).state_dict() == scaler(whole, 1).state_dict()
    assert resumed.history[-1]["error"] == whole.history[-1]["error"]
    resumed.load(start().state())
    assert scaler(resumed, 0).get_scale() == 65536


@pytest.mark.parametrize("head", ["probe", "finetune"])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_and_goes_on_to_the_same_bits(
    task: Task, tmp_path: Path, method: str, head: str
) -> None:
    two = dataclasses.replace(task, method=method, epochs=2)
    whole, stopped, resumed = (TrialRun(two, {**SMALL, "head": head}) for _ in range(3))
    for run in (whole, stopped):
        run.advance()
    save_checkpoint(stopped.state(), tmp_path / "here")
    resumed.load(load_checkpoint(tmp_path / "here"))
    for run in (whole, resumed):
        run.advance()
    assert [row["stage"] for row in whole.history] == ["pretrain", "regress"]
    assert all(math.isfinite(row["error"]) for row in whole.history)
    assert math.isnan(whole.history[1]["loss"]) == (head == "probe")
    assert rows(whole) == rows(resumed)
    states = whole.ema_model.state_dict(), resumed.ema_model.state_dict()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_what_is_left_open_is_the_cards_and_the_papers(store: Store) -> None:
    card = dataclasses.replace(store.card, label_bin=2.0, label_scale=4.0)
    expected = {
        "supremix": SupReMixLoss(label_bin=2.0, label_scale=4.0, window=5.0),
        "supcon": SupConLoss(temperature=0.07, label_bin=2.0),
        "simclr": SimCLRLoss(temperature=0.5),
        "rnc": RnCLoss(temperature=2.0),
        "yaware": YAwareLoss(temperature=0.1, sigma=20.0, kernel="rbf"),
        "expw": ExpLoss(temperature=0.1, sigma=8.0, kernel="rbf"),
    }
    assert {name: pretraining(name, card).loss for name in METHODS} == expected


@pytest.mark.parametrize(
    ("method", "values", "loss"),
    [
        ("supremix", {"mix_pos": False}, SupReMixLoss(mix_pos=False)),
        ("supremix", {"mix_neg": False}, SupReMixLoss(mix_neg=False)),
        ("supremix", {"weights": False}, SupReMixLoss(weights=False)),
        ("supremix", {"stop_gradient": False}, SupReMixLoss(stop_gradient=False)),
        ("supremix", {"normalize_mixtures": True}, SupReMixLoss(normalize_mixtures=True)),
        ("supremix", {"label_bin": 3, "max_pairs": 7}, SupReMixLoss(label_bin=3.0, max_pairs=7)),
        ("supcon", {"label_bin": 3.0}, SupConLoss(label_bin=3.0)),
        ("rnc", {"normalize": True}, RnCLoss(normalize=True)),
        ("yaware", {"sigma": 3.0, "kernel": "cauchy"}, YAwareLoss(sigma=3.0, kernel="cauchy")),
        ("expw", {"sigma": 3.0, "kernel": "gaussian"}, ExpLoss(sigma=3.0, kernel="gaussian")),
    ],
)
def test_parameters_reach_the_loss(
    store: Store, method: str, values: dict[str, Any], loss: object
) -> None:
    assert pretraining(method, store.card, **values).loss == loss


def test_rank_n_contrast_projects_only_what_has_to_be_joined(task: Task, store: Store) -> None:
    bare = dataclasses.replace(store.card, covariates=())
    assert pretraining("rnc", store.card).projection_dim == 128
    assert pretraining("rnc", bare).projection_dim is None
    assert pretraining("rnc", bare, projection=True, projection_dim=9).projection_dim == 9
    two = dataclasses.replace(task, method="rnc", epochs=2)
    run = TrialRun(two, {"batch_size": 16, "projection": False})
    assert run.ema_model.projection is None
    assert math.isfinite(run.advance()["loss"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"head": "mlp"}, "one of probe, finetune, found 'mlp'"),
        ({"pretrain_share": 0.0}, "between 0 and 1"),
        ({"projection_dim": 0}, "projection_dim must be at least 1, found 0"),
        ({"finetune_batch_size": 0}, "finetune_batch_size must be at least 1"),
        ({"finetune_norms": "off"}, "finetune_norms must be one of train, frozen, found 'off'"),
        ({"temperature": 0.0}, "temperature"),
    ],
)
def test_every_method_refuses_what_cannot_be(
    store: Store, method: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        pretraining(method, store.card, **values)


@pytest.mark.parametrize("method", METHODS)
def test_two_stages_need_two_epochs(store: Store, method: str) -> None:
    chosen = get_method(method)
    with pytest.raises(ConfigError, match=f"{method} has two stages and needs at least 2 epochs"):
        chosen.stages(chosen.config(), epochs=1, card=store.card)


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("norms", ["train", "frozen"])
def test_frozen_norms_stay_as_pretraining_left_them(
    task: Task, tmp_path: Path, norm: str, norms: str
) -> None:
    encoder = dataclasses.replace(task.encoder, norm=norm)
    three = dataclasses.replace(task, method="supcon", epochs=3, encoder=encoder, averaging=0.0)
    config = {**SMALL, "pretrain_share": 0.4, "finetune_norms": norms}
    whole, resumed = (TrialRun(three, config, device="cpu") for _ in range(2))
    whole.advance()
    names = {
        f"encoder.{name}"
        for name in whole.model.encoder.state_dict()
        if isinstance(whole.model.encoder.get_submodule(name.rpartition(".")[0]), NORMS)
        and not name.endswith("num_batches_tracked")
    }
    before = {n: t.clone() for n, t in whole.model.state_dict().items()}
    whole.advance()
    save_checkpoint(whole.state(), tmp_path / "here")
    whole.advance()
    after = whole.model.state_dict()
    changed = {n for n, t in after.items() if not torch.equal(t, before[n])}
    assert len(names) > 10
    assert changed & names == (set() if norms == "frozen" else names)
    assert {n for n in after if n.startswith("encoder.conv")} <= changed
    resumed.load(load_checkpoint(tmp_path / "here"))
    resumed.advance()
    assert all(torch.equal(t, after[n]) for n, t in resumed.model.state_dict().items())


@dataclass(frozen=True, kw_only=True, slots=True)
class SpreadConfig(TwoStageConfig):
    """A loss of the user's own."""

    strength: float = 1.0

    def loss(self, card: Card) -> Any:
        return Spread(self.strength)


@dataclass(frozen=True)
class Spread:
    strength: float

    def __call__(
        self, embeddings: Tensor, labels: Tensor, *, generator: Any = None, anchors: Any = None
    ) -> Tensor:
        return self.strength * embeddings[anchors].square().mean()


def test_a_loss_of_the_users_own_becomes_a_method(task: Task) -> None:
    own = TwoStage(name="spread", config=SpreadConfig)
    run = TrialRun(dataclasses.replace(task, method=own, epochs=2), {**SMALL, "strength": 2})
    assert [run.advance()["stage"], run.advance()["stage"]] == ["pretrain", "regress"]


@pytest.mark.parametrize(("batch", "half"), [(2, 2), (3, 2), (4, 2), (9, 4)])
def test_fine_tuning_takes_half_the_batch_two_images_at_least(
    store: Store, batch: int, half: int
) -> None:
    method = get_method("supremix")
    config = make_config(method, {"batch_size": batch, "head": "finetune"})
    assert method.stages(config, epochs=4, card=store.card)[-1].batch_size == half
