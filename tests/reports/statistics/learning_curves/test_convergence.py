"""The diagnosis of trainings: which epochs it looks at, its verdicts, and where it is not said."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from supremix.methods.base import DEFAULT_SCHEDULE
from supremix.training.steps import schedule as schedules
from supremix_reports import (
    Convergence,
    best_convergence,
    convergence,
    power_law_forecast,
)
from supremix_reports.statistics.learning_curves.convergence import ANYTIME as ANYTIME_SCHEDULES
from supremix_reports.statistics.learning_curves.convergence import DECAY, last_quarter_fall
from supremix_reports.statistics.resampling.seeds import Array

ANYTIME = {"schedule": "constant"}
EPOCHS = 120


def noisy(errors: Array, deviation: float = 0.01, seed: int = 0) -> Array:
    generator = np.random.default_rng(seed)
    return errors * (1 + deviation * generator.standard_normal(errors.size))


def falling(epochs: int = EPOCHS, exponent: float = 0.5, **options: Any) -> Array:
    return noisy(2 + 10 * np.arange(1.0, epochs + 1) ** -exponent, **options)


def stage(errors: Any, name: str = "regress", first: int = 1, **more: Any) -> list[dict[str, Any]]:
    return [
        {"epoch": first + k, "stage": name, "error": error, "loss": 0.5, **more}
        for k, error in enumerate(errors)
    ]


def diagnosis(errors: Any, **config: Any) -> Convergence:
    return convergence([stage(errors)], ANYTIME | config)


def verdict(errors: Any) -> str:
    return diagnosis(errors).verdict


def test_a_falling_a_flat_and_a_wild_curve() -> None:
    assert verdict(falling()) == "still falling"
    assert verdict(falling(exponent=3.0)) == "flattened"
    assert verdict(falling(deviation=0.4)) == "cannot be said"
    assert diagnosis(falling(deviation=0.4)).reason == ("the error moves too much over the epochs")


def test_an_error_that_rises_has_flattened_and_its_fall_is_negative() -> None:
    found = diagnosis(noisy(np.linspace(3, 4, EPOCHS)))

    assert found.verdict == "flattened"
    assert found.fall < 0
    assert found.columns()["doubling_gain_high"] < 0


def test_the_fall_over_the_last_quarter_is_that_of_a_line() -> None:
    epochs = np.arange(1.0, 65)

    assert last_quarter_fall(epochs, 100 - epochs) == 16
    assert last_quarter_fall(640 * epochs, 100 - epochs) == 16
    outlier = np.where(epochs == 64, 1e9, 100 - epochs)
    assert last_quarter_fall(epochs, outlier) == pytest.approx(16, abs=1)
    assert [math.isnan(last_quarter_fall(epochs[:n], epochs[:n])) for n in (1, 2, 3)] == [
        True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("epochs", [1, 3, 19])
def test_of_few_epochs_nothing_is_said(epochs: int) -> None:
    found = diagnosis(falling(epochs))

    assert (found.verdict, found.forecast) == ("cannot be said", None)
    assert found.reason == "fewer than 20 epochs were evaluated"
    assert math.isnan(found.fall) == (epochs < 3)


def test_an_error_that_never_changes_was_evaluated_once() -> None:
    found = diagnosis([3.0] * EPOCHS)

    assert found.reason == "fewer than 20 epochs were evaluated"


def test_epochs_without_an_error_and_repeated_errors_are_not_evaluated() -> None:
    errors = falling()
    epochs = np.arange(1.0, EPOCHS + 1)
    every_fourth = epochs % 4 == 0
    missing = np.where(every_fourth, errors, np.nan)
    repeated = errors[np.maximum(np.arange(EPOCHS) // 4 * 4 - 1, 0)]

    found = diagnosis(missing)
    assert found.verdict == "still falling"
    assert found.forecast == power_law_forecast(epochs[every_fourth], errors[every_fourth])
    assert diagnosis([None if math.isnan(e) else e for e in missing]) == found
    # The first epochs repeat the first error, and the last one is not evaluated here.
    assert diagnosis(repeated).verdict == "still falling"
    assert diagnosis([math.nan] * EPOCHS).reason == "fewer than 20 epochs were evaluated"


def test_no_rows_and_nothing_trained() -> None:
    untrained = [row | {"loss": math.nan} for row in stage(falling())]

    for trainings in ([[]], [untrained]):
        found = convergence(trainings, ANYTIME)
        assert (found.verdict, found.reason) == ("cannot be said", "no epoch trained anything")


def test_of_two_stages_the_last_one_counts_from_its_own_start() -> None:
    pretraining = stage(falling(40, exponent=0.1), "pretrain")
    found = convergence([pretraining + stage(falling(), first=41)], ANYTIME)

    assert found.stage == "regress"
    assert found.forecast == diagnosis(falling()).forecast


def test_a_probe_at_the_end_leaves_the_pretraining() -> None:
    pretraining = stage(falling(), "pretrain")
    probe = stage([2.5], "regress", first=EPOCHS + 1, loss=math.nan)
    found = convergence([pretraining + probe], ANYTIME)

    assert (found.verdict, found.stage) == ("still falling", None)
    assert found.forecast == diagnosis(falling()).forecast


def test_the_anytime_schedules_and_the_default_are_those_of_the_training() -> None:
    assert set(ANYTIME_SCHEDULES) == set(schedules.ANYTIME)
    assert DECAY == schedules.DECAY
    assert convergence([stage(falling())], {}) == diagnosis(falling(), schedule=DEFAULT_SCHEDULE)


@pytest.mark.parametrize("schedule", ["one-cycle", "mine"])
def test_under_a_schedule_that_is_not_anytime_only_the_fall_is_given(schedule: str) -> None:
    found = convergence([stage(falling())], {"schedule": schedule})

    assert found.fall == diagnosis(falling()).fall
    assert (found.verdict, found.forecast) == ("cannot be said", None)
    assert found.reason == f"under the schedule {schedule} the error falls with the learning rate"


def test_what_the_decay_of_the_rate_gives_is_left_out() -> None:
    curve = falling()
    stable = len(curve) * 4 // 5
    decayed = np.concatenate([curve[:stable], curve[stable:] - 0.5])
    found = diagnosis(decayed, schedule="warmup-stable-decay")

    assert found.verdict == "still falling"
    assert found == diagnosis(curve[:stable])


def test_trainings_with_several_seeds_are_averaged_and_surer() -> None:
    curves = [falling(deviation=0.1, seed=seed) for seed in range(5)]
    found = convergence([stage(curve) for curve in curves], ANYTIME)
    mean = diagnosis(np.mean(curves, axis=0))

    assert found.trainings == 5
    assert (found.fall, found.forecast) == (mean.fall, mean.forecast)
    assert found.forecast is not None
    single = diagnosis(curves[0]).forecast
    assert single is not None
    assert found.forecast.high - found.forecast.low < single.high - single.low


def table(*trainings: tuple[int, str, int | None, Array]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables `trials` and `curves` of trainings: number, state, replicate_of, errors."""
    trials = [
        {"trial": n, "state": state, "replicate_of": of, "config": json.dumps(ANYTIME)}
        for n, state, of, _ in trainings
    ]
    curves = [
        {"trial": n, "dataset": "hc18", **row} for n, _, _, e in trainings for row in stage(e)
    ]
    return pl.DataFrame(trials, infer_schema_length=None), pl.DataFrame(curves)


