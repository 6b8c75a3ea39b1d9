"""The spaces of the methods that train end to end: the training the same for all.

The same training parameters with the same ranges as those of L1, and at most three of a method's
own, so that methods that are searched with one budget can be compared. The base loss stays L1:
what is compared is what a method adds to it. Free `base` to search it too.
"""

from __future__ import annotations

from supremix_spaces.parameters.parameters import Choice, Fixed, Float, Int
from supremix_spaces.presets.dataset_facts import (
    DatasetFacts,
    Parameters,
    Preset,
    batch_size,
    learning_rate,
    preset,
)


def _length(facts: DatasetFacts) -> Float:
    """A length on the label axis, by default what counts as one."""
    scale = facts.label_scale
    return Float(0.25 * scale, 16 * scale, log=True, default=scale)


def _bandwidth(facts: DatasetFacts) -> Float:
    low = min(facts.unit, facts.window) / 2
    return Float(low, 4 * facts.window, log=True, default=facts.window)


def _alpha(default: float) -> Float:
    return Float(0.1, 4.0, log=True, default=default)


_BASE: Parameters = {"base": Fixed("l1"), "delta": Fixed(None)}
_ADDED: Parameters = {**_BASE, "reweight": Fixed("none")}
ON_FEATURES: Parameters = {**_ADDED, "smooth": Fixed(False)}
_OVER_BINS: Parameters = {
    "kernel": Fixed("gaussian"),
    "size": Int(3, 15, step=2, default=5),
    "sigma": Float(0.5, 5.0, log=True, default=2.0),
    "label_bin": Fixed(None),
}
_OWN: dict[str, Parameters] = {
    "l1": {},
    "mse": {},
    "huber": {"delta": _length},
    "soft-labels": {"sigma": _length, "label_bin": Fixed(None)},
    "balanced-mse": {"sigma": _length},
    "mixup": {"alpha": _alpha(0.2), "where": Fixed("inputs"), **_ADDED},
    "manifold-mixup": {"alpha": _alpha(2.0), "where": Fixed("either"), **_ADDED},
    "c-mixup": {
        "alpha": _alpha(2.0),
        "bandwidth": _bandwidth,
        "where": Choice(("inputs", "features")),
        **_ADDED,
    },
    "adacon": {
        "weight": Float(0.01, 10.0, log=True, default=0.75),
        "temperature": Float(1 / 300, 0.5, log=True, default=1 / 150),
        "margin": Fixed(2.0),
        "label_bin": Fixed(None),
        **ON_FEATURES,
    },
    "ranksim": {
        "gamma": Float(1.0, 1e4, log=True, default=100.0),
        "lam": Float(0.2, 20.0, log=True, default=2.0),
        **ON_FEATURES,
    },
    "ordinal-entropy": {
        "spread": Float(1e-2, 10.0, log=True, default=1.0),
        "tightness": Float(1e-2, 10.0, log=True, default=1.0),
        "label_bin": Fixed(None),
        "label_scale": Fixed(None),
        **ON_FEATURES,
    },
    "conr": {
        "weight": Float(0.1, 20.0, log=True, default=4.0),
        "temperature": Float(0.03, 1.0, log=True, default=0.07),
        "window": _length,
        "push": Fixed(0.01),
        **ON_FEATURES,
    },
    "lds": {**_OVER_BINS, **_BASE, "reweight": Choice(("sqrt_inverse", "inverse"))},
    "fds": {
        **_OVER_BINS,
        "momentum": Float(0.5, 0.99, default=0.9),
        "start": Fixed(1),
        **_ADDED,
    },
}
TRAINING: Parameters = {
    "batch_size": lambda facts: batch_size(facts.train_size, default=16, steps=16),
    "lr": learning_rate(1e-3, 1e-2, 4e-3),
    "weight_decay": Float(1e-3, 2e-1, log=True, default=5e-2),
    "schedule": Fixed("warmup-stable-decay"),
}

END_TO_END: dict[str, Preset] = {name: preset(own, TRAINING) for name, own in _OWN.items()}
