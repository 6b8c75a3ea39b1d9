"""Which trial is best: new seeds before luck, the defaults unless another is clearly better."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supremix_reports.tables.ranking import TrialOutcome, best_outcome

ERRORS = st.lists(st.floats(1, 9), min_size=2, max_size=5)


def trials(*replicated: list[float], own: float = 5.0) -> list[TrialOutcome]:
    """A trial for each list of its replicates' errors; trial 0 has the defaults."""
    searched = [TrialOutcome(n, "finished", own) for n in range(len(replicated))]
    every = [(n, error) for n, errors in enumerate(replicated) for error in errors]
    more = [
        TrialOutcome(len(searched) + k, "finished", error, number)
        for k, (number, error) in enumerate(every)
    ]
    return searched + more


def best(*replicated: list[float]) -> int:
    found = best_outcome(trials(*replicated))
    assert found is not None
    return found.number


def test_without_new_seeds_the_least_error_is_best() -> None:
    found = best_outcome([TrialOutcome(n, "finished", e) for n, e in enumerate([3.0, 2.0, 2.5])])
    assert found is not None
    assert found.number == 1


@settings(deadline=None)
@given(ERRORS, ERRORS)
def test_the_defaults_give_way_to_what_is_better_by_more_than_a_standard_error(
    defaults: list[float], found: list[float]
) -> None:
    spread = math.hypot(stdev(defaults) / len(defaults) ** 0.5, stdev(found) / len(found) ** 0.5)
    gain = fmean(defaults) - fmean(found)
    if abs(gain - spread) > 1e-6:
        assert best(defaults, found) == int(gain > spread)


@settings(deadline=None)
@given(ERRORS, ERRORS)
def test_among_others_than_the_defaults_the_mean_decides(
    first: list[float], second: list[float]
) -> None:
    least = 1 if fmean(first) <= fmean(second) else 2
    assert best([20.0, 20.5], first, second) == least


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_defaults_whose_own_trial_did_not_end_are_best_by_their_new_seeds(state: str) -> None:
    known = trials([2.0, 2.1], [2.0, 2.2])
    known[0] = TrialOutcome(0, state, None)
    found = best_outcome(known)
    assert found is not None
    assert found.number == 0


def test_with_one_new_seed_each_the_lesser_error_is_best() -> None:
    assert best([2.0], [1.9]) == 1
    assert best([2.0], [2.0]) == 0


def test_a_training_that_diverged_beats_nothing() -> None:
    assert best([2.0, 2.1], [math.nan, 1.0]) == 0
    assert best([math.nan, math.nan], [3.0, 3.5]) == 1
