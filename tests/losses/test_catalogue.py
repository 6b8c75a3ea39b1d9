"""The catalogue that the laws go through holds every loss, and every loss is public."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from loss_catalogue import CATALOGUE, SCALAR, value_of

from supremix import losses
from supremix.losses.common.base import BatchLoss, Loss


def _descendants(kind: type) -> Iterator[type]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)


def _public() -> set[type]:
    named = (getattr(losses, name) for name in losses.__all__)
    return {thing for thing in named if isinstance(thing, type) and issubclass(thing, Loss)}


def test_the_catalogue_equals_the_public_losses() -> None:
    assert {type(loss) for loss in CATALOGUE.values()} == _public()


def test_every_concrete_loss_is_public() -> None:
    shared = "supremix.losses.common."
    concrete = {k for k in _descendants(Loss) if not k.__module__.startswith(shared)}
    # A dataclass with slots is made twice; the first making is never used.
    assert {k.__name__ for k in concrete} == {k.__name__ for k in _public()}


def test_everything_else_that_is_public_is_known() -> None:
    others = set(losses.__all__) - {kind.__name__ for kind in _public()}
    assert others == {
        "DensityWeights", "FeatureSmoothing", "LossInputError", "c_mixup_partners", "draw_beta",
        "draw_mixing", "l1", "mix", "mixup_partners", "mse", "packed", "smoothing_window",
        "supremix_loss",
        "to_device",
    }  # fmt: skip


@pytest.mark.parametrize("kind", sorted(_public(), key=lambda kind: kind.__name__))
def test_every_hyperparameter_is_explained(kind: type) -> None:
    text = inspect.getdoc(kind) or ""
    for name in inspect.signature(kind).parameters:
        assert f"\n    {name}: " in text, f"{kind.__name__} does not explain {name}"


@pytest.mark.parametrize("name", SCALAR)
def test_scalar_losses_take_generator_and_anchors(name: str) -> None:
    parameters = inspect.signature(type(SCALAR[name]).__call__).parameters
    assert {"generator", "anchors"} <= parameters.keys()
    assert callable(value_of)


def test_an_abstract_loss_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        BatchLoss()  # type: ignore[abstract]
