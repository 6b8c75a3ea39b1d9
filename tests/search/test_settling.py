from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from supremix.cluster import WorkerGroupPlan
from supremix.errors import SpecError
from supremix.runs.folder import RunFolder
from supremix.search import settling
from supremix.search.length import TrainedImages, epochs_of, kept_length
from supremix.search.prepare import PreparedSearch
from supremix.search.prolonging import keep_length
from supremix.search.request.effort import EFFORTS
from supremix.search.settling import (
    WHOLE_TRIALS,
    Fit,
    TimedImages,
    fit_length,
    fit_lengths,
    needs_fit,
    settle_lengths,
)
from supremix.search.spec import SearchSpec
from supremix.training import Task
from supremix_datasets import get
from supremix_spaces import space_for

CARD = get("hc18").card
PLAN = WorkerGroupPlan(count=2, workers=1, cpus=1, gpus=0.5)
IMAGES = 600
ALL = EFFORTS["standard"].images_of(IMAGES)


def timed(seconds: float = 1.0, method: str = "l1", **options: Any) -> TimedImages:
    spec = SearchSpec(dataset="hc18", method=method, **options)
    images = TrainedImages(spec=spec, config={}, card=CARD, images=IMAGES)
    return TimedImages(images=images, seconds={"pretrain": 2 * seconds, "regress": seconds})


def fit(*parts: TimedImages, worker_groups: float = 2) -> Fit:
    return fit_length(parts, PLAN, worker_groups=worker_groups)


def whole_trials(part: TimedImages, seen: int | None, seconds: float) -> float:
    epochs = epochs_of([part.images], ALL if seen is None else seen)
    return seconds / part.trial(epochs)


@pytest.mark.parametrize("method", ["l1", "supremix"])
def test_trials_are_as_long_as_so_many_fit(method: str) -> None:
    for time in (200.0, 700.0, 1599.0, 1601.0, 9000.0):
        part = timed(method=method, time=time)
        seen = fit(part).images_seen
        assert (seen is None) == (WHOLE_TRIALS * part.trial(epochs_of([part.images], ALL))
                                  <= 2 * time)  # fmt: skip
        if seen is not None and seen > EFFORTS["quick"].images_seen + 2 * IMAGES:
            assert whole_trials(part, seen, 2 * time) >= WHOLE_TRIALS
            assert whole_trials(part, seen + 2 * IMAGES, 2 * time) < WHOLE_TRIALS


def test_they_are_never_shorter_than_those_of_a_quick_search() -> None:
    assert fit(timed(time=1.0)).images_seen == EFFORTS["quick"].images_of(IMAGES)
    assert fit(timed(time=1.0, effort="quick")).images_seen == EFFORTS["quick"].images_of(IMAGES)


def test_what_was_given_up_is_said_with_the_budget_that_would_do() -> None:
    found = fit(timed(time=800.0))
    assert found.images_seen == ALL // 2
    assert found.words == (
        "a trial sees 120,000 images instead of 240,000, as 8 of these would not fit the budget; "
        "--time 27m would allow the whole length"
    )
    assert fit(timed(time=27 * 60.0)).images_seen is None
    found = fit(timed(gpu_hours=0.1, trials=4))
    assert "4 of these would not fit the budget; --gpu-hours 1 would" in found.words
    assert fit(timed(time=4000.0)).words == (
        "about 20 whole trials of 240,000 images seen fit the budget"
    )


def test_the_limit_that_is_reached_first_counts() -> None:
    alone = fit(timed(gpu_hours=0.2)).images_seen
    assert alone is not None
    assert fit(timed(gpu_hours=0.2, time=10_000.0)).images_seen == alone
    assert fit(timed(gpu_hours=100.0, time=800.0)).images_seen == ALL // 2


def test_a_share_of_the_worker_groups_and_fewer_trials() -> None:
    assert fit(timed(time=1600.0), worker_groups=1).images_seen == ALL // 2
    assert fit(timed(time=800.0, trials=4)).images_seen is None


def test_a_trial_on_several_datasets_takes_the_time_of_all() -> None:
    one, two = timed(time=1600.0), timed(3.0, time=1600.0)
    seen = fit(one, two).images_seen
    assert seen == 2 * ALL // 4


def test_methods_that_are_compared_see_what_fits_for_the_slowest() -> None:
    studies = [[timed(time=800.0)], [timed(2.0, time=800.0)]]
    assert fit_lengths(studies, PLAN, worker_groups=2).images_seen == ALL // 4


@pytest.mark.parametrize(
    ("options", "open_"),
    [
        ({"time": 60}, True),
        ({"gpu_hours": 1}, True),
        ({"trials": 4}, False),
        ({"time": 60, "epochs": 4}, False),
        ({"time": 60, "images_seen": 4000}, False),
    ],
)
def test_a_length_that_is_given_is_kept(options: dict[str, Any], open_: bool) -> None:
    assert needs_fit([timed(**options).images]) is open_


