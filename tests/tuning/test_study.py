"""The study: one table whatever the timing, resumed against uninterrupted, budgets, finalists."""

from __future__ import annotations

import heapq
import itertools
import json
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from supremix.errors import RunFolderError
from supremix.tuning.ledger.ledger import PROLONGED, Ledger
from supremix.tuning.ledger.records import (
    TrialRecord,
    compared_record,
    prolonged_trials,
    read_records,
)
from supremix.tuning.pruners.halving import SuccessiveHalving
from supremix.tuning.pruners.none import NoPruning
from supremix.tuning.simulation.memory_ledger import MemoryLedger
from supremix.tuning.study.budget import Budget
from supremix.tuning.study.config import Proposal, StudyConfig
from supremix.tuning.study.study import Study
from supremix.tuning.study.warm_start import WarmStart
from supremix_spaces import Choice, Float, Space

EPOCHS = 9
SPACE = Space(
    {
        "lr": Float(1e-4, 1e-1, log=True, default=1e-2),
        "head": Choice(("finetune", "probe")),
        "finetune_lr": Float(1e-5, 1e-2, log=True, default=1e-3, when=("head", ("finetune",))),
    }
)


def error_of(proposal: Proposal, epoch: int) -> float:
    """A learning curve whose floor depends on the settings, with the luck of each seed."""
    config = proposal.config
    floor = abs(math.log10(config["lr"]) + 2.5) + (0.0 if config["head"] == "finetune" else 0.4)
    luck = random.Random(json.dumps([config, proposal.seed, epoch], sort_keys=True))
    return 3.0 + floor + 5.0 / epoch + luck.gauss(0, 0.2)


class Killed(Exception):
    """Stands for the death of the process."""


@contextmanager
def study_in(
    folder: Path, worker_groups: int = 1, budget: Budget | None = None, **more: Any
) -> Iterator[Study]:
    config: dict[str, Any] = {
        "budget": budget or Budget(trials=20),
        "epochs": EPOCHS,
        "pruner": SuccessiveHalving(grace=1),
        "parallel": worker_groups,
        **more,
    }
    with Ledger(folder / "ledger.jsonl") as ledger:
        yield Study(space=SPACE, seed=3, ledger=ledger, config=StudyConfig(**config))


def run(
    folder: Path,
    *,
    worker_groups: int = 1,
    delays: int = 0,
    epochs: int = -1,
    total: int = EPOCHS,
    **more: Any,
) -> None:
    """Run a study's trials with random durations on so many worker groups, dying after `epochs`."""
    folder.mkdir(exist_ok=True)
    draws, clock, counter = random.Random(delays), 0.0, itertools.count()
    queue: list[tuple[float, int, Proposal, int]] = []
    with study_in(folder, worker_groups, **more) as study:
        while True:
            while len(queue) < worker_groups and isinstance(proposal := study.ask(), Proposal):
                end = clock + draws.choice((0.1, 1, 1, 6))
                heapq.heappush(queue, (end, next(counter), proposal, proposal.epoch + 1))
            if not queue:
                break
            if epochs == 0:
                raise Killed
            epochs -= 1
            clock, _, proposal, epoch = heapq.heappop(queue)
            row = {"epoch": epoch, "error": error_of(proposal, epoch), "seconds": 0.1}
            if not study.observe(
                proposal.number, row, study.records[proposal.number].total or total
            ):
                end = clock + draws.choice((0.1, 1, 1, 6))
                heapq.heappush(queue, (end, next(counter), proposal, epoch + 1))
        assert study.ended


def table(folder: Path, **more: Any) -> list[tuple[Any, ...]]:
    with study_in(folder, **more) as study:
        records = sorted(study.records.values(), key=lambda record: record.number)
    return [
        (r.number, r.config, r.replicate_of, r.seed, r.state, r.reason, [*_errors(r.rows)])
        for r in records
    ]


def _errors(rows: list[dict[str, Any]]) -> Iterator[float]:
    return (row["error"] for row in rows)


