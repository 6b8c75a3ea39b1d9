from __future__ import annotations

from pathlib import Path

import pytest

from supremix.runs import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    for name in ("00000.pt", "00001.pt", ".00000.pt-aa", ".00001.pt-bb"):
        (run.checkpoints / name).write_text("weights")
    return run


def test_what_a_kept_trial_is_writing_is_left_alone(run: RunFolder) -> None:
    run.sweep({"00000"})
    assert {file.name for file in run.checkpoints.iterdir()} == {"00000.pt", ".00000.pt-aa"}


def test_a_draft_that_becomes_a_checkpoint_meanwhile_is_no_error(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def late(self: Path, missing_ok: bool = False) -> None:
        unlink(self)  # as if the worker had been quicker
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", late)
    run.sweep(set())
    assert list(run.checkpoints.iterdir()) == []
