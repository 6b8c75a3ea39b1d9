"""A plan compared with the search it is for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from live_support import TINY, events_of

import supremix

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.mark.usefixtures("local_ray")
def test_a_plan_and_what_the_search_took(
    heads: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request: dict[str, Any] = {**TINY, "source": heads, "trials": 6, "epochs": 9}
    plan = supremix.plan(**request)

    assert list(tmp_path.iterdir()) == []  # nothing is written but the images in the cache
    assert plan.problems == ()
    (study,) = plan.studies
    assert {stage.stage for stage in study.stages} == {"pretrain", "regress"}
    assert study.trials == 6
    assert json.loads(json.dumps(plan.to_dict()))["fits"] is True

    run = tmp_path / "run"
    supremix.Search(**request, out=run).run()
    rows = [event for event in events_of(run) if event["event"] == "epoch"]
    first = [row for row in rows if row["number"] < 6]
    assert study.epochs.low <= len(first) <= study.epochs.high
    took = sum(row["row"]["seconds"] for row in first)
    kept = sum(file.stat().st_size for file in run.rglob("*") if file.is_file())
    print(
        f"epochs {len(first)} of {study.epochs.likely:.0f} planned; trials' seconds {took:.1f} of "
        f"{study.search.likely:.1f} planned; bytes {kept} of {plan.storage:.0f} planned"
    )
