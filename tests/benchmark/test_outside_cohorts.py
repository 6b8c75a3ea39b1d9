"""Outside cohorts of a benchmark: checked before the start, measured at the end, resumed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cohort_pictures import THERE, write

import supremix
from supremix.benchmark import external
from supremix.errors import SpecError
from supremix.models import EncoderSpec
from supremix.search.shared_session import SharedSession
from supremix.training import Task, TrialRun
from supremix_datasets import Dataset, get, prepare
from supremix_reports import calibration_rows, compare_methods, mae_rows, write_table

METHODS = ("l1", "huber")


@pytest.fixture(autouse=True)
def nothing_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_grid(grid: Any) -> None:
        raise AssertionError("the benchmark was to be refused")

    monkeypatch.setattr("supremix.benchmark.benchmark.run_grid", run_grid)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders `here`, which models are trained on, `there` and `odd`."""
    home = tmp_path_factory.mktemp("cohorts")
    write(home / "here", 60)
    write(home / "there", 30, words=THERE, rows=["gone.png,60,p99,a,F,40"])
    write(home / "odd", 24, low=150, brighter=60)
    return home


@pytest.fixture(scope="module")
def models(home: Path) -> Path:
    """By method and seed a model."""
    store = prepare("table", home / "here", cache=home / "cache")
    for method in METHODS:
        for seed in range(3):
            task = Task(
                store=store.path, method=method, encoder=EncoderSpec(width=4), epochs=1, threads=1,
                seed=seed,
            )  # fmt: skip
            run = TrialRun(task, {"batch_size": 16})
            run.advance()
            run.export(home / "models" / f"{method}-{seed}")
    return home / "models"


def ask(home: Path, out: Path, *cohorts: str, **more: Any) -> supremix.Benchmark:
    named = [("table", str(home / cohort)) for cohort in cohorts]
    options: dict[str, Any] = {"trials": 1, "test_seeds": 2, "width": 4, "out": out, **more}
    sources = {"table": str(home / "here")}
    return supremix.Benchmark(["table"], sources, METHODS, external=named, **options)


def trained(benchmark: supremix.Benchmark, models: Path) -> supremix.Benchmark:
    """The benchmark as if its searches were done."""
    with benchmark.created():
        for cell in benchmark.cells:
            for number in range(cell.spec.test_seeds):
                known = models / f"{cell.method}-{number}"
                shutil.copytree(known, cell.run.network(number), dirs_exist_ok=True)
    return benchmark


