"""The spaces of the methods, fitted to a dataset.

The ranges are wide around the published settings; lengths on the label axis are given in the
dataset's own label bins, so that they mean the same for years, millimetres and months.
"""

from __future__ import annotations

from typing import Any

from supremix_spaces.errors import SpaceError, UnknownSpaceError, hint
from supremix_spaces.presets import contrastive, end_to_end
from supremix_spaces.presets.contrast_terms import CONTRAST_TERMS
from supremix_spaces.presets.dataset_facts import DatasetFacts, Parameters, Preset, preset
from supremix_spaces.space import Space

_TRAININGS = {"two-stage": contrastive.TRAINING, "end-to-end": end_to_end.TRAINING}


def space_for(
    method: str,
    *,
    window: float,
    label_bin: float,
    train_size: int,
    label_scale: float | None = None,
    volumes: bool = False,
    pretrained: bool = False,
) -> Space:
    """Return the preset space of a method for one dataset.

    Args:
        method: Name of a method, one of `space_names()`.
        window: The dataset's Mix-pos window, in the task's unit, above 0.
        label_bin: The width in which labels count as equal, in the task's unit, above 0; 0 (only
            exactly equal labels do) takes a fifth of the window as the unit instead.
        train_size: Number of training samples, at least 2. No batch is larger than half of them,
            and none larger than the default leaves an epoch only a few steps.
        label_scale: Distance of labels that counts as one in weights and kernels, in the task's
            unit, above 0; None takes the label bin.
        volumes: Whether the images have three axes, volumes or videos, which want lower
            learning rates.
        pretrained: Whether the encoder starts from pretrained weights, so that its first stages
            can be frozen or learn slower.

    Raises:
        UnknownSpaceError: when there is no such method.
        SpaceError: when there are too few samples, or a length is not positive.
    """
    if method not in _PRESETS:
        raise UnknownSpaceError(
            f"There is no preset space for method {method!r}.{hint(method, _PRESETS)} Known: "
            f"{', '.join(_PRESETS)}. For a method of your own pass a space of your own, or name "
            "its hyperparameters as `searched` where it is made."
        )
    return _PRESETS[method](
        _facts(window, label_bin, train_size, label_scale, volumes=volumes, pretrained=pretrained)
    )


def own_space(own: Parameters, *, training: str, **facts: Any) -> Space:
    """Return the space of a method of the user's own for one dataset.

    Args:
        own: Its own parameters by name; a function (`DatasetFacts`) -> parameter where one follows
            from the dataset.
        training: "two-stage" or "end-to-end": whose parameters of the training are added. Those
            in `own` win.
        facts: As for `space_for`.

    Raises:
        SpaceError: As for `space_for`, or `own` holds something that is no parameter.
    """
    added = {name: one for name, one in _TRAININGS[training].items() if name not in own}
    return preset(own, added)(_facts(**facts))


def _facts(
    window: float,
    label_bin: float,
    train_size: int,
    label_scale: float | None = None,
    *,
    volumes: bool = False,
    pretrained: bool = False,
) -> DatasetFacts:
    if not window > 0 or label_bin < 0:
        raise SpaceError(
            "A preset needs window > 0 and label_bin >= 0, in the task's unit; "
            f"got window={window!r}, label_bin={label_bin!r}."
        )
    if label_scale is not None and not label_scale > 0:
        raise SpaceError(f"A preset needs label_scale > 0, or None; got {label_scale!r}.")
    if train_size < 2:
        raise SpaceError(
            f"A preset needs at least 2 training samples; got {train_size}. Add samples, or give "
            "the training split a larger share."
        )
    return DatasetFacts(
        window=window,
        label_bin=label_bin,
        label_scale=label_scale or label_bin or window / 5,
        train_size=train_size,
        volumes=volumes,
        pretrained=pretrained,
    )


def space_names() -> tuple[str, ...]:
    """Return the methods that have a preset space."""
    return tuple(_PRESETS)


_PRESETS: dict[str, Preset] = {
    **contrastive.CONTRASTIVE,
    **contrastive.PUBLISHED,
    **end_to_end.END_TO_END,
    **CONTRAST_TERMS,
}
