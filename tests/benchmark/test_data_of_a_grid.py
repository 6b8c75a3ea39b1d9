"""All searches of a grid are on the data that it began with, also those that are added."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from own_table import relabel, without_cluster, write_twice

import supremix
from supremix.benchmark.grid import Grid
from supremix.benchmark.preparation import prepare_searches
from supremix.errors import RunFolderError
from supremix.search.prepare import PreparedSearch
from supremix_datasets import DataChangedError

OPTIONS = {"trials": 1, "width": 4, "overrides": ("batch_size=8",)}


@pytest.fixture(autouse=True)
def in_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_cluster(monkeypatch)
    write_twice(tmp_path / "own")
    (tmp_path / "space.toml").write_text("lr = 0.25\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)


def compared() -> Grid:
    return supremix.Comparison(
        "table", "own", ["l1", "mse"], space="space.toml", cache="cache", out="run", **OPTIONS
    )


def benchmark() -> Grid:
    sources = {"table": "own"}
    return supremix.Benchmark(["table"], sources, ["l1"], cache="cache", out="run", **OPTIONS)


def prepared(grid: Grid) -> list[PreparedSearch]:
    with grid.created():
        return prepare_searches(grid, print)


def test_a_comparison_goes_on_from_any_folder_without_the_file_of_its_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = prepared(compared())
    (tmp_path / "space.toml").unlink()
    monkeypatch.chdir(tmp_path / "elsewhere")
    after = prepared(supremix.Comparison.resume(tmp_path / "run"))

    assert [one.space for one in after] == [one.space for one in before]
    assert {one.space.defaults()["lr"] for one in after} == {0.25}
    assert {one.store.path for one in after} == {one.store.path for one in before}
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("start", "resume"),
    [
        (compared, lambda: supremix.Comparison.resume("run")),
        (benchmark, lambda: supremix.Benchmark.resume("run")),
        (benchmark, lambda: supremix.Benchmark.resume("run", methods=["mse"])),
    ],
    ids=["comparison", "benchmark", "method added"],
)
def test_a_grid_whose_labels_changed_is_refused(
    start: Callable[[], Grid], resume: Callable[[], Grid], tmp_path: Path
) -> None:
    prepared(start())
    relabel(tmp_path / "own")

    with pytest.raises(DataChangedError, match="2 of 48 images, of 2 patients, have other labels"):
        prepared(resume())
    assert not (tmp_path / "run" / "twice" / "mse").exists()


def test_a_grid_whose_data_have_another_name_is_refused(tmp_path: Path) -> None:
    prepared(benchmark())
    toml = tmp_path / "own" / "dataset.toml"
    toml.write_text(toml.read_text().replace("twice", "thrice"))

    with pytest.raises(RunFolderError, match=r"describe the dataset 'thrice'.*began with 'twice'"):
        supremix.Benchmark.resume("run")