def conclude(benchmark: supremix.Benchmark) -> pl.DataFrame:
    benchmark.fitting = external.read_cohorts(benchmark.external, benchmark.specs, print)
    with contextlib.ExitStack() as ledgers:
        benchmark.conclude(SharedSession(lambda progress: None, [], ledgers))
    table = supremix.BenchmarkResult(benchmark.path).external
    assert table is not None
    return table


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were measured, in their order."""
    found: list[str] = []
    own = external.measure

    def measure(models: Any, cohort: Any, out: Any, **more: Any) -> Any:
        found.append("/".join(Path(out).parts[-3:]))
        return own(models, cohort, out, **more)

    monkeypatch.setattr(external, "measure", measure)
    return found


def test_every_model_is_measured_as_evaluate_measures_it(
    home: Path, models: Path, tmp_path: Path
) -> None:
    benchmark = trained(ask(home, tmp_path / "run", "there", "odd"), models)
    write_table(str(benchmark.path), "mae", [])
    table = conclude(benchmark)
    order = table.select("cohort", "dataset", "method").rows()
    assert order == [(c, "here", m) for c in ("there", "odd") for m in METHODS]
    alone = [
        supremix.evaluate(models / f"l1-{seed}", "table", str(home / "there"), tmp_path / str(seed))
        for seed in range(2)
    ]
    whole = pl.concat([one.predictions for one in alone])
    row = table.row(0, named=True)
    measures = [*mae_rows(whole, unit="mm"), *calibration_rows(whole, unit="mm")]
    expected = {one["metric"]: one for one in measures}
    for name in ("mae", "null_mae", "linear_mae", "skill", "calibration_slope", "bias"):
        known = [expected[name][end] for end in ("value", "low", "high")]
        assert [row[name], row[f"{name}_low"], row[f"{name}_high"]] == pytest.approx(known)
    assert (row["n"], row["groups"], row["seeds"], row["excluded"]) == (30, 15, 2, 1)
    assert row["test"] is None
    assert row["reason"] is None
    odd = table.filter(cohort="odd")
    assert all("labels lie outside" in text for text in odd["warnings"])
    pages = benchmark.path / "here" / "l1" / "evaluations" / "there"
    assert "2 models of l1, trained on here" in (pages / "summary.md").read_text()
    kept = pl.read_parquet(pages / "predictions.parquet")
    assert set(kept.select("model", "seed").rows()) == {("best", 0), ("best/networks/1", 1)}


def test_methods_are_compared_and_corrected_over_all_cohorts(
    home: Path, models: Path, tmp_path: Path
) -> None:
    benchmark = trained(ask(home, tmp_path / "run", "there", "odd"), models)
    table = conclude(benchmark).filter(method="huber")
    found = [
        pl.read_parquet(f"{benchmark.path}/here/{m}/evaluations/{c}/predictions.parquet")
        for c in ("there", "odd")
        for m in METHODS
    ]
    gains = compare_methods(pl.concat(found), reference="l1")
    for cohort in ("there", "odd"):
        (row,), (known,) = (
            table.filter(cohort=cohort).to_dicts(),
            gains.filter(dataset=cohort).to_dicts(),
        )
        for name in ("difference", "difference_low", "gain", "p", "p_adjusted", "note"):
            assert row[name] == known[name]


def test_what_was_measured_stays_and_more_seeds_are_measured_again(
    home: Path, models: Path, tmp_path: Path, measured: list[str]
) -> None:
    first = trained(ask(home, tmp_path / "run", "there"), models)
    table = conclude(first)
    assert measured == ["l1/evaluations/there", "huber/evaluations/there"]
    again = supremix.Benchmark.resume(first.path)
    assert conclude(again).equals(table)
    # Killed between two models: the evaluation without its last file is not complete.
    (first.path / "here/huber/evaluations/there/warnings.json").unlink()
    added = supremix.Benchmark.resume(first.path, external={"table": str(home / "odd")})
    assert added.external == [("table", str(home / name)) for name in ("there", "odd")]
    grown = conclude(added)
    assert measured[2:] == [
        "huber/evaluations/there", "l1/evaluations/odd", "huber/evaluations/odd",
    ]  # fmt: skip
    same = ["cohort", "method", "mae", "mae_low", "calibration_slope", "warnings"]
    assert grown.filter(cohort="there").select(same).equals(table.select(same))
    measured.clear()
    more = supremix.Benchmark.resume(first.path, test_seeds=3)
    assert set(conclude(trained(more, models))["seeds"]) == {3}
    assert measured == ["l1/evaluations/there", "huber/evaluations/there"]


def test_models_that_fail_are_named_and_cost_no_other_its_errors(
    home: Path, models: Path, tmp_path: Path
) -> None:
    benchmark = trained(ask(home, tmp_path / "run", "there"), models)
    run = benchmark.path / "here" / "huber"
    (run / "best/networks/1/model.safetensors").write_bytes(b"torn")
    reasons = dict(conclude(benchmark).select("method", "reason").rows())
    assert reasons["l1"] is None
    assert "does not fit" in str(reasons["huber"])
    result = supremix.BenchmarkResult(benchmark.path)
    assert list(result.external_failures) == [("there", "here", "huber")]
    shutil.rmtree(run / "best/networks/1")
    found = conclude(supremix.Benchmark.resume(benchmark.path))
    assert "there is no model: best/networks/1" in str(found["reason"][1])
    assert found["note"][1] is None or "no predictions" in found["note"][1]


def test_each_model_of_folds_is_measured(
    home: Path, models: Path, tmp_path: Path, measured: list[str]
) -> None:
    benchmark = trained(ask(home, tmp_path / "run", "there", folds=2, test_seeds=1), models)
    table = conclude(benchmark)
    assert set(table["seeds"]) == {2}
    assert set(table["reason"]) == {None}
    assert measured == ["l1/evaluations/there", "huber/evaluations/there"]
    kept = pl.read_parquet(benchmark.path / "here/l1/evaluations/there/predictions.parquet")
    assert set(kept["model"]) == {"fold-0/best", "fold-1/best"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "cm"}, "predicts thickness in mm, and the labels of 'other' are"),
        ({"words": "{ w = 0, m = 1 }", "low": 40}, r"sex must be M or F"),
    ],
)
def test_a_cohort_that_fits_no_model_is_refused_before_anything_is_trained(
    change: dict[str, Any], message: str, home: Path, tmp_path: Path
) -> None:
    other = write(tmp_path / "other", 12, **change)
    if "words" in change:
        table = other / "labels.csv"
        table.write_text(table.read_text().replace(",F,", ",w,").replace(",M,", ",w,"))
    benchmark = ask(home, tmp_path / "run", str(other))
    with pytest.raises(SpecError, match=f"no model can be measured .*{message}"):
        benchmark.run()
    assert not benchmark.path.exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "outside cohort table=.*other"),
        (lambda folder: (folder / "labels.csv").unlink(), "outside cohort table=.*other"),
        (lambda folder: [p.write_bytes(b"") for p in folder.glob("*.png")], "only 0 images"),
        (
            lambda folder: (folder / "labels.csv").write_text("file,target,group\n0.png,1,a\n"),
            "only .* images in .* have a prediction and a label|needs sex|outside cohort",
        ),
    ],
)
def test_a_cohort_that_cannot_be_read_is_refused(
    spoil: Callable[[Path], object], message: str, home: Path, tmp_path: Path
) -> None:
    other = write(tmp_path / "other", 12)
    spoil(other)
    benchmark = ask(home, tmp_path / "run", str(other))
    with pytest.raises(SpecError, match=message):
        benchmark.run()
    assert not benchmark.path.exists()


def test_of_several_datasets_those_whose_label_it_has_are_measured(
    home: Path, tmp_path: Path
) -> None:
    own = {"table": str(home / "here")}
    said: list[str] = []
    benchmark = supremix.Benchmark(
        ["table", "hc18"], own | {"hc18": "heads"}, ["l1"], trials=1, out=tmp_path / "run",
        external={"table": str(home / "there")},
    )  # fmt: skip
    fitting = external.read_cohorts(
        benchmark.external, benchmark.specs, lambda progress: said.append(progress.message)
    )
    assert {name: len(found) for name, found in fitting.items()} == {"here": 1, "hc18": 0}
    assert said == [
        "Not measured on the outside cohort there: hc18: its label is head circumference (mm), not "
        "thickness (mm)"
    ]


def test_two_cohorts_of_one_name_are_refused(home: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "there", 12)
    benchmark = ask(home, tmp_path / "run", "there", str(again))
    with pytest.raises(SpecError, match="two outside cohorts are called there"):
        benchmark.run()


def test_a_dataset_of_ones_own_stands_for_its_name(home: Path, tmp_path: Path) -> None:
    found = get("table").at(str(home / "here"))
    own = Dataset(card=found.card, reader=found.reader)
    benchmark = supremix.Benchmark(
        [own], {"here": str(home / "here")}, ["l1"], trials=1, out=tmp_path / "run",
        external={"here": str(home / "here")},
    )  # fmt: skip
    fitting = external.read_cohorts(benchmark.external, benchmark.specs, print)
    assert [one.dataset for one in fitting["here"]] == [own]


@pytest.mark.parametrize("given", ["ixi=there", ["ixi"], [("ixi", "a", "b")], {"ixi": 3}])
def test_pairs_of_names_and_folders_are_asked_for(given: Any) -> None:
    with pytest.raises(SpecError, match="external has to be a dict from the name"):
        external.outside_sources(given)
