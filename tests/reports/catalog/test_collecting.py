"""Many runs as one: what is found, and what is said of everything that cannot be used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from benchmark_folder import write_benchmark, write_cell
from pyarrow import parquet

from supremix_reports import (
    Collection,
    SchemaError,
    TableError,
    collect,
    column_names,
    mae_rows,
    read_table,
    read_tables,
    to_pandas,
)
from supremix_reports.catalog.collection import TABLES


def told(found: Collection, run: str = "") -> dict[str, str]:
    """By file or table what is wrong with a run, or with any."""
    return {p.what: p.reason for p in found.problems if not run or p.run == run}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "bench"
    return write_benchmark(folder, methods=("rnc", "l1"), patients=6, cohort=True)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search with two seeds, to be copied."""
    return write_cell(tmp_path_factory.mktemp("made") / "single", seeds=2, patients=6, cohort=True)


@pytest.fixture
def bench(pristine: Path, tmp_path: Path) -> Path:
    """Two datasets, two methods, three seeds: a copy to be damaged."""
    return Path(shutil.copytree(pristine, tmp_path / "store" / "bench"))


CELLS = ["bench/brains/l1", "bench/brains/rnc", "bench/hearts/l1", "bench/hearts/rnc"]


def test_a_whole_benchmark_has_no_problem_and_all_its_rows(bench: Path) -> None:
    found = collect(str(bench))

    assert found.problems == ()
    assert [(run.name, run.dataset, run.method) for run in found.runs] == [
        (name, *name.split("/")[1:]) for name in CELLS
    ]
    folders = [str(bench.parent / name) for name in CELLS]
    for name in TABLES:
        frame = found.table(name).collect()
        assert tuple(frame.columns) == column_names(name)
        assert frame.drop("run").equals(read_tables(folders, name).drop("run"))
        assert frame["run"].unique(maintain_order=True).to_list() == CELLS


def test_runs_know_what_was_asked_for(bench: Path) -> None:
    run = collect(str(bench)).runs[0]

    assert run.kind == "search"
    assert run.spec["method"] == "l1"
    assert run.environment is not None
    assert run.environment["packages"]["torch"] == "2.13.0"
    assert run.space is not None
    assert run.space["lr"]["type"] == "float"
    assert Path(run.address) == bench / "brains" / "l1"


def test_a_store_a_whole_and_a_run_are_found_alike_and_each_once(bench: Path, single: Path) -> None:
    shutil.copytree(single, bench.parent / "single")
    several = [bench.parent, bench, f"{bench / 'brains'}/", bench / "hearts" / "rnc"]

    found = collect([str(path) for path in several])

    assert [run.name for run in found.runs] == [*CELLS, "single"]
    assert found.trials.collect().height == 5 * 8


def test_what_is_no_run_is_passed_over(bench: Path, single: Path) -> None:
    for name in (".hidden", "checkpoints", "best", "logs"):
        shutil.copytree(single, bench.parent / name / "run")
    (bench.parent / "notes").mkdir()
    (bench.parent / "notes" / "spec.txt").write_text("nothing")

    assert [run.name for run in collect(str(bench.parent)).runs] == CELLS


def test_a_report_in_a_store_is_no_run(bench: Path) -> None:
    tables = bench / "report" / "tables"
    tables.mkdir(parents=True)
    read_table(str(bench / "brains" / "l1"), "mae").write_parquet(tables / "mae.parquet")

    found = collect(str(bench.parent))

    assert [run.name for run in found.runs] == CELLS
    assert found.problems == ()


def test_runs_that_lie_too_deep_are_spoken_of(tmp_path: Path, single: Path) -> None:
    shutil.copytree(single, tmp_path / "a/b/c/d")
    shutil.copytree(single, tmp_path / "a/b/c/e/f")

    found = collect(str(tmp_path))

    assert [Path(run.address).name for run in found.runs] == ["d"]
    assert told(found) == {
        "folder": "1 folders lie more than 4 deep and were not looked into; name a folder nearer "
        "to their runs."
    }


