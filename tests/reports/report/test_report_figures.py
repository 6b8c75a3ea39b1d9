"""Reports with their page and figures: the same bytes again, nothing private, nothing left over."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest
from benchmark_folder import write_cell

from supremix_reports import TableError, read_table
from supremix_reports.document.text import section_markdown
from supremix_reports.figures.model.model import worst_cases
from supremix_reports.report.data import read_report_data
from supremix_reports.report.report import Options, write_report
from supremix_reports.report.sections.setup import setup_section
from supremix_reports.statistics.resampling.bootstrap import Resampling

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


def test_a_changed_list_of_files_leads_to_no_folder_and_to_no_bare_error(
    single: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    plain = Options(resamples=200, formats=("tex",))
    write_report([str(single)], str(out), plain)
    (out / "figures").mkdir()
    listed = ["figures/..", "figures/.", "tables/..", "../out"]
    (out / "report.json").write_text(json.dumps({"files": listed}))
    write_report([str(single)], str(out), plain)
    assert (out / "tables.tex").exists()

    (out / "report.json").write_text(json.dumps({"files": [1, None]}))
    with pytest.raises(TableError, match="is not the list of a report's files: 1 is not the name"):
        write_report([str(single)], str(out), plain)


def test_names_that_differ_in_punctuation_alone_keep_their_own_figures(tmp_path: Path) -> None:
    for dataset in ("hc18_v1", "hc18-v1"):
        write_cell(tmp_path / dataset, dataset=dataset, patients=8, trials=3)
    runs = [str(tmp_path / dataset) for dataset in ("hc18_v1", "hc18-v1")]
    options = Options(resamples=200, date="2026-01-31", formats=("md", "png"))
    written = write_report(runs, str(tmp_path / "report"), options)
    figures = [name for name in written.files if name.startswith("figures/")]
    text = (tmp_path / "report" / "report.md").read_text()
    shown = re.findall(r"\(figures/([^)]+)\)", text)

    assert len(shown) == len(set(shown)) == len(figures)
    assert [name for name in shown if "predicted" in name] == [
        "hc18-v1-supremix-predicted.png", "hc18-v1-supremix-predicted-2.png"
    ]  # fmt: skip


def test_the_worst_cases_without_ids_tell_no_site_no_sex_and_no_exact_label(single: Path) -> None:
    table = read_table(str(single), "predictions").with_columns(
        site=pl.lit("Leeds"), sex=pl.lit("F"), target=pl.col("target") + 12.3456
    )
    named, bare = (worst_cases(table, 5, ids=ids) for ids in (True, False))

    assert {"site", "sex"} <= set(named.columns)
    assert not {"site", "sex"} & set(bare.columns)
    for name in ("target", "prediction", "lowest", "highest", "error", "absolute_error"):
        assert bare[name].to_list() == [float(f"{value:.2g}") for value in named[name]]
    assert bare["target"].to_list() != named["target"].to_list()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"nodes": 3}, "- **nodes**: not readable"),
        ({"nodes": [None, {"CPU": "two", "memory": 2**31}]},
         "- **nodes**: not readable; CPUs not readable, 2 GiB"),
        ({"images": [1, 2]}, "not readable"),
        ({"images": {"train": "many"}}, "not readable"),
        ({"plan": "none"}, "- **plan**: not readable"),
        ({"copies": "many"}, "To repeat it"),
        ({"packages": ["torch"]}, "- **packages**: not readable"),
        ({"command": "kernel.py -f secret.json"},
         "The command of 1 of 1 runs, made from Python, is not recorded."),
    ],
)  # fmt: skip
def test_an_environment_of_another_shape_is_said_to_be_so(
    tmp_path: Path, environment: dict[str, object], words: str
) -> None:
    run = write_cell(tmp_path / "run", patients=6, trials=2, environment=environment)
    found = setup_section(
        read_report_data([str(run)], split="test", resampling=Resampling(resamples=100)),
        again="supremix report run",
        paths=False,
    )

    assert words in section_markdown(found)
    assert "secret" not in section_markdown(found)
