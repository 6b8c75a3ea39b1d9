"""Few labels, and encoders that set out from a trained model."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from supremix._errors import ModelError
from supremix.errors import SpecError
from supremix.models import EncoderSpec
from supremix.runs.folder import RunFolder
from supremix.search.spec import SearchSpec
from supremix.training import CheckpointError, Task, TaskError, TrialRun, fitted, preflight
from supremix.training.artifacts.pretrained import Initial, model_folder
from supremix_datasets.stores.store import Store


@pytest.fixture
def model(task: Task, tmp_path: Path) -> Path:
    """The model of a short trial with another seed than that of `task`."""
    run = TrialRun(dataclasses.replace(task, seed=11, epochs=1), {})
    run.advance()
    run.export(tmp_path / "model")
    return tmp_path / "model"


def described(model: Path, **changes: Any) -> Path:
    """A copy of a model whose description says something else."""
    copy = model.with_name("other")
    shutil.copytree(model, copy)
    content = json.loads((copy / "model.json").read_text())
    for name, value in changes.items():
        content[name] = content[name] | value if isinstance(value, dict) else value
    (copy / "model.json").write_text(json.dumps(content))
    return copy


def test_the_encoder_sets_out_from_the_models_and_nothing_else_does(
    task: Task, model: Path
) -> None:
    fresh = TrialRun(task, {}).ema_model.state_dict()
    begun = TrialRun(dataclasses.replace(task, pretrained=str(model)), {})
    weights = load_file(model / "model.safetensors")
    for name, tensor in begun.ema_model.state_dict().items():
        reference = weights if name.startswith("encoder.") else fresh
        torch.testing.assert_close(tensor, reference[name], rtol=0, atol=0)
    for ours, trained in zip(begun.ema_model.parameters(), begun.model.parameters(), strict=True):
        assert torch.equal(ours, trained)


@pytest.mark.parametrize(("method", "epochs"), [("l1", 1), ("supremix", 2)])
def test_every_method_trains_on_from_there(
    task: Task, model: Path, method: str, epochs: int
) -> None:
    begun = dataclasses.replace(task, pretrained=str(model), method=method, epochs=epochs)
    other = dataclasses.replace(begun, pretrained=None)
    rows = [TrialRun(one, {"batch_size": 20}).advance() for one in (begun, other)]
    assert rows[0]["loss"] != rows[1]["loss"]


def test_a_state_belongs_to_the_weights_it_set_out_from(
    task: Task, model: Path, tmp_path: Path
) -> None:
    begun = dataclasses.replace(task, pretrained=str(model))
    run = TrialRun(begun, {})
    run.advance()
    shutil.copytree(model, tmp_path / "moved")
    TrialRun(dataclasses.replace(begun, pretrained=str(tmp_path / "moved")), {}).load(run.state())
    with pytest.raises(CheckpointError, match="of another run"):
        TrialRun(task, {}).load(run.state())
    changed = load_file(tmp_path / "moved" / "model.safetensors")
    save_file({n: t + 1 for n, t in changed.items()}, tmp_path / "moved" / "model.safetensors")
    with pytest.raises(CheckpointError, match="of another run"):
        TrialRun(dataclasses.replace(begun, pretrained=str(tmp_path / "moved")), {}).load(
            run.state()
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": {"width": 16}}, r"has a resnet of width 16, depth 1, norm batch, for 2-D"),
        ({"encoder": {"depth": [1, 1, 1, 2]}}, r"depth \[1, 1, 1, 2\]"),
        ({"encoder": {"builder": "mine"}}, "an encoder built by 'mine'"),
        ({"card": {"channels": 3}}, "for 2-D images of 3 channels; a trial on discs"),
        ({"card": {"shape": [8, 8, 8]}}, "for 3-D images"),
        ({"dataset": "brains", "card": {"channels": 3}}, "of brains, has"),
    ],
)
def test_another_encoder_is_refused_before_anything_is_built(
    task: Task, model: Path, changes: dict[str, Any], message: str
) -> None:
    other = dataclasses.replace(task, pretrained=str(described(model, **changes)))
    with pytest.raises(TaskError, match=message):
        preflight(other, {})
    with pytest.raises(TaskError, match="would have a resnet of width 4, depth 1"):
        TrialRun(other, {})


def test_depths_are_the_same_as_a_tuple_and_in_a_file(model: Path, store: Store) -> None:
    folder = described(model, encoder={"depth": [1, 2, 1, 1]})
    initial = Initial.read(folder)
    initial.check(EncoderSpec(width=4, depth=(1, 2, 1, 1)), store.card)
    with pytest.raises(TaskError, match="depth"):
        initial.check(EncoderSpec(width=4, depth=(1, 1, 1, 1)), store.card)


def test_weights_that_do_not_fit_are_told(task: Task, model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    del weights["encoder.conv1.weight"]
    save_file(weights, model / "model.safetensors")
    with pytest.raises(ModelError, match="does not fit the trial's"):
        TrialRun(dataclasses.replace(task, pretrained=str(model)), {})


def test_a_folder_without_a_model_is_refused(task: Task, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"no model to start from in .*nowhere"):
        preflight(dataclasses.replace(task, pretrained=str(tmp_path / "nowhere")), {})


def test_a_model_of_another_format_is_refused(task: Task, model: Path) -> None:
    with pytest.raises(TaskError, match="not of format 2"):
        preflight(dataclasses.replace(task, pretrained=str(described(model, format=9))), {})


def test_a_run_folder_stands_for_its_best_model(model: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    model.rename(tmp_path / "run" / "best")
    assert model_folder(tmp_path / "run") == tmp_path / "run" / "best"
    assert model_folder(tmp_path / "run" / "best") == tmp_path / "run" / "best"


def test_a_run_keeps_the_model_it_set_out_from(model: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({})
    digest = Initial.read(model).digest
    kept = run.keep_pretrained(model)
    shutil.rmtree(model)
    assert run.keep_pretrained(model) == kept
    assert Initial.read(kept).digest == digest
    with pytest.raises(TaskError, match="no model to start from"):
        RunFolder(tmp_path / "new").keep_pretrained(model)


def test_a_smaller_share_of_the_labels_is_part_of_a_larger(task: Task, store: Store) -> None:
    splits = TrialRun(task, {}).data.splits
    groups = np.array(store.index["group"].to_list())
    kept = [
        set(fitted(dataclasses.replace(task, label_fraction=share), store, splits).tolist())
        for share in (0.2, 0.5, 1.0)
    ]
    assert kept[0] < kept[1] < kept[2]
    assert kept[2] == set(np.flatnonzero(splits == "train").tolist())
    assert len({groups[p] for p in kept[1]}) == round(0.5 * len({groups[p] for p in kept[2]}))


@pytest.mark.parametrize("labels", [0.0, 1.5, -1.0])
def test_a_share_outside_of_its_range_is_refused(labels: float) -> None:
    with pytest.raises(SpecError, match="label_fraction has to be above 0 and at most 1"):
        SearchSpec(dataset="hc18", source="x", trials=1, label_fraction=labels)


def test_both_are_recorded_and_restored() -> None:
    spec = SearchSpec(dataset="hc18", source="x", trials=1, label_fraction=0.1, pretrained="runs/a")
    assert SearchSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
