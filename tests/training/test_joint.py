"""Several datasets on one encoder: what they share, whose steps change what, and one as a trial."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from worker_group import on_workers

from supremix.models import EncoderSpec
from supremix.training import (
    CheckpointError,
    ConfigError,
    JointRun,
    Solo,
    Task,
    TaskError,
    TrainedModel,
    TrialRun,
    joint_preflight,
    load_checkpoint,
    save_checkpoint,
    split_config,
)
from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Dataset
from supremix_datasets.cards.sample import Sample, Scan
from supremix_datasets.stores.prepare import prepare

SUPREMIX = {"batch_size": 15, "projection_dim": 8, "pretrain_share": 0.5}


class ArrayReader:
    version = 1

    def scan(self, source: str) -> Scan:
        files = sorted(Path(source).glob("*.npy"))
        return Scan(
            samples=tuple(
                Sample(
                    id=file.stem,
                    group=file.stem,
                    target=float(file.stem.split("_")[1]),
                    address=str(file),
                )
                for file in files
            )
        )

    def decode(self, address: str) -> np.ndarray:
        return np.load(address)


def balls(
    folder: Path, cache: Path, name: str, count: int, channels: int, shape: Sequence[int]
) -> str:
    """A store of balls in noise, whose target is 100 times the diameter; its path."""
    source = folder / name
    source.mkdir()
    rng = np.random.default_rng(len(name))
    middle = (np.array(shape) / 2).reshape(-1, *[1] * len(shape))
    for number in range(count):
        diameter = rng.uniform(4, min(shape))
        distance = np.linalg.norm(np.indices(shape) - middle, axis=0)
        image = 150 * (distance < diameter / 2) + rng.uniform(20, 60, (channels, *shape))
        np.save(source / f"{number:03d}_{100 * diameter:.2f}.npy", image.astype(np.uint8))
    card = Card(
        name=name,
        title=name,
        modality="drawing",
        target="diameter",
        unit="cm",
        label_bin=10.0,
        label_scale=100.0,
        window=300.0,
        label_range=(1.0, 9000.0),
        shape=tuple(shape),
        channels=channels,
        gain=1 / 64,
        augmentation=Augmentation(rotation_deg=10, noise=0.01),
    )
    return prepare(Dataset(card=card, reader=ArrayReader()), str(source), cache=cache).path


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("balls")
    return {
        "two": balls(folder, cache, "two", 42, 2, (24, 24)),
        "grey": balls(folder, cache, "grey", 44, 1, (20, 28)),
        "solid": balls(folder, cache, "solid", 40, 1, (12, 12, 12)),
    }


@pytest.fixture
def tasks(task: Task, stores: dict[str, str]) -> dict[str, Task]:
    """One of each kind: 2-D grey with a covariate and without, of two channels, and 3-D."""
    others = {name: dataclasses.replace(task, store=path) for name, path in stores.items()}
    return {"discs": task, **others}


def with_method(tasks: Sequence[Task], method: str, epochs: int) -> list[Task]:
    return [dataclasses.replace(task, method=method, epochs=epochs) for task in tasks]


def finish(run: Any) -> Any:
    while not run.done:
        run.advance()
    return run


def curve(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what a clock decides; NaN as a word, so that it equals itself."""
    plain = {k: curve(v) if isinstance(v, dict) else v for k, v in row.items() if k != "seconds"}
    return {k: "nan" if v != v else v for k, v in plain.items()}


def pointers(network: nn.Module, prefix: str) -> dict[str, int]:
    return {n: p.data_ptr() for n, p in network.named_parameters() if n.startswith(prefix)}


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(before: Mapping[str, Tensor], network: nn.Module) -> set[str]:
    return {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}


