"""The presets: sound on any dataset, starting from the published settings."""

from __future__ import annotations

from types import ModuleType

import pytest

import supremix_spaces
from supremix_spaces import Choice, Fixed, Float, SpaceError, UnknownSpaceError, space_for
from supremix_spaces import space_names as names


@pytest.mark.parametrize("method", names())
@pytest.mark.parametrize(
    ("window", "label_bin"), [(20.0, 2.0), (5.0, 1.0), (0.25, 0.05), (1.0, 2.0), (5.0, 0.0)]
)
def test_presets_are_sound_on_any_label_axis(method: str, window: float, label_bin: float) -> None:
    space = space_for(method, window=window, label_bin=label_bin, train_size=100)
    space.check(space.defaults())


def test_supremix_starts_from_the_published_loss() -> None:
    space = space_for("supremix", window=20.0, label_bin=2.0, train_size=486)
    assert space.defaults() == {
        "alpha": 2.0,
        "beta": 8.0,
        "temperature": 0.3,
        "window": 20.0,
        "weights": True,
        "label_scale": 2.0,
        "mix_neg": True,
        "mix_pos": True,
        "stop_gradient": True,
        "max_pairs": None,
        "projection_dim": 128,
        "batch_size": 32,
        "lr": 3e-3,
        "weight_decay": 5e-2,
        "pretrain_share": 0.25,
        "head": "finetune",
        "finetune_lr": 3e-3,
    }
    assert space["window"] == Float(4.0, 40.0, log=True, default=20.0)
    assert space["finetune_lr"].when == ("head", ("finetune",))
    assert space["max_pairs"] == Fixed(None)


def test_l1_searches_what_it_has() -> None:
    space = space_for("l1", window=20.0, label_bin=2.0, train_size=486)
    assert space.names == ("batch_size", "lr", "weight_decay")


@pytest.mark.parametrize(
    ("method", "train_size", "options", "default"),
    [
        ("supremix", 16, (16,), 16),
        ("supremix", 63, (16, 32), 32),
        ("supremix", 64, (16, 32, 64), 32),
        ("l1", 63, (16, 32), 16),
        ("l1", 1000, (16, 32, 64, 128), 16),
    ],
)
def test_batches_fit_the_training_split(
    method: str, train_size: int, options: tuple[int, ...], default: int
) -> None:
    space = space_for(method, window=5.0, label_bin=1.0, train_size=train_size)
    assert space["batch_size"] == Choice(options, default=default)


@pytest.mark.parametrize("method", names())
def test_too_few_samples(method: str) -> None:
    with pytest.raises(SpaceError, match=r"only 15 training samples\. Add samples"):
        space_for(method, window=5.0, label_bin=1.0, train_size=15)


def test_an_unknown_method() -> None:
    with pytest.raises(UnknownSpaceError, match=r"Did you mean 'supremix'.*supremix, l1"):
        space_for("supermix", window=5.0, label_bin=1.0, train_size=100)


@pytest.mark.parametrize(("window", "label_bin"), [(0.0, 1.0), (5.0, -1.0), (float("nan"), 1.0)])
def test_lengths_have_to_be_positive(window: float, label_bin: float) -> None:
    with pytest.raises(SpaceError, match="window > 0 and label_bin >= 0"):
        space_for("supremix", window=window, label_bin=label_bin, train_size=100)


def test_the_public_names_are_those_exported() -> None:
    public = {
        name
        for name, value in vars(supremix_spaces).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert sorted(public) == supremix_spaces.__all__
