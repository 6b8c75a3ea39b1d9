"""A dataset whose card is told by its source, from the specification to the trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from supremix.errors import DatasetError, SpecError
from supremix.models import EncoderSpec
from supremix.search.spec import SearchSpec
from supremix.training import Task, TrainedModel, TrialRun
from supremix_datasets import get, prepare


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "own"
    own.mkdir()
    lines = ["file,target,group"]
    for number in range(40):
        np.save(own / f"{number}.npy", np.random.default_rng(number).random((16, 16)) + number)
        lines.append(f"{number}.npy,{number},{number}")
    (own / "t.csv").write_text("\n".join(lines))
    (own / "dataset.toml").write_text('name = "noise"\nunit = "mm"\nshape = [16, 16]\n')
    return own


def test_the_specification_reads_the_card_from_the_source(folder: Path) -> None:
    spec = SearchSpec(dataset="table", source=str(folder), trials=1)
    dataset = spec.resolve_dataset()
    assert (dataset.card.name, dataset.card.unit) == ("noise", "mm")
    assert (dataset.known_as, dataset.root) == ("table", f"file://{folder}")
    assert SearchSpec.from_dict(spec.to_dict()) == spec


def test_a_dataset_with_a_card_of_its_own_asks_nothing_of_the_source() -> None:
    spec = SearchSpec(dataset="hc18", source="/nowhere", trials=1)
    assert spec.resolve_dataset() is get("hc18")


def test_a_specification_is_made_without_looking_at_the_source() -> None:
    spec = SearchSpec(dataset="table", source="/nowhere", trials=1)
    with pytest.raises(DatasetError, match="no folder or file at '/nowhere'"):
        spec.resolve_dataset()


def test_without_a_source_there_is_no_table() -> None:
    for source in (None, "phantom"):
        with pytest.raises(SpecError, match="has no phantom, so its images are needed"):
            SearchSpec(dataset="table", source=source, trials=1).resolve_dataset()


def test_a_model_of_an_own_table_reads_files(folder: Path, tmp_path: Path) -> None:
    store = prepare("table", folder, cache=tmp_path / "c")
    task = Task(
        store=store.path, method="l1", encoder=EncoderSpec(width=4), epochs=2, seed=3, threads=1
    )
    run = TrialRun(task, {"batch_size": 8})
    run.advance()
    run.export(tmp_path / "model")
    model = TrainedModel.load(tmp_path / "model")
    position = run.data.positions("test")[:1]
    name = store.index["id"][int(position[0])]
    found = model.predict(str(folder / f"{name}.npy"))
    assert found == pytest.approx(float(run.predict(position)[0]), rel=1e-4)
