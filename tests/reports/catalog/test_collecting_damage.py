"""Damaged files of runs are left out and told; everything else is taken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmark_folder import write_benchmark
from pyarrow import parquet

from supremix_reports import Collection, collect
from supremix_reports.catalog.collection import TABLES
from supremix_reports.tables import schema

CELLS = ["bench/brains/l1", "bench/brains/rnc", "bench/hearts/l1", "bench/hearts/rnc"]


def told(found: Collection, run: str = "") -> dict[str, str]:
    """By file or table what is wrong with a run, or with any."""
    return {p.what: p.reason for p in found.problems if not run or p.run == run}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "bench"
    return write_benchmark(folder, methods=("rnc", "l1"), patients=6, cohort=True)


@pytest.fixture
def bench(pristine: Path, tmp_path: Path) -> Path:
    """Two datasets, two methods, three seeds: a copy to be damaged."""
    return Path(shutil.copytree(pristine, tmp_path / "store" / "bench"))


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def garbage(file: Path) -> None:
    file.write_bytes(b"nothing of the kind")


def broken_inside(file: Path) -> None:
    """The end says all is well, the rows are gone."""
    content = file.read_bytes()
    file.write_bytes(content[:4] + b"\xff" * (len(content) // 3) + content[4 + len(content) // 3 :])


def lacking(file: Path) -> None:
    table = parquet.read_table(file)
    parquet.write_table(table.drop_columns("dataset"), file)


def retyped(file: Path) -> None:
    table = parquet.read_table(file)
    index = table.schema.get_field_index("dataset")
    parquet.write_table(table.set_column(index, "dataset", [[[1]] * len(table)]), file)


def of_another_version(file: Path) -> None:
    table = parquet.read_table(file)
    parquet.write_table(table.replace_schema_metadata({schema.VERSION_KEY: b"99"}), file)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncated, "damaged or half written"),
        (garbage, "damaged or half written"),
        (broken_inside, "damaged or half written"),
        (lacking, "lacks the column 'dataset'"),
        (retyped, "values of another type"),
        (of_another_version, "has the schema version 99"),
    ],
)
def test_a_damaged_table_is_left_out_and_told(
    bench: Path, name: str, damage: Callable[[Path], None], words: str
) -> None:
    damage(bench / "brains" / "rnc" / f"{name}.parquet")

    found = collect(str(bench))

    assert [problem.run for problem in found.problems] == ["bench/brains/rnc"]
    (reason,) = (told(found)[what] for what in told(found) if what == f"{name}.parquet")
    assert words in reason
    assert reason.endswith("It is left out.")
    assert str(bench) not in reason
    rest = set(CELLS) - {"bench/brains/rnc"}
    assert set(found.table(name).collect()["run"]) == rest
    others = [found.table(other).collect()["run"] for other in TABLES if other != name]
    assert all(set(runs) == set(CELLS) for runs in others)


@pytest.mark.parametrize("content", ["{", "[]", '{"datasets": 3}'])
def test_a_damaged_index_costs_no_run(bench: Path, content: str) -> None:
    (bench / "benchmark.json").write_text(content)

    found = collect(str(bench))

    assert [run.name for run in found.runs] == CELLS
    assert "cannot be read" in told(found, "bench")["benchmark.json"]


def test_damaged_small_files_cost_no_table(bench: Path) -> None:
    (bench / "brains" / "l1" / "spec.json").write_text("{")
    (bench / "brains" / "rnc" / "space.json").write_text("[1]")
    (bench / "hearts" / "l1" / "spec.json").unlink()

    found = collect(str(bench))

    assert "holds no JSON object" in told(found, "bench/brains/l1")["spec.json"]
    assert "holds no JSON object" in told(found, "bench/brains/rnc")["space.json"]
    assert "no spec.json" in told(found, "bench/hearts/l1")["spec.json"]
    assert found.runs[0].spec == {}
    assert (found.runs[0].dataset, found.runs[0].method) == ("brains", "l1")
    assert set(found.trials.collect()["run"]) == set(CELLS)
