"""What can be asked of a method's training and space, before anything starts."""

from __future__ import annotations

import json
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import pytest
from own_encoder import PooledMean

import supremix
from supremix.errors import ModelError, SpaceError, SpecError, UnknownNameError
from supremix.models import EncoderSpec
from supremix.search.spec import SearchSpec
from supremix.training import (
    ConfigError,
    EndToEnd,
    EndToEndConfig,
    TaskError,
    TwoStage,
    TwoStageConfig,
    method_names,
)
from supremix_spaces import Fixed, Float, Space


def ask(**values: object) -> SearchSpec:
    return SearchSpec(dataset="ukb-t1", trials=1, **values)  # type: ignore[arg-type]


def space_of(spec: SearchSpec, train_size: int, **more: float) -> Space:
    return spec.resolve_space(window=5.0, label_bin=1.0, train_size=train_size, **more)


def test_the_normalisation_of_a_named_encoder_can_be_chosen() -> None:
    assert ask(norm="group", width=4).encoder_spec() == EncoderSpec(width=4, norm="group")
    assert ask().encoder_spec().norm == "batch"


@pytest.mark.parametrize("method", method_names())
def test_few_images_are_enough_where_the_batch_is_given(method: str) -> None:
    space = space_of(ask(method=method, overrides=("batch_size=5",)), 6)
    assert space["batch_size"] == Fixed(5)
    space_of(ask(method=method), 6)


def test_an_ablation_is_a_setting_away() -> None:
    spec = ask(overrides=("mix_pos=false", "weights=false"))
    start = space_of(spec, 100).defaults()
    assert (start["mix_pos"], start["weights"]) == (False, False)
    assert {"window", "label_scale"}.isdisjoint(start)


def test_the_cards_label_scale_reaches_the_space() -> None:
    assert space_of(ask(), 100, label_scale=4.0).defaults()["label_scale"] == 4.0


def test_chunks_want_an_encoder_without_batch_normalisation() -> None:
    with pytest.raises(ConfigError, match=r"chunk=8 needs an encoder.*--norm group"):
        ask(chunk=8)
    with pytest.raises(SpecError, match="chunk has to be at least 1; got 0"):
        ask(chunk=0, norm="group")
    spec = ask(chunk=8, norm="group")
    assert SearchSpec.from_dict(spec.to_dict()) == spec


def test_an_unknown_normalisation_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'group'"):
        ask(norm="groop")


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_an_encoder_of_ones_own_is_stored_by_its_import_path(norm: str) -> None:
    asked = ask(encoder=EncoderSpec(builder=PooledMean, norm=norm))
    stored = json.loads(json.dumps(asked.to_dict()))
    assert stored["encoder"]["encoder"]["builder"] == "own_encoder:PooledMean"
    assert SearchSpec.from_dict(stored) == asked
    stored["encoder"]["encoder"]["builder"] = "own_encoder:gone"
    with pytest.raises(SpecError, match=r"\(own_encoder:gone\), which cannot be imported here"):
        SearchSpec.from_dict(stored)
    assert SearchSpec.from_dict(stored, encoder=asked.encoder) == asked


def test_an_encoder_is_also_given_by_its_import_path() -> None:
    asked = ask(encoder="own_encoder:PooledMean")
    assert asked == ask(encoder=PooledMean)
    assert SearchSpec.from_dict(asked.to_dict()) == asked
    with pytest.raises(ModelError, match="the encoder own_encoder:gone cannot be imported here"):
        ask(encoder="own_encoder:gone")


def test_a_method_of_ones_own_searches_its_hyperparameters_and_those_of_its_training() -> None:
    own: dict[str, Any] = {"margin": Float(0.1, 1.0), "lr": Fixed(0.01)}
    for kind, config, usual in (
        (TwoStage, TwoStageConfig, "simclr"),
        (EndToEnd, EndToEndConfig, "l1"),
    ):
        fields = [("margin", float, 0.5)]
        more = make_dataclass("Config", fields, bases=(config,), frozen=True, kw_only=True)
        space = space_of(ask(method=kind(name="own", config=more, searched=own)), 100)
        assert (space["margin"], space["lr"]) == (own["margin"], own["lr"])
        common = set(space_of(ask(method=usual), 100)) - {"temperature"}
        assert set(space) == common | set(own)
        bare = kind(name="own", config=more)
        with pytest.raises(SpaceError, match="pass a space of your own, or name its hyper"):
            space_of(ask(method=bare), 100)
        wrong = kind(name="own", config=more, searched={"margin": 0.5})
        with pytest.raises(SpaceError, match="margin"):
            space_of(ask(method=wrong), 100)
        strange = kind(name="own", config=more, searched={"strength": Fixed(1)})
        with pytest.raises(SpaceError, match="strength"):
            space_of(ask(method=strange), 100)


@pytest.mark.parametrize("kind", ["search", "comparison", "plan"])
def test_weights_that_do_not_fit_are_refused_before_a_cluster_is_started(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a cluster was started")

    for name in ("search.driver.shared_session", "benchmark.driver.shared_session"):
        monkeypatch.setattr(f"supremix.{name}", started)
    monkeypatch.setattr("supremix.planning.plan.ray_runtime", started)
    (tmp_path / "w.pth").write_bytes(b"no weights")
    more: dict[str, Any] = {"trials": 2, "pretrained": tmp_path / "w.pth", "out": tmp_path / "run"}
    ask_for = {
        "search": lambda: supremix.Search("ukb-t1", "phantom", "l1", **more).run(),
        "comparison": lambda: supremix.Comparison("ukb-t1", "phantom", ["l1", "mse"], **more).run(),
        "plan": lambda: supremix.plan("ukb-t1", "phantom", "l1", **more),
    }[kind]
    with pytest.raises(TaskError, match=r"w\.pth' cannot be read"):
        ask_for()
    assert not (tmp_path / "run").exists()
