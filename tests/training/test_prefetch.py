"""Loading ahead in a thread: the same batches, errors where they belong, and no thread left."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from supremix.training import Task, TrialRun
from supremix.training.data.prefetch import prefetched
from supremix_datasets import StoreError
from supremix_datasets.stores.store import Store

CPU = torch.device("cpu")


def loaders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def run_of(task: Task, *, streamed: bool, **config: Any) -> TrialRun:
    run = TrialRun(task, {"batch_size": 16, **config}, device=CPU)
    run.data.streamed = streamed
    return run


def test_items_come_in_order_and_a_few_ahead() -> None:
    drawn, there = list[int](), threading.Event()

    def items() -> Iterator[int]:
        for number in range(9):
            drawn.append(number)
            if number == 3:
                there.set()
            yield number

    ahead = prefetched(items(), CPU, depth=3)
    assert next(ahead) == 0
    assert there.wait(60)
    assert list(ahead) == list(range(1, 9))
    assert (drawn, loaders()) == (list(range(9)), [])


def test_an_error_is_raised_where_its_item_would_have_been() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    ahead = prefetched(items(), CPU)
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="the second"):
        next(ahead)
    assert loaders() == []


def test_the_thread_ends_where_a_loop_is_left_early() -> None:
    ahead = prefetched(iter(range(100)), CPU)
    next(ahead)
    assert len(loaders()) == 1
    ahead.close()
    assert loaders() == []


@pytest.mark.parametrize("method", ["l1", "supremix", "mixup"])
def test_what_is_loaded_ahead_trains_to_the_same_bits(task: Task, method: str) -> None:
    short = dataclasses.replace(task, method=method, epochs=2)
    plain, ahead = run_of(short, streamed=False), run_of(short, streamed=True)
    for _ in range(2):
        rows = [{k: v for k, v in r.advance().items() if k != "seconds"} for r in (plain, ahead)]
        assert repr(rows[0]) == repr(rows[1])
    for name, value in plain.state()["model"].items():
        assert torch.equal(ahead.state()["model"][name], value), name
    assert loaders() == []


def test_an_image_that_cannot_be_read_is_named_in_the_step(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(task, streamed=True)
    bad = int(run.data.fit[3])
    read = Store.read

    def broken(self: Store, positions: Any, starts: Any = None) -> Any:
        if np.any(positions == bad):
            raise OSError("Input/output error")
        return read(self, positions, starts)

    monkeypatch.setattr(Store, "read", broken)
    name = run.data.store.index["id"][bad]
    with pytest.raises(StoreError, match=rf"the image '{re.escape(name)}' of .*Input/output error"):
        run.advance()
    assert loaders() == []


def test_a_trial_that_fails_in_a_step_leaves_no_thread(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(task, streamed=True)

    def fail(batch: Any) -> torch.Tensor:
        raise ArithmeticError("in the step")

    monkeypatch.setattr(run.trainer_of(0), "step", fail)
    with pytest.raises(ArithmeticError, match="in the step"):
        run.advance()
    assert loaders() == []
