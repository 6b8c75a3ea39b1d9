"""A cross-validation on a cluster: interrupted, resumed, pooled, and its models as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from live_support import HEADS, TINY, assert_nothing_left, events_of

import supremix
from supremix.errors import SearchInterrupted
from supremix.progress.progress import Progress
from supremix_reports import read_table

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.usefixtures("local_ray")]

SMALL: dict[str, Any] = {
    **{name: value for name, value in TINY.items() if name != "dataset"},
    "epochs": 2, "trials": 2, "confirm_seeds": 0, "folds": 3,
}  # fmt: skip


@pytest.mark.parametrize("once", [False, True])
def test_folds_are_resumed_and_pooled(tmp_path: Path, heads: str, once: bool) -> None:
    run = tmp_path / "run"

    def interrupt(progress: Progress) -> None:
        if progress.part == "fold-1" and progress.about_trials and progress.done:
            raise KeyboardInterrupt

    options = {**SMALL, "search_once": once, "out": run}
    with pytest.raises(SearchInterrupted, match=f"--resume {run}"):
        supremix.CrossValidation("hc18", heads, "l1", **options, progress=interrupt).run()
    assert_nothing_left()
    begun = {fold: events_of(run / fold) for fold in ("fold-0", "fold-1", "fold-2")}

    result = supremix.CrossValidation.resume(run).run()
    for fold, events in begun.items():
        assert events_of(run / fold)[: len(events)] == events
    table = result.predictions
    assert table["id"].n_unique() == table.height == HEADS
    assert sorted(table["fold"].unique()) == [0, 1, 2]
    assert (table["split"] == "test").all()
    assert result.mae["folds"].unique().to_list() == [3]
    assert supremix.status(run).best_error == pytest.approx(result.error.value)
    configs = [
        json.loads(row["config"])
        for row in read_table(str(run), "trials").iter_rows(named=True)
        if row["trial"] in set(table["trial"])
    ]
    if once:
        assert all(config == configs[0] for config in configs)
        assert "optimistically biased" in result.selection
        assert len(result.results["fold-1"].trials) == 1
    predicted = result.load().predict_table(heads, {"pixel_size": 0.1})
    assert predicted["in_training"].all()
    assert predicted["problem"].null_count() == predicted.height
    assert "3 folds" in (run / "summary.md").read_text()
    assert_nothing_left()
