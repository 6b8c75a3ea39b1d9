"""Every interval of a report is drawn in one place; the median's is that of plain drawing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import supremix
import supremix_reports
from supremix_reports.statistics.resampling.intervals import median_interval

ROOT = Path(supremix_reports.__file__).parent
PLATFORM = Path(supremix.__file__).parent

# Who draws with replacement, and who takes quantiles of anything, with what it is for.
DRAWS = {"statistics/resampling/bootstrap.py": "the resampling of groups"}
QUANTILES = {
    "figures/model/regions.py": "edges of label regions",
    "figures/plot.py": "the median that the top of an axis follows",
    "figures/search/marginals.py": "the spread of a forest's trees",
}


def called(source: Path) -> Iterator[str]:
    """The names of all functions and methods that a file calls."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "attr", getattr(node.func, "id", ""))


def calling(root: Path, names: set[str]) -> dict[str, set[str]]:
    found = {
        path.relative_to(root).as_posix(): names & set(called(path)) for path in root.rglob("*.py")
    }
    return {path: calls for path, calls in found.items() if calls}


def test_one_file_draws_with_replacement() -> None:
    assert calling(ROOT, {"integers", "choice", "choices", "resample", "multinomial"}) == {
        path: {"integers"} for path in DRAWS
    }


def test_chance_and_quantiles_stay_with_the_statistics() -> None:
    assert all(path.startswith("statistics/") for path in calling(ROOT, {"default_rng"}))
    outside = {
        path: calls
        for path, calls in calling(ROOT, {"quantile", "percentile", "bootstrap"}).items()
        if not path.startswith("statistics/")
    }
    assert outside == {path: {"quantile"} for path in QUANTILES}


def test_the_platform_takes_its_intervals_from_the_reports() -> None:
    assert calling(PLATFORM, {"percentile", "bootstrap", "resample"}) == {}


@pytest.mark.parametrize("each", [1, 3])
def test_an_interval_of_a_median_is_that_of_plain_drawing(each: int) -> None:
    g = np.random.default_rng(3)
    groups = np.repeat(np.arange(40), each)
    values = g.exponential(size=len(groups)) + 0.2 * groups % 1
    found = median_interval(values, groups)
    drawn = [
        np.median(np.concatenate([values[groups == i] for i in g.choice(40, 40)]))
        for _ in range(4000)
    ]
    # A little further out than the level says: Student's t for so few groups.
    tail = stats.norm.sf(stats.t.ppf(0.975, 39) * np.sqrt(40 / 39))
    expected = np.quantile(drawn, [tail, 1 - tail])

    assert found.value == np.median(values)
    assert (found.n, found.groups) == (40 * each, 40)
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.15 * np.ptp(expected))


def test_a_median_of_two_groups_has_no_interval() -> None:
    found = median_interval([1.0, 2.0, 4.0], ["a", "a", "b"])

    assert (found.value, found.groups) == (2.0, 2)
    assert np.isnan([found.low, found.high]).all()
