"""Searches by two worker groups: one table at any timing, several datasets, joint searches."""

from __future__ import annotations

import json
import random
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from live_support import TINY, Driver, assert_same_tables, events_of, wait_until, write_heads
from scipy.stats import gmean
from torch import Tensor

import supremix
from supremix.training import Method, Stage, get_method
from supremix.tuning.ledger.ledger import WARM_START, read_events
from supremix_datasets import Card, Dataset, get
from supremix_reports import read_table
from supremix_spaces import Space, space_for

pytestmark = pytest.mark.slow

TWO_AT_ONCE: dict[str, Any] = {**TINY, "concurrent_trials": 2, "finalists": 2, "confirm_seeds": 1}


def dawdling(seed: int) -> Method:
    """The method l1, taking its time at steps that `seed` decides."""
    plain, draws = get_method("l1"), random.Random(seed)

    class Dawdling:
        name = "dawdling"
        config = plain.config

        def space(self, **facts: Any) -> Space:
            return space_for("l1", **facts)

        def stages(self, config: Any, *, epochs: int, card: Card) -> tuple[Stage, ...]:
            (stage,) = plain.stages(config, epochs=epochs, card=card)
            own: Any = stage.loss

            def loss(predictions: Tensor, targets: Tensor) -> Tensor:
                time.sleep(draws.choice((0.0, 0.0, 0.0, 0.15)))
                return own(predictions, targets)

            return (replace(stage, loss=loss),)

    return Dawdling()


@pytest.mark.long
@pytest.mark.usefixtures("local_ray")
def test_different_delays_give_the_same_table(heads: str, tmp_path: Path) -> None:
    for seed in (1, 2):
        supremix.Search(
            source=heads,
            method=dawdling(seed),
            trials=9,
            out=tmp_path / str(seed),
            **TWO_AT_ONCE,
        ).run()
    assert_same_tables(tmp_path / "1", tmp_path / "2")
    orders = [[e["number"] for e in events_of(tmp_path / n) if e["event"] == "epoch"] for n in "12"]
    assert orders[0] != orders[1]  # the delays were worth the name


def named(name: str) -> Dataset:
    """The dataset hc18 under another name."""
    dataset = get("hc18")
    return replace(dataset, card=replace(dataset.card, name=name))


@pytest.mark.long
@pytest.mark.usefixtures("local_ray")
def test_one_setting_for_several_datasets(tmp_path: Path) -> None:
    folders = {n: str(write_heads(tmp_path / n, count)) for n, count in (("a", 60), ("b", 90))}
    options = {k: v for k, v in TWO_AT_ONCE.items() if k != "dataset"}
    result = supremix.MultiDatasetSearch(
        [named("b"), named("a")],
        folders,
        "l1",
        objective="joint",
        trials=6,
        out=tmp_path / "run",
        **options,
    ).run()
    assert result.trials is not None
    best = (
        result.trials.filter(pl.col("replicate_of").is_not_null()).sort("error").row(0, named=True)
    )
    parts = result.results
    # The dataset with the fewest images comes first.
    rows = result.trials.to_dicts()
    assert rows[0]["dataset"] == "a+b"
    assert {one.best.trial for one in parts.values()} == {best["replicate_of"]}
    errors = {
        n: one.trials.filter(pl.col("trial") == best["trial"])["error"][0]
        for n, one in parts.items()
    }
    assert errors["a"] != errors["b"]  # each is trained on its own images
    ratios = [
        errors[name] / median_error(tmp_path / "run" / name, folders[name]) for name in errors
    ]
    assert best["error"] == pytest.approx(gmean(ratios), rel=1e-6)
    assert all(one.test is not None for one in parts.values())


def median_error(run: Path, folder: str) -> float:
    """Validation error of the training labels' median, from the store the run trained on."""
    from supremix_datasets import prepare
    from supremix_datasets.splits import assign

    name = run.name
    store = prepare(named(name), folder, shape=TINY["shape"])
    splits = assign(store.index, seed=0, fractions=(0.6, 0.2, 0.2))
    train = pl.Series(store.targets[splits == "train"])
    return float((pl.Series(store.targets[splits == "val"]) - train.median()).abs().mean())


@pytest.mark.long
def test_several_datasets_killed_and_resumed_give_the_tables_of_an_undisturbed_search(
    tmp_path: Path, heads: str, cache: Path
) -> None:
    def words(out: Path) -> tuple[str, ...]:
        return (
            "search", "--out", str(out), "--dataset", "hc18,ukb-t1", "--source", f"hc18={heads}",
            "--method", "l1", "--trials", "4", "--width", "4", "--epochs", "3",
            "--concurrent-trials", "2", "--cpus-per-worker", "1", "--phantoms", "40",
            "--finalists", "1", "--confirm-seeds", "1", "--set", "batch_size=8",
        )  # fmt: skip

    def drive(run: Path, *more: str) -> Driver:
        return Driver(run, *more, cache=cache, command=words(run))

    def epochs(run: Path) -> int:
        return sum(
            event["event"] == "epoch"
            for name in ("hc18", "ukb-t1")
            for event in read_events(run / name / "ledger.jsonl")
        )

    for name in (
        "whole",
        "torn",
    ):  # apart, so that neither starts from the other's results
        (tmp_path / name).mkdir()
    whole = drive(tmp_path / "whole" / "r")
    assert whole.process.wait() == 0, whole.errors.read_text()
    torn = drive(tmp_path / "torn" / "r", "--or-resume")
    wait_until(lambda: epochs(torn.run) >= 5 or torn.process.poll() is not None, "5 epochs")
    torn.signal_group(signal.SIGKILL)
    torn.process.wait()
    again = drive(tmp_path / "torn" / "r", "--or-resume")
    assert again.process.wait() == 0, again.errors.read_text()
    for name in ("hc18", "ukb-t1"):
        assert_same_tables(torn.run / name, whole.run / name)
    index = json.loads((torn.run / "multi_dataset.json").read_text())
    assert index["datasets"] == ["hc18", "ukb-t1"]
    assert read_table(str(torn.run), "comparison").height == 2
    start = next(e for e in events_of(torn.run / "ukb-t1") if e["event"] == WARM_START)
    assert start["points"] == []  # two studies at a time: there was nothing to learn from yet
    torn.wait_for_processes_to_end()
