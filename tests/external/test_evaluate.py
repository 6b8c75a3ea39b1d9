"""A model measured on patients of another hospital: labels, words, null models, and warnings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cohort_pictures import HERE, THERE, write
from sklearn.linear_model import LinearRegression

import supremix
from supremix.models import EncoderSpec
from supremix.training import ModelInputError, Task, TrialRun
from supremix_datasets import prepare
from supremix_reports import Calibration, LabelScale


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrialRun, Path]:
    """The folder of a model, its run, and the folder that it was trained on."""
    root = tmp_path_factory.mktemp("external")
    source = write(root / "here", 80)
    store = prepare("table", source, cache=root / "cache")
    task = Task(store=store.path, method="l1", encoder=EncoderSpec(width=4), epochs=2, threads=1)
    run = TrialRun(task, {"batch_size": 16})
    run.advance()
    run.advance()
    run.export(root / "run" / "best")
    return root / "run", run, source


@pytest.fixture(scope="module")
def found(trained: tuple[Path, TrialRun, Path]) -> supremix.Evaluation:
    gone = ["gone.png,60,p99,a,F,40", "00.png,,p98,a,F,40"]
    other = write(trained[0].parent / "there", 41, words=THERE, rows=gone)
    return supremix.evaluate(trained[0], "table", str(other), date="2026-01-31")


def test_errors_are_those_of_the_predictions(found: supremix.Evaluation) -> None:
    table, rows = found.predictions, {row["metric"]: row for row in found.mae.to_dicts()}
    error = table["prediction"] - table["target"]
    assert rows["mae"]["value"] == pytest.approx(error.abs().mean())
    assert rows["mae"]["n"] == table.height == 40
    assert rows["mae"]["groups"] == table["group"].n_unique() == 21
    assert rows["bias"]["value"] == pytest.approx(error.mean())
    line = LinearRegression().fit(table.select("prediction").to_numpy(), table["target"].to_numpy())
    assert rows["calibration_slope"]["value"] == pytest.approx(line.coef_[0])
    assert rows["calibration_intercept"]["value"] == pytest.approx(line.intercept_)
    assert rows["mae"]["low"] < rows["mae"]["value"] < rows["mae"]["high"]
    assert found.facts()["MAE"] == f"{rows['mae']['value']:.4g} mm"


def test_a_cohort_with_other_files_an_image_is_refused(
    trained: tuple[Path, TrialRun, Path], tmp_path: Path
) -> None:
    other = write(tmp_path / "other", 4)
    toml = (other / "dataset.toml").read_text()
    (other / "dataset.toml").write_text(toml + '[columns]\nfile = ["file", "id"]\n')
    (other / "labels.csv").write_text(
        "file,id,target,group,sex,age\n0.png,1.png,1,a,M,3\n1.png,2.png,2,b,M,3\n"
    )
    with pytest.raises(
        ModelInputError, match=r"takes 1 file\(s\) an image.* have 2\. Name as many"
    ):
        supremix.evaluate(trained[0], "table", str(other))


def test_null_models_are_those_of_the_training_data(
    found: supremix.Evaluation, trained: tuple[Path, TrialRun, Path]
) -> None:
    data = trained[1].data
    labels = data.store.targets[data.fit]
    assert found.predictions["null_prediction"].unique().to_list() == [np.median(labels)]
    same = trained[1].evaluate("val")
    own = supremix.evaluate(
        trained[0], "table", str(trained[2]), trained[0].parent / "same"
    ).predictions
    expected = dict(zip(same["id"], same["linear_prediction"], strict=True))
    for name, value in own.select("id", "linear_prediction").rows():
        assert name not in expected or value == pytest.approx(expected[name], rel=1e-5)
    assert {"null_mae", "linear_mae", "skill", "beyond_range"} <= set(found.mae["metric"])


def test_predictions_are_those_of_the_run(
    trained: tuple[Path, TrialRun, Path], tmp_path: Path
) -> None:
    found = supremix.evaluate(trained[0], "table", str(trained[2]), tmp_path / "out")
    rows = trained[1].evaluate("test")
    predicted = dict(found.predictions.select("id", "prediction").rows())
    for name, value in zip(rows["id"], rows["prediction"], strict=True):
        assert predicted[name] == pytest.approx(value, rel=1e-4)
    (warning,) = [text for text in found.warnings if "was trained on" in text]
    count = len(trained[1].data.fit)
    assert warning.startswith(f"The model was trained on {count} of the 80 images")


def test_categories_are_matched_by_their_words(
    found: supremix.Evaluation, trained: tuple[Path, TrialRun, Path], tmp_path: Path
) -> None:
    again = write(tmp_path / "there", 41, words=HERE)
    same = supremix.evaluate(trained[0], "table", str(again), tmp_path / "out").predictions
    both = found.predictions.join(same, on="id", suffix="_again")
    assert both.height == 40
    assert both["sex"].to_list() == both["sex_again"].to_list()
    for column in ("prediction", "linear_prediction"):
        assert both[column].to_list() == pytest.approx(both[f"{column}_again"].to_list(), rel=1e-5)
    assert set(found.predictions["sex"]) == {"M", "F"}
    assert same.filter(pl.col("age").is_null())["id"].to_list() == ["00"]


def test_everything_is_written(found: supremix.Evaluation) -> None:
    folder = Path(found.path)
    assert folder.parts[-3:] == ("run", "evaluations", "there")
    assert sorted(path.name for path in folder.iterdir()) == [
        "excluded.parquet", "mae.parquet", "predictions.parquet", "report.html", "shift.parquet",
        "summary.md", "warnings.json",
    ]  # fmt: skip
    assert pl.read_parquet(folder / "predictions.parquet").equals(found.predictions)
    assert json.loads((folder / "warnings.json").read_text()) == list(found.warnings)
    text = (folder / "summary.md").read_text()
    assert text.startswith("# l1 on there")
    for words in ("calibration slope", "Errors by site, sex and age", "the file is missing"):
        assert words in text
    assert "30 to 39" in text
    assert str(folder.parents[2]) not in text
    assert "Error by age" in (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def calibrated(trained: tuple[Path, TrialRun, Path]) -> Path:
    """The same model with its predictions on validation."""
    run = trained[1]
    folder = trained[0].parent / "calibrated"
    run.export(folder)
    rows = run.evaluate("val")
    columns = {name: rows[name].tolist() for name in ("id", "target", "prediction")}
    columns["group"] = columns["id"]  # more patients than there are
    scale = LabelScale.of(run.data.store.targets[run.data.fit])
    made = Calibration.of(pl.DataFrame(columns | {"seed": 0}), scale, "model")
    (folder / "calibration.json").write_text(json.dumps(made.to_dict()))
    return folder


def test_intervals_and_both_errors_of_a_correction_are_shown(
    calibrated: Path, tmp_path: Path
) -> None:
    there = write(tmp_path / "there", 41)
    found = supremix.evaluate(
        calibrated, "table", str(there), tmp_path / "out", interval=0.7, correct_bias="beheshti"
    )
    table = found.predictions
    covered = (table["lower"] <= table["target"]) & (table["target"] <= table["upper"])
    shares = table.with_columns(covered=covered).group_by("group").agg(pl.col("covered").mean())
    assert found.intervals is not None
    (row,) = found.intervals.to_dicts()
    assert row["coverage"] == pytest.approx(shares["covered"].mean())
    assert row["width"] == pytest.approx((table["upper"] - table["lower"]).mean())
    assert found.bias is not None
    before, after = found.bias.to_dicts()
    assert (before["correction"], after["correction"]) == ("none", "beheshti")
    error, fixed = (table[n] - table["target"] for n in ("prediction", "corrected_prediction"))
    assert before["mae"] == pytest.approx(error.abs().mean())
    assert after["mae"] == pytest.approx(fixed.abs().mean())
    (mae,) = found.mae.filter(found.mae["metric"] == "mae")["value"]
    assert mae == pytest.approx(before["mae"])  # never silently the corrected one
    for page in ("report.html", "summary.md"):
        text = (tmp_path / "out" / page).read_text()
        assert "Quote the uncorrected error" in text
        assert "0.7 prediction intervals" in text or "Coverage and mean width" in text
    kept = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"intervals.parquet", "bias_correction.parquet"} <= kept


def test_patients_unlike_those_of_the_calibration_are_warned_of(
    calibrated: Path, tmp_path: Path
) -> None:
    bright = write(tmp_path / "bright", 60, low=170)
    found = supremix.evaluate(calibrated, "table", str(bright), tmp_path / "out", interval=0.7)
    assert found.intervals is not None
    assert found.intervals["coverage_high"][0] < 0.7
    (warning,) = [text for text in found.warnings if "too narrow here" in text]
    assert warning.startswith("0.7 prediction intervals: ")


def test_intervals_without_a_calibration_are_refused(
    trained: tuple[Path, TrialRun, Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelInputError, match="has no calibration"):
        supremix.evaluate(trained[0], "table", str(trained[2]), tmp_path, interval=0.9)


def test_images_that_cannot_be_read_are_listed(found: supremix.Evaluation) -> None:
    assert dict(found.excluded.rows()) == {
        "gone": "the file is missing",
        "00": "the table lists this file 2 times with different values",
    }


def test_a_cohort_like_the_training_data_has_no_warning(found: supremix.Evaluation) -> None:
    assert found.warnings == () or all("missing files" in text for text in found.warnings)


def test_a_cohort_outside_of_the_training_data_has_warnings(
    trained: tuple[Path, TrialRun, Path], tmp_path: Path
) -> None:
    other = write(tmp_path / "odd", 30, low=110, brighter=60)
    found = supremix.evaluate(trained[0], "table", str(other), tmp_path / "out")
    text = "\n".join(found.warnings)
    assert "of the labels lie outside those of the training" in text
    assert "By their intensities, 30 of 30 images are unlike the training images" in text
    shift = {row["quantity"]: row for row in found.shift.to_dicts()}
    targets, labels = found.predictions["target"], trained[1].data
    known = labels.store.targets[labels.fit]
    assert shift["thickness"]["difference"] == pytest.approx(
        (targets.mean() - known.mean()) / known.std()
    )
    assert shift["intensity, percentile 50"]["difference"] > 1


def test_a_label_in_another_unit_is_refused(
    trained: tuple[Path, TrialRun, Path], tmp_path: Path
) -> None:
    other = write(tmp_path / "cm", 12, unit="cm")
    with pytest.raises(ModelInputError, match=r"predicts thickness in mm, .* thickness in cm"):
        supremix.evaluate(trained[0], "table", str(other), tmp_path / "out")


def test_a_table_without_a_unit_is_taken_to_have_the_models(
    trained: tuple[Path, TrialRun, Path], tmp_path: Path
) -> None:
    other = write(tmp_path / "none", 12)
    toml = other / "dataset.toml"
    toml.write_text(toml.read_text().replace('unit = "mm"\n', ""))
    found = supremix.evaluate(trained[0], "table", str(other), tmp_path / "out")
    assert found.warnings[0] == "The table names no unit: its labels are taken to be in mm."


def test_a_cohort_without_a_covariate_is_refused(
    trained: tuple[Path, TrialRun, Path], tmp_path: Path
) -> None:
    other = write(tmp_path / "bare", 12)
    (other / "dataset.toml").write_text('unit = "mm"\nshape = [16, 16]\n')
    with pytest.raises(ModelInputError, match=r"needs sex with each image, and 'bare' has no"):
        supremix.evaluate(trained[0], "table", str(other), tmp_path / "out")


def test_words_that_the_model_does_not_know_exclude_all(
    trained: tuple[Path, TrialRun, Path], tmp_path: Path
) -> None:
    other = write(tmp_path / "words", 12)
    toml, table = other / "dataset.toml", other / "labels.csv"
    toml.write_text(toml.read_text().replace(HERE, "{ w = 0, m = 1 }"))
    table.write_text(table.read_text().replace(",F,", ",w,").replace(",M,", ",w,"))
    with pytest.raises(ModelInputError, match=r"only 0 images .*sex must be M or F, found 'w'"):
        supremix.evaluate(trained[0], "table", str(other), tmp_path / "out")


def test_a_run_folder_is_not_written_over(
    trained: tuple[Path, TrialRun, Path], tmp_path: Path
) -> None:
    other = write(tmp_path / "there", 12)
    (tmp_path / "spec.json").write_text("{}")
    with pytest.raises(supremix.errors.ReportError, match="is the folder of a run"):
        supremix.evaluate(trained[0], "table", str(other), tmp_path)


def test_an_ensemble_has_tables_of_its_own(
    calibrated: Path, trained: tuple[Path, TrialRun, Path], tmp_path: Path
) -> None:
    """Of two networks, of which the second predicts as if images were less bright."""
    run, best = trained[1], tmp_path / "run" / "best"
    shutil.copytree(calibrated, best)
    kept = json.loads((calibrated / "calibration.json").read_text())
    kept["predictions"] = [[p[0], p[0] + 1] for p in kept["predictions"]]
    (best / "calibration.json").write_text(json.dumps(kept))
    run.export(best / "networks" / "1")
    description = json.loads((best / "networks" / "1" / "model.json").read_text())
    description["target"]["mean"] -= 20
    (best / "networks" / "1" / "model.json").write_text(json.dumps(description))
    there = str(write(tmp_path / "there", 41))
    one, other, both = (
        supremix.evaluate(folder, "table", there, tmp_path / out, **asked)
        for folder, out, asked in (
            (best, "one", {}),
            (best / "networks" / "1", "other", {}),
            (
                tmp_path / "run",
                "both",
                {"ensemble": True, "interval": 0.7, "interval_method": "normalised"},
            ),
        )
    )
    each = [found.predictions["prediction"].to_numpy() for found in (one, other)]
    table = both.predictions
    assert table["prediction"].to_numpy() == pytest.approx(np.mean(each, axis=0))
    assert table["spread"].to_numpy() == pytest.approx(np.std(each, axis=0, ddof=1))
    assert "spread" not in one.predictions.columns
    (mae,) = both.mae.filter(pl.col("metric") == "mae")["value"]
    assert mae == pytest.approx((table["prediction"] - table["target"]).abs().mean())
    assert both.intervals is not None
    (row,) = both.intervals.to_dicts()
    assert (row["interval"], row["exact"]) == ("normalised", True)
    assert row["width"] == pytest.approx((table["upper"] - table["lower"]).mean())
    assert "the mean of 2 networks" in (tmp_path / "both" / "summary.md").read_text()
