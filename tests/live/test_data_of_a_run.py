"""A run is tied to its data: wherever it is resumed, and whatever became of cache and labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from live_support import TABLE, TINY, events_of, write_heads

import supremix
from supremix.errors import ResourceError
from supremix.progress.progress import Progress
from supremix_datasets import DataChangedError
from supremix_reports import read_table

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_a_run_goes_on_with_its_own_data_or_not_at_all(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_heads(tmp_path / "hc18")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    def clear_cache(progress: Progress) -> None:
        if progress.about_trials and progress.done:
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)

    search = supremix.Search(
        source="hc18", method="l1", cache="cache", out="run", trials=3, pruner="none", test=False,
        progress=clear_cache, **TINY,
    )  # fmt: skip
    with pytest.raises(ResourceError, match=r"prepared images are gone.*continue it by --resume"):
        search.run()

    monkeypatch.chdir(tmp_path / "elsewhere")
    supremix.Search.resume(tmp_path / "run").run()
    trials = read_table(str(tmp_path / "run"), "trials")
    assert set(trials["state"]) == {"finished"}
    assert list(Path.cwd().iterdir()) == []

    events = events_of(tmp_path / "run")
    table = tmp_path / "hc18" / TABLE
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *(f"{row}1" for row in rows)]))
    with pytest.raises(DataChangedError, match="60 images, of 60 patients, have other labels"):
        supremix.Search.resume(tmp_path / "run").run()
    assert events_of(tmp_path / "run") == events