def test_nothing_at_an_address_is_refused_and_an_empty_folder_told(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no folder of runs at '.*nowhere'"):
        collect(str(tmp_path / "nowhere"))
    with pytest.raises(TableError, match="No address"):
        collect([])
    (tmp_path / "empty").mkdir()

    found = collect(str(tmp_path / "empty"))

    assert found.runs == ()
    assert told(found, "empty") == {"folder": "There is no run in this folder."}
    assert all(found.table(name).collect().height == 0 for name in TABLES)
    with pytest.raises(SchemaError, match="no table 'comparison'"):
        found.table("comparison")


def test_a_search_under_way_has_no_results_yet(bench: Path) -> None:
    cell = bench / "brains" / "rnc"
    for name in TABLES:
        (cell / f"{name}.parquet").unlink()
    fresh = bench / "hearts" / "l1"
    shutil.copytree(cell, fresh, dirs_exist_ok=True)
    for file in [*fresh.glob("*.parquet"), fresh / "ledger.jsonl"]:
        file.unlink()

    found = collect(str(bench))

    assert [run.name for run in found.runs] == CELLS
    assert "under way, or was interrupted" in told(found, "bench/brains/rnc")["trials"]
    assert "has not begun" in told(found, "bench/hearts/l1")["trials"]
    assert len(found.problems) == 2
    assert set(found.mae.collect()["run"]) == {"bench/brains/l1", "bench/hearts/rnc"}


def test_a_search_that_is_not_over_gives_its_trials(bench: Path) -> None:
    for name in ("predictions", "mae"):
        (bench / "brains" / "rnc" / f"{name}.parquet").unlink()
    (bench / "brains" / "l1" / "measures.parquet").unlink()

    found = collect(str(bench))

    assert "the search is not over" in told(found, "bench/brains/rnc")["predictions"]
    assert "not written, or was taken away" in told(found, "bench/brains/l1")["measures"]
    assert len(found.problems) == 2
    assert set(found.trials.collect()["run"]) == set(CELLS)


@pytest.mark.parametrize("missed", ["brains", "brains/rnc"])
@pytest.mark.parametrize("empty", [False, True])
def test_a_cell_that_a_benchmark_lacks_is_named(bench: Path, missed: str, empty: bool) -> None:
    shutil.rmtree(bench / missed)
    if empty:
        (bench / missed).mkdir()

    problems = collect([str(bench.parent), str(bench)]).problems

    lost = [name for name in CELLS if name.startswith(f"bench/{missed}")]
    assert sorted(problem.run for problem in problems) == lost
    assert {problem.what for problem in problems} == {"run"}
    assert all("benchmark.json names brains with" in problem.reason for problem in problems)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("comparison.json", {"methods": ["l1", "rnc", "x"]}),
        ("multi_dataset.json", {"datasets": ["l1", "rnc", "x"], "objective": "per-dataset"}),
    ],
)
def test_a_part_that_a_comparison_or_many_lacks_is_named(
    bench: Path, file: str, content: Any
) -> None:
    (bench / "brains" / file).write_text(json.dumps(content))

    found = collect(str(bench / "brains"))

    assert told(found, "brains/x")["run"].startswith(f"{file} names x, but there is no run in such")


def test_runs_of_one_name_stay_apart(tmp_path: Path, single: Path) -> None:
    for shelf in ("one", "two"):
        shutil.copytree(single, tmp_path / shelf / "runs" / "first")
    apart = [str(tmp_path / shelf / "runs") for shelf in ("one", "two")]

    found = collect(apart)

    names = [run.name for run in found.runs]
    assert names == ["runs/first", "runs/first (2)"]
    for table in TABLES:
        assert found.table(table).collect()["run"].unique(maintain_order=True).to_list() == names
    assert told(found, "runs/first")["name"].startswith("2 runs are called 'single'; in the tables")


def test_a_joint_training_is_a_run_of_several_datasets(tmp_path: Path, single: Path) -> None:
    run = Path(shutil.copytree(single, tmp_path / "together"))
    parts = {"brains": {"method": "rnc"}, "hearts": {"method": "rnc"}}
    (run / "spec.json").write_text(json.dumps({"joint": parts, "config": {}, "alone": True}))
    for name in ("trials", "measures"):
        (run / f"{name}.parquet").unlink()

    found = collect(str(run))

    assert found.problems == ()
    (only,) = found.runs
    assert (only.kind, only.dataset, only.method) == ("joint", "brains+hearts", "joint-rnc")
    assert found.predictions.collect().height > 0


def test_pandas_gets_the_same_rows(bench: Path) -> None:
    found = collect(str(bench))

    assert to_pandas(found.mae).to_dict("list")["n"] == found.mae.collect()["n"].to_list()
    assert list(to_pandas(found.mae.collect()).columns) == list(column_names("mae"))


def test_a_table_younger_than_a_file_is_null_there(bench: Path) -> None:
    file = bench / "brains" / "l1" / "predictions.parquet"
    parquet.write_table(parquet.read_table(file).drop_columns("site"), file)

    found = collect(str(bench))

    sites = found.predictions.group_by("run").agg(pl.col("site").null_count() == pl.len())
    assert dict(sites.collect().iter_rows())["bench/brains/l1"] is True
    assert found.problems == ()


def test_two_collections_of_the_same_are_the_same(bench: Path) -> None:
    first, second = collect(str(bench)), collect(str(bench))

    assert first.problems == second.problems
    for name in TABLES:
        assert first.table(name).collect().equals(second.table(name).collect())


def test_written_errors_carry_the_run_that_the_predictions_are_of(single: Path) -> None:
    assert set(read_table(str(single), "mae")["run"]) == {"single"}


def test_errors_of_several_runs_are_of_none() -> None:
    rows = [
        {
            "run": run, "dataset": "d", "method": "m", "seed": 0, "split": "test", "id": run,
            "group": run, "target": 1.0, "prediction": 2.0,
        }
        for run in "ab"
    ]  # fmt: skip

    assert {row["run"] for row in mae_rows(pl.DataFrame(rows), unit="mm")} == {None}