def test_the_trunk_is_one_storage_and_stems_heads_and_statistics_are_not(
    tasks: dict[str, Task],
) -> None:
    run = JointRun(list(tasks.values()), {})
    for which in ("ema_model", "model"):
        nets = {name: getattr(member, which) for name, member in run.tasks.items()}
        grey, two, solid, discs = (nets[name] for name in ("grey", "two", "solid", "discs"))
        assert pointers(grey, "encoder.") == pointers(discs, "encoder.")
        trunk = {n: p for n, p in pointers(grey, "encoder.").items() if n != "encoder.conv1.weight"}
        other = pointers(two, "encoder.")
        assert {name: other[name] for name in trunk} == trunk
        assert other["encoder.conv1.weight"] != pointers(grey, "encoder.")["encoder.conv1.weight"]
        assert not set(pointers(solid, "").values()) & set(pointers(grey, "").values())
        assert len({net.head.weight.data_ptr() for net in nets.values()}) == 4
        assert len({net.encoder.bn1.running_mean.data_ptr() for net in nets.values()}) == 4
    ours, theirs = run.tasks["grey"].ema_model, run.tasks["grey"].model
    assert not set(pointers(ours, "").values()) & set(pointers(theirs, "").values())
    assert set(run.shared["grey"].values()) == {2, 3}
    assert run.shared["solid"] == {}


def test_projections_of_one_width_are_shared_whatever_the_axes(tasks: dict[str, Task]) -> None:
    run = JointRun(with_method(list(tasks.values()), "supremix", 2), SUPREMIX)
    heads = {n: pointers(m.ema_model, "projection.") for n, m in run.tasks.items()}
    assert heads["grey"] == heads["two"] == heads["solid"]
    assert not set(heads["grey"].values()) & set(heads["discs"].values())  # a covariate more
    assert set(run.shared["solid"].values()) == {3}


def test_a_step_of_either_task_changes_the_trunk_and_no_head_but_its_own(
    tasks: dict[str, Task],
) -> None:
    run = JointRun([tasks["grey"], tasks["two"]], {"batch_size": 8})
    nets = {name: member.model for name, member in run.tasks.items()}
    steps = run.interleaver_of(0)
    for turn, (name, other) in enumerate([("grey", "two"), ("two", "grey")]):
        before = {n: copied(net) for n, net in nets.items()}
        for net in nets.values():
            net.train()
        batches = steps.trainers[turn].batches.epoch(0)
        for _ in range(2):  # the head is zero at first: nothing passes it before the second step
            steps.trainers[turn].step(next(batches))
        own, others = changed(before[name], nets[name]), changed(before[other], nets[other])
        assert {"encoder.layer4.0.conv2.weight", "head.weight", "encoder.conv1.weight"} <= own
        assert others == {n for n in run.shared[other] if n in others}
        assert "encoder.layer4.0.conv2.weight" in others


@pytest.mark.parametrize(
    ("method", "config"),
    [
        ("l1", {"batch_size": 20}),
        ("supremix", SUPREMIX),
        ("supremix", {**SUPREMIX, "head": "probe"}),
    ],
)
def test_of_one_task_it_is_the_trial_to_the_bit(
    task: Task, method: str, config: dict[str, Any]
) -> None:
    [single] = with_method([task], method, 3)
    alone, joint = finish(TrialRun(single, config)), finish(JointRun([single], config))
    ours = [curve(row["tasks"]["discs"]) for row in joint.history]
    assert ours == [curve(row) for row in alone.history]
    member = joint.tasks["discs"].ema_model
    assert changed(copied(alone.ema_model), member) == set()


@pytest.mark.parametrize(("method", "stop"), [("l1", 1), ("supremix", 1), ("supremix", 2)])
def test_a_joint_run_that_was_stopped_goes_on_to_the_same_bits(
    tasks: dict[str, Task], tmp_path: Path, method: str, stop: int
) -> None:
    chosen = with_method([tasks["grey"], tasks["solid"]], method, 3)
    config = SUPREMIX if method == "supremix" else {"batch_size": 16}
    whole = finish(JointRun(chosen, config))
    stopped = JointRun(chosen, config)
    for _ in range(stop):
        stopped.advance()
    save_checkpoint(stopped.state(), tmp_path / "here")
    resumed = JointRun(chosen, config)
    resumed.load(load_checkpoint(tmp_path / "here"))
    assert resumed.epoch == stop
    finish(resumed)
    assert [curve(row) for row in resumed.history] == [curve(row) for row in whole.history]
    for name, member in whole.tasks.items():
        assert changed(copied(member.ema_model), resumed.tasks[name].ema_model) == set()


