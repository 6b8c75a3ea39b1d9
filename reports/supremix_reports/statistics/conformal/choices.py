"""The kinds of prediction intervals and of bias correction, by name."""

from __future__ import annotations

from typing import Final, Literal

IntervalMethod = Literal["split", "normalised", "mondrian"]
INTERVAL_METHODS: Final[tuple[IntervalMethod, ...]] = ("split", "normalised", "mondrian")
"""split: as wide for all images. normalised: in proportion to the spread of several networks on the
image (Papadopoulos et al. 2008). mondrian: calibrated within the label region, a third of the
training labels, that the prediction is in (Vovk et al. 2005)."""

BiasCorrection = Literal["cole", "beheshti"]
BIAS_CORRECTIONS: Final[tuple[BiasCorrection, ...]] = ("cole", "beheshti")
"""cole: the line is inverted, without the true label (Cole et al. 2018). beheshti: the line of
prediction minus truth on the truth is subtracted, which takes the true label (Beheshti et al. 2019;
de Lange and Cole 2020)."""
