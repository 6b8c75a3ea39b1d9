"""The tables of a benchmark: made from its runs, whatever became of some of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from supremix_reports import (
    MethodRun,
    compare_methods,
    config_text,
    mae_rows,
    read_table,
    seeds_interval,
    write_benchmark,
    write_table,
)

SEEDS = (0, 1, 2)


def run(
    folder: Path, dataset: str, method: str, shift: float, *, size: int = 20, seeds: Any = SEEDS
) -> MethodRun:
    """A run with predictions that are `shift` wrong, more or less, by every seed."""
    place = folder / dataset / method
    rng = np.random.default_rng(len(method))
    common = {"run": f"b/{dataset}/{method}", "dataset": dataset, "method": method, "trial": 0}
    trial = {
        **common, "state": "finished", "error": shift, "epochs": 2, "seconds": 1.0, "seed": 0,
        "config": config_text({}), "unit": "mm",
    }  # fmt: skip
    samples = [
        {
            **common, "seed": seed, "split": "test", "id": f"s{k:02d}", "group": f"g{k // 2}",
            "target": float(k), "prediction": k + shift + rng.normal(),
        }
        for seed in seeds
        for k in range(size)
    ]  # fmt: skip
    write_table(str(place), "trials", [trial])
    write_table(str(place), "predictions", samples)
    write_table(str(place), "mae", mae_rows(read_table(str(place), "predictions"), unit="mm"))
    return read(folder, dataset, method)


def read(folder: Path, dataset: str, method: str, reason: str | None = None) -> MethodRun:
    return MethodRun.read(
        str(folder), dataset=dataset, method=method, run=f"{dataset}/{method}", unit="mm",
        reason=reason,
    )  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> list[MethodRun]:
    return [
        run(tmp_path, dataset, method, shift)
        for dataset in ("a", "b")
        for method, shift in (("ours", 3.0), ("l1", 5.0))
    ]


def test_they_follow_from_the_predictions(tmp_path: Path, runs: list[MethodRun]) -> None:
    write_benchmark(str(tmp_path), runs, reference="l1")
    every: Any = pl.concat([one.predictions for one in runs if one.predictions is not None])
    expected = compare_methods(every, reference="l1", units={"a": "mm", "b": "mm"})
    assert read_table(str(tmp_path), "gains").equals(expected)
    rows = read_table(str(tmp_path), "comparison").filter(dataset="a").to_dicts()
    assert [row["method"] for row in rows] == ["ours", "l1"]
    assert [row["n"] for row in rows] == [20, 20]  # samples, whatever the number of seeds
    one = every.filter(dataset="a", method="l1")
    interval = seeds_interval(one["prediction"] - one["target"], one["group"], one["seed"])
    assert (rows[1]["test"], rows[1]["test_low"]) == (interval.value, interval.low)
    gain = compare_methods(every.filter(dataset="a"), reference="ours").to_dicts()[0]
    assert rows[1]["difference"] == pytest.approx(gain["difference"])
    assert (rows[1]["difference_low"], rows[1]["difference_high"]) == (
        gain["difference_low"],
        gain["difference_high"],
    )


def test_a_method_without_a_result_has_a_row_with_the_reason(
    tmp_path: Path, runs: list[MethodRun]
) -> None:
    failed = read(tmp_path, "c", "ours", reason="all 2 trials failed")
    write_benchmark(str(tmp_path), [*runs, failed], reference="l1")
    table = read_table(str(tmp_path), "comparison").filter(dataset="c")
    assert table["reason"].to_list() == ["all 2 trials failed"]


def test_without_a_result_of_the_reference_no_gain_is_told(tmp_path: Path) -> None:
    runs = [run(tmp_path, "a", "ours", 3.0), read(tmp_path, "a", "l1", reason="it failed")]
    write_benchmark(str(tmp_path), runs, reference="l1")
    (row,) = read_table(str(tmp_path), "gains").to_dicts()
    assert (row["method"], row["gain"], row["note"]) == (
        "ours", None, "the reference has no result",
    )  # fmt: skip


def test_methods_tested_on_other_samples_are_shown_and_not_compared(tmp_path: Path) -> None:
    runs = [run(tmp_path, "a", "ours", 3.0), run(tmp_path, "a", "l1", 5.0, size=18)]
    write_benchmark(str(tmp_path), runs, reference="l1")
    table = read_table(str(tmp_path), "comparison")
    assert table["difference"].to_list() == [None, None]
    assert table["test"].null_count() == 0
    (row,) = read_table(str(tmp_path), "gains").to_dicts()
    assert row["gain"] is None
    assert "other samples" in row["note"]


def test_a_method_with_one_seed_is_compared_without_a_verdict(tmp_path: Path) -> None:
    runs = [run(tmp_path, "a", "ours", 3.0), run(tmp_path, "a", "l1", 5.0, seeds=(0,))]
    write_benchmark(str(tmp_path), runs, reference="l1")
    (row,) = read_table(str(tmp_path), "gains").to_dicts()
    assert row["gain"] > 0
    assert row["significant"] is None
    assert "one seed" in row["note"]