@pytest.mark.parametrize("worker_groups", [1, 2, 3, 8])
def test_delays_change_no_setting_no_verdict_and_no_epoch_that_counts(
    tmp_path: Path, worker_groups: int
) -> None:
    for delays in range(4):
        run(
            tmp_path / str(delays),
            worker_groups=worker_groups,
            delays=delays,
            top_k=2,
            replicates=2,
        )
    tables = [table(tmp_path / str(delays), worker_groups=worker_groups) for delays in range(4)]
    assert all(one == tables[0] for one in tables)
    assert len(tables[0]) == 20 + 3 * 2  # the two best and the defaults
    assert {row[4] for row in tables[0]} == {"finished", "pruned"}


@pytest.mark.parametrize("worker_groups", [1, 3])
@pytest.mark.parametrize("killed_after", [0, 1, 9, 10, 11, 25, 40, 70])
def test_a_killed_search_ends_like_an_undisturbed_one(
    tmp_path: Path, killed_after: int, worker_groups: int
) -> None:
    more: dict[str, Any] = {"worker_groups": worker_groups, "top_k": 2, "replicates": 1}
    run(tmp_path / "whole", **more)
    with pytest.raises(Killed):
        run(tmp_path / "torn", epochs=killed_after, delays=1, **more)
    run(tmp_path / "torn", delays=2, **more)
    assert table(tmp_path / "torn", worker_groups=worker_groups) == table(
        tmp_path / "whole", worker_groups=worker_groups
    )


def test_a_ledger_cut_anywhere_leads_to_the_same_end(tmp_path: Path) -> None:
    more: dict[str, Any] = {"worker_groups": 3, "top_k": 2, "replicates": 1}
    run(tmp_path / "whole", **more)
    lines = (tmp_path / "whole" / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    for cut in range(0, len(lines), 7):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "ledger.jsonl").write_bytes(b"".join(lines[:cut]))
        run(folder, delays=cut, **more)
        assert table(folder, worker_groups=3) == table(tmp_path / "whole", worker_groups=3)


def test_the_defaults_are_tried_first(tmp_path: Path) -> None:
    with study_in(tmp_path) as study:
        proposal = study.ask()
    assert isinstance(proposal, Proposal)
    assert proposal.config == SPACE.defaults()


def test_the_search_learns(tmp_path: Path) -> None:
    """Later settings are better than those of the random start."""
    run(tmp_path, budget=Budget(trials=60), pruner=NoPruning())
    last = [row[-1][-1] for row in table(tmp_path, pruner=NoPruning())]
    assert fmean(last[40:]) < fmean(last[1:11]) - 0.2


def test_the_best_is_the_finalist_with_the_least_mean_error_with_new_seeds(tmp_path: Path) -> None:
    more: dict[str, Any] = {"worker_groups": 2, "top_k": 3, "replicates": 4}
    run(tmp_path, **more)
    with study_in(tmp_path, **more) as study:
        records, best = study.records.values(), study.best
    finished = [r for r in records if r.replicate_of is None and r.state == "finished"]
    finalists = sorted(finished[1:], key=lambda r: (r.error, r.number))[:3] + finished[:1]
    means = {
        r.number: fmean(c.rows[-1]["error"] for c in records if c.replicate_of == r.number)
        for r in finalists
    }
    assert best is not None
    least = min(means, key=lambda number: means[number])
    assert means[0] - means[least] > 0.4  # more than a standard error, which is 0.14
    assert best.number == least
    seeds = [[c.seed for c in records if c.replicate_of == number] for number in means]
    assert all(one == seeds[0] and len(set(one)) == 4 for one in seeds)


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_the_defaults_are_trained_to_the_end_however_their_trial_ended(
    tmp_path: Path, state: Any
) -> None:
    errors = {0: 9.0, 1: 2.0, 2: 1.0, 3: 3.0, 4: 1.5, 5: 2.5}
    more: dict[str, Any] = {"budget": Budget(trials=3), "top_k": 2, "pruner": NoPruning()}
    with study_in(tmp_path, replicates=1, **more) as study:
        proposals: list[Proposal] = []
        while isinstance(proposal := study.ask(), Proposal):
            proposals.append(proposal)
            if proposal.number == 0:
                study.finish(0, state, "bad luck")
            else:
                row = {"epoch": 1, "error": errors[proposal.number], "seconds": 1.0}
                study.observe(proposal.number, row, 1)
        best = study.best
    assert [one.replicate_of for one in proposals] == [None, None, None, 0, 2, 1]
    assert len({one.seed for one in proposals[3:]}) == 1
    assert proposals[3].config == SPACE.defaults()
    assert best is not None
    assert best.number == 2


