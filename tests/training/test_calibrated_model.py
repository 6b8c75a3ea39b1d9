"""A model with a calibration: intervals and corrected predictions, and what cannot be had."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import supremix
from supremix.errors import ModelError
from supremix.training import ModelInputError, Task, TrainedModel, TrialRun
from supremix_datasets.cards.dataset import Dataset
from supremix_reports import BiasLine, Calibration, LabelScale, prediction_intervals


@pytest.fixture(scope="module")
def folder(store: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with two networks and what a search without a test keeps next to it."""
    from supremix.models import EncoderSpec

    best = tmp_path_factory.mktemp("run") / "best"
    task = Task(store=store.path, method="l1", encoder=EncoderSpec(width=4), threads=1, epochs=1)
    rows: list[pl.DataFrame] = []
    for seed in (0, 1):
        run = TrialRun(dataclasses.replace(task, seed=seed), {"batch_size": 16})
        run.advance()
        run.export(best / "networks" / "1" if seed else best)
        found = run.evaluate("val")
        columns = {n: found[n].tolist() for n in ("id", "target", "prediction")}
        columns["group"] = columns["id"]  # more patients than there are
        rows.append(pl.DataFrame(columns | {"seed": seed}))
    labels = run.data.store.targets[run.data.fit]
    made = Calibration.of(pl.concat(rows), LabelScale.of(labels), "model")
    (best / "calibration.json").write_text(json.dumps(made.to_dict()))
    return best


@pytest.fixture
def model(folder: Path, discs: Dataset) -> TrainedModel:
    return TrainedModel.load(folder, dataset=discs)


@pytest.fixture
def cohort(disc_folder: Path) -> Path:
    """A table of the images, with one that is missing."""
    names = sorted(path.name for path in disc_folder.glob("*.npy"))
    files = [*names, "gone.npy"]
    sizes = [name.split("_")[2].removesuffix(".npy") for name in names] + ["1"]
    path = disc_folder / "calibrated.csv"
    pl.DataFrame({"file": files, "pixel_size": sizes}).write_csv(path)
    return path


def test_intervals_and_corrected_predictions_are_columns(model: TrainedModel, cohort: Path) -> None:
    assert model.calibration is not None
    # One epoch has not taught it to follow the label.
    followed = 2 * model.calibration.prediction + 1
    model.calibration = dataclasses.replace(model.calibration, target=followed)
    plain = model.predict_table(cohort)
    found = model.predict_table(cohort, interval=0.8, correct_bias="cole")
    assert found.columns == [
        *plain.columns[:4], "lower", "upper", "corrected_prediction", *plain.columns[4:],
    ]  # fmt: skip
    assert found.select(plain.columns).equals(plain)
    known = found.filter(pl.col("prediction").is_not_null())
    calibration = model.calibration
    ends = prediction_intervals(calibration, known["prediction"], level=0.8)
    assert known["lower"].to_list() == ends.lower.tolist()
    assert known["upper"].to_list() == ends.upper.tolist()
    line = BiasLine.fit(calibration.target, calibration.prediction, calibration.patients)
    assert known["corrected_prediction"].to_numpy() == pytest.approx(
        (known["prediction"].to_numpy() - line.intercept) / line.slope
    )
    (gone,) = found.filter(pl.col("prediction").is_null()).to_dicts()
    assert [gone[n] for n in ("lower", "upper", "corrected_prediction")] == [None] * 3


@pytest.fixture
def both(folder: Path, discs: Dataset) -> TrainedModel:
    """The ensemble of its two networks."""
    return supremix.load(folder.parent, ensemble=True, dataset=discs)


def test_an_ensemble_predicts_the_mean_of_its_networks_with_their_spread(
    model: TrainedModel, both: TrainedModel, folder: Path, discs: Dataset, cohort: Path
) -> None:
    other = TrainedModel.load(folder / "networks" / "1", dataset=discs)
    tables = [one.predict_table(cohort) for one in (model, other)]
    each = np.array([one["prediction"].to_list()[:-1] for one in tables])
    found = both.predict_table(cohort)
    assert found.columns == [*tables[0].columns[:4], "spread", *tables[0].columns[4:]]
    known = found.head(each.shape[1])
    assert known["prediction"].to_numpy() == pytest.approx(each.mean(axis=0))
    assert known["spread"].to_numpy() == pytest.approx(each.std(axis=0, ddof=1))
    assert found["spread"].to_list()[-1] is None
    assert both.facts()["ensemble"] == "the mean of 2 networks"
    assert "ensemble" not in model.facts()


