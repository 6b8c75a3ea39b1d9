"""The spaces of the two-stage methods: a loss of its own each, the training the same for all.

The same training parameters with the same ranges, and about as many of the loss, so that methods
that are searched with one budget can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from supremix_spaces.parameters.parameters import Choice, Fixed, Float, Parameter
from supremix_spaces.presets.facts import DatasetFacts, batch_size
from supremix_spaces.space import Space


def supremix(facts: DatasetFacts) -> Space:
    """SupReMix: Wu et al., arXiv 2309.16633."""
    unit, scale = facts.unit, facts.label_scale
    low, high = min(2 * unit, facts.window), max(20 * unit, facts.window)
    return _space(
        facts,
        {
            "mix_neg": Fixed(True),
            "mix_pos": Fixed(True),
            "alpha": Float(0.5, 8.0, log=True, default=2.0, when=("mix_neg", (True,))),
            "beta": Float(1.0, 16.0, log=True, default=8.0, when=("mix_neg", (True,))),
            "temperature": Float(0.07, 1.0, log=True, default=0.3),
            "window": Float(low, high, log=True, default=facts.window, when=("mix_pos", (True,))),
            "weights": Choice((True, False)),
            "label_scale": Float(
                0.25 * scale, 16 * scale, log=True, default=scale, when=("weights", (True,))
            ),
            "label_bin": Fixed(None),
            "stop_gradient": Fixed(True),
            "normalize_mixtures": Fixed(False),
            "max_pairs": Fixed(None, when=("mix_pos", (True,))),
        },
    )


def supcon(facts: DatasetFacts) -> Space:
    """SupCon on label bins: Khosla et al., arXiv 2004.11362."""
    unit = facts.unit
    return _space(
        facts,
        {
            "temperature": Float(0.03, 1.0, log=True, default=0.07),
            "label_bin": Float(0.25 * unit, 8 * unit, log=True, default=unit),
        },
    )


def simclr(facts: DatasetFacts) -> Space:
    """SimCLR: Chen et al., arXiv 2002.05709."""
    return _space(facts, {"temperature": Float(0.03, 1.0, log=True, default=0.5)})


def rnc(facts: DatasetFacts) -> Space:
    """Rank-N-Contrast: Zha et al., arXiv 2210.01189."""
    return _space(
        facts,
        {
            "temperature": Float(0.2, 10.0, log=True, default=2.0),
            "normalize": Fixed(False),
            "projection": Fixed(None),
        },
    )


def yaware(facts: DatasetFacts) -> Space:
    """y-Aware: Dufumier et al., arXiv 2106.08808. Its gaussian kernel is the same as rbf."""
    return _space(facts, _kernel(facts, sigma=5.0, kernels=("rbf", "cauchy")))


def expw(facts: DatasetFacts) -> Space:
    """The exponential kernel weighting: Barbano et al., arXiv 2211.08326."""
    return _space(facts, _kernel(facts, sigma=2.0, kernels=("rbf", "gaussian", "cauchy")))


def _kernel(facts: DatasetFacts, *, sigma: float, kernels: tuple[str, ...]) -> dict[str, Parameter]:
    """A kernel of the label distance; sigma in the dataset's label scale."""
    scale = facts.label_scale
    return {
        "temperature": Float(0.03, 1.0, log=True, default=0.1),
        "sigma": Float(0.5 * scale, 20 * scale, log=True, default=sigma * scale),
        "kernel": Choice(kernels),
    }


def _space(facts: DatasetFacts, loss: Mapping[str, Parameter]) -> Space:
    """The parameters of a loss, and those of the training, which all have in common."""
    finetuned = ("head", ("finetune",))
    return Space(
        {
            **loss,
            "projection_dim": Fixed(128),
            # training
            "batch_size": batch_size(facts.train_size, default=32, steps=8),
            "lr": Float(1e-3, 1e-2, log=True, default=3e-3),
            "weight_decay": Float(1e-3, 2e-1, log=True, default=5e-2),
            "pretrain_share": Float(0.1, 0.8, default=0.25),
            # the second stage
            "head": Choice(("finetune", "probe")),
            "finetune_lr": Float(3e-4, 6e-3, log=True, default=3e-3, when=finetuned),
            "finetune_batch_size": Fixed(None, when=finetuned),
        }
    )


CONTRASTIVE: dict[str, Callable[[DatasetFacts], Space]] = {
    "supremix": supremix,
    "supcon": supcon,
    "simclr": simclr,
    "rnc": rnc,
    "yaware": yaware,
    "expw": expw,
}
