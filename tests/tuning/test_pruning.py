"""Successive halving against a plain version of its rule, whatever the order of arrival."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supremix.errors import SpecError
from supremix.tuning.ledger.records import TrialRecord
from supremix.tuning.pruners.halving import SuccessiveHalving
from supremix.tuning.pruners.none import NoPruning
from supremix.tuning.pruners.pruner import Rungs, first_rung
from supremix.tuning.study.pruning import Pruning, scored


def plain_rule(errors: np.ndarray, rungs: Rungs) -> list[int]:
    """Epochs each trial gets: at a rung, on if among the best 1/reduction of those before it."""
    scores = np.minimum.accumulate(errors, axis=1)
    there: dict[int, list[float]] = {rung: [] for rung in rungs.epochs}
    lengths: list[int] = []
    for trial, curve in enumerate(scores):
        length = rungs.total
        for rung in rungs.epochs:
            peers, score = there[rung], curve[rung - 1]
            known = len(peers) + 1
            better = sum(peer < score for peer in peers)
            peers.append(score)
            allowed = max(1, math.ceil(known / rungs.reduction))
            if trial > 0 and known >= rungs.reduction and better >= allowed:
                length = rung
                break
        lengths.append(length)
    return lengths


def halving_over(rungs: Rungs) -> Pruning:
    return Pruning(SuccessiveHalving(reduction=rungs.reduction), rungs)


def halved(errors: np.ndarray, rungs: Rungs, worker_groups: int, seed: int) -> list[int]:
    """The same by the class, trials arriving in any order that `worker_groups` at once may have."""
    halving, draws = halving_over(rungs), np.random.default_rng(seed)
    records: dict[int, TrialRecord] = {}
    lengths, running, begun = [rungs.total] * len(errors), list[int](), 0
    while running or begun < len(errors):
        while len(running) < worker_groups and begun < len(errors):
            records[begun] = TrialRecord(number=begun, config={}, total=rungs.total)
            halving.begin(records[begun])
            running.append(begun)
            begun += 1
        record = records[running[draws.integers(len(running))]]
        score = min(errors[record.number, : record.epoch + 1])
        record.rows.append({"epoch": record.epoch + 1, "score": float(score)})
        for number, epoch in halving.observe(record.number):
            lengths[number] = epoch
        running = [n for n in running if not records[n].complete and lengths[n] == rungs.total]
    return lengths


@settings(max_examples=60, deadline=None)
@given(
    worker_groups=st.integers(1, 9),
    seed=st.integers(0, 10**6),
    reduction=st.sampled_from([2.0, 3.0, 4.0]),
)
def test_it_stops_what_the_rule_stops_in_any_order_of_arrival(
    worker_groups: int, seed: int, reduction: float
) -> None:
    errors = np.random.default_rng(seed).uniform(1, 10, size=(40, 27))
    rungs = SuccessiveHalving(grace=1, reduction=reduction).rungs(27)
    assert halved(errors, rungs, worker_groups, seed + 1) == plain_rule(errors, rungs)


def test_a_trial_is_compared_by_the_least_error_it_has_shown() -> None:
    """Just after a change of stage a good trial's error is worse than it was."""
    rungs = Rungs(epochs=(3,), total=4, reduction=3)
    errors = np.array([[5.0, 5, 5, 5], [6, 6, 6, 6], [1, 1, 9, 9], [6, 6, 5.5, 1]])
    assert halved(errors, rungs, 1, 0) == [4, 4, 4, 3]


def test_a_trial_without_a_score_is_not_held_back() -> None:
    halving = halving_over(Rungs(epochs=(1,), total=2, reduction=3))
    for number, score in enumerate((1.0, 1.0, 1.0, math.nan)):
        record = TrialRecord(number=number, config={}, total=2)
        record.rows.append({"epoch": 1, "score": score})
        halving.begin(record)
        assert halving.observe(number) == []


def test_the_end_of_a_trial_releases_those_that_waited_for_it() -> None:
    halving = halving_over(Rungs(epochs=(1,), total=2, reduction=2))
    records = [TrialRecord(number=n, config={}, total=2) for n in range(3)]
    for record in records:
        halving.begin(record)
    for number, score in ((0, 1.0), (2, 5.0)):
        records[number].rows.append({"epoch": 1, "score": score})
        assert halving.observe(number) == []
    assert halving.end(1) == [(2, 1)]


def test_rungs_grow_geometrically_and_end_with_each_dataset() -> None:
    assert SuccessiveHalving().rungs(60).epochs == (30,)
    assert SuccessiveHalving(grace=6).rungs(60).epochs == (6, 18, 54)
    assert SuccessiveHalving(grace=1, reduction=2).rungs(9).epochs == (1, 2, 4, 8)
    assert SuccessiveHalving(grace=2).rungs(9, datasets=3) == Rungs(epochs=(2, 6, 9, 18), total=27)
    assert NoPruning().rungs(7) == Rungs(epochs=(), total=7)


def test_the_mean_length_is_that_of_exact_halving() -> None:
    """Of 9 trials 6 end at the first rung, 2 at the second, 1 at the end."""
    rungs = Rungs(epochs=(2, 6), total=18, reduction=3)
    assert rungs.mean == pytest.approx((6 * 2 + 2 * 6 + 1 * 18) / 9)


@pytest.mark.parametrize(
    ("epochs", "grace", "rung"), [(60, None, 30), (5, None, 2), (3, None, 1), (4, 9, 4)]
)
def test_the_first_rung(epochs: int, grace: int | None, rung: int) -> None:
    assert first_rung(grace, epochs) == rung


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(SpecError, match="reduction > 1; got grace=None, reduction=1"):
        SuccessiveHalving(reduction=1)
    with pytest.raises(SpecError, match="grace >= 1"):
        SuccessiveHalving(grace=0)


def test_rungs_compare_the_least_error_of_the_last_quarter() -> None:
    draws = np.random.default_rng(0)
    errors = draws.uniform(1, 9, 23).tolist()
    errors[0] = errors[9] = math.nan
    record = TrialRecord(number=1, config={})
    for n, error in enumerate(errors, start=1):
        row = scored(record, {"epoch": n, "error": error})
        recent = [e for k, e in enumerate(errors[:n]) if k >= n - max(1, n // 4)]
        known = [e for e in recent if not math.isnan(e)]
        assert row["score"] == pytest.approx(min(known, default=math.nan), nan_ok=True)
        record.rows.append(row)
    assert scored(record, {"error": 0.5, "score": 2.0}) == {"error": 0.5, "score": 2.0}
