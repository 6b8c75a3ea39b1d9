"""`supremix report` and `supremix compare`, as they are typed, and in Python."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from benchmark_folder import write_cell
from upath import UPath

import supremix
from supremix import cli
from supremix.runs.folder import describe_environment
from supremix_reports import ReportError


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for method in ("l1", "supremix"):
        write_cell(tmp_path / method, method=method, patients=8, trials=4)
    return tmp_path


def said(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    with pytest.raises(SystemExit, match=str(code)):
        cli.main(words)
    out = capsys.readouterr()
    return out.out + out.err


def test_a_report_says_where_it_is_and_what_is_wrong(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(["report", str(store / "l1"), "--formats", "md, tex", "--title", "Mine"], capsys)

    assert "remark: l1, seeds: One seed only" in text
    assert f"the report is in {store / 'l1' / 'report'}: report.md, tables.tex" in text
    report = (store / "l1" / "report" / "report.md").read_text()
    assert report.startswith("# Mine\n")
    assert "supremix report l1 --title Mine --formats md,tex" in report


def test_a_report_of_several_runs_lies_here_unless_told(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store)
    written = supremix.report(["l1", "supremix"], formats=["md"], reference="supremix")

    assert written.path == str(store / "report")
    assert written.gains is not None
    assert written.gains["reference"].to_list() == ["supremix"]


def test_a_report_that_was_written_into_a_run_changes_nothing_of_the_next(store: Path) -> None:
    run = store / "l1"
    first = supremix.report(run, formats=["md"], date="2026-01-31")
    before = Path(first.path, "report.md").read_bytes()

    assert supremix.report(run, formats=["md"], date="2026-01-31").files == first.files
    assert Path(first.path, "report.md").read_bytes() == before


def test_a_report_at_a_remote_address(store: Path) -> None:
    written = supremix.report(store / "l1", "memory://reports/one", formats=["tex"])

    assert written.path == "memory://reports/one"
    for name in written.files:
        assert (UPath(written.path) / name).stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "nowhere"], "There is no folder of runs at"),
        (["report", "l1", "--formats", "docx"], "found docx"),
        (["report", "l1", "--reference", "rnc"], "There is no method 'rnc'"),
        (["report", "l1", "--out", "l1"], "holds spec.json"),
        (["compare", "l1"], "Differences need two runs"),
        (["compare", "l1", "supremix", "--split", "train"], "not 'train'"),
    ],
)
def test_what_cannot_be_done_is_said_with_code_2(
    words: list[str],
    message: str,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(store)

    assert message in said(words, capsys, code=2)


def test_a_comparison_shows_what_differs_as_a_table(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(["compare", str(store / "l1"), str(store / "supremix")], capsys)

    assert "Versions: nothing differs." in text
    assert "no verdict: one seed" in text
    assert "that of predicting the training median" in text
    assert "remark: supremix, seeds" in text


def test_a_comparison_is_written_for_scripts_and_papers(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(store / "l1"), str(store / "supremix")]
    told = json.loads(said(["compare", *runs, "--format", "json"], capsys))

    assert told == json.loads(json.dumps(supremix.compare(*runs).to_dict()))
    assert told["specification"] == {"method": ["l1", "supremix"]}
    assert "| method | l1 | supremix |" in said(["compare", *runs, "--format", "md"], capsys)


def test_an_unknown_format_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "none of table, md, json" in said(["compare", "a", "--format", "xml"], capsys, code=2)


def test_the_default_place_needs_a_run() -> None:
    with pytest.raises(ReportError, match="There is no folder of runs"):
        supremix.report("memory://nothing/here")


def test_the_command_of_a_run_is_kept_as_a_shell_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["/usr/bin/supremix", "search", "--source", "/home/John Smith/hc18", "--title", "it's"]
    monkeypatch.setattr(sys, "argv", words)

    assert shlex.split(describe_environment([])["command"]) == words
