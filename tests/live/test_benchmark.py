"""Methods on several datasets with several seeds: interrupted, grown, and as if all at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from live_support import TINY, assert_nothing_left, assert_same_tables, events_of, write_heads

import supremix
from supremix.errors import SearchInterrupted
from supremix.progress.progress import Progress
from supremix_datasets import Dataset, get
from supremix_reports import read_file, seeds_interval

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]

OPTIONS: dict[str, Any] = {
    **{name: value for name, value in TINY.items() if name != "dataset"},
    "epochs": 2,
    "trials": 2,
    "confirm_seeds": 0,
}


def named(name: str) -> Dataset:
    """The dataset hc18 under another name."""
    dataset = get("hc18")
    return replace(dataset, card=replace(dataset.card, name=name))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("folders")
    return {
        name: str(write_heads(home / name, count))
        for name, count in (("a", 60), ("b", 80), ("c", 30))
    }


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, folders: dict[str, str], local_ray: None
) -> supremix.BenchmarkResult:
    """All of it at once."""
    out = tmp_path_factory.mktemp("whole") / "run"
    datasets = [named("a"), named("b")]
    sources = {name: folders[name] for name in "ab"}
    return supremix.Benchmark(
        datasets, sources, ["l1", "huber"], test_seeds=2, out=out,
        external={"hc18": folders["c"]}, **OPTIONS,
    ).run()  # fmt: skip


def test_every_method_is_tested_with_the_same_seeds_on_the_same_samples(
    whole: supremix.BenchmarkResult,
) -> None:
    assert whole.failures == {}
    assert set(whole.results) == {(d, m) for d in "ab" for m in ("l1", "huber")}
    samples: dict[str, set[str]] = {}
    for (dataset, method), result in whole.results.items():
        test = result.predictions.filter(split="test")
        assert set(test["seed"]) == {OPTIONS["seed"], OPTIONS["seed"] + 1}
        assert set(test["run"]) == {f"run/{dataset}/{method}"}
        assert not test.select("id", "seed").is_duplicated().any()
        seen = samples.setdefault(dataset, set(test["id"]))
        assert seen == set(test["id"])
        errors = test["prediction"] - test["target"]
        interval = seeds_interval(errors, test["group"], test["seed"])
        wanted = {"dataset": dataset, "method": method, "split": "test", "metric": "mae"}
        (row,) = whole.mae.filter(**wanted).to_dicts()
        assert (row["value"], row["low"]) == pytest.approx((interval.value, interval.low))
        assert row["seeds"] == 2
    assert [*whole.gains["dataset"]] == ["a", "b"]
    assert {*whole.gains["method"]} == {"huber"}


def test_every_model_is_measured_on_the_outside_cohort(whole: supremix.BenchmarkResult) -> None:
    table = whole.external
    assert table is not None
    assert table.select("cohort", "dataset", "method").rows() == [
        ("hc18", dataset, method) for dataset in "ab" for method in ("l1", "huber")
    ]
    assert whole.external_failures == {}
    assert set(table.select("n", "seeds").rows()) == {(30, 2)}
    mae = whole.mae.filter(split="test", metric="mae")
    tested = {(row["dataset"], row["method"]): row["value"] for row in mae.to_dicts()}
    assert {(d, m): test for d, m, test in table.select("dataset", "method", "test").rows()} == (
        tested
    )


def test_the_seeds_are_different_models_of_the_same_hyperparameters(
    whole: supremix.BenchmarkResult,
) -> None:
    result = whole.results["a", "l1"]
    tested = [event for event in events_of(result.path) if event["event"] == "tested"]
    assert [event["trial"] for event in tested] == [result.best.trial] * 2
    pair = ["id", "prediction"]
    one, other = (
        dict(read_file(f"{result.path}/predictions/{file}", "predictions")[pair].rows())
        for event in tested
        for file in event["predictions"]
    )
    assert one.keys() == other.keys()
    assert one != other


@pytest.mark.long
def test_what_is_added_later_comes_out_as_if_it_had_been_there(
    whole: supremix.BenchmarkResult, folders: dict[str, str], tmp_path: Path
) -> None:
    run = tmp_path / "run"

    def interrupt(progress: Progress) -> None:
        if progress.part == "a/l1" and progress.about_trials and progress.done == 1:
            raise KeyboardInterrupt

    small = supremix.Benchmark(
        [named("a")], {"a": folders["a"]}, ["l1"], test_seeds=1, out=run, progress=interrupt,
        **OPTIONS,
    )  # fmt: skip
    with pytest.raises(SearchInterrupted, match=f"--resume {run}"):
        small.run()
    assert_nothing_left()
    objects: dict[str, Any] = {"datasets": [named("a")]}
    alone = supremix.Benchmark.resume(run, **objects).run()
    assert alone.gains.is_empty()
    assert alone.test_seeds == 1
    before = events_of(run / "a" / "l1")

    grown = supremix.Benchmark.resume(
        run,
        datasets=[named("a"), named("b")],
        sources={"b": folders["b"]},
        methods=["huber"],
        test_seeds=2,
        external={"hc18": folders["c"]},
    ).run()
    after = events_of(run / "a" / "l1")
    assert after[: len(before)] == before
    assert [event["event"] for event in after[len(before) :]] == ["session", "tested"]
    for dataset in "ab":
        for method in ("l1", "huber"):
            assert_same_tables(run / dataset / method, whole.path / dataset / method)
    assert grown.mae.equals(whole.mae)
    assert grown.gains.equals(whole.gains)
    assert grown.external is not None
    assert whole.external is not None
    assert grown.external.equals(whole.external)

    again = supremix.Benchmark.resume(run, datasets=[named("a"), named("b")]).run()
    assert events_of(run / "a" / "l1") == after  # nothing is left to do
    assert again.table.equals(grown.table)
    assert_nothing_left()
