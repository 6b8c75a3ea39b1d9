"""What every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for this test run alone; Ray's workers, started later, inherit it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPREMIX_CACHE", str(folder))
        yield folder


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets; a test that asks for it is skipped where there is none."""
    folder = os.environ.get("SUPREMIX_TEST_DATA")
    if not folder:
        pytest.skip("SUPREMIX_TEST_DATA does not name a folder of real data")
    return Path(folder)
