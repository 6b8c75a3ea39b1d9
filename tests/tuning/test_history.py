"""What the sampler is shown of the past: no more than it may know, and no more than it needs."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState

from supremix.tuning.ledger.records import TrialRecord
from supremix.tuning.pruners.pruner import Rungs
from supremix.tuning.study.history import BEST, LATEST, PENDING, History
from supremix.tuning.study.lookback import Lookback
from supremix.tuning.study.sampler import Tpe, Uniform, startup_trials
from supremix_spaces import Float, Space

SPACE = Space({"lr": Float(0.0, 1.0)})
RUNGS = Rungs(epochs=(1, 3), total=9, reduction=3)


def trial(number: int, epochs: int, state: str, error: float = 1.0) -> TrialRecord:
    rows = [{"epoch": e + 1, "error": error, "score": error} for e in range(epochs)]
    record = TrialRecord(number=number, config={"lr": (number * 37 % 97) / 97}, rows=rows, total=9)
    record.state = state  # type: ignore[assignment]
    return record


def test_with_one_trial_at_a_time_everything_is_known() -> None:
    assert Lookback.of(RUNGS, 1).distances == (1, 1, 1)


def test_with_more_at_once_later_epochs_are_known_later() -> None:
    distances = Lookback.of(RUNGS, 8).distances
    assert list(distances) == sorted(distances)
    assert distances[0] > 8
    assert Lookback.of(RUNGS, 8, slack=0).distances == (8, 8, 8)


def test_a_trial_is_shown_up_to_the_epoch_that_may_be_known() -> None:
    lookback = Lookback(levels=(1, 3, 9), distances=(2, 4, 6))
    history = History(SPACE, lookback)
    records = {n: trial(n, 9, "finished", 5.0 - n / 10) for n in range(8)}
    for number in range(8):
        history.advance(number, records)
    shown = {t.number: t for t in history.trials()}
    assert {n: t.state for n, t in shown.items()} == {
        **dict.fromkeys((0, 1), TrialState.COMPLETE),
        **dict.fromkeys((2, 3, 4, 5), TrialState.PRUNED),
        6: TrialState.RUNNING,
    }
    assert [list(shown[n].intermediate_values) for n in (2, 3, 4, 5)] == [[3], [3], [1], [1]]
    assert shown[1].value == pytest.approx(4.9)
    assert history.of_defaults() == 5.0


def test_it_stays_bounded_and_keeps_the_best_and_the_latest() -> None:
    history = History(SPACE, Lookback(levels=(9,), distances=(40,)))
    records = {n: trial(n, 9, "finished", float((n * 37) % 1009)) for n in range(700)}
    for number in range(700):
        history.advance(number, records)
    shown = {t.number for t in history.trials() if t.state == TrialState.COMPLETE}
    known = range(700 - 40)
    best = sorted(known, key=lambda n: (n * 37) % 1009)[:BEST]
    assert shown == {*best, *known[-LATEST:]}
    assert len(history.trials()) == len(shown) + PENDING


def test_what_has_no_score_is_not_shown() -> None:
    history = History(SPACE, Lookback(levels=(1, 9), distances=(1, 1)))
    records = {0: trial(0, 0, "failed"), 1: trial(1, 9, "finished", float("nan"))}
    for number in range(3):
        history.advance(number, {**records, 2: trial(2, 1, "pruned")})
    assert history.trials() == []


def test_a_draw_depends_on_its_number_and_its_past_alone() -> None:
    history = History(SPACE, Lookback(levels=(9,), distances=(1,)))
    records = {n: trial(n, 9, "finished", abs(n * 37 % 97 / 97 - 0.3)) for n in range(40)}
    for number in range(40):
        history.advance(number, records)
    past = history.trials()
    first, again, other = (Tpe(SPACE, 1).propose(n, past) for n in (40, 40, 41))
    assert first == again != other
    drawn = [Tpe(SPACE, seed).propose(40, past)["lr"] for seed in range(30)]
    assert sum(abs(lr - 0.3) for lr in drawn) / 30 < 0.15
    assert Uniform(SPACE, 1).propose(40, past) == Uniform(SPACE, 1).propose(40, [])


def test_the_draw_is_that_of_an_ordinary_study_with_the_same_trials() -> None:
    """The storage that saves the copying changes nothing."""
    history = History(SPACE, Lookback(levels=(9,), distances=(1,)))
    records = {n: trial(n, 9, "finished", abs(n * 37 % 97 / 97 - 0.3)) for n in range(20)}
    for number in range(20):
        history.advance(number, records)
    past, tpe = history.trials(), Tpe(SPACE, 5)
    study = optuna.create_study(sampler=tpe._sampler(20))
    study.add_trials(past)
    assert SPACE.suggest(study.ask()) == tpe.propose(20, past)


@pytest.mark.parametrize(("trials", "expected"), [(None, 10), (12, 4), (30, 7), (400, 10)])
def test_a_short_search_draws_fewer_at_random(trials: int | None, expected: int) -> None:
    assert startup_trials(trials) == expected
