from __future__ import annotations

from typing import Any

import pytest

from supremix._choices import EFFORTS as NAMES
from supremix.errors import SpecError
from supremix.methods.registry import method_names
from supremix.search.length import TrainedImages, choose_epochs, length_of
from supremix.search.request.effort import EFFORTS
from supremix.search.request.values import parse_count
from supremix.search.spec import SearchSpec
from supremix_datasets import get

CARD = get("hc18").card


def trained(images: int, config: dict[str, Any] | None = None, **options: Any) -> TrainedImages:
    spec = SearchSpec(dataset="hc18", **options)
    return TrainedImages(spec=spec, config=config or {}, card=CARD, images=images)


@pytest.mark.parametrize("method", method_names())
def test_methods_see_as_many_images_as_are_asked_for_and_no_epoch_more(method: str) -> None:
    part = trained(600, method=method, images_seen="240k")
    epochs = choose_epochs([part])
    assert part.length(epochs - 1).images_seen < 240_000 <= part.length(epochs).images_seen
    assert part.length(epochs).images_seen < 240_000 + 2 * 600


def test_two_views_of_an_image_make_fewer_epochs() -> None:
    assert choose_epochs([trained(600, method="l1")]) == 400
    assert choose_epochs([trained(600, method="supremix")]) == 320
    assert choose_epochs([trained(600, {"head": "probe"}, method="supremix")]) == 201


def test_epochs_that_are_given_are_taken() -> None:
    assert choose_epochs([trained(600, epochs=7)]) == 7
    assert choose_epochs([trained(10**6, images_seen=1)]) == 2


@pytest.mark.parametrize("name", NAMES)
def test_an_effort_is_a_number_of_images_within_a_number_of_passes(name: str) -> None:
    effort = EFFORTS[name]
    least, most = effort.passes
    assert effort.images_of(10) == most * 10
    assert effort.images_of(effort.images_seen // least + 1) > effort.images_seen
    between = effort.images_seen // (2 * least)
    assert effort.images_of(between) == effort.images_seen
    part = trained(between, method="l1", effort=name)
    assert choose_epochs([part]) == -(-effort.images_seen // between)
    assert choose_epochs([trained(between, method="l1", epochs=3)], name) == choose_epochs([part])


def test_efforts_grow() -> None:
    assert tuple(EFFORTS) == NAMES
    for fewer, more in zip(EFFORTS.values(), list(EFFORTS.values())[1:], strict=False):
        assert fewer.trials < more.trials
        assert fewer.confirm_seeds < more.confirm_seeds
        assert all(fewer.images_of(n) < more.images_of(n) for n in (10, 500, 10_000, 10**6))


def test_datasets_of_one_study_see_together_what_each_would_alone() -> None:
    parts = [trained(200, method="l1"), trained(1000, method="l1")]
    epochs = choose_epochs(parts)
    wanted = EFFORTS["standard"].images_of(200) + EFFORTS["standard"].images_of(1000)
    assert length_of(parts, epochs - 1).images_seen < wanted <= length_of(parts, epochs).images_seen


def test_the_effort_fills_in_what_is_left_open() -> None:
    quick, thorough = EFFORTS["quick"], EFFORTS["thorough"]
    spec = SearchSpec(dataset="hc18", effort="quick")
    assert (spec.trials, spec.confirm_seeds, spec.test_seeds) == (
        quick.trials, quick.confirm_seeds, quick.test_seeds,
    )  # fmt: skip
    spec = SearchSpec(dataset="hc18", effort="thorough", time=60, confirm_seeds=0)
    assert (spec.trials, spec.confirm_seeds) == (None, 0)
    assert spec.test_seeds == thorough.test_seeds
    assert SearchSpec.from_dict(spec.to_dict()) == spec
    assert spec.facts() == {
        "dataset": "hc18", "method": "supremix", "effort": "thorough", "time": "60",
        "confirm_seeds": "0",
    }  # fmt: skip


def test_a_length_is_given_once() -> None:
    with pytest.raises(SpecError, match="epochs=400 and images_seen=240000 both give the length"):
        SearchSpec(dataset="hc18", epochs=400, images_seen=240_000)


@pytest.mark.parametrize(
    ("text", "number"),
    [("240000", 240_000), ("240k", 240_000), ("1.2M", 1_200_000), (" 0.5K ", 500)],
)
def test_numbers_of_images_are_read(text: str, number: int) -> None:
    assert parse_count(text) == number


@pytest.mark.parametrize("text", ["", "k", "1.2", "-3k", "2e5", "1g", "0.0001k"])
def test_what_is_no_number_of_images_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no number of images; write it like"):
        parse_count(text)
