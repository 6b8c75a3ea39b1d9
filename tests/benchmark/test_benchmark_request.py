"""What can be asked of a benchmark, how one grows, and what is refused before anything starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import supremix
from supremix.benchmark.grid import Grid
from supremix.errors import RunFolderError, SpecError, TrainingError, UnknownNameError
from supremix.runs.folder import RunFolder
from supremix.runs.grids import BENCHMARK

DATASETS, METHODS = ("ukb-t1", "hcp-aging"), ("supremix", "l1")


def ask(datasets: Any = DATASETS, methods: Any = METHODS, **more: Any) -> supremix.Benchmark:
    options: dict[str, Any] = {"trials": 2, **more}
    return supremix.Benchmark(datasets, methods=methods, **options)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every search that is asked for has begun, and no more."""

    def run(grid: Grid) -> None:
        grid.save()
        for cell in grid.cells:
            Path(cell.run.ledger).write_text('{"event":"session"}\n')
        raise KeyboardInterrupt

    monkeypatch.setattr("supremix.benchmark.driver.run_searches", run)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise SpecError("dataset hcp-aging: its images cannot be used")

    monkeypatch.setattr("supremix.benchmark.driver.run_searches", refuse)


def cells(benchmark: supremix.Benchmark) -> set[tuple[Any, Any]]:
    return {(spec.dataset, spec.method) for spec in benchmark.specs}


def test_every_method_is_searched_on_every_dataset_with_nothing_else_apart() -> None:
    benchmark = ask(seed=3, epochs=7)
    assert cells(benchmark) == {(d, m) for d in DATASETS for m in METHODS}
    first = benchmark.specs[0].to_dict()
    for spec in benchmark.specs:
        other = spec.to_dict()
        assert {name for name in first if first[name] != other[name]} <= {"dataset", "method"}
    assert {spec.test_seeds for spec in benchmark.specs} == {3}
    assert not any(spec.warm_start for spec in benchmark.specs)


@pytest.mark.parametrize(
    ("methods", "named", "reference"),
    [
        (("supremix", "l1", "rnc"), None, "l1"),
        (("supremix", "rnc"), None, "rnc"),
        (("supremix", "l1"), "supremix", "supremix"),
    ],
)
def test_the_reference_is_a_baseline_unless_one_is_named(
    methods: Any, named: str | None, reference: str
) -> None:
    assert ask(methods=methods, reference=named).reference == reference


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"methods": ()}, "at least one dataset and one method"),
        ({"datasets": ()}, "at least one dataset and one method"),
        ({"methods": ("l1", "l1")}, "ukb-t1 with l1 is there twice"),
        ({"datasets": ("ukb-t1", "ukb-t1")}, "ukb-t1 with supremix is there twice"),
        ({"warm_start": True}, "do not learn from each other"),
        ({"test": False}, "tests its methods on the test split"),
        ({"test_seeds": 0}, "test_seeds has to be at least 1; got 0"),
        ({"reference": "rnc"}, "one of the methods supremix, l1; got 'rnc'"),
        ({"sources": {"hc18": "x"}}, "sources for hc18, which are not among the datasets"),
        ({"overrides": ("temprature=1",)}, "'temprature'.*'temperature'"),
        ({"trials": 0}, "trials has to be at least 1; got 0"),
    ],
)
def test_a_wrong_request_says_what_to_write(more: dict[str, Any], message: str) -> None:
    with pytest.raises((SpecError, UnknownNameError), match=message):
        ask(**more)


@pytest.mark.usefixtures("refused")
def test_a_refused_benchmark_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="dataset hcp-aging"):
        ask(out=tmp_path / "run").run()
    assert not (tmp_path / "run").exists()


@pytest.fixture
def there(tmp_path: Path, begun: None) -> Path:
    with pytest.raises(KeyboardInterrupt):
        ask(out=tmp_path / "run", seed=4).run()
    return tmp_path / "run"


