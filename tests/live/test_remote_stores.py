"""A search whose images and stores are in an S3-compatible bucket."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from live_support import Driver
from s3_server import S3Server

import supremix

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_images_and_stores_in_a_bucket(
    s3: S3Server, heads: str, drive: Callable[..., Driver], cache: Path, tmp_path: Path
) -> None:
    fs: Any = fsspec.filesystem("s3")
    fs.mkdir("clinic")
    fs.put(f"{heads}/", "clinic/heads/", recursive=True)
    there = ("--source", "s3://clinic/heads", "--stores", "s3://clinic/stores", "--trials", "2")
    first = drive("first", *there)
    assert first.process.wait() == 0, first.errors.read_text()
    (store,) = fs.ls("clinic/stores")
    assert s3.asked("PUT", f"{store}/images.bin") == 1

    # as on a machine that has nothing yet: fetched, not decoded, and the same comes out
    shutil.rmtree(cache / "stores")
    shutil.rmtree(cache / "notes")
    second = drive("second", *there)
    assert second.process.wait() == 0, second.errors.read_text()
    assert s3.asked("GET", f"{store}/images.bin") == 1
    errors = [supremix.Result(run).best.error for run in (first.run, second.run)]
    assert errors[0] == errors[1]
    assert tmp_path in first.run.parents
