from __future__ import annotations

import dataclasses
import itertools

import pytest

from supremix.methods.registry import get_method, make_config, method_names
from supremix.training import Stage, Task, TrialRun
from supremix.training.length import Length, stage_length, steps_of, trial_length
from supremix_datasets import get

CARD = get("hc18").card


def stages(method: str, epochs: int, **config: object) -> tuple[Stage, ...]:
    known = get_method(method)
    return known.stages(make_config(known, config), epochs=epochs, card=CARD)


def test_a_contrastive_step_sees_two_views_of_each_image_and_a_probe_trains_nothing() -> None:
    pretrain, regress = stages("supremix", 8, batch_size=32)
    assert stage_length(pretrain, 100) == Length(epochs=2, steps=2 * 4, images_seen=2 * 200)
    assert stage_length(regress, 100) == Length(epochs=6, steps=6 * 7, images_seen=6 * 100)
    _, probe = stages("supremix", 8, head="probe")
    assert stage_length(probe, 100) == Length(epochs=1)


@pytest.mark.parametrize("method", method_names())
def test_a_trial_is_as_long_as_its_stages_and_as_its_parts(method: str) -> None:
    trial = stages(method, 9)
    whole = trial_length(trial, 50)
    assert whole == sum((stage_length(stage, 50) for stage in trial), Length())
    assert whole.epochs == 9
    lengths = [trial_length(trial, 50, epochs) for epochs in range(10)]
    assert (lengths[0], lengths[-1]) == (Length(), whole)
    views = [stage.views for stage in trial for _ in range(stage.epochs)]
    for (before, after), seen in zip(itertools.pairwise(lengths), views, strict=True):
        assert after.images_seen - before.images_seen == 50 * seen


def test_the_rows_of_a_run_count_what_its_batches_held(task: Task) -> None:
    run = TrialRun(dataclasses.replace(task, method="supremix", epochs=3), {"batch_size": 20})
    steps, images = 0, 0
    while not run.done:
        index, epoch = run.locate(run.epoch)
        row = run.advance()
        batches = list(run.trainer_of(index).batches.epoch(epoch))
        steps, images = steps + len(batches), images + sum(len(b.images) for b in batches)
        assert (row["steps"], row["images_seen"]) == (steps, images)
    assert steps_of(len(run.data.fit), 20) * 1 + steps_of(len(run.data.fit), 10) * 2 == steps