def test_it_is_taken_up_with_the_same_searches(there: Path) -> None:
    assert BENCHMARK.is_in(there)
    assert supremix.Benchmark.resume(there).specs == ask(seed=4).specs
    assert RunFolder(there / "ukb-t1" / "l1").name == "run/ukb-t1/l1"
    moved = supremix.Benchmark.resume(there, address="new:6379")
    assert {spec.address for spec in moved.specs} == {"new:6379"}
    with pytest.raises(RunFolderError, match="is the folder of a benchmark"):
        supremix.Search.resume(there)
    with pytest.raises(RunFolderError, match=r"has no benchmark\.json"):
        supremix.Benchmark.resume(there / "ukb-t1")


def test_it_grows_to_what_would_have_been_asked_for_at_once(there: Path) -> None:
    grown = supremix.Benchmark.resume(
        there,
        datasets=["adni-amyloid"],
        sources={"adni-amyloid": "phantom"},
        methods=["l1", "rnc"],
        test_seeds=5,
    )
    whole = ask(
        (*DATASETS, "adni-amyloid"), (*METHODS, "rnc"), test_seeds=5, seed=4,
        sources={"adni-amyloid": "phantom"},
    )  # fmt: skip
    assert grown.specs == whole.specs
    assert grown.reference == "l1"
    with pytest.raises(KeyboardInterrupt):
        grown.run()
    assert supremix.Benchmark.resume(there).specs == whole.specs
    assert supremix.BenchmarkResult(there).test_seeds == 5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"test_seeds": 2}, "tested with 3 seeds, and those stay; got test_seeds=2"),
        ({"sources": {"ukb-t1": "x"}}, "sources for ukb-t1, which are no new datasets"),
        ({"methods": ["supremx"]}, "unknown method 'supremx'"),
        ({"epochs": 5}, "takes no epochs"),
    ],
)
def test_it_does_not_grow_into_something_else(
    there: Path, more: dict[str, Any], message: str
) -> None:
    before = json.loads((there / "benchmark.json").read_text())
    with pytest.raises((SpecError, TrainingError), match=message):
        supremix.Benchmark.resume(there, **more).run()
    assert json.loads((there / "benchmark.json").read_text()) == before


def test_refused_growth_leaves_what_was_there(there: Path, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("refused")
    with pytest.raises(SpecError, match="dataset hcp-aging"):
        supremix.Benchmark.resume(there, datasets=["adni-amyloid"]).run()
    assert supremix.BenchmarkResult(there).datasets == DATASETS
    assert not (there / "adni-amyloid" / "l1").exists()
    assert (there / "ukb-t1" / "l1" / "ledger.jsonl").is_file()


def test_a_baseline_that_is_added_becomes_the_reference_unless_one_was_named(
    begun: None, tmp_path: Path
) -> None:
    for name, reference in (("usual", None), ("named", "rnc")):
        run = tmp_path / name
        with pytest.raises(KeyboardInterrupt):
            ask(methods=("supremix", "rnc"), reference=reference, out=run).run()
        grown = supremix.Benchmark.resume(run, methods=["l1"])
        assert grown.reference == ("rnc" if reference else "l1")
        assert supremix.Benchmark.resume(run, reference="supremix").reference == "supremix"


def test_a_start_that_was_killed_while_it_made_its_folders_goes_on(there: Path) -> None:
    whole = supremix.Benchmark.resume(there).specs
    for part in ("ukb-t1/l1", "hcp-aging/supremix", "hcp-aging/l1"):
        shutil.rmtree(there / part)
    again = supremix.Benchmark.resume(there)
    assert again.specs == whole
    with pytest.raises(KeyboardInterrupt):
        again.run()
    assert (there / "hcp-aging" / "l1" / "spec.json").is_file()
    shutil.rmtree(there / "ukb-t1")
    shutil.rmtree(there / "hcp-aging")
    with pytest.raises(RunFolderError, match="has none of its runs"):
        supremix.Benchmark.resume(there)


def test_refused_growth_changes_no_specification(
    there: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("refused")
    before = {file: file.read_bytes() for file in there.rglob("*.json")}
    with pytest.raises(SpecError, match="dataset hcp-aging"):
        supremix.Benchmark.resume(there, datasets=["adni-amyloid"], test_seeds=9).run()
    assert {file: file.read_bytes() for file in there.rglob("*.json")} == before
    assert not (there / "adni-amyloid").exists()