def test_an_ensemble_is_calibrated_by_the_mean_of_its_networks(both: TrainedModel) -> None:
    kept, found = both.kept, both.calibration
    assert kept is not None
    assert found is not None
    assert found.prediction == pytest.approx(kept.predictions.mean(axis=1))
    assert found.exact


def test_normalised_intervals_follow_the_spread_of_the_networks(
    both: TrainedModel, model: TrainedModel, cohort: Path
) -> None:
    found = both.predict_table(cohort, interval=0.8, interval_method="normalised")
    spread = found["spread"].to_numpy()[:-1]
    width = (found["upper"] - found["lower"]).to_numpy()[:-1]
    assert np.argsort(width).tolist() == np.argsort(spread).tolist()
    assert both.calibration is not None
    ratio = width / (spread + both.calibration.scale.floor)
    assert ratio == pytest.approx(np.full(len(ratio), ratio[0]))
    with pytest.raises(ModelInputError, match="predict with --ensemble"):
        model.predict_table(cohort, interval=0.8, interval_method="normalised")


def test_normalised_intervals_are_refused_of_a_model_that_was_trained_again(
    folder: Path, discs: Dataset, tmp_path: Path
) -> None:
    again = tmp_path / "best"
    shutil.copytree(folder, again)
    content = json.loads((folder / "calibration.json").read_text()) | {"predicted_by": "trials"}
    (again / "calibration.json").write_text(json.dumps(content))
    found = supremix.load(tmp_path, ensemble=True, dataset=discs)
    with pytest.raises(ModelInputError, match=r"trained again.*--no-test and --confirm-seeds 2"):
        found.predict_table("nowhere", interval=0.8, interval_method="normalised")
    assert found.calibration is not None
    assert found.calibration.predictions.shape[1] == 2


def test_an_ensemble_needs_several_networks_and_all_that_were_calibrated(
    folder: Path, discs: Dataset, tmp_path: Path
) -> None:
    one = folder / "networks" / "1"
    with pytest.raises(ModelError, match=r"network of one seed.*--test-seeds 2 or more"):
        supremix.load(one, ensemble=True, dataset=discs)
    shutil.copytree(folder, tmp_path / "best")
    shutil.copytree(one, tmp_path / "best" / "networks" / "2")
    with pytest.raises(ModelError, match="is of 2 networks, and the model has 3"):
        supremix.load(tmp_path, ensemble=True, dataset=discs)


def test_a_region_without_enough_patients_says_so_and_has_no_interval(
    model: TrainedModel, cohort: Path
) -> None:
    found = model.predict_table(cohort, interval=0.8, interval_method="mondrian")
    lacking = found.filter(pl.col("lower").is_null() & pl.col("prediction").is_not_null())
    assert (lacking["interval_note"].is_not_null()).all()
    assert found.filter(pl.col("lower").is_not_null())["interval_note"].null_count() > 0
    assert found["interval_note"].to_list()[-1] is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"interval": 0.999}, "needs 999 calibration patients"),
        ({"interval": 90}, "above 0 and below 1; found 90"),
        ({"interval": 0.8, "interval_method": "cqr"}, "found 'cqr'"),
        ({"correct_bias": "beheshti"}, "take cole, or measure the model on labelled images"),
        ({"correct_bias": "linear"}, "found 'linear'"),
    ],
)
def test_what_cannot_be_had_is_refused_before_an_image_is_read(
    model: TrainedModel, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelInputError, match=message):
        model.predict_table("nowhere", **asked)


def test_a_model_without_a_calibration_or_networks_says_what_is_needed(
    folder: Path, discs: Dataset
) -> None:
    alone = TrainedModel.load(folder / "networks" / "1", dataset=discs)
    assert alone.calibration is None
    with pytest.raises(ModelInputError, match=r"has no calibration .* end of a search"):
        alone.predict_table("nowhere", interval=0.8)
    content = (folder / "calibration.json").read_text()
    (folder / "networks" / "1" / "calibration.json").write_text(content)
    alone = TrainedModel.load(folder / "networks" / "1", dataset=discs)
    with pytest.raises(ModelInputError, match="--test-seeds 2 or more"):
        alone.predict_table("nowhere", interval=0.8, interval_method="normalised")
    damaged = json.dumps(json.loads(content) | {"format": 9})
    (folder / "networks" / "1" / "calibration.json").write_text(damaged)
    with pytest.raises(ModelError, match="format 2, found 9"):
        TrainedModel.load(folder / "networks" / "1", dataset=discs)
    (folder / "networks" / "1" / "calibration.json").unlink()
