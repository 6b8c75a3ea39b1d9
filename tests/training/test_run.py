from __future__ import annotations

import dataclasses
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from supremix._errors import TrainingError
from supremix.models import EncoderSpec
from supremix.training import (
    BatchTooLargeError,
    CheckpointError,
    NonFiniteLossError,
    Stage,
    Task,
    TaskError,
    TrialRun,
    fit,
    load_checkpoint,
    preflight,
    save_checkpoint,
)
from supremix_datasets.cards.card import Card
from supremix_datasets.stores.store import Store

SUPREMIX = {"batch_size": 20, "pretrain_share": 0.6, "projection_dim": 8, "window": 6.0}
COLUMNS = {
    "epoch", "stage", "error", "loss", "mae", "rmse", "r2", "pearson", "probe_mae", "lr", "seconds",
    "steps", "images_seen",
}  # fmt: skip


def supremix(task: Task, epochs: int = 4) -> Task:
    return dataclasses.replace(task, method="supremix", epochs=epochs)


def finish(run: TrialRun) -> TrialRun:
    while not run.done:
        run.advance()
    return run


def curve(run: TrialRun) -> list[dict[str, Any]]:
    """The history without what a clock decides; NaN as a word, so that it equals itself."""
    flat = [{**row, **row.get("measures", {}), "measures": None} for row in run.history]
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in flat]
    return [{k: "nan" if v != v else v for k, v in row.items()} for row in rows]


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("method", ["l1", "supremix"])
def test_training_teaches_more_than_the_mean(task: Task, method: str) -> None:
    learning = dataclasses.replace(task, method=method, epochs=24)
    run = finish(TrialRun(learning, {"batch_size": 8}))
    targets = run.data.store.targets
    mean = np.abs(targets[run.data.positions("val")] - targets[run.data.fit].mean()).mean()
    assert run.history[-1]["error"] < 0.6 * mean


def test_rows_have_the_columns_of_the_curves_and_one_error_scale(task: Task) -> None:
    run = finish(TrialRun(supremix(task), SUPREMIX))
    assert [row["stage"] for row in run.history] == ["pretrain", "pretrain", "regress", "regress"]
    for row in run.history:
        assert row.keys() - {"measures"} == COLUMNS
        assert row["error"] == row["mae"]
        assert (row["probe_mae"] == row["error"]) == (row["stage"] == "pretrain")
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4]


def test_the_probe_stage_leaves_the_encoder_as_it_was(task: Task) -> None:
    run = TrialRun(supremix(task, 3), {**SUPREMIX, "head": "probe"})
    run.advance()
    run.advance()
    before = run.state()["ema_model"]
    row = run.advance()
    assert row["error"] == row["probe_mae"] == run.history[1]["error"]
    assert math.isnan(row["loss"])
    assert same(before, run.state()["ema_model"])


