"""What a report says of patients, of the model in words, and which guidelines it answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmark_folder import write_benchmark, write_cell

from supremix_reports import read_table, write_table
from supremix_reports.document.html import render_html
from supremix_reports.document.parts import Flow, Report, Section, Table
from supremix_reports.document.text import section_markdown
from supremix_reports.report.data import ReportData, read_report_data
from supremix_reports.report.sections.cohort import cohort_section
from supremix_reports.report.sections.guidelines import (
    CLAIM,
    NOT_REPORTED,
    TRIPOD,
    guidelines_section,
)
from supremix_reports.report.sections.model_words import model_listing
from supremix_reports.statistics.resampling.bootstrap import Resampling

CARD: dict[str, Any] = {
    "name": "brains", "target": "age", "unit": "years", "modality": "T1-weighted MRI",
    "label_range": [18.0, 110.0], "shape": [24, 32, 24], "spacing": [2.0, 2.0, 2.5],
    "channels": 1, "period": None, "intensity": "foreground", "target_transform": "none",
    "covariates": [
        {"name": "sex", "words": [["female", 0.0], ["male", 1.0]], "default": 0.5, "log": False},
        {"name": "height", "doc": "m", "log": True, "words": [], "default": None},
    ],
    "augmentation": {"rotation_deg": 8.0, "scale": 0.1, "flip_axes": [0], "gamma": 0.0},
}  # fmt: skip


def cohort(dataset: str = "brains", **excluded: int) -> list[dict[str, Any]]:
    source = {"run": "any", "dataset": dataset}
    rows: list[dict[str, Any]] = []
    for split, n in (("train", 1200), ("val", 20), ("test", 20), (None, 1240)):
        own = {**source, "split": split, "n": n, "groups": n // 2}
        numbers = {"mean": 54.321, "sd": 11.98, "median": 55.5, "low": 20.0, "high": 80.25}
        rows.append({**own, "kind": "label", "name": "age", **numbers})
        rows += [
            {**own, "kind": "covariate", "name": "sex", "category": word, "groups": n // 4}
            for word in ("female", None)
        ]
        height = {"mean": 1.7, "sd": 0.1, "median": 1.69, "low": 1.5, "high": 1.9}
        rows.append({**own, "kind": "covariate", "name": "height", **height, "n": n - 4})
        rows.append({**own, "kind": "site", "name": "site", "category": "north"})
    return rows + [
        {**source, "kind": "excluded", "category": why, "n": n} for why, n in excluded.items()
    ]


def run(folder: Path, rows: list[dict[str, Any]] | None = None, **environment: Any) -> ReportData:
    told = {"data": {"card": CARD}, **environment}
    write_cell(folder, patients=20, trials=4, environment=told, spec={"encoder": "resnet"})
    write_table(str(folder), "cohort", cohort() if rows is None else rows)
    return read_report_data([str(folder)], split="test", resampling=Resampling(resamples=100))


def flow_of(section: Section) -> Flow:
    return next(part for part in section.parts if isinstance(part, Flow))


def test_the_table_has_patients_images_the_label_by_its_name_and_covariates(
    tmp_path: Path,
) -> None:
    (table,) = (p for p in cohort_section(run(tmp_path / "run")).parts if isinstance(p, Table))
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}

    assert [column.name for column in table.columns[1:]] == [
        "Training", "Validation", "Test", "All",
    ]  # fmt: skip
    assert rows["Patients"] == ["600", "10", "10", "620"]
    assert rows["Images"][0] == "1\u202f200"
    assert rows["Age (years), mean ± SD"][2] == "54.3 ± 12.0"
    assert rows["Age (years), median"][2] == "55.5"
    assert rows["Age (years), range"][2] == "20.0 to 80.2"
    assert rows["Sex: female"] == ["300 (50%)", "5 (50%)", "5 (50%)", "310 (50%)"]
    assert rows["Sex: not known"][0] == "300 (50%)"
    assert rows["Height, mean ± SD"][0] == "1.70 ± 0.10"
    assert rows["Height, not known (images)"] == ["4", "4", "4", "4"]
    assert rows["Site: north"][3] == "620 (100%)"
    assert table.paper


def test_many_sites_are_counted_and_not_listed(tmp_path: Path) -> None:
    rows = cohort()
    rows += [
        {**row, "category": f"site {i}"} for row in rows if row["kind"] == "site" for i in range(12)
    ]
    text = section_markdown(cohort_section(run(tmp_path / "run", rows)))
    assert "| Sites | 13 | 13 | 13 | 13 |" in text
    assert "site 3" not in text


def test_the_flow_leads_from_what_was_found_to_the_splits(tmp_path: Path) -> None:
    reasons = {"no label in the table": 7, "label 3 is outside 18 to 110 years": 1,
               "label 999 is outside 18 to 110 years": 2,
               "'/home/me/a.nii' cannot be read": 1}  # fmt: skip
    data = run(tmp_path / "run", cohort(**reasons), labelled=300)
    flow = flow_of(cohort_section(data))

    assert [step.text for step in flow.steps] == [
        "1\u202f251 images found", "11 images excluded", "1\u202f240 images of 620 patients used",
    ]  # fmt: skip
    assert flow.steps[1].aside == (
        "7: no label in the table",
        "3: label … is outside … to … years",
        "1: 'a.nii' cannot be read",
    )
    assert flow.ends == (
        "Training: 1\u202f200 images, 600 patients, of which the labels of 300 images are used",
        "Validation: 20 images, 10 patients",
        "Test: 20 images, 10 patients",
    )


def test_the_flow_is_on_the_page_and_in_the_text(tmp_path: Path) -> None:
    section = cohort_section(run(tmp_path / "run", cohort(**{"no label": 2})))
    page = render_html(Report(title="t", date="d", version="0", sections=(section,)))
    text = section_markdown(section)

    assert "<li><span>2 images excluded</span>" in page
    assert '<ul class="ends">' in page
    assert "2. 2 images excluded\n   - 2: no label\n3. 1 240 images of" in text


def test_runs_on_one_split_of_a_dataset_share_a_table_and_others_have_their_own(
    tmp_path: Path,
) -> None:
    bench = write_benchmark(tmp_path / "bench", methods=("a", "b"), patients=6, trials=2)
    for dataset in ("brains", "hearts"):
        for method in ("a", "b"):
            write_table(str(bench / dataset / method), "cohort", cohort(dataset))
    data = read_report_data([str(bench)], split="test", resampling=Resampling(resamples=100))
    assert [s.title for s in cohort_section(data).sections] == ["brains", "hearts"]

    other = [row for row in cohort("hearts") if row["kind"] == "label"]
    write_table(str(bench / "hearts" / "b"), "cohort", other)
    titles = [section.title for section in cohort_section(data).sections]
    assert titles == ["brains", "hearts (bench/hearts/a)", "hearts (bench/hearts/b)"]


def test_a_run_without_the_table_says_so(tmp_path: Path) -> None:
    data = run(tmp_path / "run")
    (tmp_path / "run" / "cohort.parquet").write_bytes(b"damaged")
    assert "is not shown: no run has a table of it" in section_markdown(cohort_section(data))


def words(data: ReportData) -> dict[str, str]:
    (entry,) = data.entries
    trials = data.trials(entry).to_dicts()
    listing = model_listing(data, entry, {**trials[0], "steps": 1234, "images_seen": 56000})
    assert listing is not None
    return dict(listing.entries)


def test_the_weights_that_an_encoder_started_from_are_named_without_a_path(tmp_path: Path) -> None:
    def encoder(**pretrained: Any) -> str:
        told = {"data": {"card": CARD}, "pretrained": {"weights": "ab12", **pretrained}}
        spec = {"encoder": "resnet18", "pretrained": "/disk/w.pth"}
        folder = tmp_path / str(len(pretrained))
        write_cell(folder, patients=20, trials=4, environment=told, spec=spec)
        return words(read_report_data([str(folder)], split="test"))["Encoder"]

    assert encoder(of="hc18") == "resnet18; started from the encoder of a model of hc18"
    names = {"reshaped": ["conv1.weight"], "missing": [], "unused": ["fc.weight", "fc.bias"]}
    assert encoder(of="w.pth", file="w.pth", sha256="0" * 64, share=0.98, matched=99, **names) == (
        "resnet18; started from the weights in w.pth (SHA-256 000000000000), which has 98.0% of "
        "its parameters: 99 tensors as they are, its first layer summed over its channels, none "
        "missing, 2 (fc.weight, fc.bias) unused"
    )


def test_the_model_is_described_from_its_card_and_files(tmp_path: Path) -> None:
    data = run(tmp_path / "run")
    (tmp_path / "run" / "best").mkdir()
    model = {
        "encoder": {"name": "resnet", "depth": 1, "width": 16, "norm": "batch", "builder": None},
        "parameters": {"encoder": 902640, "network": 936437}, "fusion": "concat", "flips": True,
        "train_splits": ["train", "val"], "epoch": 4, "seed": 0,
    }  # fmt: skip
    (tmp_path / "run" / "best" / "model.json").write_text(json.dumps(model))
    found = words(data)

    assert found["Target"] == "age in years, possible from 18 to 110"
    assert found["Input"] == (
        "T1-weighted MRI, resampled to a grid of 24 × 32 × 24 voxels of 2 × 2 × 2.5 mm, grey "
        "values scaled by the 99th percentile of the foreground"
    )
    assert found["Covariates"] == (
        "sex (female or male; 0.5 where not known) and height (m; its logarithm), side by side "
        "with the image features"
    )
    assert found["Augmentation"] == (
        "rotation up to 8°, size 0.91 to 1.10 times, mirrored along axis 1"
    )
    assert "902\u202f640 parameters, 936\u202f437 with all heads" in found["Encoder"]
    assert found["Encoder"].endswith("; started from random weights")
    assert found["Training"] == (
        "supremix, 4 epochs, 1\u202f234 steps, 56\u202f000 images seen; trial 0, on the training "
        "split"
    )
    assert "trained on training and validation data for 4 epochs" in found["Final model"]


def test_without_a_final_model_the_number_of_parameters_is_not_invented(tmp_path: Path) -> None:
    found = words(run(tmp_path / "run"))
    assert found["Encoder"] == "resnet; started from random weights"
    assert "Final model" not in found


@pytest.mark.parametrize("data", [{"card": 3}, {"card": {"shape": "x", "covariates": None}}, "x"])
def test_a_card_of_another_form_stops_no_report(tmp_path: Path, data: Any) -> None:
    found = run(tmp_path / "run", data=data)
    (entry,) = found.entries
    assert entry.target == "label"
    model_listing(found, entry, None)


def answers(data: ReportData, *, maps: bool = False) -> dict[tuple[str, str], str]:
    tables = [
        part
        for part in guidelines_section(data, cohort_section(data), maps=maps).parts
        if isinstance(part, Table)
    ]
    return {(t.name, row[0].text): row[2].text for t in tables for row in t.rows}


def test_explanation_maps_answer_their_item_where_they_are_shown(tmp_path: Path) -> None:
    found, item = run(tmp_path / "run", data="x"), ("claim", "31")
    assert answers(found)[item] == "not reported by this software"
    assert answers(found, maps=True)[item] == "Explanation maps"


def test_items_are_those_of_the_guidelines_and_answered_where_the_report_does(
    tmp_path: Path,
) -> None:
    assert [item[0] for item in CLAIM] == [str(n) for n in range(1, 43)]
    numbers = {int("".join(filter(str.isdigit, item[0].partition("–")[0]))) for item in TRIPOD}
    assert numbers == set(range(1, 28))

    found = answers(run(tmp_path / "run"))
    assert found["tripod", "20a"] == "Cohort (flow)"
    assert found["tripod", "23b"] == "The model (Error by site)"
    assert found["tripod", "17"] == found["claim", "32"] == NOT_REPORTED


def test_an_item_is_not_claimed_where_a_run_lacks_what_it_needs(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(folder, data=None)
    (folder / "cohort.parquet").unlink()
    rows = read_table(str(folder), "predictions").to_dicts()
    write_table(str(folder), "predictions", [row | {"site": None} for row in rows])
    data = read_report_data([str(folder)], split="test", resampling=Resampling(resamples=100))

    found = answers(data)
    lacking = [("tripod", "20a"), ("tripod", "23b"), ("tripod", "15"), ("claim", "34")]
    assert {found[item] for item in [*lacking, ("tripod", "22")]} == {NOT_REPORTED}
    assert found["claim", "36"] == "Result; Errors"
