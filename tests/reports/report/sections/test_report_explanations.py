"""Pictures of patients in a report: only when asked for, called that, without names."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supremix_reports.document.parts import Missing, Paragraph, Picture, Section
from supremix_reports.report.report import Options
from supremix_reports.report.sections.explanations import explanations_section

PICTURE = b"\x89PNG picture"


def case(name: str, **more: Any) -> dict[str, Any]:
    known = {
        "case": name, "name": "patient-7", "method": "occlusion", "unit": "months",
        "target": 162.34, "prediction": 158.91, "picture": f"{name}.png", "problem": None,
    }  # fmt: skip
    return known | more


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    maps = tmp_path / "explanations" / "occlusion"
    maps.mkdir(parents=True)
    (maps / "best.png").write_bytes(PICTURE)
    cases = [case("best"), case("worst", problem="patient-7.png is damaged")]
    (maps / "cases.json").write_text(json.dumps(cases))
    return tmp_path


def section(address: Path, *, ids: bool = False) -> Section:
    run = SimpleNamespace(address=str(address), name="first", dataset="hands")
    entry = SimpleNamespace(run=run, method="l1", target="bone age")
    return explanations_section(cast("Any", SimpleNamespace(entries=[entry])), ids=ids)


def test_the_pictures_are_called_pictures_of_patients(folder: Path) -> None:
    warning, best, worst = section(folder).parts
    assert isinstance(warning, Paragraph)
    assert warning.tone == "warning"
    assert "pictures of patients" in warning.text
    assert isinstance(best, Picture)
    assert best.files == {"png": PICTURE}
    assert "True bone age 1.6e+02" not in best.caption
    assert "True bone age 160 months, predicted 160" in best.caption
    assert isinstance(worst, Missing)


def test_no_case_is_named_unless_asked_for(folder: Path) -> None:
    assert "patient-7" not in repr(section(folder))
    named = section(folder, ids=True).parts[1]
    assert isinstance(named, Picture)
    assert named.title.endswith("(patient-7)")
    assert "True bone age 162.3 months" in named.caption


def test_without_maps_it_says_how_to_make_them(tmp_path: Path) -> None:
    (_, missing) = section(tmp_path).parts
    assert isinstance(missing, Missing)
    assert "supremix predict first --explain occlusion" in missing.reason


def test_damaged_files_are_said(folder: Path) -> None:
    (folder / "explanations" / "occlusion" / "cases.json").write_text("{")
    (_, missing) = section(folder).parts
    assert isinstance(missing, Missing)
    assert "damaged" in missing.reason


def test_a_report_has_none_by_default() -> None:
    assert not Options().with_images
