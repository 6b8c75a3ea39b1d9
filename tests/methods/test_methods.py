from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from supremix.losses import SupReMixLoss
from supremix.training import (
    ConfigError,
    Stage,
    UnknownMethodError,
    get_method,
    make_config,
    method_names,
)
from supremix_datasets.stores.store import Store
from supremix_spaces import space_for, space_names


def test_the_built_in_methods() -> None:
    assert method_names() == space_names()
    with pytest.raises(
        UnknownMethodError, match=r"there are: supremix, .* Did you mean 'supremix'"
    ):
        get_method("supermix")
    with pytest.raises(UnknownMethodError, match="needs a name, a config dataclass"):
        get_method(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", method_names())
def test_every_parameter_of_the_preset_space_is_a_field_of_the_method(name: str) -> None:
    method = get_method(name)
    space = space_for(name, window=5.0, label_bin=1.0, train_size=500)
    assert make_config(method, space.defaults())


def test_numbers_from_tables_are_taken_for_what_they_are() -> None:
    config = make_config(
        get_method("supremix"),
        {"batch_size": 32.0, "lr": np.float64(0.1), "weights": np.bool_(False), "max_pairs": None},
    )
    assert (config.batch_size, config.lr, config.weights) == (32, 0.1, False)
    assert isinstance(config.batch_size, int)
    assert isinstance(config.lr, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temprature": 1}, "unknown parameter of supremix 'temprature'.*'temperature'"),
        ({"batch_size": 3.5}, "batch_size must be of type int, found 3.5"),
        ({"batch_size": True}, "batch_size must be of type int, found True"),
        ({"head": "mlp"}, "one of probe, finetune, found 'mlp'"),
        ({"pretrain_share": 1.0}, "between 0 and 1"),
    ],
)
def test_bad_values_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(get_method("supremix"), values)


def test_a_needed_parameter_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="mine needs a value for strength"):
        make_config(get_method(Mine()), {})


@dataclass(frozen=True)
class MineConfig:
    strength: float


@dataclass(frozen=True)
class Mine:
    name: str = "mine"
    config: type = MineConfig

    def stages(self, config: MineConfig, *, epochs: int, card: object) -> tuple[Stage, ...]:
        return ()


def test_the_stages_of_supremix_share_the_epochs(store: Store) -> None:
    method = get_method("supremix")

    def lengths(epochs: int, **values: object) -> list[tuple[str, int]]:
        config = make_config(method, values)
        stages = method.stages(config, epochs=epochs, card=store.card)
        return [(stage.objective, stage.epochs) for stage in stages]

    finetune = {"head": "finetune", "pretrain_share": 0.75}
    assert lengths(20, **finetune) == [("contrastive", 15), ("regression", 5)]
    assert lengths(2, **finetune) == [("contrastive", 1), ("regression", 1)]
    assert lengths(20, head="probe") == [("contrastive", 19), ("probe", 1)]
    with pytest.raises(ConfigError, match="at least 2 epochs, found 1"):
        lengths(1)


def test_what_the_configuration_leaves_open_the_card_decides(store: Store) -> None:
    method = get_method("supremix")
    stage = method.stages(make_config(method, {}), epochs=4, card=store.card)[0]
    assert isinstance(stage.loss, SupReMixLoss)
    assert (stage.loss.window, stage.loss.label_bin, stage.loss.label_scale) == (5.0, 1.0, 1.0)
    stage = method.stages(make_config(method, {"window": 2}), epochs=4, card=store.card)[0]
    assert isinstance(stage.loss, SupReMixLoss)
    assert stage.loss.window == 2.0


def test_what_the_loss_refuses_is_refused_before_training(store: Store) -> None:
    method = get_method("supremix")
    with pytest.raises(ConfigError, match="temperature"):
        method.stages(make_config(method, {"temperature": -1.0}), epochs=4, card=store.card)


def test_a_stage_without_what_it_needs_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a loss and lr > 0"):
        Stage(name="pretrain", objective="contrastive", epochs=1, batch_size=2)
    with pytest.raises(ConfigError, match="at least one epoch"):
        Stage(name="regress", objective="probe", epochs=0, batch_size=2)
