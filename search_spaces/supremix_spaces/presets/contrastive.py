"""The spaces of the two-stage methods: a loss of its own each, the training the same for all.

The same training parameters with the same ranges, and about as many of the loss, so that methods
that are searched with one budget can be compared.
"""

from __future__ import annotations

from supremix_spaces.parameters.parameters import Choice, Fixed, Float
from supremix_spaces.presets.dataset_facts import (
    DatasetFacts,
    Parameters,
    Preset,
    batch_size,
    large_batch,
    learning_rate,
    preset,
)

_MIX_NEG, _MIX_POS = ("mix_neg", (True,)), ("mix_pos", (True,))
_FINETUNED = ("head", ("finetune",))


def _window(facts: DatasetFacts) -> Float:
    low, high = min(2 * facts.unit, facts.window), max(20 * facts.unit, facts.window)
    return Float(low, high, log=True, default=facts.window, when=_MIX_POS)


def _label_scale(facts: DatasetFacts) -> Float:
    scale = facts.label_scale
    return Float(0.25 * scale, 16 * scale, log=True, default=scale, when=("weights", (True,)))


def _label_bin(facts: DatasetFacts) -> Float:
    return Float(0.25 * facts.unit, 8 * facts.unit, log=True, default=facts.unit)


def _temperature(default: float) -> Float:
    return Float(0.03, 1.0, log=True, default=default)


def _kernel(sigma: float, *kernels: str) -> Parameters:
    """A kernel of the label distance; sigma in the dataset's label scale."""

    def bandwidth(facts: DatasetFacts) -> Float:
        scale = facts.label_scale
        return Float(0.5 * scale, 20 * scale, log=True, default=sigma * scale)

    return {"temperature": _temperature(0.1), "sigma": bandwidth, "kernel": Choice(kernels)}


LOSSES: dict[str, Parameters] = {
    "supremix": {
        "mix_neg": Fixed(True),
        "mix_pos": Fixed(True),
        "alpha": Float(0.5, 8.0, log=True, default=2.0, when=_MIX_NEG),
        "beta": Float(1.0, 16.0, log=True, default=8.0, when=_MIX_NEG),
        "temperature": Float(0.07, 1.0, log=True, default=0.3),
        "window": _window,
        "weights": Choice((True, False)),
        "label_scale": _label_scale,
        "label_bin": Fixed(None),
        "stop_gradient": Fixed(True),
        "normalize_mixtures": Fixed(False),
        "max_pairs": Fixed(None, when=_MIX_POS),
    },
    "supcon": {"temperature": _temperature(0.07), "label_bin": _label_bin},
    "simclr": {"temperature": _temperature(0.5)},
    "rnc": {
        "temperature": Float(0.2, 10.0, log=True, default=2.0),
        "normalize": Fixed(False),
    },
    # A gaussian kernel is the same as rbf in y-Aware.
    "yaware": _kernel(5.0, "rbf", "cauchy"),
    "expw": _kernel(2.0, "rbf", "gaussian", "cauchy"),
}
_OWN: dict[str, Parameters] = {
    **LOSSES,
    "rnc": {**LOSSES["rnc"], "projection": Fixed(None)},
}
TRAINING: Parameters = {
    "projection_dim": Fixed(128),
    "batch_size": lambda facts: batch_size(facts.train_size, default=32, steps=8),
    "lr": learning_rate(1e-3, 1e-2, 3e-3),
    "weight_decay": Float(1e-3, 2e-1, log=True, default=5e-2),
    "schedule": Fixed("warmup-stable-decay"),
    "head": Choice(("finetune", "probe")),
    "pretrain_share": Float(0.1, 0.8, default=0.25, when=_FINETUNED),
    "finetune_lr": learning_rate(3e-4, 6e-3, 3e-3, when=_FINETUNED),
    "finetune_batch_size": Fixed(None, when=_FINETUNED),
    "finetune_norms": Fixed("train", when=_FINETUNED),
}


def _long(head: str) -> Parameters:
    """The training of the published code: large batches, and pretraining for most of the epochs."""
    choice = {"head": Choice(("probe", "finetune"), default=head)}
    return {
        **choice,  # Before the parameters that depend on it.
        **TRAINING,
        **choice,
        "batch_size": lambda facts: large_batch(facts.train_size),
        "pretrain_share": Float(0.5, 0.9, default=0.8, when=_FINETUNED),
        "finetune_lr": learning_rate(1e-4, 3e-3, 3e-4, when=_FINETUNED),
    }


CONTRASTIVE: dict[str, Preset] = {name: preset(own, TRAINING) for name, own in _OWN.items()}
PUBLISHED: dict[str, Preset] = {
    "supremix-published": preset(_OWN["supremix"], _long("probe")),
    "rnc-published": preset(_OWN["rnc"], _long("finetune")),
}
