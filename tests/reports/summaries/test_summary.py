"""Frames and the summary: everything follows from the tables and the specification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.metrics import mean_absolute_error

import supremix_reports
from supremix_reports import (
    TableError,
    best_trial,
    config_text,
    mae_interval,
    mae_rows,
    ranked,
    read_table,
    seeds_interval,
    summary_markdown,
    trials_frame,
    write_summary,
    write_table,
)
from supremix_reports.document.markdown import duration

SPEC: dict[str, object] = {
    "dataset": "hc18",
    "method": "supremix",
    "trials": 5,
    "budget": None,
    "space": {
        "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
        "head": {"type": "choice", "options": ["finetune", "probe"]},
        "width": {"type": "fixed", "value": 128},
    },
}


def trial(number: int, state: str, error: float | None, **config: object) -> dict[str, Any]:
    return {
        "run": "r",
        "dataset": "hc18",
        "method": "supremix",
        "trial": number,
        "state": state,
        "error": error,
        "r2": 0.9,
        "epochs": 10,
        "steps": 40,
        "images_seen": 3000,
        "seconds": 30.0,
        "seed": 0,
        "replicate_of": None,
        "reason": "CUDA | out of\nmemory" if state == "failed" else None,
        "config": config_text({"lr": 1e-3 * (number + 1), "width": 128} | config),
        "unit": "mm",
        "convergence": "flattened" if state == "finished" else None,
    }


ROWS = [
    trial(0, "pruned", 3.0, head="probe"),
    trial(1, "failed", None, head="probe"),
    trial(2, "finished", 6.0, head="probe"),
    trial(3, "finished", 5.0, head="finetune", finetune_lr=1e-4),
    trial(4, "stopped", 4.0, head="probe"),
]


def prediction_rows(number: int, split: str = "val", seed: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "run": "r",
            "dataset": "hc18",
            "method": "supremix",
            "trial": number,
            "seed": seed,
            "split": split,
            "id": f"i{i}",
            "group": f"g{i // 2}",
            "target": float(i),
            "prediction": float(i + (i % 3) + seed),
        }
        for i in range(12)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    write_table(str(tmp_path), "trials", ROWS)
    return str(tmp_path)


@pytest.fixture
def trials(folder: str) -> pl.DataFrame:
    return read_table(folder, "trials")


def test_finished_trials_rank_before_those_that_ended_early(trials: pl.DataFrame) -> None:
    assert ranked(trials)["trial"].to_list() == [3, 2, 4, 0, 1]
    assert ranked(trials).columns == trials.columns


def test_the_best_trial(trials: pl.DataFrame) -> None:
    best = best_trial(trials)
    assert best is not None
    assert best["trial"] == 3
    early = best_trial(trials.filter(pl.col("state") != "finished"))
    assert early is not None
    assert early["trial"] == 4
    assert best_trial(trials.filter(pl.col("state") == "failed")) is None


def test_settings_become_columns(trials: pl.DataFrame) -> None:
    frame = trials_frame(trials)
    assert "config" not in frame.columns
    assert frame["config_lr"].to_list() == pytest.approx([1e-3, 2e-3, 3e-3, 4e-3, 5e-3])
    assert frame["config_head"].to_list() == ["probe", "probe", "probe", "finetune", "probe"]
    assert frame["config_finetune_lr"].to_list() == [None, None, None, 1e-4, None]
    assert frame["config_width"].dtype == pl.Int64


@pytest.mark.parametrize(
    ("values", "column", "dtype"),
    [
        ([1, 2.5, None], [1.0, 2.5, None], pl.Float64),
        ([True, False, None], [True, False, None], pl.Boolean),
        ([True, 1, "a"], ["true", "1", '"a"'], pl.String),
        ([None, None, None], [None, None, None], pl.Null),
    ],
)
def test_columns_take_the_type_of_their_values(
    values: list[object], column: list[object], dtype: Any
) -> None:
    frame = trials_frame(
        pl.DataFrame([trial(i, "finished", 1.0, x=v) for i, v in enumerate(values)])
    )
    assert frame["config_x"].to_list() == column
    assert frame["config_x"].dtype == dtype


def test_the_summary_says_first_that_a_model_shows_no_skill(tmp_path: Path) -> None:
    known = {"null_prediction": 30.0, "label_low": 0.0, "label_high": 50.0}
    rows = [row | known for row in prediction_rows(3) + prediction_rows(3, "test")]
    odd = [row | {"prediction": 90.0} if row["split"] == "test" else row for row in rows]
    write_table(str(tmp_path), "trials", ROWS)
    write_table(str(tmp_path), "predictions", odd)
    mae = mae_rows(read_table(str(tmp_path), "predictions"), unit="mm", resamples=50)
    write_table(str(tmp_path), "mae", mae)
    text = Path(write_summary(str(tmp_path), SPEC)).read_text()

    assert text.index("supremix on hc18 (test) shows no skill") < text.index("Best")
    assert "predictions beyond the possible labels, 0 to 50 mm" in text
    assert "| training median | " in text


def test_mae_rows_take_the_seeds_together(tmp_path: Path) -> None:
    rows = [row for seed in (0, 1) for row in prediction_rows(3, "test", seed)]
    write_table(str(tmp_path), "predictions", rows)
    predictions = read_table(str(tmp_path), "predictions")
    result = mae_rows(predictions, unit="mm", resamples=100)
    write_table(str(tmp_path), "mae", result)
    stored = read_table(str(tmp_path), "mae")
    assert stored["metric"].to_list() == ["mae", "rmse", "r2", "pearson"]
    first = stored.to_dicts()[0]
    expected = mean_absolute_error(predictions["target"], predictions["prediction"])
    assert first["value"] == pytest.approx(expected)
    assert first["low"] < first["value"] < first["high"]
    assert (first["n"], first["groups"], first["seeds"], first["split"]) == (12, 6, 2, "test")


def test_mae_rows_have_intervals_over_groups_and_seeds() -> None:
    table = pl.DataFrame([row for seed in (0, 1, 4) for row in prediction_rows(3, "test", seed)])
    found = mae_rows(table, unit="mm", resamples=100)[0]
    errors = (table["prediction"] - table["target"]).to_numpy().reshape(3, 12)
    judge = seeds_interval(errors, table["group"].to_numpy()[:12], resamples=100)
    assert (found["value"], found["low"], found["high"]) == (judge.value, judge.low, judge.high)
    pooled = mae_rows(table.with_columns(seed=pl.lit(0)), unit="mm", resamples=100)[0]
    assert judge.low < pooled["low"] < pooled["high"] < judge.high


def test_mae_rows_of_one_group_have_no_interval() -> None:
    rows = prediction_rows(0)[:2]
    result = mae_rows(pl.DataFrame(rows), unit="mm")
    assert [(row["low"], row["high"]) for row in result] == [(None, None)] * 4


class TestSummary:
    def test_is_written_from_the_folder(self, folder: str) -> None:
        address = write_summary(folder, SPEC)
        text = Path(address).read_text()
        assert address == f"{folder}/summary.md"
        assert text.startswith(
            "# supremix on hc18\n\n**Error of the best hyperparameters (trial 3): 5 mm** (least "
            "error of a single training on validation, optimistically biased)."
        )
        assert "5 trials (2 finished, 1 pruned, 1 stopped, 1 failed): 50 epochs, " in text
        assert "200 steps and 15,000 images seen in 2 min 30 s of training." in text

    def test_follows_from_its_inputs_alone(self, folder: str, trials: pl.DataFrame) -> None:
        assert Path(write_summary(folder, SPEC)).read_text() == summary_markdown(SPEC, trials)

    def test_best_hyperparameters_stand_with_what_was_searched(self, trials: pl.DataFrame) -> None:
        text = summary_markdown(SPEC, trials)
        assert "| lr | 0.004 | 0.0001 to 0.01 (log) |" in text
        assert "| head | finetune | finetune, probe |" in text
        assert "| width | 128 | – |" in text

    def test_the_ranking_shows_the_settings_that_vary(self, trials: pl.DataFrame) -> None:
        lines = summary_markdown(SPEC, trials).splitlines()
        start = lines.index(
            "| trial | state | error (mm) | R² | epochs | images seen | convergence | lr | head | "
            "finetune_lr |"
        )
        assert (
            lines[start + 2]
            == "| 3 | finished | 5 | 0.9 | 10 | 3000 | flattened | 0.004 | finetune | 0.0001 |"
        )
        second = "| 2 | finished | 6 | 0.9 | 10 | 3000 | flattened | 0.003 | probe | – |"
        assert lines[start + 3] == second
        assert lines[start + 5].startswith("| 0 | pruned")

    def test_a_failure_is_told_on_one_line(self, trials: pl.DataFrame) -> None:
        assert "| 1 | CUDA \\| out of memory |" in summary_markdown(SPEC, trials)

    def test_the_interval_is_that_of_the_best_trial(self, folder: str) -> None:
        rows = prediction_rows(3)
        write_table(folder, "predictions", rows)
        write_table(folder, "mae", mae_rows(pl.DataFrame(rows), unit="mm"))
        errors = [row["prediction"] - row["target"] for row in rows]
        interval = mae_interval(errors, [row["group"] for row in rows])
        text = Path(write_summary(folder, SPEC)).read_text()
        assert (
            "**Error of the best hyperparameters (trial 3): 1 mm** (least error of a single "
            f"training on validation, optimistically biased, 95% interval {interval.low:.4g} to "
            f"{interval.high:.4g})."
        ) in text
        assert "12 images of 6 groups" in text

    def test_the_hyperparameters_that_were_predicted_with_are_best(self, folder: str) -> None:
        write_table(folder, "predictions", prediction_rows(2))
        text = Path(write_summary(folder, SPEC)).read_text()
        assert "**Error of the best hyperparameters (trial 2): 6 mm**" in text

    def test_the_specification_lists_plain_values(self, trials: pl.DataFrame) -> None:
        text = summary_markdown(SPEC, trials)
        assert "| trials | 5 |\n| budget | none |\n" in text
        assert "| space |" not in text

    def test_long_lists_are_cut(self) -> None:
        many = pl.DataFrame([trial(i, "finished", float(i)) for i in range(14)])
        assert "and 4 more in `trials.parquet`." in summary_markdown({}, many)

    def test_a_run_without_trials(self, tmp_path: Path) -> None:
        write_table(str(tmp_path), "trials", [])
        text = Path(write_summary(str(tmp_path), SPEC)).read_text()
        assert text.startswith("# supremix on hc18\n\nNo trial has an error.")
        assert "0 trials (none ran)" in text

    def test_all_failed(self, trials: pl.DataFrame) -> None:
        text = summary_markdown(SPEC, trials.filter(pl.col("state") == "failed"))
        assert "No trial has an error." in text
        assert "## Failed trials" in text

    def test_a_folder_without_tables(self, tmp_path: Path) -> None:
        with pytest.raises(TableError, match="no table 'trials'"):
            write_summary(str(tmp_path), SPEC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_public_names_are_those_exported() -> None:
    names = supremix_reports.__all__
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(supremix_reports, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'mea_rows'"):
        _ = supremix_reports.mea_rows


def test_images_that_several_patients_have_are_told_once(folder: str) -> None:
    trials = read_table(folder, "trials")
    text = summary_markdown({**SPEC, "copies": "24 images occur twice."}, trials)

    assert text.count("24 images occur twice.") == 1
    assert "**24 images occur twice.**" in text
    assert "copies" not in summary_markdown({**SPEC, "copies": ""}, trials)
