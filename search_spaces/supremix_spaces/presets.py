"""The spaces of the methods, fitted to a dataset.

The ranges are wide around the published settings; lengths on the label axis are given in the
dataset's own label bins, so that they mean the same for years, millimetres and months.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from supremix_spaces.errors import SpaceError, UnknownSpaceError, hint
from supremix_spaces.parameters import Choice, Fixed, Float
from supremix_spaces.space import Space

BATCH_SIZES = (16, 32, 64, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What a preset has to know of the dataset; see `space_for`."""

    window: float
    label_bin: float
    train_size: int


def space_for(method: str, *, window: float, label_bin: float, train_size: int) -> Space:
    """Return the preset space of a method for one dataset.

    Args:
        method: one of `space_names()`.
        window: the dataset's Mix-pos window, in the task's unit, above 0.
        label_bin: the width in which labels count as equal, in the task's unit, above 0; 0 (only
            exactly equal labels do) takes a fifth of the window as the unit instead.
        train_size: number of training samples, at least the smallest batch size (16).

    Raises:
        UnknownSpaceError: when there is no such method.
        SpaceError: when there are too few samples, or a length is not positive.
    """
    if method not in _PRESETS:
        raise UnknownSpaceError(
            f"There is no preset space for method {method!r}.{hint(method, _PRESETS)} Known: "
            f"{', '.join(_PRESETS)}. For a method of your own pass a space of your own."
        )
    if not window > 0 or label_bin < 0:
        raise SpaceError(
            "A preset needs window > 0 and label_bin >= 0, in the task's unit; "
            f"got window={window!r}, label_bin={label_bin!r}."
        )
    return _PRESETS[method](_Facts(window=window, label_bin=label_bin, train_size=train_size))


def space_names() -> tuple[str, ...]:
    """Return the methods that have a preset space."""
    return tuple(_PRESETS)


def _supremix(facts: _Facts) -> Space:
    unit = facts.label_bin or facts.window / 5
    low, high = min(2 * unit, facts.window), max(20 * unit, facts.window)
    return Space(
        {
            # the loss
            "alpha": Float(0.5, 8.0, log=True, default=2.0),
            "beta": Float(1.0, 16.0, log=True, default=8.0),
            "temperature": Float(0.07, 1.0, log=True, default=0.3),
            "window": Float(low, high, log=True, default=facts.window),
            "weights": Choice((True, False)),
            "label_scale": Float(0.25 * unit, 16.0 * unit, log=True, default=unit),
            "mix_neg": Fixed(True),
            "mix_pos": Fixed(True),
            "stop_gradient": Fixed(True),
            "max_pairs": Fixed(None),
            "projection_dim": Fixed(128),
            # training
            "batch_size": _batch_size(facts.train_size, default=32),
            "lr": Float(1e-3, 1e-2, log=True, default=3e-3),
            "weight_decay": Float(1e-3, 2e-1, log=True, default=5e-2),
            "pretrain_share": Float(0.1, 0.8, default=0.25),
            # the second stage
            "head": Choice(("finetune", "probe")),
            "finetune_lr": Float(3e-4, 6e-3, log=True, default=3e-3, when=("head", ("finetune",))),
        }
    )


def _l1(facts: _Facts) -> Space:
    return Space(
        {
            "batch_size": _batch_size(facts.train_size, default=16),
            "lr": Float(1e-3, 1e-2, log=True, default=4e-3),
            "weight_decay": Float(1e-3, 2e-1, log=True, default=5e-2),
        }
    )


def _batch_size(train_size: int, *, default: int) -> Choice:
    options = tuple(size for size in BATCH_SIZES if size <= train_size)
    if not options:
        raise SpaceError(
            f"The smallest batch size searched is {BATCH_SIZES[0]}, but there are only "
            f"{train_size} training samples. Add samples, give the training split a larger "
            "share, or pass a space of your own with a smaller batch_size."
        )
    return Choice(options, default=min(default, options[-1]))


_PRESETS: dict[str, Callable[[_Facts], Space]] = {"supremix": _supremix, "l1": _l1}
