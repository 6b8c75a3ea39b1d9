"""The samplers by name: what each proposes follows from seed, number and past alone."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from supremix import _choices
from supremix.tuning.simulation.memory_ledger import MemoryLedger
from supremix.tuning.study.budget import Budget
from supremix.tuning.study.config import Proposal, StudyConfig
from supremix.tuning.study.history import searched
from supremix.tuning.study.sampler import SAMPLERS
from supremix.tuning.study.study import Study
from supremix_spaces import Choice, Fixed, Float, Space

SPACE = Space(
    {
        "lr": Float(0.0, 1.0),
        "head": Choice(("probe", "finetune")),
        "finetune_lr": Float(1e-4, 1e-2, log=True, when=("head", ("finetune",))),
        "width": Fixed(8),
    }
)
TRIALS = 8


def test_every_name_is_a_sampler() -> None:
    assert set(_choices.SAMPLERS) == set(SAMPLERS)


def past(count: int) -> list[FrozenTrial]:
    """Finished trials, best where the learning rate is 0.3, a pruned one and one under way."""
    found: list[FrozenTrial] = []
    for number in range(count):
        config = SAMPLERS["random"](SPACE, 9, 1).propose(number, [])
        params, distributions = searched(SPACE, config)
        state = {count - 1: TrialState.RUNNING, count - 2: TrialState.PRUNED}.get(
            number, TrialState.COMPLETE
        )
        value = abs(config["lr"] - 0.3) if state == TrialState.COMPLETE else None
        found.append(
            create_trial(state=state, value=value, params=params, distributions=distributions)
        )
        found[-1].number = number
    return found


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_draw_follows_from_seed_number_and_past(name: str) -> None:
    shown = past(20)
    first, again = (SAMPLERS[name](SPACE, 1, 4).propose(20, shown) for _ in range(2))

    assert first == again == SPACE.check(first)
    assert first != SAMPLERS[name](SPACE, 2, 4).propose(20, shown)


@pytest.mark.parametrize(("name", "learns"), [("tpe", True), ("gp", True), ("random", False)])
def test_what_learns_proposes_near_the_best(name: str, learns: bool) -> None:
    shown = past(20)
    drawn = [SAMPLERS[name](SPACE, seed, 4).propose(20, shown)["lr"] for seed in range(5)]

    assert (sum(abs(lr - 0.3) for lr in drawn) / len(drawn) < 0.18) == learns


def table(name: str, ledger: Any, trials: int) -> list[dict[str, Any]]:
    """The hyperparameters of a study that goes on until it has so many trials."""
    config = StudyConfig(budget=Budget(trials=TRIALS), epochs=1, sampler=name)
    study = Study(space=SPACE, seed=3, ledger=ledger, config=config)
    while len(study.records) < trials:
        proposal = study.ask()
        assert isinstance(proposal, Proposal)
        error = abs(proposal.config["lr"] - 0.3)
        study.observe(proposal.number, {"epoch": 1, "error": error, "seconds": 1.0}, 1)
        study.finish(proposal.number, "finished")
    return [study.records[number].config for number in range(trials)]


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_resumed_study_proposes_what_an_uninterrupted_one_does(name: str) -> None:
    whole, parts = MemoryLedger(), MemoryLedger()
    for trials in (3, 6):
        table(name, parts, trials)

    assert table(name, parts, TRIALS) == table(name, whole, TRIALS)
