"""The requests for a trial, and the rows of one that is trained on several datasets."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import gmean

from supremix.cluster.tune.trial_template import TrialTask, TrialTemplate
from supremix.progress.stalls import FIRST_LIMIT, LEAST_LIMIT
from supremix.training import Task
from supremix.tuning.ledger.records import TrialRecord
from supremix_spaces import Float, Space

SPACES = Space({"window": Float(1.0, 2.0)}), Space({"window": Float(10.0, 20.0)})


def task(name: str, reference: float = 1.0, **more: Any) -> TrialTask:
    return TrialTask(dataset=name, task=Task(store=name, method="l1"), reference=reference, **more)


def template(*tasks: TrialTask, limit: float | None = None) -> TrialTemplate:
    return TrialTemplate(run="r", tasks=tasks, epochs=3, checkpoints="c", limit=limit)


def test_a_trial_on_several_datasets_goes_from_one_to_the_next() -> None:
    joint = template(task("a"), task("b", spaces=SPACES))
    requests = [joint.request(7, {"window": 1.5}, epoch, seed=5) for epoch in range(1, 7)]
    assert [request.epoch for request in requests] == [1, 2, 3, 1, 2, 3]
    assert [str(request.task.store) for request in requests] == ["a"] * 3 + ["b"] * 3
    assert [request.config["window"] for request in requests] == [1.5] * 3 + [15.0] * 3
    assert {request.checkpoint for request in requests} == {"c/00007.0.pt", "c/00007.1.pt"}
    assert {request.key for request in requests} == {"r/00007"}
    assert {request.task.seed for request in requests} == {5}


def test_its_error_is_the_geometric_mean_of_ratios_over_the_datasets_begun_so_far() -> None:
    references, errors = (2.0, 10.0), (3.0, 1.0, 1.5, 9.0, 4.0, 5.0)
    joint = template(*(task(str(k), reference) for k, reference in enumerate(references)))
    record = TrialRecord(number=0, config={})
    for k, error in enumerate(errors):
        own = {"epoch": k % 3 + 1, "steps": k % 3 + 1, "images_seen": 10 * (k % 3 + 1)}
        row = joint.row(record, {**own, "error": error, "mae": error})
        record.rows.append(row)
    ratios = [error / references[k // 3] for k, error in enumerate(errors)]
    expected = [gmean([*([ratios[2]] if k > 2 else []), ratios[k]]) for k in range(6)]
    assert [row["error"] for row in record.rows] == pytest.approx(expected)
    assert [row["score"] for row in record.rows] == pytest.approx(expected)
    for name, each in (("epoch", 1), ("steps", 1), ("images_seen", 10)):
        assert [row[name] for row in record.rows] == [each * k for k in range(1, 7)]
    assert [row["mae"] for row in record.rows] == list(errors)


def test_its_score_is_the_least_of_the_last_quarter_of_the_epochs_on_a_dataset() -> None:
    joint = template(*(replace(task(str(k), 2.0), task=Task(store="s", epochs=8)) for k in (0, 1)))
    joint, record = replace(joint, epochs=8), TrialRecord(number=0, config={})
    errors = [3.0, 1.0, 5.0, 4.0, 6.0, 7.0, 4.5, 5.5, 2.0, 8.0, 9.0, 6.0, 7.0, 3.0, 6.0, 8.0]
    for k, error in enumerate(errors):
        row = {"epoch": k % 8 + 1, "steps": 1, "images_seen": 1, "error": error}
        record.rows.append(joint.row(record, row))
    first, second = np.array(errors[:8]) / 2, np.array(errors[8:]) / 2
    expected = [*first[:7], min(first[6:]), *(gmean([first[-1], r]) for r in second[:7])]
    expected.append(gmean([first[-1], min(second[6:])]))
    assert [row["score"] for row in record.rows] == pytest.approx(expected)


def test_an_epoch_without_an_error_has_none_over_all_datasets_either() -> None:
    joint = template(task("a"), task("b"))
    row = joint.row(
        TrialRecord(number=0, config={}),
        {"epoch": 1, "error": math.nan, "steps": 1, "images_seen": 2},
    )
    assert math.isnan(row["error"])
    assert math.isnan(row["score"])


def test_an_epoch_may_take_many_times_the_longest_one_or_what_was_asked_for() -> None:
    assert template(task("a")).time_limit(None) == FIRST_LIMIT
    assert template(task("a")).time_limit(1.0) == LEAST_LIMIT
    assert template(task("a")).time_limit(100.0) == 2000.0
    assert template(task("a"), limit=7.0).time_limit(100.0) == 7.0


def test_a_trial_goes_on_but_for_its_rungs_and_its_end() -> None:
    alone = replace(template(task("a")), rungs=frozenset({2}))
    assert [epoch for epoch in range(1, 5) if alone.goes_on(epoch, total=4)] == [1, 3]
    joint = replace(template(task("a"), task("b")), rungs=frozenset({1, 3}))
    assert [epoch for epoch in range(1, 7) if joint.goes_on(epoch, total=3)] == [2, 4, 5]
