"""A cohort predicted by a model: one row an image, in order, whatever the batch and the threads."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from discs import DiscReader, draw_disc

from supremix.training import Task, TrainedModel, TrialRun
from supremix.training.artifacts.cohort import SCHEMA, bounded_map
from supremix_datasets import CovariateError
from supremix_datasets.cards.dataset import Dataset


@pytest.fixture(scope="module")
def run(store_task: Task) -> TrialRun:
    run = TrialRun(dataclasses.replace(store_task, epochs=2), {"batch_size": 16})
    run.advance()
    run.advance()
    return run


@pytest.fixture(scope="module")
def store_task(store: object) -> Task:
    from supremix.models import EncoderSpec

    return Task(store=store.path, method="l1", encoder=EncoderSpec(width=4), threads=1)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def model(run: TrialRun, discs: Dataset, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    folder = tmp_path_factory.mktemp("model")
    run.export(folder)
    return TrainedModel.load(folder, dataset=discs)


@pytest.fixture
def table(disc_folder: Path) -> Path:
    """A table of the test images, with one that is missing and one whose size is no number."""
    names = sorted(path.name for path in disc_folder.glob("*.npy"))
    sizes = [path.split("_")[2].removesuffix(".npy") for path in names]
    frame = pl.DataFrame({"file": names, "pixel_size": sizes, "image_id": [n[:3] for n in names]})
    broken = pl.DataFrame(
        {"file": ["gone.npy", names[0]], "pixel_size": ["1", "wide"], "image_id": ["x", "y"]}
    )
    path = disc_folder / "cohort.csv"
    pl.concat([frame.head(5), broken, frame.tail(-5)]).write_csv(path)
    return path


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (7, 3), (64, None)])
def test_a_table_is_predicted_as_the_run_predicts(
    model: TrainedModel, run: TrialRun, table: Path, batch: int, workers: int | None
) -> None:
    done: list[tuple[int, int]] = []
    found = model.predict_table(
        table, batch=batch, workers=workers, progress=lambda *one: done.append(one)
    )
    assert found.schema == {"file": pl.String, **SCHEMA}
    assert found["id"].to_list() == pl.read_csv(table, infer_schema=False)["image_id"].to_list()
    assert done[-1] == (92, 92)
    assert len(done) == -(-92 // batch)
    problems = found.filter(pl.col("problem").is_not_null())
    assert problems.select("id", "problem", "prediction").rows() == [
        ("x", "the file is missing", None),
        ("y", "pixel_size (mm) must be a positive number, found 'wide'", None),
    ]
    rows = run.evaluate("test")
    expected = dict(zip(rows["id"], rows["prediction"], strict=True))
    predicted = dict(found.select("id", "prediction").rows())
    for name, value in expected.items():
        assert predicted[name] == pytest.approx(value, rel=1e-4)
    assert found["unit"].unique().to_list() == ["mm"]


def test_images_of_the_training_are_known_again(
    model: TrainedModel, run: TrialRun, table: Path
) -> None:
    found = model.predict_table(table)
    trained = set(run.data.store.index["id"][run.data.fit.tolist()])
    assert set(found.filter("in_training")["id"]) == trained


def test_images_unlike_those_of_the_training_are_flagged(
    model: TrainedModel, run: TrialRun, table: Path, tmp_path: Path
) -> None:
    held_out = model.description["training"]["held_out"]
    assert held_out["split"] == "val"
    assert held_out["images"] == len(run.data.positions("val"))
    known = model.predict_table(table).filter(pl.col("id").is_in(run.evaluate("val")["id"]))
    assert not known["out_of_distribution"].any()
    assert known["feature_distance"].max() == pytest.approx(1, rel=1e-3)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "negative.npy", 255 - draw_disc(12, rng))
    np.save(tmp_path / "noise.npy", rng.integers(0, 255, (24, 32)).astype(np.uint8))
    others = model.predict_table(tmp_path, {"pixel_size": 1})
    assert others["file"].to_list() == ["negative.npy", "noise.npy"]
    assert others["out_of_distribution"].all()
    assert (others["intensity_distance"] > 1).all()
    assert not others["in_training"].any()


def test_without_held_out_images_no_distance_is_given(
    store_task: Task, discs: Dataset, disc_folder: Path, tmp_path: Path
) -> None:
    every = dataclasses.replace(
        store_task, epochs=1, train_splits=("train", "val", "test"), eval_split=None
    )
    TrialRun(every, {"batch_size": 16}).export(tmp_path)
    model = TrainedModel.load(tmp_path, dataset=discs)
    assert model.description["training"]["held_out"] is None
    found = model.predict_table([str(next(disc_folder.glob("*.npy")))], {"pixel_size": 1})
    assert found["out_of_distribution"].to_list() == [None]
    assert found["feature_distance"].to_list() == [None]
    assert found["prediction"].is_not_null().all()


def test_the_facts_of_the_training_are_those_of_its_labels(
    model: TrainedModel, run: TrialRun
) -> None:
    labels = run.data.store.targets[run.data.fit]
    facts = model.description["training"]
    assert facts["images"] == len(labels)
    assert facts["labels"]["percentiles"] == pytest.approx(
        np.percentile(labels, (0, 5, 50, 95, 100))
    )
    assert facts["null_models"]["median"] == pytest.approx(np.median(labels))
    assert len(facts["null_models"]["linear"]) == 2
    assert facts["patients"] == len(set(run.data.store.index["group"][run.data.fit.tolist()]))


def test_covariates_that_no_image_has_are_refused_before(
    model: TrainedModel, disc_folder: Path
) -> None:
    with pytest.raises(CovariateError, match="needs pixel_size"):
        model.predict_table(disc_folder)


def test_no_more_is_decoded_than_a_batch_waits_for(
    model: TrainedModel, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [0, 0]
    lock = threading.Lock()
    decode = DiscReader.decode

    def counted(reader: DiscReader, address: str) -> np.ndarray:
        with lock:
            waiting[0] += 1
            waiting[1] = max(waiting)
        return decode(reader, address)

    monkeypatch.setattr(DiscReader, "decode", counted)
    evaluate = model.predictor.evaluate

    def taken(shown: list[object]) -> object:
        with lock:
            waiting[0] -= len(shown)
        return evaluate(shown)  # type: ignore[arg-type]

    monkeypatch.setattr(model.predictor, "evaluate", taken)
    model.predict_table(table, batch=4, workers=2)
    assert waiting[1] <= 4 + 4 + 2


def test_a_map_in_threads_keeps_the_order_and_its_errors() -> None:
    assert list(bounded_map(lambda n: n * n, range(50), threads=4, ahead=6)) == [
        n * n for n in range(50)
    ]
    assert list(bounded_map(abs, [], threads=2, ahead=3)) == []
    with pytest.raises(ZeroDivisionError, match="zero"):
        list(bounded_map(lambda n: 1 / n, [1, 0], threads=2, ahead=3))
