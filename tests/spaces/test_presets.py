"""The presets: sound on any dataset, starting from the published settings."""

from __future__ import annotations

import pytest

from supremix_spaces import (
    Choice,
    Fixed,
    Float,
    SpaceError,
    UnknownSpaceError,
    parse_overrides,
    space_for,
)
from supremix_spaces import space_names as names
from supremix_spaces.presets.contrastive import CONTRASTIVE


@pytest.mark.parametrize("method", names())
@pytest.mark.parametrize(
    ("window", "label_bin"), [(20.0, 2.0), (5.0, 1.0), (0.25, 0.05), (1.0, 2.0), (5.0, 0.0)]
)
def test_presets_are_sound_on_any_label_axis(method: str, window: float, label_bin: float) -> None:
    space = space_for(method, window=window, label_bin=label_bin, train_size=100)
    start = space.defaults()
    space.check(start)

    assert start.keys() <= set(space.parameters)
    assert start["batch_size"] <= 50
    for name, value in start.items():
        with pytest.raises(SpaceError, match=name):
            space.check({**start, name: object() if not isinstance(value, str) else "no such word"})


TRAINING = (
    "projection_dim", "batch_size", "lr", "weight_decay", "pretrain_share", "head", "finetune_lr",
    "finetune_batch_size", "finetune_norms", "schedule",
)  # fmt: skip
STARTS = {
    "supcon": {"temperature": 0.07, "label_bin": 2.0},
    "simclr": {"temperature": 0.5},
    "rnc": {"temperature": 2.0, "normalize": False, "projection": None},
    "yaware": {"temperature": 0.1, "sigma": 20.0, "kernel": "rbf"},
    "expw": {"temperature": 0.1, "sigma": 8.0, "kernel": "rbf"},
}


@pytest.mark.parametrize("method", sorted(CONTRASTIVE.keys() - {"supremix"}))
def test_the_contrastive_methods_differ_in_their_loss_alone(method: str) -> None:
    facts = {"window": 20.0, "label_bin": 2.0, "label_scale": 4.0, "train_size": 486}
    space, reference = space_for(method, **facts), space_for("supremix", **facts)
    start = space.defaults()
    assert {name: start[name] for name in start if name not in TRAINING} == STARTS[method]
    assert {name: space[name] for name in TRAINING} == {n: reference[n] for n in TRAINING}


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
        "label_bin": None,
        "stop_gradient": True,
        "normalize_mixtures": False,
        "max_pairs": None,
        "projection_dim": 128,
        "batch_size": 32,
        "lr": 3e-3,
        "weight_decay": 5e-2,
        "pretrain_share": 0.25,
        "head": "finetune",
        "finetune_lr": 3e-3,
        "finetune_batch_size": None,
        "finetune_norms": "train",
        "schedule": "warmup-stable-decay",
    }
    pairs = ("mix_pos", (True,))
    assert space["window"] == Float(4.0, 40.0, log=True, default=20.0, when=pairs)
    assert space["finetune_lr"].when == ("head", ("finetune",))
    assert space["pretrain_share"] == Float(0.1, 0.8, default=0.25, when=("head", ("finetune",)))
    assert space["max_pairs"] == Fixed(None, when=pairs)


@pytest.mark.parametrize(
    ("switch", "gone"),
    [
        ("mix_neg", {"alpha", "beta"}),
        ("mix_pos", {"window", "max_pairs"}),
        ("weights", {"label_scale"}),
    ],
)
def test_an_ablation_leaves_out_what_it_makes_idle(switch: str, gone: set[str]) -> None:
    space = space_for("supremix", window=20.0, label_bin=2.0, train_size=486)
    ablated = space.merged(parse_overrides([f"{switch}=false"]))
    assert space.defaults().keys() - ablated.defaults().keys() == gone
    assert ablated.defaults()[switch] is False
    with pytest.raises(SpaceError, match="has no effect"):
        space.merged(parse_overrides([f"{switch}=false", f"{min(gone)}=3"]))


def test_a_probe_leaves_out_the_fine_tuning_and_the_share_of_the_pretraining() -> None:
    space = space_for("rnc", window=20.0, label_bin=2.0, train_size=486)
    probed = space.merged(parse_overrides(["head=probe"]))
    gone = {"pretrain_share", "finetune_lr", "finetune_batch_size", "finetune_norms"}
    assert space.defaults().keys() - probed.defaults().keys() == gone
    with pytest.raises(SpaceError, match="has no effect"):
        space.merged(parse_overrides(["head=probe", "pretrain_share=0.5"]))


