"""Reports on made-up benchmarks: their numbers, their bytes, their privacy, and bad input."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmark_folder import write_benchmark, write_cell

from supremix_reports import ReportError, TableError, read_table, write_table
from supremix_reports.document.markdown import cell
from supremix_reports.report.report import Options, WrittenReport, write_report

QUICK = Options(resamples=200, comparing=400, date="2026-01-31", formats=("md", "tex"))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets, two methods, three seeds, told apart by a mile."""
    folder = tmp_path_factory.mktemp("store") / "bench"
    return write_benchmark(
        folder, methods=("supremix", "slow"), reference="slow", patients=30, trials=4
    )


@pytest.fixture(scope="module")
def written(bench: Path) -> WrittenReport:
    return write_report([str(bench)], str(bench / "report"), QUICK)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cell(tmp_path_factory.mktemp("store") / "single", patients=12, trials=4)


def test_the_errors_are_those_of_the_predictions(bench: Path, written: WrittenReport) -> None:
    table = written.mae.filter(pl.col("metric") == "mae")
    for row in table.iter_rows(named=True):
        predictions = read_table(str(bench / row["dataset"] / row["method"]), "predictions")
        test = predictions.filter(pl.col("split") == "test")
        error = np.abs(test["prediction"].to_numpy() - test["target"].to_numpy()).mean()

        assert row["value"] == pytest.approx(error)
        assert row["low"] < row["value"] < row["high"]
        assert (row["seeds"], row["groups"]) == (3, 30)
        assert f"{row['value']:.2f}" in (bench / "report" / "report.md").read_text()
    assert table.height == 4


def test_every_method_is_compared_with_the_reference(bench: Path, written: WrittenReport) -> None:
    assert written.gains is not None
    assert written.gains.select("dataset", "method", "reference").rows() == [
        ("brains", "supremix", "slow"),
        ("hearts", "supremix", "slow"),
    ]
    text = (bench / "report" / "report.md").read_text()
    counts = r"supremix against slow: .*on \d.* of 2 datasets; mean gain \+\d"
    assert re.search(counts, text)


def test_models_without_skill_are_named_before_anything_is_compared(tmp_path: Path) -> None:
    bench = write_benchmark(
        tmp_path / "bench", datasets=("brains",), methods=("rnc", "l1"), patients=20, trials=4
    )
    for method in ("rnc", "l1"):
        folder = str(bench / "brains" / method)
        odd = read_table(folder, "predictions").with_columns(prediction=pl.col("prediction") + 60)
        write_table(folder, "predictions", odd.to_dicts())
    write_report([str(bench)], str(tmp_path / "report"), QUICK)
    text = (tmp_path / "report" / "report.md").read_text()

    said = [text.index(f"{method} on brains (test) shows no skill") for method in ("rnc", "l1")]
    assert max(said) < text.index("rnc against l1: without a verdict on 1 of 1 dataset")
    assert re.search(r"l1 on brains \(test\) has \d+ of 90 predictions beyond the possible", text)
    assert "| Skill |" in text
    assert "**" not in text[text.index("Mean absolute error on test") :].split("\n\n")[1]


def test_methods_stand_in_the_order_of_the_benchmark(bench: Path, written: WrittenReport) -> None:
    text = (bench / "report" / "report.md").read_text()

    assert text.startswith("# supremix, slow on brains, hearts\n")
    assert "| Dataset | Unit | supremix | slow | Training median | Patients |" in text


def test_the_files_are_those_that_are_listed(bench: Path, written: WrittenReport) -> None:
    assert set(contents(bench / "report")) == set(written.files)
    assert set(written.files) == {
        "report.md", "tables.tex", "report.json",
        "tables/mae.parquet", "tables/gains.parquet", "tables/ranks.parquet",
    }  # fmt: skip
    assert read_table(str(bench / "report" / "tables"), "gains").height == 2


def test_what_was_done_can_be_read_in_the_report(bench: Path, written: WrittenReport) -> None:
    text = (bench / "report" / "report.md").read_text()

    for words in (
        "supremix search --dataset brains --source brains --method slow",
        "supremix report bench --formats md,tex",
        "- **torch**: 2.13.0",
        "2 CPUs, 16 GiB",
        "| bench/brains/slow | brains | slow | 4 | 1 | 0 | 14 | 28 s | 60 | 20 | 20 | 0, 1, 2 |",
        "Holm 1979",
    ):
        assert words in text


def test_no_sample_patient_or_place_is_named_unless_asked_for(
    bench: Path, written: WrittenReport
) -> None:
    private = re.compile(rf"image-0|patient-0|somebody|{re.escape(str(bench.parent))}")
    for name, content in contents(bench / "report").items():
        assert private.search(content.decode("latin-1")) is None, name


