from __future__ import annotations

import json
from typing import Any

import pytest

from supremix_datasets import Augmentation, Card, CardError, Covariate, get, names

PLAIN: dict[str, Any] = {
    "name": "mine",
    "title": "",
    "modality": "",
    "target": "length",
    "unit": "mm",
    "label_bin": 1.0,
    "label_scale": 1.0,
    "window": 5.0,
    "label_range": (0.0, 10.0),
    "shape": (16, 24),
}


@pytest.mark.parametrize("name", names())
def test_a_card_survives_json(name: str) -> None:
    card = get(name).card
    assert Card.from_dict(json.loads(json.dumps(card.to_dict()))) == card


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a b"}, "name must be"),
        ({"label_range": (5, 5)}, "label_range must be"),
        ({"label_bin": -1}, "label_bin must be >= 0"),
        ({"label_scale": 0}, "label_scale must be > 0"),
        ({"window": 0}, "window must be > 0"),
        ({"shape": (16,)}, "2 or 3 axes"),
        ({"shape": (4, 16)}, "must be >= 8"),
        ({"channels": 0}, "channels must be >= 1"),
        ({"spacing": (1.0,)}, "spacing must be"),
        ({"dtype": "int8"}, "dtype must be one of"),
        ({"intensity": "x"}, "intensity must be one of"),
        ({"gain": 0}, "gain must not be 0"),
        ({"target_transform": "sqrt"}, "target_transform must be one of"),
        ({"target_transform": "log"}, "needs labels above 0"),
        ({"covariates": (Covariate(name="a"), Covariate(name="a"))}, "same name"),
        ({"augmentation": Augmentation(flip_axes=(2,))}, "flip_axes"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CardError, match=message):
        Card(**{**PLAIN, **change})


def test_values_of_another_version_are_refused() -> None:
    with pytest.raises(CardError, match="prepare the dataset again"):
        Card.from_dict({**Card(**PLAIN).to_dict(), "unknown": 1})


def test_a_covariate_checks_itself() -> None:
    with pytest.raises(CardError, match="identifier"):
        Covariate(name="pixel size")
    with pytest.raises(CardError, match="positive default"):
        Covariate(name="a", log=True, default=0.0)


def test_a_strength_out_of_range_is_refused() -> None:
    with pytest.raises(CardError, match="noise must be in"):
        Augmentation(noise=-0.1)
    with pytest.raises(CardError, match="different axes"):
        Augmentation(flip_axes=(0, 0))


def test_another_shape_keeps_the_field_of_view() -> None:
    card = get("ukb-t1").card
    small = card.with_shape((30, 36, 30))
    assert small.spacing is not None
    assert card.spacing is not None
    for n, s, m, t in zip(card.shape, card.spacing, small.shape, small.spacing, strict=True):
        assert n * s == pytest.approx(m * t)
    assert card.with_shape(spacing=(4, 4, 4)).shape == (46, 54, 46)
    assert card.with_shape() == card
    with pytest.raises(CardError, match="3 spatial axes"):
        card.with_shape((30, 36))