def test_fine_tuning_starts_from_the_probes_solution(task: Task) -> None:
    run = TrialRun(supremix(task, 2), SUPREMIX)
    row = run.advance()
    predictions = run.predict(run.data.positions("val"))
    truth = run.data.store.targets[run.data.positions("val")]
    assert np.abs(predictions - truth).mean() == pytest.approx(row["probe_mae"], rel=1e-6)


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize("method", ["l1", "supremix"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    task: Task, tmp_path: Path, method: str, stop: int
) -> None:
    long = dataclasses.replace(supremix(task), method=method)
    config = SUPREMIX if method == "supremix" else {"batch_size": 20}
    whole = finish(TrialRun(long, config))
    stopped = TrialRun(long, config)
    for _ in range(stop):
        stopped.advance()
    save_checkpoint(stopped.state(), tmp_path / "here")
    finish(stopped)
    resumed = TrialRun(long, config)
    resumed.load(load_checkpoint(tmp_path / "here"))
    assert resumed.epoch == stop
    finish(resumed)
    for other in (stopped, resumed):
        assert curve(other) == curve(whole)
        assert same(other.ema_model.state_dict(), whole.ema_model.state_dict())


def test_a_fresh_process_resumes_to_the_same_bits(task: Task, tmp_path: Path) -> None:
    long = supremix(task, 3)
    run = TrialRun(long, SUPREMIX)
    run.advance()
    save_checkpoint(run.state(), tmp_path / "checkpoint")
    (tmp_path / "task").write_bytes(pickle.dumps((long, SUPREMIX)))
    program = (
        "import pickle, pathlib, sys, torch\n"
        "from supremix.training import fit, save_checkpoint\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "task, config = pickle.loads((folder / 'task').read_bytes())\n"
        "torch.set_num_threads(2); torch.manual_seed(99)\n"
        "run = fit(task, config, resume_from=folder / 'checkpoint')\n"
        "save_checkpoint(run.state(), folder / 'end')\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    # The same environment: variables of the BLAS library choose kernels, and so the last bits. Two
    # threads that wait for each other on a busy machine are not to spin.
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    subprocess.run(command, check=True, env=environment, timeout=120)
    there = load_checkpoint(tmp_path / "end")
    finish(run)
    assert same(there["ema_model"], run.state()["ema_model"])
    assert [row["error"] for row in there["history"]] == [row["error"] for row in run.history]


def test_the_tenth_run_of_a_process_is_the_first(task: Task) -> None:
    short = supremix(task, 2)
    curves = [curve(finish(TrialRun(short, SUPREMIX))) for _ in range(10)]
    assert all(other == curves[0] for other in curves)


def test_the_host_process_neither_gives_nor_loses_anything(task: Task) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    threads = torch.get_num_threads()
    first = finish(TrialRun(task, {}))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    torch.manual_seed(2)
    assert curve(finish(TrialRun(task, {}))) == curve(first)


def test_another_seed_is_another_run(task: Task) -> None:
    other = dataclasses.replace(task, seed=4)
    assert curve(finish(TrialRun(task, {}))) != curve(finish(TrialRun(other, {})))


def test_fit_reports_every_epoch_and_leaves_a_checkpoint(task: Task, tmp_path: Path) -> None:
    seen: list[int] = []

    def report(row: dict[str, Any], save: Any) -> None:
        seen.append(row["epoch"])
        save(tmp_path / f"epoch{row['epoch']}")

    run = fit(task, {}, report=report, checkpoint_to=tmp_path / "last")
    assert seen == [1, 2, 3]
    assert load_checkpoint(tmp_path / "last")["epoch"] == run.total == 3
    assert load_checkpoint(tmp_path / "epoch2")["epoch"] == 2
    assert not list(tmp_path.glob(".*"))


def test_a_state_of_another_run_is_refused(task: Task, tmp_path: Path) -> None:
    run = TrialRun(task, {})
    run.advance()
    with pytest.raises(CheckpointError, match="of another run"):
        TrialRun(task, {"lr": 0.5}).load(run.state())
    with pytest.raises(CheckpointError, match="format 2, found None"):
        run.load({})
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "nowhere")
    (tmp_path / "broken").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(tmp_path / "broken")


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path: Path) -> None:
    torch.save({"format": Path("x")}, tmp_path / "code")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(tmp_path / "code")


def test_a_batch_larger_than_the_split_is_refused_before_anything_is_built(task: Task) -> None:
    size = preflight(task, {})
    with pytest.raises(BatchTooLargeError, match=f"the training split has {size}"):
        preflight(task, {"batch_size": size + 1})
    with pytest.raises(BatchTooLargeError, match="at most"):
        TrialRun(task, {"batch_size": size + 1})
    with pytest.raises(BatchTooLargeError, match="5 workers share batches of 3"):
        preflight(task, {"batch_size": 4}, workers=5)


def test_a_diverging_run_says_so(task: Task) -> None:
    run = TrialRun(dataclasses.replace(task, epochs=30), {"lr": 1e30})
    with pytest.raises(NonFiniteLossError, match="learning rate 1e\\+30 is probably too high"):
        finish(run)


def test_no_epoch_is_left_after_the_last(task: Task) -> None:
    run = finish(TrialRun(task, {}))
    with pytest.raises(TrainingError, match="all 3 epochs"):
        run.advance()


def test_a_final_fit_evaluates_nothing_on_the_way(task: Task) -> None:
    final = dataclasses.replace(task, train_splits=("train", "val"), eval_split=None, epochs=1)
    run = finish(TrialRun(final, {}))
    assert math.isnan(run.history[0]["error"])
    assert len(run.data.fit) == len(run.data.positions("train", "val"))


def test_an_evaluation_gives_the_rows_of_a_split(task: Task, store: Store) -> None:
    run = TrialRun(task, {})
    evaluated = run.evaluate("test")
    known = {"id", "group", "target", "prediction", "site", "sex", "label_low", "label_high"}
    assert evaluated.keys() == known | {"null_prediction", "linear_prediction"}
    assert set(evaluated["label_low"]) == {store.card.label_range[0]}
    positions = run.data.positions("test")
    assert evaluated["id"].tolist() == store.index["id"][positions.tolist()].to_list()
    np.testing.assert_array_equal(evaluated["target"], store.targets[positions])
    assert evaluated["prediction"].shape == positions.shape
    assert {len(column) for column in evaluated.values()} == {len(positions)}


def test_a_share_of_the_labels_keeps_groups_whole(task: Task) -> None:
    whole = TrialRun(task, {})
    half = TrialRun(dataclasses.replace(task, label_fraction=0.5), {"batch_size": 8})
    groups = np.array(half.data.store.index["group"].to_list())
    kept = set(groups[half.data.fit])
    assert set(half.data.fit) == {p for p in whole.data.fit if groups[p] in kept}
    assert 0.4 < len(half.data.fit) / len(whole.data.fit) < 0.6