def test_lengths_of_the_label_axis_follow_the_label_scale_or_else_the_bin() -> None:
    wide = space_for("yaware", window=20.0, label_bin=1.0, label_scale=4.0, train_size=100)
    assert wide["sigma"] == Float(2.0, 80.0, log=True, default=20.0)
    plain = space_for("yaware", window=20.0, label_bin=1.0, train_size=100)
    assert plain["sigma"] == Float(0.5, 20.0, log=True, default=5.0)
    exact = space_for("supcon", window=20.0, label_bin=0.0, train_size=100)
    assert exact["label_bin"] == Float(1.0, 32.0, log=True, default=4.0)
    with pytest.raises(SpaceError, match="label_scale > 0, or None; got 0"):
        space_for("yaware", window=20.0, label_bin=1.0, label_scale=0.0, train_size=100)


@pytest.mark.parametrize(("method", "head"), [("supremix", "probe"), ("rnc", "finetune")])
def test_a_published_training_differs_from_its_method_in_batch_and_second_stage(
    method: str, head: str
) -> None:
    facts = {"window": 20.0, "label_bin": 2.0, "label_scale": 4.0, "train_size": 486}
    space, reference = space_for(f"{method}-published", **facts), space_for(method, **facts)
    differing = {name for name in space.names if space[name] != reference[name]}
    assert differing == {"batch_size", "head", "pretrain_share", "finetune_lr"}
    start = space.defaults()
    assert (start["batch_size"], start["head"]) == (128, head)
    tuned = space.merged(parse_overrides(["head=finetune"])).defaults()
    assert (tuned["pretrain_share"], tuned["finetune_lr"]) == (0.8, 3e-4)


@pytest.mark.parametrize(
    ("train_size", "options"),
    [
        (2, (2,)),
        (7, (2,)),
        (24, (2, 4)),
        (48, (2, 4, 8)),
        (260, (16, 32, 64)),
        (384, (16, 32, 64)),
        (385, (32, 64, 128)),
        (10_000, (32, 64, 128)),
    ],
)
def test_a_large_batch_leaves_an_epoch_four_steps(
    train_size: int, options: tuple[int, ...]
) -> None:
    space = space_for("supremix-published", window=5.0, label_bin=1.0, train_size=train_size)
    assert space["batch_size"] == Choice(options, default=options[-1])
    assert options == (2,) or all(-(-train_size // size) >= 4 for size in options)


@pytest.mark.parametrize(
    ("method", "name", "rate"), [("l1", "lr", 4e-3), ("rnc", "finetune_lr", 3e-3)]
)
def test_volumes_have_a_quarter_of_the_rates(method: str, name: str, rate: float) -> None:
    flat, deep = (
        space_for(method, window=5.0, label_bin=1.0, train_size=100, volumes=volumes)[name]
        for volumes in (False, True)
    )
    assert isinstance(flat, Float)
    assert isinstance(deep, Float)
    assert flat.default == rate
    lower = (flat.low / 4, flat.high / 2, rate / 4)
    assert (deep.low, deep.high, deep.default) == pytest.approx(lower)


def test_l1_searches_what_it_has() -> None:
    space = space_for("l1", window=20.0, label_bin=2.0, train_size=486)
    assert space.names == ("batch_size", "lr", "weight_decay", "schedule")


@pytest.mark.parametrize(
    ("method", "train_size", "options", "default"),
    [
        ("supremix", 2, (2,), 2),
        ("supremix", 16, (4, 8), 8),
        ("supremix", 63, (8, 16), 16),
        ("supremix", 64, (16, 32), 32),
        ("rnc", 600, (16, 32, 64), 32),
        ("supremix", 1024, (16, 32, 64, 128), 32),
        ("l1", 63, (8, 16), 16),
        ("l1", 600, (16, 32), 16),
        ("l1", 2048, (16, 32, 64, 128), 16),
    ],
)
def test_batches_fit_the_training_split(
    method: str, train_size: int, options: tuple[int, ...], default: int
) -> None:
    space = space_for(method, window=5.0, label_bin=1.0, train_size=train_size)
    assert space["batch_size"] == Choice(options, default=default)


@pytest.mark.parametrize("method", names())
def test_too_few_samples(method: str) -> None:
    with pytest.raises(SpaceError, match=r"at least 2 training samples; got 1\. Add samples"):
        space_for(method, window=5.0, label_bin=1.0, train_size=1)


def test_an_unknown_method() -> None:
    with pytest.raises(UnknownSpaceError, match=r"Did you mean 'supremix'.*supremix, supcon"):
        space_for("supermix", window=5.0, label_bin=1.0, train_size=100)


@pytest.mark.parametrize(("window", "label_bin"), [(0.0, 1.0), (5.0, -1.0), (float("nan"), 1.0)])
def test_lengths_have_to_be_positive(window: float, label_bin: float) -> None:
    with pytest.raises(SpaceError, match="window > 0 and label_bin >= 0"):
        space_for("supremix", window=window, label_bin=label_bin, train_size=100)
