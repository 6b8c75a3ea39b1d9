"""The verdict in words: which models show no skill, and whether a difference is shown.

The rule itself is in `statistics/comparisons.py`; every page and every terminal says in these words
what came out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from supremix_reports.statistics.measures.skill import shows_skill
from supremix_reports.statistics.resampling.intervals import LEVEL
from supremix_reports.summaries.convergence import longer_sentence
from supremix_reports.summaries.error_rows import Measures, Row, final_measures
from supremix_reports.tables import schema

_SPLITS: Final = {schema.TEST: "test", schema.VAL: "validation"}
_NULL: Final = {
    schema.NULL_MAE: "predicting the training median",
    schema.LINEAR_MAE: "a linear model of the covariates, without images,",
}
_CLOSE: Final = "no significant difference"


def verdict(row: Row) -> str:
    """Say in words what a row of the table `gains` or `comparison` shows."""
    if row[schema.SIGNIFICANT] is None:
        return f"no verdict: {row[schema.NOTE]}" if row[schema.NOTE] else "no verdict"
    if not row[schema.SIGNIFICANT]:
        return _CLOSE
    return "better" if row[schema.DIFFERENCE] < 0 else "worse"


def comparison_verdict(rows: Sequence[Row], mae: pl.DataFrame) -> str:
    """Return in plain sentences which methods show no skill, the winner, which could train longer.

    Args:
        rows: those of the table `comparison`, of one dataset.
        mae: the table `mae` of the comparison.
    """
    longer = longer_sentence({row[schema.METHOD]: row[schema.CONVERGENCE] for row in rows})
    return " ".join(filter(None, [*skill_sentences(mae), _winner_sentence(rows), longer]))


def defaults_sentence(row: Row | None, best: int) -> str:
    """Say in words whether a search found better hyperparameters than its defaults.

    Args:
        row: the row of the table `defaults`; None where there is none.
        best: number of the trial whose hyperparameters are named best; 0 for the defaults.
    """
    if row is None:
        return "There is no comparison with the defaults: only one of the two was trained."
    what = f"The search's hyperparameters (trial {row[schema.TRIAL]}) against the defaults"
    named = "; the defaults are named best" if best == 0 else ""
    if row[schema.DIFFERENCE] is None:
        return f"{what}: no comparison, {row[schema.NOTE]}{named}."
    difference = f"{row[schema.DIFFERENCE]:+.3g} {row[schema.UNIT]}"
    low, high = row[schema.DIFFERENCE_LOW], row[schema.DIFFERENCE_HIGH]
    if low is not None:
        difference += f" ({LEVEL:.0%} interval {low:+.3g} to {high:+.3g})"
    seeds = row[schema.SEEDS]
    over = "one training each" if seeds == 1 else f"{seeds} new seeds"
    return f"{what}: {difference} on validation over {over}: {verdict(row)}{named}."


def _winner_sentence(rows: Sequence[Row]) -> str:
    tested = [row for row in rows if row[schema.TEST] is not None]
    if len(tested) < 2:
        return "No winner is shown: fewer than two methods have a test error."
    best, *others = sorted(tested, key=lambda row: row[schema.TEST])
    found: dict[str, list[str]] = {}
    for row in others:
        found.setdefault(verdict(row), []).append(row[schema.METHOD])
    behind = _listed(found.pop("worse", []))
    first = f"{best[schema.METHOD]} has the least test error"
    if not found:
        folds = best.get(schema.FOLDS)
        holds = (
            f"all patients, out of {folds} folds" if folds else "this split; others were not tried"
        )
        return (
            f"A winner is shown: {first}, and is significantly better than {behind}. That holds "
            f"for {holds}."
        )
    doubts = "; ".join(_doubt(words, _listed(names)) for words, names in found.items())
    also = f" It is significantly better than {behind}." if behind else ""
    more = " More seeds (--test-seeds) can show one." if "(one seed)" in doubts else ""
    return f"No winner is shown: {first}, but {doubts}.{also}{more}"


def _doubt(words: str, names: str) -> str:
    kind, _, why = words.partition(": ")
    if kind == _CLOSE:
        return f"{kind} to {names}"
    return f"{kind} against {names}" + (f" ({why})" if why else "")


def skill_sentences(mae: pl.DataFrame, *, level: float = LEVEL) -> list[str]:
    """Say which models show no skill, and how many predictions no label can have.

    Args:
        mae: rows of the table `mae` of any datasets and methods.
        level: probability that its intervals are to cover.

    Returns:
        Sentences on test, or on validation where a method has no test error; none on a method that
        shows skill and keeps to the possible labels.
    """
    every = final_measures(mae)
    lacking = [own for own in every if schema.SKILL in own and not _has_skill(own)]
    texts = [_skill_sentence(own, level) for own in lacking] + [_beyond(own) for own in every]
    return [text for text in texts if text]


def skill_verdict(mae: pl.DataFrame, *, level: float = LEVEL) -> str:
    """Say in one sentence whether a model shows skill.

    Args:
        mae: rows of the table `mae` of one dataset and method.
        level: probability that its intervals are to cover.

    Returns:
        The sentence, on test, or on validation without a test error; empty where the skill was not
        measured.
    """
    measured = [own for own in final_measures(mae) if schema.SKILL in own]
    return _skill_sentence(measured[0], level) if measured else ""


def _has_skill(own: Measures) -> bool:
    return shows_skill(own[schema.SKILL][schema.LOW])


def _skill_sentence(own: Measures, level: float) -> str:
    skill, error = own[schema.SKILL], own[schema.MAE]
    null = min((own[name][schema.VALUE], words) for name, words in _NULL.items() if name in own)
    value, low, high = (skill[name] for name in (schema.VALUE, schema.LOW, schema.HIGH))
    worth = "not defined" if value is None else f"{value:z.2f}"
    ends = "no interval" if low is None else f"{100 * level:g} % interval {low:z.2f} to {high:z.2f}"
    shown = "skill" if _has_skill(own) else "no skill"
    return (
        f"{_where(skill)} shows {shown}: its error is {error[schema.VALUE]:.4g} "
        f"{error[schema.UNIT]}, that of {null[1]} {null[0]:.4g} (skill {worth}, {ends})."
    )


def _beyond(own: Measures) -> str:
    row = own.get(schema.BEYOND_RANGE)
    if row is None or not row[schema.VALUE]:
        return ""
    count, every = int(row[schema.VALUE]), row[schema.N] * row[schema.SEEDS]
    return (
        f"{_where(row)} has {count} of {every} predictions beyond the possible labels, "
        f"{row[schema.LABEL_LOW]:g} to {row[schema.LABEL_HIGH]:g} {row[schema.UNIT]}."
    )


def _where(row: Row) -> str:
    return f"{row[schema.METHOD]} on {row[schema.DATASET]} ({_SPLITS[row[schema.SPLIT]]})"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
