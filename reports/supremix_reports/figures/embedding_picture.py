"""A picture of a representation: its samples in two dimensions, coloured by label."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from supremix_reports.errors import StatisticsError
from supremix_reports.figures.model.embedding import draw_features
from supremix_reports.figures.plot import saved
from supremix_reports.statistics.resampling.intervals import Array
from supremix_reports.tables import schema, storage

_DPI: Final = 120


def principal_components(features: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Array, Array]:
    """Project features onto the two directions of their largest variance.

    Args:
        features: (N, F), finite.
        labels: (N,); they decide the signs alone: both axes are turned so that they grow with the
            label.

    Returns:
        Coordinates (N, 2), and the share (2,) of the variance that each has; 0 where there is no
        second direction, or no variance.

    Raises:
        StatisticsError: values that are not finite, no samples, or lengths that differ.
    """
    x, y = np.asarray(features, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if x.ndim != 2 or not x.size or y.shape != (len(x),):
        raise StatisticsError(
            f"A picture needs features (N, F) and a label for each; got shapes {x.shape} and "
            f"{y.shape}."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise StatisticsError("A picture needs finite features and labels.")
    left, values, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    points, shares = np.zeros((len(x), 2)), np.zeros(2)
    kept = min(2, len(values))
    points[:, :kept] = left[:, :kept] * values[:kept]
    total = float(values @ values)
    if total > 0:
        shares[:kept] = values[:kept] ** 2 / total
    slope = points.T @ (y - y.mean())
    return points * np.where(slope < 0, -1.0, 1.0), shares


def embedding_rows(
    features: npt.ArrayLike, labels: npt.ArrayLike, **common: object
) -> list[dict[str, object]]:
    """Return the rows of the table `embedding`: features as two principal components.

    Args:
        features: (N, F), finite.
        labels: (N,).
        common: the columns that all rows share: run, dataset, method, trial, split, unit.

    Raises:
        StatisticsError: as `principal_components` does.
    """
    points, shares = principal_components(features, labels)
    ends = {schema.FIRST_SHARE: float(shares[0]), schema.SECOND_SHARE: float(shares[1])}
    return [
        {**common, schema.FIRST: float(a), schema.SECOND: float(b), schema.TARGET: float(y), **ends}
        for (a, b), y in zip(points, np.asarray(labels), strict=True)
    ]


def embedding_picture(
    features: npt.ArrayLike,
    labels: npt.ArrayLike,
    path: str,
    *,
    label: str,
    unit: str,
    title: str = "",
) -> str:
    """Write a PNG of the first two principal components of features, coloured by label.

    The same input gives the same bytes, with the same matplotlib.

    Args:
        features: (N, F), finite.
        labels: (N,), the colour.
        path: path or fsspec address of the file; missing folders are made.
        label: name of the label.
        unit: of the label.
        title: above the picture.

    Returns:
        The address of the file.

    Raises:
        StatisticsError: as `principal_components` does.
    """
    points, shares = principal_components(features, labels)
    figure = draw_features(points, labels, shares.tolist(), f"{label} ({unit})")
    figure.axes[0].set_title(title, fontsize=10)
    storage.write_atomic(path, saved(figure, "png", dpi=_DPI))
    return path