def test_the_final_training_has_the_whole_length_where_trials_are_shorter() -> None:
    part = timed(time=800.0)
    short = fit(part)
    assert (short.images_seen, short.final_images_seen) == (ALL // 2, ALL)
    assert short.final_epochs([part.images], short.epochs([part.images])) == 400
    assert Fit().final_epochs([part.images], 100) == 100  # as it was asked for
    longer = timed(epochs=100, final_images_seen=90_000).images
    assert Fit().final_epochs([longer], 100) == 150
    with pytest.raises(SpecError, match="to see 90,000 images, but a trial sees 120,000 already"):
        Fit().final_epochs([longer], 200)


def test_it_is_no_longer_than_fits_the_budget_once_more() -> None:
    found = fit(timed(time=100.0))
    assert (found.images_seen, found.final_images_seen) == (24_000, 60_000)
    assert fit(timed(time=1.0)).final_images_seen == 24_000  # but as long as a trial
    found = fit(timed(gpu_hours=0.05, time=10_000.0))  # of half a GPU in each of two groups
    assert found.final_images_seen == 180 * IMAGES
    two = fit_lengths([[timed(time=100.0)], [timed(2.0, time=100.0)]], PLAN, worker_groups=2)
    assert two.final_images_seen == 30_000  # methods are compared at equal images seen


def test_the_final_task_is_on_training_and_validation_data_and_never_shorter(
    tmp_path: Path,
) -> None:
    one = prepared(tmp_path, "l1").with_epochs(10)
    task = one.final_task(seed=3)
    assert (task.train_splits, task.eval_split, task.seed) == (("train", "val"), None, 3)
    assert [replace(one, final_epochs=n).final_task(3).epochs for n in (0, 9, 11)] == [10, 10, 11]
    assert replace(one, final_epochs=11).with_epochs(20).final_task(3).epochs == 20  # prolonged


def prepared(folder: Path, method: str) -> PreparedSearch:
    spec = SearchSpec(dataset="hc18", method=method, time=800.0)
    store: Any = SimpleNamespace(card=CARD)
    run = RunFolder(folder / method)
    run.create(spec.to_dict())
    return PreparedSearch(
        spec=spec,
        run=run,
        store=store,
        plan=PLAN,
        task=Task(store="/store", method=method),
        space=space_for(
            method, window=CARD.window, label_bin=CARD.label_bin, train_size=IMAGES,
            label_scale=CARD.label_scale,
        ),
        labels=np.arange(float(IMAGES)),
        reference=1.0,
        grid_path=run.path,
        listen=lambda _: None,
    )  # fmt: skip


def test_what_was_settled_stays_and_holds_for_a_method_that_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds(*_: Any) -> dict[str, float]:
        return {"pretrain": 2.0, "regress": 1.0}

    monkeypatch.setattr(settling, "run_once", seconds)
    l1 = prepared(tmp_path, "l1")
    [[first]] = settle_lengths([[l1]])
    assert first.length.images_seen == ALL // 2
    assert kept_length(l1.run)["epochs"] == first.task.epochs == 200
    assert kept_length(l1.run)["final_epochs"] == first.final_task(seed=3).epochs == 400

    monkeypatch.delattr(settling, "run_once")  # nothing is timed again
    [[again], [added]] = settle_lengths([[l1], [prepared(tmp_path, "supremix")]])
    assert again.task.epochs == 200
    assert again.final_task(seed=3).epochs == 400
    assert 0 <= added.trained_images.length(added.final_epochs).images_seen - ALL < 2 * IMAGES
    assert 0 <= added.length.images_seen - ALL // 2 < 2 * IMAGES


def test_the_length_of_prolonged_trials_is_kept_with_the_planned_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "run_once", lambda *_: {"pretrain": 2.0, "regress": 1.0})
    l1 = prepared(tmp_path, "l1")
    [[planned]] = settle_lengths([[l1]])
    before, longer = kept_length(l1.run), planned.with_epochs(500)
    keep_length(planned)
    assert kept_length(l1.run) == before
    keep_length(longer)
    more = {"planned_epochs": 200, "final_epochs": 500}
    assert kept_length(l1.run) == before | asdict(longer.length) | more
    keep_length(planned.with_epochs(600))
    assert kept_length(l1.run)["planned_epochs"] == 200
    assert kept_length(l1.run)["images_seen"] == planned.with_epochs(600).length.images_seen
    [[again]] = settle_lengths([[l1]])
    assert again.task.epochs == 200  # rungs and warm starts are those of the plan
