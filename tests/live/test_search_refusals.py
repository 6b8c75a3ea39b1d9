"""Requests that cannot be carried out are refused before a worker group is started."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import ray
from live_support import HEADER, TABLE, TINY, write_heads

import supremix
from supremix.errors import (
    USER_ERRORS,
    DatasetError,
    ResourceError,
    RunFolderError,
    SpaceError,
    SpecError,
    TrainingError,
)
from supremix.search import driver, shared_session
from supremix_datasets.phantoms.ukb_t1 import write_brain_phantoms
from supremix_spaces import Float, Space

pytestmark = pytest.mark.slow


def refuse(*arguments: Any, **named: Any) -> Any:
    raise AssertionError("this was to be refused before")


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_session, "ray_runtime", refuse)
    monkeypatch.setattr(ray, "init", refuse)


@pytest.fixture
def no_worker_group(monkeypatch: pytest.MonkeyPatch, local_ray: None) -> None:
    monkeypatch.setattr(driver, "Executor", refuse)


def search(folder: Path, source: str, **more: Any) -> supremix.Search:
    arguments: dict[str, Any] = {**TINY, "method": "l1", "trials": 1, "out": folder / "run", **more}
    return supremix.Search(source=source, **arguments)


@pytest.mark.usefixtures("no_ray")
class TestWithoutRay:
    def test_unknown_names(self, tmp_path: Path, heads: str) -> None:
        with pytest.raises(DatasetError, match=r"hc81.*hc18"):
            search(tmp_path, heads, dataset="hc81")
        with pytest.raises(TrainingError, match=r"unknown method 'supremx'.*'supremix'"):
            search(tmp_path, heads, method="supremx")
        with pytest.raises(SpecError, match=r"unknown precision 'fp61'.*'fp16'"):
            search(tmp_path, heads, precision="fp61")

    def test_a_budget_of_nothing(self, tmp_path: Path, heads: str) -> None:
        with pytest.raises(SpecError, match="trials has to be at least 1; got 0"):
            search(tmp_path, heads, trials=0)

    def test_a_run_folder_that_is_not_empty(self, tmp_path: Path, heads: str) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "thesis.tex").touch()
        with pytest.raises(RunFolderError, match=r"is not empty.*another folder"):
            search(tmp_path, heads).run()
        assert (tmp_path / "run" / "thesis.tex").exists()

    def test_resuming_what_is_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(RunFolderError, match=r"has no spec.json"):
            supremix.Search.resume(tmp_path)
        (tmp_path / "spec.json").write_text("{")
        with pytest.raises(RunFolderError, match=r"spec.json is damaged"):
            supremix.Search.resume(tmp_path)

    def test_a_dataset_without_phantom_and_without_source(self, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match=r"no phantom.*--source"):
            search(tmp_path, "phantom")


@pytest.mark.usefixtures("no_worker_group")
class TestBeforeAWorkerGroup:
    def test_folders_without_images(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(DatasetError, match=r"is empty. Give the folder"):
            search(tmp_path, str(tmp_path / "empty")).run()
        with pytest.raises(DatasetError, match="nowhere"):
            search(tmp_path, str(tmp_path / "nowhere"), out=tmp_path / "other").run()

    def test_a_folder_of_another_dataset(self, tmp_path: Path, heads: str) -> None:
        with pytest.raises(DatasetError, match=r"no scan in.*20252"):
            search(tmp_path, heads, dataset="ukb-t1", shape=(16, 16, 16)).run()

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("head circumference (mm)", "circumference", r"head circumference \(mm\)"),
            (HEADER + "\n", HEADER + "\n001_HC.png,0.9,large\n", r"large"),
        ],
    )
    def test_a_table_that_cannot_be_used(
        self, tmp_path: Path, old: str, new: str, message: str
    ) -> None:
        folder = write_heads(tmp_path / "heads", 6)
        table = folder / TABLE
        table.write_text(table.read_text().replace(old, new))
        with pytest.raises(DatasetError, match=message):
            search(tmp_path, str(folder)).run()

    def test_a_space_with_an_unknown_parameter(self, tmp_path: Path, heads: str) -> None:
        space = Space({"temprature": Float(0.1, 1.0, default=0.5)})
        with pytest.raises(SpaceError, match=r"temprature"):
            search(tmp_path, heads, method="supremix", space=space).run()

    def test_a_batch_larger_than_the_training_split(self, tmp_path: Path, heads: str) -> None:
        with pytest.raises(SpecError, match=r"batch_size goes up to 64, .* has 36 images"):
            search(tmp_path, heads, overrides=("batch_size=16,64",)).run()

    @pytest.mark.parametrize(
        "more", [{"workers": 3}, {"concurrent_trials": 5}, {"gpus_per_worker": 1}]
    )
    def test_more_than_the_cluster_has(
        self, tmp_path: Path, heads: str, more: dict[str, int]
    ) -> None:
        with pytest.raises(ResourceError, match=r"do not fit the cluster.*1 node.*2 CPU"):
            search(tmp_path, heads, **more).run()

    def test_a_comparison_one_of_whose_methods_cannot_be_searched(
        self, tmp_path: Path, heads: str
    ) -> None:
        tiny = {name: value for name, value in TINY.items() if name != "dataset"}
        overrides = ("projection_dim=16", "lr=high")
        comparison = supremix.Comparison(
            "hc18", heads, ("supremix", "l1"), trials=2, overrides=overrides, out=tmp_path / "run",
            **tiny,
        )  # fmt: skip
        with pytest.raises(SpecError, match=r"method supremix: .*lr"):
            comparison.run()
        assert not (tmp_path / "run").exists()

    def test_every_refusal_is_a_user_error(self) -> None:
        errors = (DatasetError, ResourceError, RunFolderError, SpaceError, SpecError)
        assert all(issubclass(error, USER_ERRORS) for error in errors)


def test_a_truncated_picture_is_excluded_and_named(tmp_path: Path, local_ray: None) -> None:
    folder = write_heads(tmp_path / "heads", 12)
    bad = folder / "training_set" / "004_HC.png"
    bad.write_bytes(bad.read_bytes()[:200])
    store = supremix.prepare("hc18", str(folder), shape=(16, 24), cache=tmp_path / "cache")
    assert len(store) == 11
    assert store.quarantine["id"].to_list() == ["004_HC"]
    assert store.quarantine["address"][0].endswith("004_HC.png")
    for picture in (folder / "training_set").glob("*.png"):
        picture.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"only 0 of 12 images"):
        supremix.prepare("hc18", str(folder), shape=(16, 24), cache=tmp_path / "cache")


def test_a_corrupt_volume_is_excluded_and_named(tmp_path: Path, local_ray: None) -> None:
    folder = tmp_path / "brains"
    folder.mkdir()
    write_brain_phantoms(folder, 6, 0, (0, 1))
    bad = sorted(folder.glob("*.zip"))[2]
    spoil(bad)
    store = supremix.prepare("ukb-t1", str(folder), shape=(16, 16, 16), cache=tmp_path / "cache")
    assert len(store) == 5
    assert bad.stem.split("_20252")[0] in store.quarantine["id"][0]
    for scan in folder.glob("*.zip"):
        spoil(scan)
    with pytest.raises(DatasetError, match=r"only 0 of 6 images"):
        supremix.prepare("ukb-t1", str(folder), shape=(16, 16, 16), cache=tmp_path / "cache")


def spoil(scan: Path) -> None:
    """Cut the volume in a zip in half; the zip itself stays whole."""
    with zipfile.ZipFile(scan) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(scan, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data[: len(data) // 2])
