"""The runs of a report: joint trainings, other units, odd files, and how often files are read."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
from benchmark_folder import write_benchmark, write_cell

from supremix_reports import SchemaError, collect, read_table, write_table
from supremix_reports.catalog import lazy_tables as scanning
from supremix_reports.report.data import ReportData, read_report_data
from supremix_reports.report.differences import compare_runs
from supremix_reports.report.report import Options, write_report
from supremix_reports.report.sections.evidence import searched

QUICK = Options(resamples=100, comparing=200, date="2026-01-31", formats=("md",))


def write_joint(folder: Path, parts: Path, *datasets: str) -> Path:
    """A training on several datasets at once, and on each alone, as a run folder."""
    spec = {"joint": {name: {"method": "rnc"} for name in datasets}, "config": {}, "alone": True}
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps(spec))
    cells = [
        write_cell(parts / f"{folder.name}-{method}-{name}", run=folder.name, dataset=name,
                   method=method, patients=10, trials=2)
        for name in datasets
        for method in ("joint-rnc", "rnc")
    ]  # fmt: skip
    for table in ("curves", "predictions", "mae"):
        rows = [row for cell in cells for row in read_table(str(cell), table).to_dicts()]
        write_table(str(folder), table, rows)
    return folder


def changed(cell: Path, table: str, **columns: Any) -> None:
    rows = read_table(str(cell), table).with_columns(**columns)
    write_table(str(cell), table, rows.to_dicts())


def errors_of(data: ReportData) -> dict[tuple[str, str], float]:
    rows = data.mae.filter(pl.col("metric") == "mae")
    found = {(d, m): value for d, m, value in rows.select("dataset", "method", "value").iter_rows()}
    assert len(found) == rows.height
    return found


def test_each_model_of_a_joint_training_has_an_error_of_its_own(tmp_path: Path) -> None:
    folder = write_joint(tmp_path / "together", tmp_path / "parts", "brains", "hearts")
    predictions = read_table(str(folder), "predictions").filter(pl.col("split") == "test")

    data = read_report_data([str(folder)], split="test")

    assert data.datasets == ["brains", "hearts"]
    assert data.methods == ["joint-rnc", "rnc"]
    expected = {
        (dataset, method): part.select(
            (pl.col("prediction") - pl.col("target")).abs().mean()
        ).item()
        for (dataset, method), part in predictions.group_by(["dataset", "method"])
    }
    assert errors_of(data) == pytest.approx(expected)
    units = set(data.mae.select("dataset", "unit").iter_rows())
    assert units == set(read_table(str(folder), "mae").select("dataset", "unit").iter_rows())
    for entry in data.entries:
        assert data.curves(entry)["dataset"].unique().to_list() == [entry.run.dataset]
        assert data.predicted(entry)["method"].unique().to_list() == [entry.method]


def test_a_report_takes_joint_trainings_over_overlapping_datasets(tmp_path: Path) -> None:
    store, parts = tmp_path / "store", tmp_path / "parts"
    write_joint(store / "one", parts, "brains", "hearts")
    write_joint(store / "two", parts, "hearts", "lungs")
    write_cell(store / "search", dataset="brains", method="rnc", patients=10, trials=2)

    written = write_report([str(store)], str(tmp_path / "report"), QUICK)

    found = written.mae.filter(pl.col("metric") == "mae").select("dataset", "method").rows()
    labels = ("joint-rnc", "rnc")
    assert sorted(found) == sorted(
        [(d, f"{m} (one)") for d in ("brains", "hearts") for m in labels]
        + [(d, f"{m} (two)") for d in ("hearts", "lungs") for m in labels]
        + [("brains", "rnc (search)")]
    )
    assert written.gains is not None
    assert "brains+hearts" not in (tmp_path / "report" / "report.md").read_text()


def test_runs_are_compared_where_one_was_trained_jointly(tmp_path: Path) -> None:
    folder = write_joint(tmp_path / "together", tmp_path / "parts", "brains", "hearts")

    rows = compare_runs([str(folder)], resamples=100).errors

    assert [(row["dataset"], row["method"], row["against"]) for row in rows] == [
        ("brains", "joint-rnc", None),
        ("brains", "rnc", "together (joint-rnc on brains)"),
        ("hearts", "joint-rnc", None),
        ("hearts", "rnc", "together (joint-rnc on hearts)"),
    ]


def test_a_joint_training_without_results_is_told(tmp_path: Path) -> None:
    cell = write_cell(tmp_path / "cell", patients=6, trials=2)
    (tmp_path / "together").mkdir()
    spec = {"joint": {"brains": {"method": "rnc"}}, "config": {}}
    (tmp_path / "together" / "spec.json").write_text(json.dumps(spec))

    data = read_report_data([str(cell), str(tmp_path / "together")], split="test")

    assert list(errors_of(data)) == [("brains", "supremix")]
    assert "together" in {problem.run for problem in data.problems}


def test_a_run_in_another_unit_is_in_no_table(tmp_path: Path) -> None:
    first = write_cell(tmp_path / "first", method="l1", patients=10, trials=2)
    other = write_cell(tmp_path / "other", method="rnc", patients=10, trials=2)
    changed(other, "trials", unit=pl.lit("furlong"))
    changed(other, "mae", unit=pl.lit("furlong"), value=pl.lit(0.001))

    written = write_report([str(first), str(other)], str(tmp_path / "report"), QUICK)

    assert written.mae["run"].unique().to_list() == ["first"]
    assert "furlong" not in written.mae["unit"].to_list()
    assert any("its errors are left out" in problem.reason for problem in written.problems)
    data = read_report_data([str(first), str(other)], split="test")
    assert data.comparable_trials()["run"].unique().to_list() == ["first"]


def test_the_unit_of_a_run_without_trials_is_that_of_its_errors(tmp_path: Path) -> None:
    first = write_cell(tmp_path / "first", method="l1", patients=10, trials=2)
    other = write_cell(tmp_path / "other", method="rnc", patients=10, trials=2)
    (other / "trials.parquet").unlink()
    changed(other, "mae", unit=pl.lit("furlong"))

    data = read_report_data([str(first), str(other)], split="test")

    assert list(errors_of(data)) == [("brains", "l1")]


def test_an_error_that_follows_from_no_number_is_not_taken_as_written(tmp_path: Path) -> None:
    first = write_cell(tmp_path / "first", method="l1", patients=10, trials=2)
    other = write_cell(tmp_path / "other", method="rnc", patients=10, trials=2)
    hurt = pl.when(pl.col("split") == "test").then(float("inf")).otherwise(pl.col("prediction"))
    changed(other, "predictions", prediction=hurt)

    runs = [str(first), str(other)]

    assert read_report_data(runs, split="test").mae["run"].unique().to_list() == ["first"]
    assert read_report_data(runs, split="val").mae["run"].n_unique() == 2


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """By file how often it has been read whole; of files at remote addresses."""
    counts: Counter[str] = Counter()
    read = scanning.read_source

    def count(source: scanning.Source) -> pl.DataFrame:
        counts[source.address] += 1
        return read(source)

    monkeypatch.setattr(scanning, "read_source", count)
    return counts


@pytest.mark.parametrize("runs", [1, 6])
def test_a_file_is_not_read_more_often_where_there_are_more_runs(
    tmp_path: Path, counted: Counter[str], runs: int
) -> None:
    for number in range(runs):
        write_cell(tmp_path / f"{number}", method=f"m{number}", patients=4, trials=2)
    address = f"memory://{tmp_path.name}-{runs}"
    filesystem, path = fsspec.core.url_to_fs(address)
    filesystem.put(f"{tmp_path}/", f"{path}/", recursive=True)
    collect(address)
    checking = dict(counted)
    counted.clear()

    data = read_report_data([address], split="test")
    for entry in data.entries:
        assert data.trials(entry).height == 2
        assert data.curves(entry)["run"].unique().to_list() == [entry.run.name]

    again = {file: counted[file] - checking.get(file, 0) for file in counted}
    assert {file.rpartition("/")[2] for file in again} >= {"trials.parquet", "curves.parquet"}
    assert set(again.values()) <= {0, 1}


def test_the_table_of_one_run_is_its_part_of_the_whole(tmp_path: Path) -> None:
    bench = write_benchmark(tmp_path / "bench", methods=("l1", "rnc"), patients=4, trials=2)
    found = collect(str(bench))

    for run in found.runs:
        for name in ("trials", "curves", "measures"):
            whole = found.table(name).filter(pl.col("run") == run.name).collect()
            assert found.table_of(run.name, name).collect().equals(whole)
    assert found.table_of("nobody", "curves").collect().height == 0
    with pytest.raises(SchemaError, match="is one of trials, curves, measures; got 'predictions'"):
        found.table_of("bench/brains/l1", "predictions")


@pytest.mark.parametrize(
    ("text", "words"), [("{lr: 1", "are not JSON"), ("[1, 2]", "are no JSON object, but")]
)
def test_settings_that_cannot_be_read_are_told(tmp_path: Path, text: str, words: str) -> None:
    whole = write_cell(tmp_path / "whole", method="l1", patients=6, trials=2)
    odd = write_cell(tmp_path / "odd", method="rnc", patients=6, trials=2)
    changed(odd, "trials", config=pl.lit(text))

    write_report([str(odd)], str(tmp_path / "report"), QUICK)
    found = compare_runs([str(whole), str(odd)], resamples=100)

    assert words in (tmp_path / "report" / "report.md").read_text()
    assert any(p.run == "odd" and words in p.reason for p in found.problems)
    assert found.best_hyperparameters["lr"][1] is None


def test_a_range_with_an_end_that_is_a_text_is_shown_as_it_is() -> None:
    assert searched({"low": 0.5, "high": 8.0, "log": True}) == "0.5 to 8 (log)"
    assert searched({"low": "1e-4", "high": 1}) == "1e-4 to 1"


@pytest.mark.parametrize("odd", [None, 3, {"brains": 1}])
def test_a_benchmark_file_of_another_shape_is_taken(tmp_path: Path, odd: object) -> None:
    bench = write_benchmark(
        tmp_path / "bench", datasets=("brains",), methods=("l1",), patients=4, trials=2
    )
    index = json.loads((bench / "benchmark.json").read_text())
    (bench / "benchmark.json").write_text(json.dumps(index | {"datasets": odd, "reference": odd}))

    data = read_report_data([str(bench)], split="test")

    assert (data.methods, data.reference) == (["l1"], None)
