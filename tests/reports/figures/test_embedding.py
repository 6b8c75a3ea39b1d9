"""The picture of a representation."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from supremix_reports import (
    StatisticsError,
    embedding_picture,
    embedding_rows,
    principal_components,
    read_table,
    write_summary,
    write_table,
)
from supremix_reports.tables import storage


@pytest.fixture
def data() -> tuple[Any, Any]:
    g = np.random.default_rng(0)
    labels = g.uniform(20, 80, 120)
    return g.normal(size=(120, 9)) + 0.1 * labels[:, None] * g.normal(size=9), labels


def test_the_axes_are_the_principal_components_of_scikit_learn(data: tuple[Any, Any]) -> None:
    judge = PCA(2).fit(data[0])
    points, shares = principal_components(*data)
    np.testing.assert_allclose(np.abs(points), np.abs(judge.transform(data[0])), atol=1e-9)
    np.testing.assert_allclose(shares, judge.explained_variance_ratio_, rtol=1e-9)


def test_the_table_has_the_points_of_the_picture(data: tuple[Any, Any], tmp_path: Path) -> None:
    source = {"run": "r", "dataset": "d", "method": "m", "trial": 3, "split": "val", "unit": "mm"}
    write_table(str(tmp_path), "embedding", embedding_rows(*data, **source))
    table = read_table(str(tmp_path), "embedding")
    points, shares = principal_components(*data)
    np.testing.assert_array_equal(table.select("first", "second").to_numpy(), points)
    np.testing.assert_array_equal(table["target"].to_numpy(), data[1])
    assert table.select("first_share", "second_share").unique().row(0) == tuple(shares)


def test_both_axes_grow_with_the_label_whatever_the_sign_of_the_features(
    data: tuple[Any, Any],
) -> None:
    features, labels = data
    points, _ = principal_components(features, labels)
    assert all(np.cov(points[:, k], labels)[0, 1] >= 0 for k in (0, 1))
    np.testing.assert_allclose(principal_components(-features, labels)[0], points, atol=1e-9)


@pytest.mark.parametrize("features", [np.ones((5, 3)), np.arange(5.0)[:, None], np.ones((1, 4))])
def test_without_a_second_direction_it_is_zero(features: Any) -> None:
    points, shares = principal_components(features, np.arange(float(len(features))))
    assert points.shape == (len(features), 2)
    assert not points[:, 1].any()
    assert shares[1] == 0


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.ones((3, 2)), [1.0, 2.0], r"shapes \(3, 2\) and \(2,\)"),
        (np.ones(3), [1.0, 2.0, 3.0], "a label for each"),
        (np.ones((0, 2)), [], "a label for each"),
        (np.full((2, 2), np.nan), [1.0, 2.0], "finite features and labels"),
    ],
)
def test_what_cannot_be_drawn_is_refused(features: Any, labels: Any, message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        principal_components(features, labels)


def test_the_same_numbers_give_the_same_bytes(data: tuple[Any, Any], tmp_path: Path) -> None:
    words = {"label": "age", "unit": "years", "title": "t"}
    one = embedding_picture(*data, str(tmp_path / "new" / "one.png"), **words)
    other = embedding_picture(*data, str(tmp_path / "other.png"), **words)
    assert Path(one).read_bytes() == Path(other).read_bytes()
    with Image.open(one) as image:
        assert image.format == "PNG"
        colours = {c[:3] for _, c in image.convert("RGBA").getcolors(1 << 20)}
    assert len(colours) > 100
    assert not list(tmp_path.glob("**/.*"))


def test_no_setting_of_the_users_changes_it(data: tuple[Any, Any], tmp_path: Path) -> None:
    import matplotlib as mpl

    words = {"label": "age", "unit": "years"}
    plain = Path(embedding_picture(*data, str(tmp_path / "a.png"), **words)).read_bytes()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        ours = Path(embedding_picture(*data, str(tmp_path / "b.png"), **words)).read_bytes()
    assert ours == plain


def test_reports_wait_for_no_plotting_and_open_no_window(tmp_path: Path) -> None:
    program = (
        "import sys, supremix_reports as r\n"
        "before = 'matplotlib' in sys.modules\n"
        "r.embedding_picture([[1.0, 2.0], [2.0, 1.0]], [1, 2], sys.argv[1], label='a', unit='b')\n"
        "sys.exit(before or 'matplotlib.pyplot' in sys.modules)"
    )
    path = str(tmp_path / "x.png")
    assert subprocess.run([sys.executable, "-c", program, path], check=False).returncode == 0


def test_the_summary_shows_it_where_there_is_one(tmp_path: Path) -> None:
    write_table(str(tmp_path), "trials", [])
    assert "embedding.png" not in Path(write_summary(str(tmp_path), {})).read_text()
    embedding_picture([[1.0], [2.0]], [1, 2], str(tmp_path / "embedding.png"), label="a", unit="b")
    text = Path(write_summary(str(tmp_path), {})).read_text()
    assert "![The best trial's features on validation](embedding.png)" in text


def test_a_picture_is_written_to_a_bucket(data: tuple[Any, Any], bucket: str) -> None:
    address = f"{bucket}/run/embedding.png"
    assert embedding_picture(*data, address, label="age", unit="years") == address
    with Image.open(io.BytesIO(storage.read_bytes(address))) as picture:
        assert picture.format == "PNG"
