"""What a report begins with: one number in large type, or the table of errors of several runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from benchmark_folder import write_benchmark, write_cell

from supremix_reports import collect, read_table, write_table
from supremix_reports.document.parts import Headline, Picture, Section, Table
from supremix_reports.document.text import section_markdown
from supremix_reports.report.data import ReportData, choose_reference, read_report_data
from supremix_reports.report.report import Options, write_report
from supremix_reports.report.sections.comparison import NO_OTHER, compare_report_data
from supremix_reports.report.sections.first_screen import first_section
from supremix_reports.statistics.resampling.bootstrap import Resampling

FEW = Resampling(resamples=200)
CARD: dict[str, Any] = {"name": "brains", "target": "age", "unit": "years"}


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store") / "single"
    return write_cell(folder, patients=39, trials=4, environment={"data": {"card": CARD}})


def first(*addresses: Path, split: str = "test") -> tuple[ReportData, Section]:
    data = read_report_data([str(a) for a in addresses], split=split, resampling=FEW)
    compared = compare_report_data(data, choose_reference(data, None), FEW)
    return data, first_section(data, compared, data.problems)


def test_one_run_begins_with_its_error_patients_median_predictor_and_r2(single: Path) -> None:
    data, section = first(single)
    rows = {row["metric"]: row for row in data.mae.to_dicts()}
    headline = section.parts[0]

    assert isinstance(headline, Headline)
    assert headline.title == "Mean absolute error of the age on test"
    assert headline.text == f"MAE {rows['mae']['value']:.2f} years"
    ends = f"{rows['mae']['low']:.2f} to {rows['mae']['high']:.2f}"
    assert headline.detail == f"95 % interval {ends}, over patients"
    facts = {name: cell.whole for name, cell in headline.facts}
    assert list(facts) == ["Patients", "Median predictor", "R²"]
    assert facts["Patients"] == "39 (58 images)"
    assert facts["Median predictor"] == f"{rows['null_mae']['value']:.2f} years"
    assert facts["R²"].startswith(f"{rows['r2']['value']:.2f} (")


def test_the_verdict_is_one_sentence_with_the_same_words_either_way(
    single: Path, tmp_path: Path
) -> None:
    text = section_markdown(first(single)[1])
    assert text.count("shows skill: its error is") == 1

    bad = write_cell(tmp_path / "bad", patients=20, trials=4)
    odd = read_table(str(bad), "predictions").with_columns(prediction=pl.lit(50.0))
    write_table(str(bad), "predictions", odd.to_dicts())
    text = section_markdown(first(bad)[1])
    assert text.count("shows no skill: its error is") == 1


def test_several_runs_begin_with_the_table_of_errors_and_say_what_it_shows(
    tmp_path: Path,
) -> None:
    bench = write_benchmark(tmp_path / "bench", methods=("rnc", "l1"), patients=12, trials=4)
    _, section = first(bench)
    text = section_markdown(section)

    table = section.parts[0]
    assert isinstance(table, Table)
    assert (table.name, len(table.rows)) == ("errors", 2)
    assert text.index("| brains |") < text.index("rnc against l1: ")


def test_a_single_method_has_no_comparison_that_is_empty(single: Path, tmp_path: Path) -> None:
    data = read_report_data([str(single)], split="test", resampling=FEW)
    assert compare_report_data(data, None, FEW) == NO_OTHER

    options = Options(resamples=200, date="2026-01-31", formats=("html", "md"))
    write_report([str(single)], str(tmp_path), options)
    for name in ("report.html", "report.md"):
        assert "Comparison of the methods" not in (tmp_path / name).read_text()


def test_the_scatter_is_next_to_the_number_and_nowhere_else(single: Path, tmp_path: Path) -> None:
    options = Options(resamples=200, date="2026-01-31", formats=("html", "md"))
    write_report([str(single)], str(tmp_path), options)
    page = (tmp_path / "report.html").read_text()

    assert page.count('id="fig-brains-supremix-predicted"') == 1
    begin = page.index('class="first beside"')
    assert begin < page.index("fig-brains-supremix-predicted") < page.index('id="errors"')
    assert "true age (years)" in page
    assert "Bias along the age" in page
    text = (tmp_path / "report.md").read_text()
    assert text.index("Mean absolute error of the age on test: **MAE ") < text.index("## Errors")


def test_one_seed_is_a_remark_and_no_problem(single: Path, tmp_path: Path) -> None:
    found = collect(str(single)).problems
    assert [(p.what, p.remark) for p in found] == [("seeds", True)]
    assert "problem" not in section_markdown(first(single)[1])

    options = Options(resamples=200, date="2026-01-31", formats=("md",))
    written = write_report([str(single)], str(tmp_path), options)
    text = (tmp_path / "report.md").read_text()
    assert [p.remark for p in written.problems] == [True]
    assert "No problem was found." in text
    assert "What limits the results though nothing is wrong." in text


@pytest.mark.parametrize("asked", [False, True])
def test_a_run_without_a_test_is_a_problem_only_where_one_was_asked_for(
    single: Path, tmp_path: Path, asked: bool
) -> None:
    folder = write_cell(tmp_path / "run", patients=12, trials=4, spec={"test": asked})
    rows = read_table(str(folder), "predictions").filter(pl.col("split") == "val")
    write_table(str(folder), "predictions", rows.to_dicts())

    (found,) = (p for p in collect(str(folder)).problems if p.what == "predictions")
    assert found.remark is not asked


def test_runs_without_a_test_are_reported_on_validation(tmp_path: Path) -> None:
    folder = write_cell(tmp_path / "run", patients=12, trials=4, spec={"test": False})
    rows = read_table(str(folder), "predictions").filter(pl.col("split") == "val")
    write_table(str(folder), "predictions", rows.to_dicts())
    options = Options(resamples=200, date="2026-01-31", formats=("html", "md"))
    write_report([str(folder)], str(tmp_path / "report"), options)
    text = (tmp_path / "report" / "report.md").read_text()

    assert "Mean absolute error of the label on validation: **MAE " in text
    assert "| Case |" in text


def test_problems_come_before_remarks_and_are_counted_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_cell(tmp_path / "runs" / name, patients=12, trials=4)
    (tmp_path / "runs" / "a" / "mae.parquet").unlink()
    (tmp_path / "runs" / "b" / "space.json").write_text(json.dumps([1]))
    options = Options(resamples=200, date="2026-01-31", formats=("md",))
    written = write_report([str(tmp_path / "runs")], str(tmp_path / "report"), options)
    text = (tmp_path / "report" / "report.md").read_text()

    assert [p.remark for p in written.problems] == [False, False, True, True]
    assert "2 problems were found in the runs" in text
    assert text.index("holds no JSON object") < text.index("One seed only")


@pytest.mark.parametrize("copies", [{"images": 24, "apart": 14}, {"images": 24}, "many"])
def test_images_of_several_patients_in_several_splits_are_a_problem(
    tmp_path: Path, copies: Any
) -> None:
    folder = write_cell(tmp_path / "run", patients=6, trials=2, environment={"copies": copies})
    found = [p for p in first(folder)[0].problems if p.what == "copies"]
    assert [p.remark for p in found] == ([False] if "apart" in copies else [])
    assert all("24 images occur under more than one patient" in p.reason for p in found)


def test_without_an_error_the_report_begins_with_why(tmp_path: Path) -> None:
    folder = write_cell(tmp_path / "run", patients=12, trials=4)
    for name in ("predictions", "mae"):
        (folder / f"{name}.parquet").unlink()
    data, section = first(folder)

    assert data.mae.is_empty()
    assert section_markdown(section).startswith(
        "## Result\n\n> No run has an error on test: see Problems."
    )
    assert not any(isinstance(part, Picture) for part in section.parts)


def with_long_curves(folder: Path) -> Path:
    """Give the trials of a run 60 epochs under a constant rate whose error still falls."""
    trials = read_table(str(folder), "trials").with_columns(
        config=pl.lit(json.dumps({"schedule": "constant"})), epochs=pl.lit(60, pl.Int32)
    )
    write_table(str(folder), "trials", trials.to_dicts())
    first = read_table(str(folder), "curves").unique("trial", keep="first")
    rows = [
        {**row, "epoch": k + 1, "error": 2 + 10 * (k + 1) ** -0.5}
        for row in first.to_dicts()
        for k in range(60)
    ]
    write_table(str(folder), "curves", rows)
    return folder


def test_a_training_that_still_falls_is_said_with_the_command_that_goes_on(tmp_path: Path) -> None:
    folder = with_long_curves(write_cell(tmp_path / "single", patients=12, trials=4))
    text = section_markdown(first(folder)[1])

    assert "The best training of supremix on brains has not flattened: the error on " in text
    assert "To train longer: supremix search " in text
    assert str(tmp_path) not in text


def test_of_several_runs_those_that_have_not_flattened_are_named(tmp_path: Path) -> None:
    bench = write_benchmark(
        tmp_path / "bench", datasets=("brains",), methods=("rnc", "l1"), patients=12, trials=4
    )
    with_long_curves(bench / "brains" / "l1")
    text = section_markdown(first(bench)[1])

    assert (
        "Not shown to have flattened: rnc on brains (cannot be said), l1 on brains (still" in text
    )
