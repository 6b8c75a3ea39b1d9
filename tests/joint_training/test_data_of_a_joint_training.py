"""A joint training keeps to the data that it began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from own_table import relabel, without_cluster, write_twice

from supremix.joint_training import driver
from supremix.joint_training.driver import JointSpec
from supremix.runs.folder import RunFolder
from supremix.search.spec import SearchSpec
from supremix_datasets import DataChangedError


class Began(Exception):
    """The training began."""


def test_a_joint_training_whose_labels_changed_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def begin(*given: Any) -> Any:
        raise Began

    without_cluster(monkeypatch)
    monkeypatch.setattr(driver, "cluster_nodes", list)
    monkeypatch.setattr(driver, "started_executor", begin)
    folder = write_twice(tmp_path / "own")
    part = SearchSpec(
        dataset="table", source=folder, method="l1", trials=1, width=4, cache=tmp_path / "cache"
    )
    spec, run = (
        JointSpec(parts={"twice": part}, config={"batch_size": 8}),
        RunFolder(tmp_path / "r"),
    )
    run.create(spec.to_dict())

    for _ in range(2):
        with pytest.raises(Began):
            driver._train(spec, run, print)
    relabel(folder)
    with pytest.raises(DataChangedError, match="2 of 48 images, of 2 patients, have other labels"):
        driver._train(spec, run, print)