def test_samples_and_places_are_named_where_asked_for(single: Path, tmp_path: Path) -> None:
    asked = replace(QUICK, ids=True, paths=True)
    write_report([str(single)], str(tmp_path), asked)
    text = (tmp_path / "report.md").read_text()

    assert "image-0-test" in text
    assert "--source /home/somebody/brains" in text
    assert "--ids --paths" in text


def damage(bench: Path) -> Path:
    """A benchmark with everything wrong with it that there can be."""
    write_benchmark(bench, datasets=("brains",), methods=("l1", "b", "c", "d", "e", "f"), seeds=2,
                    patients=8, trials=4)  # fmt: skip
    index = json.loads((bench / "benchmark.json").read_text())
    index["methods"].append("missed")
    (bench / "benchmark.json").write_text(json.dumps(index))
    cells = {name: bench / "brains" / name for name in "bcdef"}
    for half in ("trials", "curves", "predictions", "mae", "measures"):
        (cells["b"] / f"{half}.parquet").unlink()
    data = (cells["c"] / "trials.parquet").read_bytes()
    (cells["c"] / "trials.parquet").write_bytes(data[: len(data) // 2])
    rows = read_table(str(cells["d"]), "predictions").to_dicts()
    write_table(str(cells["d"]), "predictions", [r | {"prediction": 50.0} for r in rows])
    rows = read_table(str(cells["e"]), "predictions").to_dicts()
    write_table(str(cells["e"]), "predictions", [r for r in rows if r["seed"] == 0])
    rows = read_table(str(cells["f"]), "predictions").with_columns(
        prediction=pl.when(pl.col("id").str.ends_with("-003-0"))
        .then(float("inf"))
        .otherwise(pl.col("prediction"))
    )
    write_table(str(cells["f"]), "predictions", rows.to_dicts())
    return bench


def test_nothing_that_is_wrong_is_dropped_in_silence(tmp_path: Path) -> None:
    bench = damage(tmp_path / "bench")
    written = write_report([str(bench)], str(tmp_path / "report"), QUICK)
    text = (tmp_path / "report" / "report.md").read_text()

    assert {p.run.rpartition("/")[2] for p in written.problems} >= {*"bcdef", "missed"}
    assert all(cell(problem.reason) in text for problem in written.problems)
    shown = written.mae.filter(pl.col("metric") == "mae")["method"].to_list()
    assert {"l1", "c", "d", "e"} <= set(shown)
    assert written.gains is not None
    notes = dict(written.gains.select("method", "note").iter_rows())
    assert notes["e"].startswith("one seed")
    assert notes["d"].startswith("all predictions equal")
    assert written.gains.filter(pl.col("method").is_in(["d", "e"]))["significant"].to_list() == [
        None,
        None,
    ]


def test_two_runs_of_a_method_on_a_dataset_stay_two(single: Path, tmp_path: Path) -> None:
    other = write_cell(tmp_path / "again", patients=12, trials=4)
    written = write_report([str(single), str(other)], str(tmp_path / "report"), QUICK)

    methods = written.mae["method"].unique(maintain_order=True).to_list()
    assert methods == ["supremix (single)", "supremix (again)"]


def test_two_benchmarks_have_a_column_each(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_benchmark(tmp_path / name, methods=("l1",), seeds=1, patients=6, trials=2)
    written = write_report([str(tmp_path)], str(tmp_path / "r"), replace(QUICK, formats=("tex",)))

    found = written.mae.filter(pl.col("metric") == "mae").select("dataset", "method").rows()
    assert found == [(d, f"l1 ({b})") for b in "ab" for d in ("brains", "hearts")]


def test_one_method_is_compared_with_nothing(single: Path, tmp_path: Path) -> None:
    written = write_report([str(single)], str(tmp_path), replace(QUICK, split="val"))

    assert written.gains is None
    assert "Comparison of the methods" not in (tmp_path / "report.md").read_text()
    assert written.mae["split"].unique().to_list() == ["val"]


def test_what_cannot_be_asked_for_is_refused(single: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no method 'rnc' to compare with. Methods: supremix"):
        write_report([str(single)], str(tmp_path / "r"), replace(QUICK, reference="rnc"))
    with pytest.raises(ReportError, match=r"holds spec\.json"):
        write_report([str(single)], str(single), QUICK)
    with pytest.raises(ReportError, match="found docx"):
        Options(formats=("html", "docx"))
    with pytest.raises(ReportError, match="found 'train'"):
        Options(split="train")


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="There is no run to report on"):
        write_report([str(tmp_path)], str(tmp_path / "report"), QUICK)
    assert not (tmp_path / "report").exists()
