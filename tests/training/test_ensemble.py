"""The models of folds as one: the mean of their predictions, and who was trained on what."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import supremix
from supremix.models import EncoderSpec
from supremix.training import ModelInputError, Task, TrialRun
from supremix.training.artifacts.format import FOLDS as FOLDS_FILE
from supremix_datasets import Fold, Store, prepare
from supremix_reports import Calibration, LabelScale, run_layout

FOLDS, PICTURES = 2, 24


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensemble") / "own"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,target,group"]
    for k in range(PICTURES):
        Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8)).save(
            folder / f"{k:02d}.png"
        )
        rows.append(f"{k:02d}.png,{k + 1},p{k}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "dataset.toml").write_text("shape = [16, 16]\n")
    return folder


@pytest.fixture(scope="module")
def store(own: Path) -> Store:
    return prepare("table", str(own), cache=own.parent / "cache")


@pytest.fixture(scope="module")
def folds(own: Path, store: Store) -> Path:
    """The folder of a cross-validation with a model a fold, trained without its patients."""
    folder = own.parent / "run"
    for number in range(FOLDS):
        task = Task(
            store=store.path, method="l1", encoder=EncoderSpec(width=4), epochs=1, threads=1,
            fold=Fold(number=number, count=FOLDS), train_splits=("train", "val"), eval_split=None,
        )  # fmt: skip
        run = TrialRun(task, {"batch_size": 8})
        run.advance()
        run.export(str(folder / f"fold-{number}" / "best"))
    (folder / "folds.json").write_text(json.dumps({"runs": ["fold-0", "fold-1"]}))
    return folder


def test_the_prediction_is_the_mean_of_those_of_the_folds(folds: Path, own: Path) -> None:
    files = [str(own / f"{k:02d}.png") for k in range(3)]
    each = [supremix.load(folds / f"fold-{n}").predict(files) for n in range(FOLDS)]

    assert FOLDS_FILE == run_layout.FOLDS
    ensemble = supremix.load(folds)
    np.testing.assert_allclose(ensemble.predict(files), np.mean(each, axis=0))
    size = int(supremix.load(folds / "fold-0").facts()["parameters"].replace(",", ""))
    assert ensemble.facts()["parameters"] == f"{FOLDS * size:,}"


def test_a_cohort_has_the_mean_distances_and_knows_all_patients_of_the_training(
    folds: Path, own: Path
) -> None:
    each = [supremix.load(folds / f"fold-{n}").predict_table(own) for n in range(FOLDS)]
    table = supremix.load(folds).predict_table(own)

    for column in ("prediction", "feature_distance", "intensity_distance"):
        known = [one[column].to_numpy() for one in each]
        np.testing.assert_allclose(table[column].to_numpy(), np.mean(known, axis=0))
    assert sum(one["in_training"].sum() for one in each) == PICTURES * (FOLDS - 1)
    assert table["in_training"].all()
    predictions = [one["prediction"].to_numpy() for one in each]
    np.testing.assert_allclose(table["spread"].to_numpy(), np.std(predictions, axis=0, ddof=1))
    assert table.drop("spread").columns == each[0].columns


def test_an_ensemble_is_measured_against_the_means_of_its_null_models_and_all_training_images(
    folds: Path, own: Path, tmp_path: Path
) -> None:
    each = [supremix.load(folds / f"fold-{n}") for n in range(FOLDS)]
    found = supremix.evaluate(folds, "table", str(own), tmp_path / "out")

    medians = [one.description["training"]["null_models"]["median"] for one in each]
    assert medians[0] != medians[1]
    (null,) = set(found.predictions["null_prediction"])
    assert null == pytest.approx(np.mean(medians))
    (warning,) = [text for text in found.warnings if "was trained on" in text]
    assert warning.startswith(f"The model was trained on {PICTURES} of the {PICTURES} images")
    labels = np.arange(PICTURES) + 1.0
    shift = found.shift.row(0, named=True)
    assert shift["outside"] == 0.0
    facts = supremix.load(folds).description["training"]
    assert facts["models"] == FOLDS
    assert (facts["labels"]["percentiles"][0], facts["labels"]["percentiles"][-1]) == (1, PICTURES)
    # Two folds of one half each: all training images together are all images.
    assert facts["labels"]["mean"] == pytest.approx(labels.mean())
    assert facts["labels"]["sd"] == pytest.approx(labels.std())
    assert shift["training"] == facts["labels"]["mean"]
    assert (
        "12 images of 12 patients for each of 2 models"
        in (tmp_path / "out" / "summary.md").read_text()
    )


def test_predictions_out_of_fold_calibrate_the_ensemble_and_no_fold_alone_does(
    folds: Path, own: Path, tmp_path: Path
) -> None:
    shutil.copytree(folds, tmp_path / "run")
    rng = np.random.default_rng(1)
    rows = pl.DataFrame(
        {
            "id": [f"{k:02d}" for k in range(PICTURES)],
            "group": [f"p{k}" for k in range(PICTURES)],
            "seed": [0] * PICTURES,
            "target": np.arange(PICTURES) + 1.0,
            "prediction": np.arange(PICTURES) + rng.normal(size=PICTURES),
        }
    )
    scale = LabelScale.of(rows["target"])
    one = Calibration.of(rows.head(12), scale, "trials")
    for number in range(FOLDS):
        kept = tmp_path / "run" / f"fold-{number}" / "best" / "calibration.json"
        kept.write_text(json.dumps(one.to_dict()))

    with pytest.raises(ModelInputError, match="no calibration"):
        supremix.load(tmp_path / "run").predict_table(own, interval=0.9)
    rows.write_parquet(tmp_path / "run" / "predictions.parquet")
    ensemble = supremix.load(tmp_path / "run")
    assert ensemble.calibration is not None
    assert (ensemble.calibration.count, ensemble.calibration.exact) == (PICTURES, False)
    assert ensemble.calibration.scale == scale
    found = ensemble.predict_table(own, interval=0.9)
    half = np.sort(np.abs(rows["target"] - rows["prediction"]))[int(np.ceil(0.9 * 25)) - 1]
    assert (found["upper"] - found["prediction"]).to_list() == pytest.approx([half] * PICTURES)


def test_the_networks_of_all_seeds_are_members_and_their_spread_within_a_fold_scales_intervals(
    folds: Path, own: Path, tmp_path: Path
) -> None:
    """Two folds of two seeds; the further network of a fold is that of the other fold."""
    run = tmp_path / "run"
    shutil.copytree(folds, run)
    for number in range(FOLDS):
        other = folds / f"fold-{1 - number}" / "best"
        shutil.copytree(other, run / f"fold-{number}" / "best" / "networks" / "1")
    rng = np.random.default_rng(2)
    rows = pl.DataFrame(
        {
            "id": [f"{k:02d}" for k in range(PICTURES)] * 2,
            "group": [f"p{k}" for k in range(PICTURES)] * 2,
            "target": np.tile(np.arange(PICTURES) + 1.0, 2),
            "prediction": rng.normal(12, 3, 2 * PICTURES),
        }
    )
    rows.write_parquet(run / "predictions.parquet")
    kept = Calibration.of(rows, LabelScale.of(rows["target"]), "trials")
    (run / "fold-0" / "best" / "calibration.json").write_text(json.dumps(kept.to_dict()))

    ensemble = supremix.load(run)
    each = [supremix.load(folds / f"fold-{n}").predict_table(own) for n in range(FOLDS)]
    one, other = (table["prediction"].to_numpy() for table in each)
    found = ensemble.predict_table(own, interval=0.8, interval_method="normalised")
    assert len(ensemble.predictor.members) == 4
    np.testing.assert_allclose(found["prediction"].to_numpy(), (one + other) / 2)
    within = np.std([one, other], axis=0, ddof=1)
    np.testing.assert_allclose(
        found["spread"].to_numpy(), np.std([one, other, one, other], axis=0, ddof=1)
    )
    ratio = (found["upper"] - found["lower"]).to_numpy() / (within + kept.scale.floor)
    np.testing.assert_allclose(ratio, ratio[0])
