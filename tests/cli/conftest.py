"""A search that takes no time, in the place of the real one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import supremix
from supremix_reports import Interval, trials_frame

PROGRESS = supremix.Progress(
    message="searching",
    done=1,
    running=2,
    pruned=1,
    total=4,
    best_error=4.25,
    best_trial=1,
    unit="mm",
    elapsed=60.0,
    left=180.0,
)
CONFIGS = [
    {"lr": 0.1, "batch_size": 8},
    {"lr": 0.01, "batch_size": 8},
    {"lr": 1.0, "head": "probe"},
]


def trials() -> pl.DataFrame:
    rows = [
        (0, "pruned", 1.5, 2, CONFIGS[0]),
        (1, "finished", 4.25, 8, CONFIGS[1]),
        (2, "finished", 3.125, 8, CONFIGS[0]),
        (3, "failed", None, 0, CONFIGS[2]),
    ]
    table = [
        {
            "trial": n,
            "state": s,
            "error": e,
            "epochs": k,
            "config": json.dumps(c),
            "unit": "mm",
            "replicate_of": None,
        }
        for n, s, e, k, c in rows
    ]
    return trials_frame(pl.DataFrame(table))


def result(path: Path, *, tested: bool = True) -> Any:
    interval = Interval(value=3.125, low=2.5, high=3.75, n=20, groups=15)
    test = Interval(value=3.5, low=3.0, high=4.0, n=20, groups=15) if tested else None
    best = supremix.Best(
        trial=2,
        config=CONFIGS[0],
        error=3.5 if tested else 3.125,
        basis="on test" if tested else "mean over 3 new seeds on validation",
        interval=test or interval,
        against_defaults="No difference shown.",
        convergence="",
        model=path / "best",
    )
    splits = ("val", "test") if tested else ("val",)
    return SimpleNamespace(
        best=best,
        trials=trials(),
        validation=interval,
        test=test,
        path=path,
        mae=errors(splits),
    )


def errors(splits: tuple[str, ...]) -> pl.DataFrame:
    """Rows of the table `mae` of a model that is no better than the training median."""
    values = {"mae": (3.5, 3.0, 4.0), "null_mae": (3.0, 2.5, 3.5), "skill": (-0.17, -0.4, 0.1)}
    common = {"dataset": "hc18", "method": "l1", "n": 20, "seeds": 1, "unit": "mm"}
    return pl.DataFrame(
        [
            {**common, "split": split, "metric": metric, "value": v, "low": low, "high": high}
            for split in splits
            for metric, (v, low, high) in values.items()
        ]
    )


@dataclass
class FakeSearch:
    """Stands for `supremix.Search`: keeps what it was called with, and does as it is told."""

    called: dict[str, Any] = field(default_factory=dict)
    resumed: str | None = None
    raises: BaseException | None = None
    tested: bool = True
    path: Path = Path("runs/fake")

    def __call__(self, **options: Any) -> FakeSearch:
        self.called = options
        return self

    def resume(self, run: str, **options: Any) -> FakeSearch:
        self.resumed, self.called = run, options
        return self

    def run(self) -> Any:
        report = self.called["progress"]
        report(supremix.Progress(message="preparing images", done=50, total=100))
        report(PROGRESS)
        if self.raises is not None:
            raise self.raises
        return result(self.path, tested=self.tested)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeSearch:
    search = FakeSearch(path=tmp_path)
    monkeypatch.setattr(supremix, "Search", search)
    monkeypatch.setenv("COLUMNS", "120")
    return search