def test_a_logarithm_of_the_target_is_undone(task: Task) -> None:
    run = TrialRun(dataclasses.replace(task, target_transform="log"), {})
    targets = run.data.store.targets
    expected = np.exp(np.log(targets[run.data.fit]).mean())
    np.testing.assert_allclose(run.predict(run.data.positions("val")), expected, rtol=1e-6)


def test_probes_can_be_rare_and_small_but_the_last_is_whole(task: Task) -> None:
    rare = dataclasses.replace(supremix(task, 5), evaluate_every=2, probe_samples=10)
    run = finish(TrialRun(rare, {**SUPREMIX, "pretrain_share": 0.6}))
    errors = [row["error"] for row in run.history[:3]]
    assert math.isnan(errors[0])
    assert errors[1] != errors[2]


def test_after_ten_epochs_every_fourth_is_probed(task: Task) -> None:
    config = {**SUPREMIX, "pretrain_share": 0.9}
    run = TrialRun(supremix(task, 20), config)
    errors = [run.advance()["error"] for _ in range(18)]
    probed = [n for n in range(1, 19) if n == 1 or errors[n - 1] != errors[n - 2]]
    assert probed == [*range(1, 11), 12, 16, 18]


def test_a_long_training_is_evaluated_more_and_more_rarely(task: Task) -> None:
    run = TrialRun(dataclasses.replace(task, epochs=127), {})
    stage = run.stages[0]
    evaluated = [e + 1 for e in range(127) if run._evaluation._is_evaluated(stage, e, e + 1)]
    assert evaluated == [*range(1, 51), *range(52, 101, 2), *range(104, 127, 4)]


def test_an_epoch_that_is_not_evaluated_has_the_last_error_and_the_last_epoch_its_own(
    task: Task,
) -> None:
    config = {"batch_size": 8}
    each = finish(TrialRun(dataclasses.replace(task, epochs=7), config)).history
    rare = finish(TrialRun(dataclasses.replace(task, epochs=7, evaluate_every=3), config)).history
    found = [row["error"] for row in rare]
    assert math.isnan(found[0])
    assert found[2:] == [each[n]["error"] for n in (2, 2, 2, 5, 6)]
    assert [row["loss"] for row in rare] == [row["loss"] for row in each]


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_precision_can_be_chosen(task: Task, precision: str) -> None:
    run = finish(TrialRun(dataclasses.replace(supremix(task, 2), precision=precision), SUPREMIX))
    assert math.isfinite(run.history[-1]["error"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "half"}, "precision must be one of auto, fp32"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"eval_split": "train"}, "is also in train_splits"),
        ({"train_splits": ()}, "at least one split"),
        ({"label_fraction": 0.0}, "label_fraction"),
        ({"fractions": (0.5, 0.5, 0.5)}, "adding up to 1"),
    ],
)
def test_a_task_checks_itself(task: Task, change: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        dataclasses.replace(task, **change)


def test_an_unknown_split_is_refused(task: Task) -> None:
    with pytest.raises(TaskError, match="no sample of discs is in the split vall"):
        preflight(dataclasses.replace(task, eval_split="vall"), {})


@dataclass(frozen=True, kw_only=True)
class SquareConfig:
    lr: float = 0.01


@dataclass(frozen=True)
class Square:
    """A method as a user would write it."""

    name: str = "square"
    config: type[Any] = SquareConfig

    def stages(self, config: SquareConfig, *, epochs: int, card: Card) -> tuple[Stage, ...]:
        return (
            Stage(
                name="fit",
                objective="regression",
                epochs=epochs,
                batch_size=8,
                lr=config.lr,
                loss=square,
            ),
        )


def square(predictions: Tensor, targets: Tensor) -> Tensor:
    return (predictions - targets) ** 2


def build_tiny(spatial_dims: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 3, 5), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten(1)
    )


def test_a_method_and_an_encoder_of_the_users_own(task: Task) -> None:
    own = dataclasses.replace(task, method=Square(), encoder=EncoderSpec(builder=build_tiny))
    first, again = (finish(TrialRun(own, {"lr": 0.02})) for _ in range(2))
    assert first.history[0]["stage"] == "fit"
    assert curve(first) == curve(again), "dropout has to be seeded too"


def test_a_finished_training_has_one_error_on_the_split_it_is_evaluated_on(task: Task) -> None:
    run = finish(TrialRun(dataclasses.replace(task, epochs=1, flips=True), {}))
    evaluated = run.evaluate("val")
    error = np.abs(evaluated["prediction"] - evaluated["target"]).mean()
    assert error == pytest.approx(run.history[-1]["error"], rel=1e-9)
    positions = run.data.positions("test")
    np.testing.assert_array_equal(run.evaluate("test")["prediction"], run.predict(positions))
