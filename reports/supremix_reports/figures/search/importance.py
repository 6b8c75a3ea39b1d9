"""How much each searched parameter matters for the error: Optuna's own evaluators on the trials."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import optuna
import polars as pl

from supremix_reports.errors import PlotError
from supremix_reports.figures.plot import (
    BLUE,
    ORANGE,
    Plot,
    counted,
    drawing,
    listed,
    number,
)
from supremix_reports.figures.search.trials import Searched, SearchedParameter, SearchTrials

FANOVA: Final = "fANOVA"
PED_ANOVA: Final = "PED-ANOVA"
BEST: Final = 5
"""Trials, at least, that PED-ANOVA takes for the best ones, as Optuna advises."""
LEAST: Final = 10
"""Trials below which a share of the variance is an accident."""

WHAT: Final[Mapping[str, str]] = {
    FANOVA: (
        "fANOVA (Hutter et al. 2014): share of the variance of the error over the searched space "
        "that a parameter explains alone, by a forest of 64 trees"
    ),
    PED_ANOVA: (
        "PED-ANOVA (Watanabe et al. 2023): how much the values of the best trials (a tenth, at "
        "least five) differ from those of all"
    ),
}
"""What each evaluator's number is."""


def importance_plot(of: Searched) -> Plot:
    """Draw the importance of each parameter."""
    trials, words = of.trials, of.words
    which = trials.comparable
    if len(which) < LEAST:
        raise PlotError(
            f"The importance of parameters needs at least {LEAST} finished trials with an error, "
            f"and there are {len(which)}.{trials.left_out()}"
        )
    if not trials.parameters:
        raise PlotError("No parameter took more than one value.")
    if np.ptp(trials.errors(which)) == 0:
        raise PlotError("All finished trials have the same error.")
    rows = importances(trials)
    if not rows:
        raise PlotError("No finished trial has a parameter within the recorded space.")
    names = list(dict.fromkeys(row["parameter"] for row in rows))
    top = rows[0]
    return Plot(
        caption=_caption(trials, rows, words),
        alt=f"Bars: importance of {counted(len(names), 'parameter')} of {words}. The largest is "
        f"{top['parameter']} with {top['importance']:.0%} by {top['evaluator']}.",
        figure=_drawn(rows, names),
        data=pl.DataFrame(rows),
    )


def importances(trials: SearchTrials) -> list[dict[str, Any]]:
    """Return the importance of each parameter, by every evaluator at hand.

    fANOVA evaluates the parameters that all finished trials have; PED-ANOVA also those that exist
    under a condition. fANOVA needs scikit-learn and is left out without it.

    Args:
        trials: The trials; at least ten are comparable, and not all have one error.

    Returns:
        A row a parameter and evaluator: `parameter`, `evaluator`, `importance` (those of an
        evaluator add up to 1), `trials`; the largest first, by the first evaluator. No rows where
        no parameter is within its range.
    """
    # Imported here: it brings scikit-learn along, which takes a while.
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    study, count = _study(trials)
    always = [s.name for s in trials.parameters if _everywhere(trials, s)]
    shares: dict[str, dict[str, float]] = {}
    if find_spec("sklearn") and always:
        shares[FANOVA] = _judged(study, FanovaImportanceEvaluator(seed=0), always)
    tried = {name for trial in study.get_trials(deepcopy=False) for name in trial.params}
    everything = [s.name for s in trials.parameters if s.name in tried]
    if not everything:
        return []
    ped = PedAnovaImportanceEvaluator(target_quantile=max(0.1, BEST / count))
    shares[PED_ANOVA] = _judged(study, ped, everything)
    first = next(iter(shares.values()))
    order = sorted(everything, key=lambda name: (-first.get(name, -1.0), name))
    return [
        {"parameter": name, "evaluator": evaluator, "importance": of[name], "trials": count}
        for name in order
        for evaluator, of in shares.items()
        if name in of
    ]


def _study(trials: SearchTrials) -> tuple[optuna.Study, int]:
    """Put the comparable trials into a study in memory; values off the scale are no part of it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # else it tells of every new study
    study = optuna.create_study(direction="minimize")
    which = trials.comparable
    for i, error in zip(which, trials.errors(which).tolist(), strict=True):
        config = trials.configs[i]
        known = [s for s in trials.parameters if s.name in config and s.within(config[s.name])]
        study.add_trial(
            optuna.trial.create_trial(
                value=error,
                params={s.name: config[s.name] for s in known},
                distributions={s.name: s.distribution for s in known},
            )
        )
    return study, len(which)


def _judged(study: optuna.Study, evaluator: Any, names: Sequence[str]) -> dict[str, float]:
    with warnings.catch_warnings():
        # Optuna's remarks on few trials; the caption has the number of trials.
        warnings.simplefilter("ignore", UserWarning)
        found = optuna.importance.get_param_importances(
            study, evaluator=evaluator, params=sorted(names)
        )
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _everywhere(trials: SearchTrials, parameter: SearchedParameter) -> bool:
    """Whether all comparable trials have the parameter, and not all the same value of it."""
    positions = trials.positions(trials.comparable, parameter)
    return bool(not np.isnan(positions).any() and np.ptp(positions) > 0)


def _caption(trials: SearchTrials, rows: Sequence[dict[str, Any]], words: str) -> str:
    evaluators = list(dict.fromkeys(row["evaluator"] for row in rows))
    parts = [f"{WHAT[evaluator]}." for evaluator in evaluators]
    by_forest = {row["parameter"] for row in rows if row["evaluator"] == FANOVA}
    others = sorted({row["parameter"] for row in rows} - by_forest)
    if by_forest and others:
        parts.append(
            f"fANOVA cannot evaluate {listed(others)}, which not all trials have (conditions)."
        )
    if not by_forest:
        parts.append("fANOVA is left out: it needs scikit-learn, which is not installed.")
    if not trials.recorded:
        parts.append("The space is not recorded: ranges are those of the values tried.")
    count = rows[0]["trials"]
    parts.append(
        "Each evaluator's shares add up to 1. They describe the error within the searched ranges "
        f"and have no interval; with {counted(count, 'trial')} small differences mean nothing."
    )
    return (
        f"Importance of each searched parameter for {words}, by Optuna, from "
        f"{counted(count, 'finished trial')}. {' '.join(parts)}{trials.left_out()}"
    )


def _drawn(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> Any:
    evaluators = list(dict.fromkeys(row["evaluator"] for row in rows))
    size = 0.8 / len(evaluators)
    with drawing(height=0.9 + 0.34 * len(names)) as (figure, (axes,)):
        for k, evaluator in enumerate(evaluators):
            of = {
                row["parameter"]: row["importance"] for row in rows if row["evaluator"] == evaluator
            }
            at = [
                i + (k - (len(evaluators) - 1) / 2) * size for i, n in enumerate(names) if n in of
            ]
            values = [of[name] for name in names if name in of]
            axes.barh(
                at, values, height=size * 0.92, label=evaluator, color=(BLUE, ORANGE)[k],
                hatch=("", "///")[k], edgecolor="white", linewidth=0.5,
            )  # fmt: skip
            for y, value in zip(at, values, strict=True):
                axes.annotate(
                    number(round(value, 3)), (value, y), xytext=(3, 0), fontsize=8,
                    textcoords="offset points", va="center",
                )  # fmt: skip
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, 1.12 * max(row["importance"] for row in rows))
        axes.set_xlabel("importance (share)")
        axes.legend(loc="lower right")
    return figure
