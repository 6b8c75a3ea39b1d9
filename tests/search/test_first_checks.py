"""What is checked before the first trial, and what is left of a request that fails there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from supremix.errors import SearchInterrupted
from supremix.runs.folder import removed_if_refused
from supremix.search.prepare import _checked_configs
from supremix.storage.retry import explanation
from supremix_spaces import Choice, Fixed, Int, Space


@pytest.mark.parametrize(
    ("parameter", "batches"),
    [
        (Choice((1, 8, 16), default=8), [8, 1]),
        (Int(2, 32, default=16), [16, 2]),
        (Fixed(4), [4, 4]),
    ],
)
def test_the_smallest_batch_of_a_space_is_checked_too(parameter: Any, batches: list[int]) -> None:
    configs = _checked_configs(Space({"batch_size": parameter, "lr": Fixed(0.1)}))
    assert configs == [{"batch_size": batch, "lr": 0.1} for batch in batches]


def test_a_space_without_batches_is_checked_once() -> None:
    assert _checked_configs(Space({"lr": Fixed(0.1)})) == [{"lr": 0.1}]


@pytest.mark.parametrize("error", [OSError("AF_UNIX path too long"), ValueError("a bug of ours")])
def test_a_request_that_fails_before_it_begins_leaves_no_folder(
    tmp_path: Path, error: Exception
) -> None:
    with pytest.raises(type(error), match=str(error)), removed_if_refused(tmp_path.rmdir):
        raise error
    assert not tmp_path.exists()


def test_an_interrupted_request_keeps_its_folder(tmp_path: Path) -> None:
    with pytest.raises(SearchInterrupted, match="go on"), removed_if_refused(tmp_path.rmdir):
        raise SearchInterrupted("runs/a")
    assert tmp_path.is_dir()


def test_a_folder_that_may_not_be_written_needs_no_credentials() -> None:
    error = PermissionError(13, "Permission denied")
    assert "AWS" not in explanation("/runs/a", error)
    assert "name another" in explanation("/runs/a", error)
    assert "AWS_ACCESS_KEY_ID" in explanation("s3://runs/a", error)
