"""The study: resumed against uninterrupted, what Optuna is told, budgets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest

from supremix.search.budget import Budget
from supremix.search.ledger import Ledger
from supremix.search.pruning import Halving, Pruning
from supremix.search.study import Proposal, Study
from supremix_spaces import Choice, Float, Space

EPOCHS = 9
SPACE = Space(
    {
        "lr": Float(1e-4, 1e-1, log=True, default=1e-2),
        "head": Choice(("finetune", "probe")),
        "finetune_lr": Float(1e-5, 1e-2, log=True, default=1e-3, when=("head", ("finetune",))),
    }
)


def error_of(config: dict[str, Any], epoch: int) -> float:
    """A smooth learning curve whose floor depends on the settings."""
    floor = abs(math.log10(config["lr"]) + 2.5) + (0.0 if config["head"] == "finetune" else 0.4)
    return 3.0 + floor + 5.0 / epoch


class Killed(Exception):
    """Stands for the death of the process."""


@contextmanager
def study_in(folder: Path, **more: Any) -> Iterator[Study]:
    arguments: dict[str, Any] = {
        "space": SPACE,
        "seed": 3,
        "journal": folder / "journal.log",
        "name": "run",
        "budget": Budget(trials=20),
        "halving": Halving(Pruning(grace=1), EPOCHS),
    }
    with Ledger(folder / "ledger.jsonl") as ledger:
        yield Study(ledger=ledger, **{**arguments, **more})


def train(study: Study, proposal: Proposal, limit: list[int]) -> None:
    epoch, stop = proposal.epoch, False
    while not stop:
        if limit[0] == 0:
            raise Killed
        limit[0] -= 1
        epoch += 1
        row = {"epoch": epoch, "error": error_of(proposal.config, epoch), "seconds": 0.1}
        stop = study.observe(proposal.number, row, EPOCHS)


def run(folder: Path, limit: int = -1, **more: Any) -> None:
    """Run a study's trials one after the other, dying after `limit` epochs."""
    left = [limit]
    with study_in(folder, **more) as study:
        while (proposal := study.ask()) is not None:
            train(study, proposal, left)


def table(folder: Path) -> list[tuple[Any, ...]]:
    with study_in(folder) as study:
        return [
            (r.number, r.config, r.state, r.reason, [row["error"] for row in r.rows])
            for r in study.records.values()
        ]


@pytest.mark.parametrize("killed_after", [0, 1, 9, 10, 11, 25, 40])
def test_a_killed_search_ends_like_an_undisturbed_one(tmp_path: Path, killed_after: int) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "torn").mkdir()
    run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "torn", killed_after)
    run(tmp_path / "torn")
    assert table(tmp_path / "torn") == table(tmp_path / "whole")
    assert len(table(tmp_path / "whole")) == 20


def test_the_defaults_are_tried_first(tmp_path: Path) -> None:
    with study_in(tmp_path) as study:
        proposal = study.ask()
    assert proposal is not None
    assert proposal.config == SPACE.defaults()


def test_optuna_is_told_how_each_trial_ended(tmp_path: Path) -> None:
    run(tmp_path)
    with study_in(tmp_path) as study:
        frozen = study._study.get_trials()
        records = list(study.records.values())
    states = {"finished": "COMPLETE", "pruned": "PRUNED"}
    assert {record.state for record in records} == {"finished", "pruned"}
    for trial, record in zip(frozen, records, strict=True):
        assert trial.state.name == states[record.state]
        assert trial.intermediate_values == {r["epoch"]: r["error"] for r in record.rows}
        assert {**record.config, **trial.params} == record.config


def test_the_journal_opens_in_optuna(tmp_path: Path) -> None:
    run(tmp_path)
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log"))
    )
    study = optuna.load_study(study_name="run", storage=storage)
    finished = [row[-1][-1] for row in table(tmp_path) if row[2] == "finished"]
    assert study.best_value == min(finished)


def test_a_failed_trial_is_no_point_for_the_sampler(tmp_path: Path) -> None:
    with study_in(tmp_path, budget=Budget(trials=2)) as study:
        proposal = study.ask()
        assert proposal is not None
        study.finish(proposal.number, "failed", "NonFiniteLossError")
        study.finish(proposal.number, "finished")  # the first end counts
        assert study.records[0].state == "failed"
        assert study._study.get_trials()[0].state.name == "FAIL"
        assert study.ask() is not None
        assert study.ask() is None


def test_used_up_time_stops_trials_and_counts_on_over_sessions(tmp_path: Path) -> None:
    with study_in(tmp_path, budget=Budget(seconds=1e6)) as study:
        proposal = study.ask()
        assert proposal is not None
        study.observe(0, {"epoch": 1, "error": 5.0, "seconds": 1.0}, EPOCHS)
        study._ledger.append("session", clock=2e6)
    with study_in(tmp_path, budget=Budget(seconds=1e6)) as study:
        assert study.ask() is None
    with study_in(tmp_path, budget=Budget(seconds=3e6)) as study:
        again = study.ask()
        assert again == Proposal(number=0, config=proposal.config, epoch=1)


def test_a_trial_under_way_is_stopped_when_time_is_up(tmp_path: Path) -> None:
    with study_in(tmp_path, budget=Budget(seconds=1e-9, trials=5), halving=None) as study:
        study._budget = Budget(trials=5)
        assert study.ask() is not None
        study._budget = Budget(seconds=1e-9)
        assert study.observe(0, {"epoch": 1, "error": 5.0, "seconds": 1.0}, EPOCHS)
        assert study.records[0].state == "stopped"
