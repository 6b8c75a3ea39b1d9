"""Ranks over datasets, with scipy and the tables of Demšar (2006) as judges."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats
from matplotlib.backends.backend_agg import FigureCanvasAgg

from supremix_reports import (
    StatisticsError,
    critical_difference_figure,
    nemenyi_difference,
    rank_methods,
)


def table(errors: Any, methods: str = "abcdefgh") -> pl.DataFrame:
    """Rows of the table `mae`: a row of errors a dataset, a column a method."""
    return pl.DataFrame(
        [
            {"dataset": f"d{i}", "method": methods[j], "split": split, "metric": metric,
             "value": float(value) if split == "test" and metric == "mae" else 1.0, "seeds": 3,
             "low": None}
            for i, row in enumerate(errors)
            for j, value in enumerate(row)
            for split in ("val", "test")
            for metric in ("mae", "rmse")
        ]
    )  # fmt: skip


def test_mean_ranks_are_sorted_and_ties_share_them() -> None:
    ranks = rank_methods(table([[3.0, 1.0, 2.0], [5.0, 5.0, 9.0]]))
    assert ranks.methods == ("b", "a", "c")
    assert ranks.mean_ranks == (1.25, 2.25, 2.5)
    assert ranks.table.columns == ["dataset", "method", "value", "rank"]
    assert ranks.table["rank"].to_list() == [3, 1, 2, 1.5, 1.5, 3]


@pytest.mark.parametrize("ties", [False, True])
def test_friedmans_test_is_scipys(ties: bool) -> None:
    errors = np.random.default_rng(2).uniform(0, 1, (9, 4)) + np.arange(4) / 5
    errors = np.round(errors, 1) if ties else errors
    ranks = rank_methods(table(errors))
    judge = scipy.stats.friedmanchisquare(*errors.T)
    assert (ranks.statistic, ranks.p) == pytest.approx((judge.statistic, judge.pvalue))


def test_of_two_methods_friedmans_test_is_the_sign_test() -> None:
    errors = np.array([[1.0, 2.0]] * 7 + [[2.0, 1.0]] * 2)
    ranks = rank_methods(table(errors))
    # 7 of 9 signs: z = (7 - 4.5) / √(9/4)
    assert ranks.statistic == pytest.approx((2.5 / 1.5) ** 2)
    assert ranks.p == pytest.approx(2 * scipy.stats.norm.sf(2.5 / 1.5))


# Demšar 2006, table 5 (a): the critical values of the two-tailed Nemenyi test at 0.05 and 0.10.
@pytest.mark.parametrize(
    ("methods", "at_5", "at_10"),
    [
        (2, 1.960, 1.645),
        (3, 2.343, 2.052),
        (4, 2.569, 2.291),
        (5, 2.728, 2.459),
        (10, 3.164, 2.920),
    ],
)
def test_the_critical_difference_is_the_papers(methods: int, at_5: float, at_10: float) -> None:
    scale = np.sqrt(methods * (methods + 1) / (6 * 14))
    assert nemenyi_difference(methods, 14) == pytest.approx(at_5 * scale, abs=2e-3)
    assert nemenyi_difference(methods, 14, level=0.9) == pytest.approx(at_10 * scale, abs=2e-3)


def test_cliques_are_the_largest_runs_within_the_critical_difference() -> None:
    errors = np.tile([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (8, 1))
    ranks = rank_methods(table(errors))
    apart = ranks.critical_difference
    assert apart is not None
    assert 2 < apart < 3
    assert ranks.cliques == (tuple("abc"), tuple("bcd"), tuple("cde"), tuple("def"))
    many = rank_methods(table(np.tile([1.0, 2.0], (60, 1))))
    assert many.cliques == ()
    equal = rank_methods(table(np.ones((4, 3))))
    assert equal.cliques == (tuple("abc"),)
    assert (equal.statistic, equal.p) == (0.0, 1.0)


def test_a_dataset_that_lacks_a_method_is_left_out_and_named() -> None:
    rows = table([[1.0, 2.0], [2.0, 1.0], [1.0, 3.0], [4.0, 5.0]])
    hole = (pl.col("dataset") == "d1") & (pl.col("method") == "b")
    empty = (pl.col("dataset") == "d2") & (pl.col("method") == "a")
    nothing = pl.when(empty).then(None).otherwise(pl.col("value")).alias("value")
    ranks = rank_methods(rows.filter(~hole).with_columns(nothing))
    assert ranks.datasets == ("d0", "d3")
    assert ranks.left_out == (("d1", "no error of b"), ("d2", "no error of a"))


@pytest.mark.parametrize(
    ("errors", "datasets", "methods"), [([[1.0, 2.0]], 1, 2), ([[1.0], [2.0]], 2, 1)]
)
def test_too_few_datasets_or_methods_say_so(errors: Any, datasets: int, methods: int) -> None:
    ranks = rank_methods(table(errors))
    assert ranks.reason is not None
    assert ranks.reason.endswith(f"there are {datasets} and {methods}.")
    assert (ranks.statistic, ranks.p, ranks.critical_difference) == (None, None, None)
    assert ranks.cliques == ()
    with pytest.raises(StatisticsError, match="Ranks over datasets need two datasets"):
        critical_difference_figure(ranks)


def test_without_rows_there_are_no_ranks() -> None:
    ranks = rank_methods(table([[1.0, 2.0]]), split="train")
    assert (ranks.methods, ranks.mean_ranks, ranks.datasets) == ((), (), ())
    assert ranks.table.is_empty()
    assert ranks.reason is not None


def test_several_errors_of_a_method_on_a_dataset_are_refused() -> None:
    rows = table([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(StatisticsError, match="several values of a on d0"):
        rank_methods(pl.concat([rows, rows]))
    with pytest.raises(StatisticsError, match="between 0 and 1; got 95"):
        rank_methods(rows, level=95)


def test_the_order_of_rows_does_not_matter() -> None:
    rows = table(np.random.default_rng(0).integers(0, 4, (6, 4)))
    a, b = rank_methods(rows), rank_methods(rows.sample(fraction=1, shuffle=True, seed=1))
    assert (a.methods, a.mean_ranks, a.cliques) == (b.methods, b.mean_ranks, b.cliques)
    assert a.table.equals(b.table)


def lines(figure: Any, width: float) -> list[Any]:
    return [line for line in figure.axes[0].lines if line.get_linewidth() == width]


def test_the_diagram_shows_ranks_bars_and_the_critical_difference() -> None:
    ranks = rank_methods(table(np.tile([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (8, 1))))
    figure = critical_difference_figure(ranks)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [t for t in texts if "  " in t] == [f"{m}  {k}.00" for k, m in enumerate("abcdef", 1)]
    assert f"critical difference {ranks.critical_difference:.2f}" in texts
    assert len(lines(figure, 3.5)) == 4
    assert min(text.get_fontsize() for text in figure.axes[0].texts) >= 8
    # The line of the critical difference is as long as that many ranks.
    upper, scale = sorted(
        (line for line in lines(figure, 1.0) if np.ptp(line.get_xdata()) > 0),
        key=lambda line: line.get_ydata()[0],
    )
    length = np.ptp(upper.get_xdata()) / np.ptp(scale.get_xdata()) * 5
    assert length == pytest.approx(ranks.critical_difference)


@pytest.mark.parametrize("count", [2, 3, 9])
def test_no_text_of_the_diagram_leaves_the_page_or_lies_on_another(count: int) -> None:
    errors = np.random.default_rng(count).uniform(0, 1, (3, count))
    names = [f"a-method-with-a-name-{k}" for k in range(count)]
    rows = table(errors, "abcdefghi").with_columns(
        pl.col("method").replace(dict(zip("abcdefghi", names, strict=False)))
    )
    figure = critical_difference_figure(rank_methods(rows))
    renderer: Any = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    assert len(boxes) == 2 * count + 1
    page = figure.bbox
    for k, box in enumerate(boxes):
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
        assert not any(box.overlaps(other) for other in boxes[:k])


def test_a_difference_longer_than_the_scale_is_told_and_not_drawn() -> None:
    figure = critical_difference_figure(rank_methods(table([[1.0, 2.0], [1.0, 2.0]])))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "critical difference 1.39: longer than the scale" in texts
