"""Successive halving against a plain version of its rule."""

from __future__ import annotations

import numpy as np
import pytest

from supremix.errors import SpecError
from supremix.search.pruning import Halving, Pruning


def plain_rule(errors: np.ndarray, grace: int, reduction: float) -> list[int]:
    """Epochs each trial gets: at a rung, stop unless among the best 1/reduction so far."""
    count, epochs = errors.shape
    rungs = [r for k in range(20) if (r := grace * reduction**k) < epochs]
    seen: dict[float, list[float]] = {rung: [] for rung in rungs}
    lengths: list[int] = []
    for trial in range(count):
        length = epochs
        for rung in rungs:
            error = errors[trial, int(rung) - 1]
            before = seen[rung]
            stop = bool(before) and error > np.percentile(before, 100 / reduction)
            before.append(error)
            if stop and trial > 0:  # the defaults are never given up
                length = int(rung)
                break
        lengths.append(length)
    return lengths


def test_it_stops_what_the_rule_stops() -> None:
    errors = np.random.default_rng(0).uniform(1, 10, size=(60, 27))
    halving = Halving(Pruning(grace=1, reduction=3), 27)
    lengths: list[int] = []
    for trial, curve in enumerate(errors):
        epoch = 0
        while True:
            epoch += 1
            stop = halving.stop(trial, {"epoch": epoch, "error": curve[epoch - 1]})
            if stop or epoch == 27:
                break
        lengths.append(epoch)
    assert lengths == plain_rule(errors, 1, 3)


@pytest.mark.parametrize(("epochs", "grace", "rung"), [(60, None, 6), (5, None, 1), (4, 9, 4)])
def test_the_first_rung(epochs: int, grace: int | None, rung: int) -> None:
    assert Pruning(grace=grace).first_rung(epochs) == rung


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(SpecError, match="reduction > 1; got grace=None, reduction=1"):
        Pruning(reduction=1)
    with pytest.raises(SpecError, match="grace >= 1"):
        Pruning(grace=0)


def test_the_defaults_are_never_given_up() -> None:
    for number, stopped in ((0, False), (7, True)):
        halving = Halving(Pruning(grace=1), 9)
        assert not halving.stop(5, {"epoch": 1, "error": 1.0})
        assert halving.stop(number, {"epoch": 1, "error": 2.0}) is stopped
