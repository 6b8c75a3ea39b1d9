"""What runs differ in: the request, versions, settings, and errors on the same samples."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from benchmark_folder import ENVIRONMENT, write_cell

from supremix_reports import TableError, compare_methods, read_table
from supremix_reports.document.text import section_markdown
from supremix_reports.report.differences import Differences, compare_runs

OTHER = {"packages": {**ENVIRONMENT["packages"], "torch": "2.14.0"}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    common = {"patients": 16, "trials": 4}
    write_cell(folder / "first", method="l1", seeds=3, spec={"epochs": 4, "width": 8}, **common)
    write_cell(folder / "second", method="supremix", seeds=3, spec={"epochs": 6, "width": 8},
               environment=OTHER, **common)  # fmt: skip
    write_cell(folder / "single", method="rnc", seeds=1, **common)
    write_cell(folder / "elsewhere", method="rnc", seeds=3, split=1, **common)
    return folder


def compared(store: Path, *names: str) -> Differences:
    return compare_runs([str(store / name) for name in names], resamples=500)


def test_only_what_differs_is_told(store: Path) -> None:
    found = compared(store, "first", "second")

    assert found.specification == {"method": ("l1", "supremix"), "epochs": (4, 6)}
    assert found.versions == {"torch": ("2.13.0", "2.14.0")}
    assert set(found.best_hyperparameters) <= {"lr", "temperature", "alpha", "beta", "batch_size"}
    assert found.best_hyperparameters["lr"][0] != found.best_hyperparameters["lr"][1]


def test_a_run_differs_from_itself_in_nothing(store: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").symlink_to(store / "first", target_is_directory=True)
    found = compare_runs([str(store / "first"), str(tmp_path / "copy")], resamples=100)

    assert (found.specification, found.versions, found.best_hyperparameters) == ({}, {}, {})
    assert found.errors[1]["difference"] == 0


def test_errors_are_compared_as_methods_are(store: Path) -> None:
    found = compared(store, "first", "second")
    tables = [read_table(str(store / name), "predictions") for name in ("first", "second")]
    (expected,) = compare_methods(pl.concat(tables), reference="l1", resamples=500).to_dicts()
    row = found.errors[1]

    assert row["against"] == "first"
    for name in ("difference", "difference_low", "difference_high", "p", "significant"):
        assert row[name] == expected[name]
    assert found.errors[0]["difference"] is None


def test_one_seed_and_other_samples_give_no_verdict(store: Path) -> None:
    _, single, elsewhere = compared(store, "first", "single", "elsewhere").errors

    assert (single["significant"], single["note"]) == (None, "one seed")
    assert single["difference"] is not None
    assert (elsewhere["difference"], elsewhere["note"]) == (
        None,
        "other samples than the reference",
    )


def test_each_dataset_has_a_first_run_of_its_own(store: Path, tmp_path: Path) -> None:
    for method in ("l1", "rnc"):
        write_cell(tmp_path / method, dataset="hearts", method=method, seeds=2, patients=10)
    runs = [store / "first", tmp_path / "l1", store / "second", tmp_path / "rnc"]
    found = compare_runs([str(run) for run in runs], resamples=100)

    assert [row["against"] for row in found.errors] == [None, None, "first", "l1"]


def test_the_differences_are_plain_values_and_markdown(store: Path) -> None:
    found = compared(store, "first", "second", "single")
    text = "\n".join(section_markdown(section) for section in found.sections())

    assert json.loads(json.dumps(found.to_dict()))["split"] == "test"
    assert "| [3] | single |" in text
    assert "| epochs | 4 | 6 | – |" in text
    assert "no verdict: one seed" in text
    assert "\nsingle, seeds: One seed only" in text
    assert "> single" not in text


def test_no_place_is_told_unless_asked_for(store: Path) -> None:
    runs = [str(store / name) for name in ("first", "elsewhere")]

    assert "/home/" not in json.dumps(compare_runs(runs, resamples=100).to_dict())


def test_a_difference_needs_two_runs(store: Path) -> None:
    with pytest.raises(TableError, match="need two runs, and there is one: first"):
        compare_runs([str(store / "first")])
