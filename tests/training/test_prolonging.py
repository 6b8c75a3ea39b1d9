from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from supremix._errors import CheckpointError
from supremix.training import Task, TrialRun
from supremix.training.artifacts.checkpoint import State

KINDS: list[tuple[str, dict[str, Any], int]] = [
    ("l1", {"schedule": "constant"}, 4),
    ("l1", {"schedule": "schedule-free"}, 4),
    ("l1", {}, 3),
    ("supremix", {"batch_size": 16, "pretrain_share": 0.5, "schedule": "constant"}, 2),
    ("supremix", {"batch_size": 16, "head": "probe", "schedule": "constant"}, 3),
    ("supremix", {"batch_size": 16, "head": "probe"}, 2),
]
"""Method, hyperparameters, and the epochs of 4 that a run of 8 takes over."""


def made(task: Task, method: str, config: dict[str, Any], epochs: int) -> TrialRun:
    return TrialRun(dataclasses.replace(task, method=method, epochs=epochs), config)


def states(run: TrialRun) -> list[State]:
    """The last state, and the one at the branch."""
    branch: list[State] = []
    while not run.done:
        run.advance()
        if run.epoch == run.branch:
            branch = [run.state()]
    return [run.state(), *branch]


@pytest.mark.parametrize(("method", "config", "epochs"), KINDS)
def test_a_prolonged_run_is_one_that_was_planned_so_long(
    task: Task, method: str, config: dict[str, Any], epochs: int
) -> None:
    kept = states(made(task, method, config, 4))
    longer = made(task, method, config, 8)
    longer.load(next(state for state in kept if longer.continues(state)))
    assert longer.epoch == epochs
    whole = made(task, method, config, 8)
    ends = [states(run)[0] for run in (longer, whole)]
    assert [row["error"] for row in ends[0]["history"]] == [
        row["error"] for row in ends[1]["history"]
    ]
    for name in ("model", "ema_model"):
        assert all(torch.equal(ends[0][name][key], ends[1][name][key]) for key in ends[0][name])


def test_a_run_that_planned_its_length_is_not_prolonged(task: Task) -> None:
    config = {"schedule": "one-cycle"}
    kept = states(made(task, "l1", config, 2))
    longer = made(task, "l1", config, 4)
    assert longer.branch == 0
    with pytest.raises(CheckpointError, match="this state is of another run"):
        longer.load(kept[0])


def test_a_state_that_depends_on_another_length_is_refused(task: Task) -> None:
    config = {"batch_size": 16, "pretrain_share": 0.5, "schedule": "constant"}
    last, first = states(made(task, "supremix", config, 4))
    longer = made(task, "supremix", config, 8)
    assert (longer.continues(last), longer.continues(first)) == (False, True)
    with pytest.raises(
        CheckpointError, match=r"4 epochs into a run of 4, .*beyond epoch 2, .*of 8"
    ):
        longer.load(last)