def test_a_row_holds_each_tasks_own(tasks: dict[str, Task]) -> None:
    run = JointRun([tasks["discs"], tasks["solid"]], {"batch_size": 16})
    row = run.advance()
    assert list(row["tasks"]) == ["discs", "solid"]
    spreads = {n: m.data.store.targets[m.data.fit].std() for n, m in run.tasks.items()}
    errors = [row["tasks"][name]["mae"] / spreads[name] for name in row["tasks"]]
    assert row["error"] == pytest.approx(np.mean(errors))
    assert row["epoch"] == run.epoch == 1
    assert {own["seconds"] for own in row["tasks"].values()} == {row["seconds"]}
    evaluated = run.evaluate("test")
    assert sorted(set(evaluated["dataset"])) == ["discs", "solid"]
    mine = evaluated["dataset"] == "solid"
    np.testing.assert_array_equal(
        evaluated["prediction"][mine], run.tasks["solid"].evaluate("test")["prediction"]
    )


def test_both_tasks_learn(tasks: dict[str, Task]) -> None:
    chosen = with_method([tasks["grey"], tasks["solid"]], "l1", 16)
    run = finish(JointRun(chosen, {"batch_size": 8}))
    for member in run.tasks.values():
        targets = member.data.store.targets
        mean = np.abs(targets[member.data.positions("val")] - targets[member.data.fit].mean())
        assert member.history[-1]["mae"] < 0.6 * mean.mean()


def test_an_exported_task_predicts_what_the_run_does(
    tasks: dict[str, Task], tmp_path: Path
) -> None:
    run = JointRun(with_method([tasks["grey"], tasks["two"]], "supremix", 2), SUPREMIX)
    finish(run)
    run.export(tmp_path)
    for name, member in run.tasks.items():
        model = TrainedModel.load(
            tmp_path / name, dataset=Dataset(card=member.data.card, reader=ArrayReader())
        )
        places = member.data.positions("val")[:4]
        images = [np.asarray(member.data.store.images[member.data.store.rows[p]]) for p in places]
        expected = run.tasks[name].predict(places)
        np.testing.assert_allclose(model.predict(images), expected, rtol=1e-4)


