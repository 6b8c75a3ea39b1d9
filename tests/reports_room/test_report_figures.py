"""Reports with their page and figures: the same bytes again, nothing private, nothing left over."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from benchmark_folder import write_cell

from supremix_reports.report import Options, write_report

DRAWN = Options(resamples=200, date="2026-01-31", formats=("html", "png", "pdf"))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cell(tmp_path_factory.mktemp("store") / "single", patients=12, trials=4)


@pytest.fixture(scope="module")
def drawn(single: Path) -> Path:
    write_report([str(single)], str(single.parent / "report"), DRAWN)
    return single.parent / "report"


def test_no_sample_patient_or_place_is_named_in_a_page_or_figure(single: Path, drawn: Path) -> None:
    private = re.compile(rf"image-0|patient-0|somebody|{re.escape(str(single.parent))}")
    for name, content in contents(drawn).items():
        assert private.search(content.decode("latin-1")) is None, name


def test_the_page_has_every_figure_with_its_words(drawn: Path) -> None:
    page = (drawn / "report.html").read_text()
    figures = {path.stem for path in (drawn / "figures").glob("*.png")}

    assert len(figures) > 5
    assert set(re.findall(r'<figure class="picture" id="fig-([^"]+)"', page)) == figures
    assert len(re.findall(r'role="img" aria-label="[^"]+"|<img [^>]*alt="[^"]+"', page)) == len(
        figures
    )


def test_a_report_made_again_has_the_same_bytes(single: Path, drawn: Path) -> None:
    before = contents(drawn)
    for name in before:
        (drawn / name).unlink()
    write_report([str(single)], str(drawn), DRAWN)

    assert contents(drawn) == before
    assert sum(name.endswith(".pdf") for name in before) > 5


def test_files_of_an_earlier_report_are_taken_away_and_no_others(single: Path, drawn: Path) -> None:
    (drawn / "notes.txt").write_text("mine")
    index = json.loads((drawn / "report.json").read_text())
    (drawn / "report.json").write_text(json.dumps({"files": [*index["files"], "notes.txt"]}))
    write_report([str(single)], str(drawn), Options(resamples=200, formats=("tex",)))

    left = set(contents(drawn))
    assert left == {"tables.tex", "report.json", "tables/mae.parquet", "notes.txt"}
