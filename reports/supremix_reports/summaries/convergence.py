"""Convergence in words: whether the training of the best hyperparameters has flattened."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping

import polars as pl

from supremix_reports.statistics.learning_curves.convergence import (
    FALLING,
    FLATTENED,
    UNKNOWN,
    Convergence,
    best_convergence,
)
from supremix_reports.statistics.resampling.bootstrap import LEVEL
from supremix_reports.tables import schema


def longer_command(run: str, epochs: int, *, planned: bool = False) -> str:
    """Return the command that trains twice as long.

    Args:
        run: Path or name of the run folder.
        epochs: Number of epochs that its trials had.
        planned: Whether the schedule of the learning rate followed this number from the start, so
            that the trials cannot be prolonged and a new search is needed.
    """
    if planned:
        return f"supremix search {shlex.quote(f'{run}/spec.json')} --epochs {2 * epochs}"
    return f"supremix search --resume {shlex.quote(run)} --epochs {2 * epochs}"


def convergence_sentence(trials: pl.DataFrame, curves: pl.DataFrame, number: int, run: str) -> str:
    """Say in words whether the training of the best hyperparameters has flattened.

    Args:
        trials: Rows of the table `trials` of one run.
        curves: Rows of its table `curves`.
        number: Number of the trial that had them.
        run: Path or name of the run folder, for the command that trains longer.

    Returns:
        The verdict, how the error changed over the last quarter, how twice the length would change
        it, and, unless it has flattened, the command; empty where no such training was finished.

    Raises:
        TableError: The hyperparameters cannot be read.
    """
    found = best_convergence(trials, curves, number)
    if found is None:
        return ""
    finished = trials.filter(pl.col(schema.STATE) == schema.FINISHED)
    row = finished.row(0, named=True)
    what = f"the best training of {row[schema.METHOD]} on {row[schema.DATASET]} has"
    head = {
        FLATTENED: f"T{what[1:]} flattened",
        FALLING: f"T{what[1:]} not flattened",
        UNKNOWN: f"Whether {what} flattened cannot be said ({found.reason})",
    }[found.verdict]
    changes = "" if math.isnan(found.fall) else f": {_changes(found, row[schema.UNIT])}"
    epochs = int(finished[schema.EPOCHS].to_numpy().max())
    flattened = found.verdict == FLATTENED
    longer = (
        ""
        if flattened
        else f" To train longer: {longer_command(run, epochs, planned=found.planned)}"
    )
    return f"{head}{changes}.{longer}"


def longer_sentence(verdicts: Mapping[str, str | None]) -> str:
    """Say in words which of several trainings have not flattened.

    Args:
        verdicts: By name of what was trained, the verdict on its convergence; None for none.

    Returns:
        The sentence; empty where all have.
    """
    named = [f"{name} ({v})" for name, v in verdicts.items() if v not in (None, FLATTENED)]
    if not named:
        return ""
    return f"Not shown to have flattened: {', '.join(named)}. Longer training may change the order."


def _changes(found: Convergence, unit: str) -> str:
    over = f" (mean over {found.trainings} new seeds)" if found.trainings > 1 else ""
    what = "training" if found.stage is None else f"stage {found.stage}"
    text = f"the error on validation{over} changed by {-found.fall:+.2g} {unit} over the last "
    text += f"quarter of the {what}"
    known = found.forecast
    if known is None:
        return text
    share = -100 * known.gain / known.error
    return (
        f"{text}, and twice its length would change it by {-known.gain:+.2g} {unit} ({share:+.1f} "
        f"%, {LEVEL:.0%} interval {-known.high:+.2g} to {-known.low:+.2g} {unit})"
    )