def test_one_label_unit_is_never_contrasted_with_another(
    tasks: dict[str, Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = JointRun(with_method([tasks["discs"], tasks["solid"]], "supremix", 2), SUPREMIX)
    seen: list[set[float]] = []
    labels = {n: set(m.data.store.targets.tolist()) for n, m in run.tasks.items()}
    for turn in run.interleaver_of(0).trainers:
        loss = turn.loss

        def watched(embeddings: Tensor, y: Tensor, *, loss: Any = loss, **more: Any) -> Tensor:
            seen.append(set(y.tolist()))
            return loss(embeddings, y, **more)

        monkeypatch.setattr(turn, "loss", watched)
    run.advance()
    assert seen
    assert all(sum(batch <= own for own in labels.values()) == 1 for batch in seen)


def test_the_settings_of_one_dataset_can_be_its_own(tasks: dict[str, Task]) -> None:
    chosen = with_method([tasks["discs"], tasks["solid"]], "supremix", 2)
    run = JointRun(chosen, {**SUPREMIX, "solid.window": 123.0, "solid.batch_size": 9})
    assert run.tasks["solid"].config.window == 123.0
    assert run.tasks["solid"].config.batch_size == 9
    assert run.tasks["discs"].config.window is None
    assert split_config(["a"], {"a.lr": 1, "lr": 2}) == {"a": {"lr": 1}}
    with pytest.raises(ConfigError, match=r"dataset 'liquid', .* there are discs, solid"):
        JointRun(chosen, {"liquid.window": 1.0})
    with pytest.raises(ConfigError, match=r"one optimizer and need the same lr .* for solid"):
        joint_preflight(chosen, {**SUPREMIX, "solid.lr": 0.5})


def test_tasks_that_cannot_be_trained_together_are_refused(tasks: dict[str, Task]) -> None:
    discs, solid = tasks["discs"], tasks["solid"]
    with pytest.raises(TaskError, match="at least one task"):
        JointRun([], {})
    with pytest.raises(TaskError, match="discs more than once"):
        JointRun([discs, discs], {})
    with pytest.raises(TaskError, match="need the same epochs, found 3, 5"):
        joint_preflight([discs, dataclasses.replace(solid, epochs=5)], {})
    assert joint_preflight([discs, solid], {}).keys() == {"discs", "solid"}


def test_a_state_of_other_tasks_is_refused(tasks: dict[str, Task]) -> None:
    state = JointRun([tasks["grey"], tasks["solid"]], {}).state()
    with pytest.raises(CheckpointError, match="on grey, solid and is loaded into one on grey, two"):
        JointRun([tasks["grey"], tasks["two"]], {}).load(state)
    with pytest.raises(CheckpointError, match="state of a joint run, of format 1, found None"):
        JointRun([tasks["grey"]], {}).load(TrialRun(tasks["grey"], {}).state())
    with pytest.raises(CheckpointError, match="of another run"):
        JointRun([tasks["grey"], tasks["solid"]], {"lr": 0.5}).load(state)


def build_smooth(spatial_dims: int, channels: int) -> nn.Module:
    """Behind a ReLU or a max-pool, rounding tips single units over."""
    return nn.Sequential(
        nn.Conv2d(channels, 4, 5, stride=2, bias=False),
        nn.BatchNorm2d(4),
        nn.SiLU(),
        nn.Conv2d(4, 8, 3, stride=2, bias=False),
        nn.BatchNorm2d(8),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
    )


def train(collective: Any, tasks: list[Task], config: dict[str, Any]) -> dict[str, Any]:
    run = JointRun(tasks, config, collective=collective, device="cpu")
    run.advance()
    if collective.world > 1:
        state = run.state()
        run = JointRun(tasks, config, collective=collective, device="cpu")
        run.load(state)
    finish(run)
    return {
        "history": [curve(row) for row in run.history],
        "networks": {n: m.ema_model.state_dict() for n, m in run.tasks.items()},
        "predictions": torch.from_numpy(run.evaluate("test")["prediction"]),
    }


def test_two_workers_train_what_one_process_trains(tasks: dict[str, Task], tmp_path: Path) -> None:
    config = {**SUPREMIX, "lr": 1e-3, "finetune_lr": 1e-4}
    smooth = EncoderSpec(builder=build_smooth)
    chosen = [
        dataclasses.replace(task, encoder=smooth)
        for task in with_method([tasks["grey"], tasks["two"]], "supremix", 2)
    ]
    alone = train(Solo(), chosen, config)
    for result in on_workers(2, tmp_path, train, chosen, config):
        for name, network in alone["networks"].items():
            for key, value in network.items():
                found = result["networks"][name][key]
                torch.testing.assert_close(found, value, rtol=2e-3, atol=2e-4)
        for ours, reference in zip(result["history"], alone["history"], strict=True):
            assert ours["stage"] == reference["stage"]
            for name, row in reference["tasks"].items():
                loss = ours["tasks"][name]["loss"]
                assert math.isclose(loss, row["loss"], rel_tol=2e-3)
        torch.testing.assert_close(
            result["predictions"], alone["predictions"], rtol=2e-3, atol=2e-3
        )


@pytest.mark.parametrize("method", ["fds", "soft-labels", "manifold-mixup", "conr"])
def test_what_a_method_adds_to_its_loss_is_each_tasks_own_and_resumed(
    tasks: dict[str, Task], tmp_path: Path, method: str
) -> None:
    chosen = with_method([tasks["grey"], tasks["solid"]], method, 3)
    config = {"batch_size": 15}
    whole = JointRun(chosen, config)
    for epoch in range(2):
        whole.advance()
        save_checkpoint(whole.state(), tmp_path / f"{epoch}")
    resumed = JointRun(chosen, config)
    resumed.load(load_checkpoint(tmp_path / "1"))
    assert curve(finish(resumed).history[-1]) == curve(finish(whole).history[-1])
    [grey] = with_method([tasks["grey"]], method, 2)
    alone, joint = finish(TrialRun(grey, config)), finish(JointRun([grey], config))
    assert curve(joint.history[-1]["tasks"]["grey"]) == curve(alone.history[-1])
