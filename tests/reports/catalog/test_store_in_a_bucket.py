"""A bucket of runs is read as a folder is, and written by many at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
from benchmark_folder import write_cell
from store_writers import check_written, write_at_once

from supremix_reports import TableError, collect, results, write_table
from supremix_reports.catalog.collection import TABLES


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of two datasets."""
    folder = tmp_path_factory.mktemp("made") / "runs"
    for dataset in ("brains", "hearts"):
        write_cell(
            folder / f"{dataset}-l1", dataset=dataset, method="l1", seeds=2, patients=6, cohort=True
        )
    return folder


def opened(address: str) -> tuple[Any, str]:
    return fsspec.core.url_to_fs(address)


def upload(folder: Path, address: str) -> None:
    filesystem, path = opened(address)
    filesystem.put(f"{folder}/", f"{path}/", recursive=True)


def test_a_bucket_is_a_store_like_a_folder(runs: Path, bucket: str) -> None:
    upload(runs, f"{bucket}/some/runs")

    remote, local = collect(f"{bucket}/some/runs"), collect(str(runs))

    assert remote.problems == local.problems == ()
    assert [run.name for run in remote.runs] == [run.name for run in local.runs]
    assert remote.runs[0].address == f"{bucket}/some/runs/brains-l1"
    assert remote.runs[0].environment == local.runs[0].environment
    for table in TABLES:
        assert remote.table(table).collect().equals(local.table(table).collect())
    error = remote.trials.filter(pl.col("error") < 8).select("run", "error")
    assert error.collect().equals(error.collect(engine="streaming"))
    where = "dataset = 'hearts' AND metric = 'mae'"
    assert results(bucket, where=where).collect().equals(results(str(runs), where=where).collect())


def test_runs_in_a_bucket_and_on_a_disk_are_asked_together(runs: Path, bucket: str) -> None:
    upload(runs / "brains-l1", f"{bucket}/far")

    together = collect([bucket, str(runs / "hearts-l1")])

    assert [run.name for run in together.runs] == ["brains-l1", "hearts-l1"]
    owners = together.mae.collect()["dataset"].unique(maintain_order=True)
    assert owners.to_list() == ["brains", "hearts"]


def test_damage_in_a_bucket_is_told(runs: Path, bucket: str) -> None:
    upload(runs / "brains-l1", f"{bucket}/far")
    filesystem, path = opened(f"{bucket}/far/trials.parquet")
    whole = filesystem.cat_file(path)
    filesystem.pipe_file(path, whole[: len(whole) // 2])

    found = collect(bucket)

    assert [(p.what, "damaged" in p.reason) for p in found.problems] == [("trials.parquet", True)]
    assert found.mae.collect().height > 0


@pytest.mark.slow
def test_two_writers_into_one_bucket_lose_nothing(runs: Path, bucket: str) -> None:
    source = runs / "brains-l1"
    write_table(f"{bucket}/runs/.kept", "trials", [])  # a bucket has a folder once a file is in it

    write_at_once(f"{bucket}/runs", source)

    check_written(f"{bucket}/runs", source)


def test_a_bucket_that_is_not_there_is_refused(bucket: str) -> None:
    with pytest.raises(TableError, match=r"no folder of runs at '.*nowhere'"):
        collect(f"{bucket}/nowhere")
