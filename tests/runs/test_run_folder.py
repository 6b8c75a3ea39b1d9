from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch
from s3_server import S3Server
from safetensors.torch import save
from weak_link import Link

import supremix
from supremix.errors import RunFolderError
from supremix.runs.folder import (
    RunFolder,
    check_new,
    final_key,
    new_run_folder,
    read_json,
    write_json,
)
from supremix.runs.grids import COMPARISON
from supremix.storage.paths import to_path
from supremix.tuning.ledger.ledger import Ledger
from supremix_reports import mae_rows, read_table, write_table
from supremix_reports.tables import storage


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    for name in ("00000.pt", "00001.pt", ".00000.pt-aa", ".00001.pt-bb"):
        (run.checkpoints / name).write_text("weights")
    return run


def test_what_a_kept_trial_is_writing_is_left_alone(run: RunFolder) -> None:
    run.sweep({"00000"})
    assert {file.name for file in run.checkpoints.iterdir()} == {"00000.pt", ".00000.pt-aa"}


def test_a_draft_that_becomes_a_checkpoint_meanwhile_is_no_error(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def late(self: Path, missing_ok: bool = False) -> None:
        unlink(self)  # as if the worker had been quicker
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", late)
    run.sweep(set())
    assert list(run.checkpoints.iterdir()) == []


@pytest.fixture(params=["disk", "bucket", "memory"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where runs may lie."""
    if request.param == "bucket":
        return f"{request.getfixturevalue('bucket')}/runs"
    return str(tmp_path) if request.param == "disk" else f"memory://{tmp_path.name}/runs"


def put_model(folder: str) -> str:
    description = {
        "format": 2,
        "encoder": {},
        "card": {"shape": [8, 8], "channels": 1, "name": "discs"},
    }
    there = to_path(folder)
    if "://" not in folder:
        there.mkdir(parents=True)
    (there / "model.safetensors").write_bytes(save({"encoder.a": torch.zeros(2)}))
    (there / "model.json").write_text(json.dumps(description))
    return folder


def test_a_run_folder_is_made_and_read_at_any_address(base: str) -> None:
    address = f"{base}/first"
    with pytest.raises(RunFolderError, match=r"has no spec\.json"):
        RunFolder(address).read_spec()
    RunFolder(address).create({"trials": 3})
    run = RunFolder(address)
    assert run.read_spec() == {"trials": 3}
    assert run.name == "first"
    assert str(run.path) == address
    with pytest.raises(RunFolderError, match=f"{address} is not empty"):
        RunFolder(address).create({})
    with pytest.raises(RunFolderError, match="is not empty"):
        check_new(address)
    run.spec.write_text("{")
    with pytest.raises(RunFolderError, match="is damaged"):
        run.read_spec()
    run.remove()
    check_new(address)


def test_the_folder_of_a_comparison_names_its_runs(base: str) -> None:
    run = RunFolder(f"{base}/both/l1")
    run.create({})
    write_json(to_path(f"{base}/both") / "comparison.json", {"methods": ["l1"]})
    assert COMPARISON.is_in(f"{base}/both")
    assert not COMPARISON.is_in(f"{base}/both/l1")
    assert run.name == "both/l1"
    with pytest.raises(RunFolderError, match="is the folder of a comparison"):
        RunFolder(f"{base}/both").read_spec()
    write_json(to_path(f"{base}/both") / "comparison.json", {"methods": ["l1", "rnc"]})
    assert read_json(to_path(f"{base}/both") / "comparison.json")["methods"] == ["l1", "rnc"]


def test_checkpoints_are_swept_at_any_address(base: str) -> None:
    run = RunFolder(f"{base}/first")
    run.create({})
    for name in ("00000.pt", "00001.pt", ".00001.pt-bb"):
        (run.checkpoints / name).write_text("weights")
    run.sweep({"00000"})
    assert [file.name for file in run.checkpoints.iterdir()] == ["00000.pt"]
    run.sweep(set())
    assert not (run.checkpoints / "00000.pt").exists()


def test_the_model_to_set_out_from_is_kept_once(base: str) -> None:
    run = RunFolder(f"{base}/first")
    run.create({})
    assert not run.has_pretrained()
    model = put_model(f"{base}/model")
    assert run.keep_pretrained(to_path(model)) == f"{base}/first/pretrained"
    assert run.has_pretrained()
    weights = (run.pretrained / "model.safetensors").read_bytes()
    (to_path(model) / "model.safetensors").write_bytes(b"another")
    assert run.keep_pretrained(to_path(model)) == f"{base}/first/pretrained"
    assert (run.pretrained / "model.safetensors").read_bytes() == weights


def test_half_a_copy_of_that_model_is_made_again(base: str) -> None:
    run = RunFolder(f"{base}/first")
    run.create({})
    model = put_model(f"{base}/model")
    run.keep_pretrained(to_path(model))
    (run.pretrained / "model.json").unlink()
    assert not run.has_pretrained()
    run.keep_pretrained(to_path(model))
    assert run.has_pretrained()


def test_new_run_folders_take_no_name_twice(base: str) -> None:
    names: set[str] = set()
    for _ in range(3):
        path = new_run_folder("hc18", "l1", base)
        RunFolder(path).create({})
        names.add(path.name)
    assert len(names) == 3
    assert str(path.parent) == base


def test_where_a_run_cannot_be_made_is_told(bucket: str, link: Link, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"cannot be used: FileNotFoundError.*make it"):
        RunFolder("s3://there-is-none/run").create({})
    link.cut()
    with pytest.raises(RunFolderError, match=r"cannot be used: EndpointConnectionError"):
        RunFolder(f"{bucket}/run").create({})
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be used: NotADirectoryError"):
        RunFolder(tmp_path / "file" / "run").create({})


def test_tables_in_a_bucket_are_replaced_by_one_put(bucket: str, s3: S3Server) -> None:
    folder = f"{bucket}/run"
    row = {"run": "run", "dataset": "discs", "method": "l1", "trial": 0, "epoch": 1}
    row |= {"stage": "regress", "measure": "rank", "split": "val"}
    for value in (1.0, 2.0):
        write_table(folder, "measures", [{**row, "value": value}])
    assert read_table(folder, "measures")["value"].to_list() == [2.0]
    assert s3.asked("PUT", f"{bucket[5:]}/run/measures.parquet", times=2) == 2
    assert [file.name for file in to_path(folder).iterdir()] == ["measures.parquet"]
    assert storage.exists(f"{folder}/measures.parquet")
    assert not storage.exists(f"{folder}/trials.parquet")


def concluded(base: str) -> str:
    """A run as a search leaves it, as far as `Result` looks."""
    run = RunFolder(f"{base}/first")
    run.create({"trials": 1})
    with Ledger(run.ledger) as ledger:
        ledger.append(
            "trial", number=0, config={"lr": 0.1}, role="search", replicate_of=None, seed=0
        )
        row = {"epoch": 1, "stage": "regress", "error": 2.5, "seconds": 1.0}
        ledger.append("epoch", number=0, row=row, total=1)
        ledger.append("end", number=0, state="finished", reason=None, epoch=1)
        ledger.append("final", trial=0, predictions={}, clock=1.0)
    common = {"run": "first", "dataset": "discs", "method": "l1", "trial": 0, "seed": 0}
    rows = [
        {**common, "split": "val", "id": f"{n}", "group": f"{n}", "target": 1.0, "prediction": 3.5}
        for n in range(4)
    ]
    write_table(str(run.path), "predictions", rows)
    write_table(str(run.path), "mae", mae_rows(pl.DataFrame(rows), unit="mm"))
    write_table(str(run.path), "defaults", [])
    write_table(str(run.path), "intervals", [])
    write_table(str(run.path), "trials", [])
    write_table(str(run.path), "curves", [])
    return str(run.path)


def test_a_result_is_read_at_any_address(base: str) -> None:
    result = supremix.Result(concluded(base))
    assert result.best.config == {"lr": 0.1}
    assert result.best.error == result.best.interval.value == 2.5
    assert result.best.against_defaults.startswith("There is no comparison with the defaults")
    assert str(result.best.model) == f"{base}/first/best"
    assert result.predictions.filter(pl.col("split") == "val").height == 4
    assert result.test is None
    assert result.intervals.is_empty()
    assert repr(result).startswith("<Result dataset: discs, method: l1, trials: 1, best: trial 0")
    assert f"folder: {base}/first>" in repr(result)
    assert "MAE 2.5 mm" in repr(result)
    assert "<tr><th>method</th><td>l1</td></tr>" in result._repr_html_()


def test_what_is_not_there_is_told_at_any_address(base: str) -> None:
    RunFolder(f"{base}/first").create({})
    with pytest.raises(RunFolderError, match="is not concluded"):
        supremix.Result(f"{base}/first")
    with pytest.raises(RunFolderError, match="there is no model in"):
        supremix.load(f"{base}/first")


def test_a_copied_run_goes_on_where_it_is(bucket: str, tmp_path: Path) -> None:
    there = to_path(concluded(bucket))
    there.fs.get(there.path, str(tmp_path / "copy"), recursive=True)
    assert supremix.Result(tmp_path / "copy").best.config == {"lr": 0.1}
    near = to_path(concluded(str(tmp_path / "near")))
    there.fs.put(str(near), f"{there.path}-up", recursive=True)
    assert supremix.Result(f"{there}-up").best.config == {"lr": 0.1}


def test_of_a_joint_trial_the_checkpoints_of_all_datasets_stay(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({})
    names = (
        "00001.0.pt",
        "00001.1.pt",
        "00002.0.pt",
        "final.0.pt",
        "final-1.1.pt",
        ".00001.0.pt-x",
    )
    for name in names:
        (run.checkpoints / name).touch()
    run.sweep({"00001", final_key(1)})
    kept = {file.name for file in run.checkpoints.iterdir()}
    assert kept == {"00001.0.pt", "00001.1.pt", "final-1.1.pt", ".00001.0.pt-x"}
    assert final_key(1, 1) == "final-1.1"
