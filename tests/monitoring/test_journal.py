"""The journal that is made of a ledger, read back by Optuna."""

from __future__ import annotations

import json
import math
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import TrialState
from run_folders import CONFIG, SPACE, end, epoch, session, trial

from supremix.monitoring.optuna_journal import JournalStudy, open_journal
from supremix.tuning.ledger.ledger import Event

EVENTS = [
    session(),
    trial(0, 0.0),
    trial(1, 0.0),
    epoch(0, 1, 9.0, 5.0),
    epoch(1, 1, 8.0, 6.0),
    epoch(0, 2, 7.0, 10.0),
    epoch(1, 2, 7.5, 11.0),
    trial(2, 11.0),
    end(2, "failed", 0, 12.0, "out of memory"),
    epoch(1, 3, 1.0, 13.0),
    end(1, "pruned", 2, 14.0, "behind"),
    epoch(0, 3, 6.0, 15.0),
    epoch(0, 4, 5.0, 20.0),
    end(0, "finished", 4, 20.0),
    trial(3, 20.0, replicate_of=0, seed=77),
    epoch(3, 1, 6.5, 25.0),
    trial(4, 25.0),
    epoch(4, 1, math.nan, 30.0),
    end(4, "finished", 1, 30.0),
    trial(5, 30.0, config={**CONFIG, "batch_size": None}),
    epoch(5, 1, 9.5, 31.0),
    end(5, "stopped", 1, 32.0, "the time was used up"),
]


def read(path: Path) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.load_study(study_name="run", storage=storage).trials


def journal_of(path: Path, *batches: list[Event]) -> list[optuna.trial.FrozenTrial]:
    study = JournalStudy(open_journal(path), "run", SPACE)
    for batch in batches:
        study.follow(batch)
    return read(path)


def test_trials_stand_there_with_their_numbers_states_and_errors(tmp_path: Path) -> None:
    trials = journal_of(tmp_path / "journal.log", EVENTS)
    assert [(t.number, t.state, t.value) for t in trials] == [
        (0, TrialState.COMPLETE, 5.0),
        (1, TrialState.PRUNED, 7.5),
        (2, TrialState.FAIL, None),
        (3, TrialState.RUNNING, None),
        (4, TrialState.FAIL, None),  # Optuna takes no NaN for a value
        (5, TrialState.PRUNED, 9.5),
    ]


def test_only_what_is_searched_is_a_parameter(tmp_path: Path) -> None:
    trials = journal_of(tmp_path / "journal.log", EVENTS)
    assert trials[0].params == {"lr": 0.01, "batch_size": 16, "weight_decay": 2}
    assert trials[5].params["batch_size"] is None
    lr = trials[0].distributions["lr"]
    assert lr == optuna.distributions.FloatDistribution(1e-4, 1.0, log=True)


def test_what_else_is_known_stands_in_the_attributes(tmp_path: Path) -> None:
    trials = journal_of(tmp_path / "journal.log", EVENTS)
    assert trials[2].user_attrs["reason"] == "out of memory"
    assert {k: trials[3].user_attrs[k] for k in ("replicate_of", "seed")} == {
        "replicate_of": 0,
        "seed": 77,
    }
    assert trials[0].user_attrs["seconds"] == 20.0
    assert trials[0].user_attrs["epochs"] == 4


def test_times_follow_the_clock_of_the_search(tmp_path: Path) -> None:
    first = journal_of(tmp_path / "journal.log", EVENTS)[0]
    assert first.datetime_complete is not None
    assert first.datetime_start is not None
    assert (first.datetime_complete - first.datetime_start).total_seconds() == 20.0


@pytest.mark.parametrize("size", [1, 2, 5])
def test_followed_in_pieces_it_comes_to_the_same(tmp_path: Path, size: int) -> None:
    whole = journal_of(tmp_path / "whole.log", EVENTS)
    pieces = [EVENTS[i : i + size] for i in range(0, len(EVENTS), size)]
    for one, other in zip(whole, journal_of(tmp_path / "pieces.log", *pieces), strict=True):
        assert (one.state, one.value, one.params) == (other.state, other.value, other.params)
        assert one.user_attrs == other.user_attrs
        # Epochs that do not count may have been written by then; they are blanked.
        counted = {k: v for k, v in other.intermediate_values.items() if not math.isnan(v)}
        assert {k: v for k, v in one.intermediate_values.items() if v == v} == counted


def test_nothing_that_was_written_is_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    study, before = JournalStudy(open_journal(path), "run", SPACE), b""
    for event in EVENTS:
        study.follow([event])
        assert path.read_bytes().startswith(before)
        before = path.read_bytes()


def test_a_trial_that_began_and_ended_before_the_first_look_costs_one_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    journal_of(path, [session(), trial(0), epoch(0, 1, 3.0), end(0, "finished", 1)])
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 2


def test_two_runs_are_two_studies(tmp_path: Path) -> None:
    storage = open_journal(tmp_path / "journal.log")
    for name in ("a", "b"):
        JournalStudy(storage, name, SPACE).follow(EVENTS)
    assert sorted(optuna.get_all_study_names(storage)) == ["a", "b"]
