"""Folds of one method on one dataset: their folders, their splits, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from own_table import without_cluster, write_twice

import supremix
from supremix.benchmark.grid import Grid
from supremix.benchmark.preparation import prepare_searches
from supremix.errors import RunFolderError, SpecError, UnknownNameError
from supremix.runs.folder import RunFolder
from supremix.runs.grids import run_name
from supremix.search.prepare import PreparedSearch
from supremix.training.data.trial_data import TrialData
from supremix_datasets import SplitError, TooFewSamplesError

OPTIONS = {"trials": 1, "width": 4, "overrides": ("batch_size=8",), "cache": "cache", "out": "run"}


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    without_cluster(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return write_twice(tmp_path / "own")


def crossed(**more: object) -> supremix.CrossValidation:
    return supremix.CrossValidation("table", "own", "l1", **OPTIONS | {"folds": 3} | more)


def prepared(grid: Grid) -> list[PreparedSearch]:
    with grid.created():
        found = prepare_searches(grid, print)
        grid.save()
        return found


def with_folds(own: Path, fold: Callable[[int], str]) -> None:
    head, *rows = (own / "labels.csv").read_text().splitlines()
    lines = [f"{row},{fold(number)}" for number, row in enumerate(rows)]
    (own / "labels.csv").write_text("\n".join([f"{head},fold", *lines]))


def left_out(searches: list[PreparedSearch]) -> np.ndarray:
    """Whether an image is tested, (folds, images), as the workers split them."""
    return np.stack([TrialData(one.task, torch.device("cpu")).splits == "test" for one in searches])


def test_each_fold_is_a_run_whose_test_patients_are_those_of_no_other() -> None:
    searches = prepared(crossed())

    assert [str(one.run.path.relative_to(Path.cwd())) for one in searches] == [
        "run/fold-0", "run/fold-1", "run/fold-2",
    ]  # fmt: skip
    assert (left_out(searches).sum(axis=0) == 1).all()
    assert [run_name(one.run.path) for one in searches] == [f"run/fold-{n}" for n in range(3)]
    index = json.loads(Path("run/folds.json").read_text())
    assert (index["runs"], index["methods"]) == (["fold-0", "fold-1", "fold-2"], ["l1"])
    assert json.loads(Path("run/spec.json").read_text())["fold"] is None


def test_a_repeat_has_other_folds_and_seeds() -> None:
    searches = prepared(crossed(folds=2, repeats=2))

    assert [one.run.path.name for one in searches] == [
        "repeat-0-fold-0", "repeat-0-fold-1", "repeat-1-fold-0", "repeat-1-fold-1",
    ]  # fmt: skip
    first, second = left_out(searches[:2]), left_out(searches[2:])
    assert (first != second).any()
    assert (second.sum(axis=0) == 1).all()
    assert len({one.spec.seed for one in searches}) == 2


def test_methods_and_datasets_of_a_grid_have_folds_of_their_own() -> None:
    options = {**OPTIONS, "folds": 2}
    searches = prepared(supremix.Comparison("table", "own", ["l1", "mse"], **options))

    names = ["l1/fold-0", "l1/fold-1", "mse/fold-0", "mse/fold-1"]
    assert json.loads(Path("run/comparison.json").read_text())["runs"] == names
    assert json.loads(Path("run/mse/folds.json").read_text())["runs"] == ["fold-0", "fold-1"]
    assert [run_name(one.run.path) for one in searches] == [f"run/{name}" for name in names]
    np.testing.assert_array_equal(left_out(searches[:2]), left_out(searches[2:]))
    assert [part.run for part in supremix.status("run").parts] == [
        str(Path.cwd() / "run" / name) for name in names
    ]


def test_a_cross_validation_goes_on_with_its_folds() -> None:
    before = prepared(crossed())
    after = prepared(supremix.CrossValidation.resume("run"))

    assert [one.spec for one in after] == [one.spec for one in before]
    np.testing.assert_array_equal(left_out(after), left_out(before))
    with pytest.raises(RunFolderError, match="fold-0"):
        RunFolder("run").read_spec()
    with pytest.raises(RunFolderError, match=r"not all folds .* are tested; resume it"):
        supremix.CrossValidationResult("run")


def test_the_folds_of_the_table_are_taken(own: Path) -> None:
    with_folds(own, lambda number: f"part {number % 3}")
    searches = prepared(crossed())

    words = searches[0].store.index["fold"].to_list()
    for number, row in enumerate(left_out(searches)):
        assert [word == f"part {number}" for word in words] == row.tolist()


@pytest.mark.parametrize(
    ("fold", "more", "error", "named"),
    [
        (None, {"folds": 49}, TooFewSamplesError, "49 folds need at least .* found 48"),
        (None, {"stratify_by_site": True}, SplitError, "no image has one"),
        (lambda n: "" if n < 5 else str(n % 3), {}, SplitError, "empty for 5 of 48 images"),
        (lambda n: str(n % 4), {}, SplitError, "has 4 folds .* 3 are asked"),
        (lambda n: str(n % 3), {"repeats": 2}, SpecError, "folds of its own, so 2 repeats"),
    ],
)
def test_folds_that_cannot_be_are_refused_before_anything_is_left(
    own: Path,
    fold: Callable[[int], str] | None,
    more: dict[str, object],
    error: type[Exception],
    named: str,
) -> None:
    if fold is not None:
        with_folds(own, fold)

    with pytest.raises(error, match=named):
        prepared(crossed(**more))
    assert not Path("run").exists()


def test_requests_that_go_against_folds_are_refused() -> None:
    for more, named in (
        ({"folds": 1}, "folds has to be at least 2"),
        ({"folds": None}, "needs folds"),
        ({"test": False}, "test=False goes against folds"),
        ({"warm_start": True}, "warm_start goes against folds"),
    ):
        with pytest.raises(SpecError, match=named):
            crossed(**more)
    for name in ("repeats", "search_once", "stratify_by_site"):
        with pytest.raises(SpecError, match=f"{name} is for the folds"):
            supremix.Search("ukb-t1", **{name: 2 if name == "repeats" else True})
    with pytest.raises(SpecError, match=r"supremix\.CrossValidation"):
        supremix.Search("ukb-t1", folds=3)
    with pytest.raises(SpecError, match="joint objective there are none"):
        supremix.MultiDatasetSearch(["ukb-t1", "hcp-aging"], folds=3, objective="joint")
    with pytest.raises(UnknownNameError, match="option of joint 'folds'"):
        supremix.joint(["ukb-t1", "hcp-aging"], folds=3)  # type: ignore[call-arg]
