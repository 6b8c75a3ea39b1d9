"""What a run keeps of its data and space, and what is said of images that patients share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from own_table import PLAN, relabel, without_cluster, write_twice
from upath import UPath

from supremix.progress.progress import Progress
from supremix.runs.folder import RunFolder
from supremix.search.prepare import find_resources, kept_identity, make_task, prepare_search
from supremix.search.request.declaration import OPTIONS
from supremix.search.request.option import Option
from supremix.search.spec import SearchSpec
from supremix.training.data.trial_data import TrialData
from supremix_datasets import DataChangedError
from supremix_spaces import Space

ADDRESSES = [one for one in OPTIONS if one.address]


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    without_cluster(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_twice(tmp_path / "own")


def spec_of(folder: Path, **more: Any) -> SearchSpec:
    return SearchSpec(
        **{"dataset": "table", "source": folder, "method": "l1", "trials": 1, "width": 4}
        | {"cache": folder.parent / "cache", "overrides": ("batch_size=8",)}
        | more
    )


def begun(folder: Path, heard: list[Progress], **more: Any) -> RunFolder:
    """The folder of a search that was prepared."""
    spec, run = spec_of(folder, **more), RunFolder(folder.parent / "run")
    run.create(spec.to_dict())
    prepare_search(spec, run, find_resources(spec, heard.append, kept_identity(run)), heard.append)
    return run


@pytest.mark.parametrize("one", ADDRESSES, ids=lambda one: one.name)
def test_a_path_is_kept_absolute_and_an_address_as_given(
    one: Option, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def kept(value: str) -> str:
        return SearchSpec(**{"dataset": "ukb-t1", "trials": 1, one.name: value}).to_dict()[one.name]

    assert kept("folder/x") == str(tmp_path / "folder" / "x")
    assert kept("s3://bucket/x") == "s3://bucket/x"


def test_phantoms_are_no_path_and_the_cache_is_kept_as_found(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SearchSpec(dataset="ukb-t1", source="phantom", trials=1)
    monkeypatch.setenv("SUPREMIX_CACHE", "/another")

    assert (spec.source, spec.cache) == ("phantom", str(cache))
    assert SearchSpec.from_dict(spec.to_dict()).cache == str(cache)
    assert SearchSpec.from_dict(spec.to_dict(), cache=None).cache == "/another"


def test_each_node_has_its_own_default_cache_where_stores_are_shared() -> None:
    assert SearchSpec(dataset="ukb-t1", stores="s3://bucket/stores", trials=1).cache is None


def test_a_run_keeps_the_identity_of_its_store_and_refuses_another(folder: Path) -> None:
    run = begun(folder, [])
    spec = SearchSpec.from_dict(run.read_spec())
    store = find_resources(spec, print, kept_identity(run)).store
    assert store.identity == kept_identity(run)

    relabel(folder)
    with pytest.raises(DataChangedError, match=r"2 of 48 images, of 2 patients, have other labels"):
        find_resources(spec, print, kept_identity(run))


def test_a_run_that_has_not_begun_expects_no_data(tmp_path: Path) -> None:
    assert kept_identity(RunFolder(UPath(tmp_path))) is None


def test_a_resumed_run_keeps_its_space_without_the_file_it_was_read_from(folder: Path) -> None:
    file = folder.parent / "space.toml"
    file.write_text("lr = 0.25\n")
    run = begun(folder, [], space=str(file))
    file.unlink()
    spec = SearchSpec.from_dict(run.read_spec())
    prepared = prepare_search(spec, run, find_resources(spec, print), print)

    assert prepared.space == Space.from_dict(json.loads(run.space.read_text()))
    assert prepared.space.defaults()["lr"] == 0.25


@pytest.mark.parametrize("together", [False, True])
def test_images_that_two_patients_have_are_said_as_the_search_starts(
    folder: Path, together: bool
) -> None:
    news: list[Progress] = []
    run = begun(folder, news, keep_copies_together=together)
    (warning,) = [progress.message for progress in news if progress.warning]
    counts = json.loads(run.environment.read_text())["copies"]

    assert "24 images occur under more than one patient" in warning
    assert ("each is in one split" in warning) == together
    assert counts["images"] == 24
    assert (counts["apart"] == 0) == together


def test_the_trials_have_the_split_that_the_search_has(folder: Path) -> None:
    spec = spec_of(folder, keep_copies_together=True)
    resources = find_resources(spec, print)
    task = make_task(spec, resources.store, PLAN)

    assert (TrialData(task, torch.device("cpu")).splits == resources.splits).all()