def test_the_best_hyperparameters_are_diagnosed_by_their_finished_new_seeds() -> None:
    flat = falling(exponent=3.0)
    tables = table(
        (0, "finished", None, falling()),
        (1, "finished", None, falling()),
        (2, "finished", 1, flat),
        (3, "finished", 1, flat),
        (4, "stopped", 1, falling(30)),
    )
    found = best_convergence(*tables, 1)

    assert found is not None
    assert (found.verdict, found.trainings) == ("flattened", 2)
    single = best_convergence(*tables, 0)
    assert single is not None
    assert (single.verdict, single.trainings) == ("still falling", 1)


def test_what_was_not_finished_or_went_over_several_datasets_has_no_diagnosis() -> None:
    trials, curves = table((0, "pruned", None, falling()), (1, "finished", None, falling()))
    joint = curves.with_columns(
        dataset=pl.when(pl.col("epoch") > 60).then(pl.lit("rsna")).otherwise("dataset")
    )

    assert best_convergence(trials, curves, 0) is None
    assert best_convergence(trials, joint, 1) is None
    assert best_convergence(trials, curves.clear(), 1) is None


def test_the_columns_of_a_table_are_null_where_a_number_is_not_known() -> None:
    assert diagnosis(falling(2)).columns() == {
        "last_quarter_fall": None,
        "doubling_gain": None,
        "doubling_gain_low": None,
        "doubling_gain_high": None,
        "convergence": "cannot be said",
        "convergence_note": "fewer than 20 epochs were evaluated",
    }