def test_the_defaults_are_named_where_nothing_that_was_found_beats_them(tmp_path: Path) -> None:
    errors = {0: 9.0, 1: 2.0, 2: 1.0, 3: 1.9, 4: 2.0, 5: 2.5}
    with study_in(tmp_path, budget=Budget(trials=3), top_k=2, replicates=1) as study:
        while isinstance(proposal := study.ask(), Proposal):
            if proposal.number == 0:
                study.finish(0, "failed", "bad luck")
            else:
                row = {"epoch": 1, "error": errors[proposal.number], "seconds": 1.0}
                study.observe(proposal.number, row, 1)
        records, best = study.records, study.best
    assert best is records[0]
    assert study.error_of(best) == 1.9
    assert compared_record(records.values(), 0) is records[2]
    assert compared_record(records.values(), 2) is records[0]


def test_a_trial_that_has_the_defaults_is_no_further_finalist(tmp_path: Path) -> None:
    fixed = Space({"lr": Float(1e-3, 1e-1, log=True), "x": Choice((1, 2))})
    again = WarmStart(points=(fixed.defaults(), fixed.defaults()))
    config = StudyConfig(budget=Budget(trials=3), epochs=1, top_k=2, replicates=1)
    ledger = MemoryLedger()
    study = Study(space=fixed, seed=0, ledger=ledger, config=config, warm_start=again)
    while isinstance(proposal := study.ask(), Proposal):
        study.observe(proposal.number, {"epoch": 1, "error": 1.0, "seconds": 1.0}, 1)
    assert [r.replicate_of for r in study.records.values()] == [None, None, None, 0]
    assert study.ended
    assert study.planned_replicates == 1


def test_a_failed_trial_holds_nobody_up(tmp_path: Path) -> None:
    with study_in(tmp_path, worker_groups=2, budget=Budget(trials=3)) as study:
        first, second = study.ask(), study.ask()
        assert isinstance(first, Proposal)
        assert isinstance(second, Proposal)
        study.finish(first.number, "failed", "NonFiniteLossError")
        study.finish(first.number, "finished")  # the first end counts
        assert study.records[0].state == "failed"
        study.finish(second.number, "failed", "NonFiniteLossError")
        assert isinstance(study.ask(), Proposal)
        assert study.states == {"failed": 2, "running": 1}


def test_used_up_time_stops_trials_and_counts_on_over_sessions(tmp_path: Path) -> None:
    with study_in(tmp_path, budget=Budget(seconds=1e6)) as study:
        proposal = study.ask()
        assert isinstance(proposal, Proposal)
        study.observe(0, {"epoch": 1, "error": 5.0, "seconds": 1.0}, EPOCHS)
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append("session", clock=2e6)
    with study_in(tmp_path, budget=Budget(seconds=3e6)) as study:
        again = study.ask()
        assert again == Proposal(number=0, config=proposal.config, epoch=1)
    with study_in(tmp_path, budget=Budget(seconds=1e6)) as study:
        assert study.ask() is None
        assert study.records[0].state == "stopped"


def test_used_up_gpu_hours_stop_the_trial_under_way_and_the_finalists_still_follow(
    tmp_path: Path,
) -> None:
    hour = {"epoch": 1, "error": 5.0, "seconds": 3600.0}
    budget = Budget(gpu_hours=3.5)
    with study_in(tmp_path, budget=budget, gpus=2.0, replicates=1, pruner=NoPruning()) as study:
        assert isinstance(study.ask(), Proposal)
        assert study.observe(0, hour, 1)
        assert study.records[0].state == "finished"
        second = study.ask()
        assert isinstance(second, Proposal)
        assert study.observe(1, hour, 2)
        assert study.records[1].state == "stopped"
        assert study.records[1].reason == "the GPU hours were used up"
        last = study.ask()
        assert isinstance(last, Proposal)
        assert last.replicate_of == 0


def test_a_ledger_written_under_other_rules_is_refused(tmp_path: Path) -> None:
    run(tmp_path, pruner=NoPruning())
    with pytest.raises(RunFolderError, match=r"written under other rules.*start a new search"):
        table(tmp_path)


def prolong(folder: Path, epochs: int) -> set[int]:
    """Prolong a search's trials, of which one in three went back by two epochs."""
    with Ledger(folder / "ledger.jsonl") as ledger:
        chosen = prolonged_trials(read_records(ledger.events).values(), 3.0, 16)
        kept = {str(r.number): EPOCHS - 2 * (r.number % 3 == 0) for r in chosen}
        ledger.append(PROLONGED, epochs=epochs, trials=kept)
    return {record.number for record in chosen}


@pytest.mark.parametrize("worker_groups", [1, 3])
def test_the_best_third_is_prolonged_and_the_best_of_it_named(
    tmp_path: Path, worker_groups: int
) -> None:
    more: dict[str, Any] = {"worker_groups": worker_groups, "replicates": 2, "pruner": NoPruning()}
    run(tmp_path, **more)
    before = table(tmp_path, **more)
    trials = prolong(tmp_path, 3 * EPOCHS)
    assert len(trials) - 4 in (7, 8)  # a third of 20 and the defaults, with four replicates
    with study_in(tmp_path, **more) as study:
        assert not study.ended
        assert study.best is None
    run(tmp_path, delays=1, total=3 * EPOCHS, **more)
    after = table(tmp_path, **more)
    for old, new in zip(before, after, strict=False):
        assert new[:4] == old[:4]
        if new[0] in trials:
            assert new[4] == "finished"
            assert new[-1][:EPOCHS] == old[-1]
            assert len(new[-1]) == 3 * EPOCHS
        else:
            assert new[4:6] == ("pruned", "behind the trials that were prolonged to 27 epochs")
            assert new[-1] == old[-1]
    with study_in(tmp_path, **more) as study:
        best = study.best
    assert best is not None
    assert best.number in trials or best.number >= len(before)
    # What was named before may be so no more: then the new best is trained with new seeds whole.
    assert all(len(row[-1]) == 3 * EPOCHS for row in after[len(before) :])


def test_a_search_that_is_killed_while_it_is_prolonged_ends_like_an_undisturbed_one(
    tmp_path: Path,
) -> None:
    more: dict[str, Any] = {"worker_groups": 2, "replicates": 1}
    for name in ("whole", "torn"):
        run(tmp_path / name, **more)
        prolong(tmp_path / name, 2 * EPOCHS)
    run(tmp_path / "whole", total=2 * EPOCHS, **more)
    with pytest.raises(Killed):
        run(tmp_path / "torn", epochs=13, delays=1, total=2 * EPOCHS, **more)
    run(tmp_path / "torn", delays=2, total=2 * EPOCHS, **more)
    assert table(tmp_path / "torn", **more) == table(tmp_path / "whole", **more)


@pytest.mark.parametrize(("most", "chosen"), [(16, {0, 6, 7, 8, 9}), (2, {0, 8, 9})])
def test_no_more_than_so_many_are_prolonged_the_defaults_and_finalists_aside(
    most: int, chosen: set[int]
) -> None:
    records = [
        TrialRecord(number=n, config={}, rows=[{"error": 20.0 - n}], state="finished")
        for n in range(10)
    ]
    assert {record.number for record in prolonged_trials(records, 3.0, most)} == chosen
