"""Prolonging: the best trials of a finished search train for more epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from supremix.errors import SpecError
from supremix.progress.progress import Progress
from supremix.runs.folder import write_json
from supremix.search.length import kept_length
from supremix.search.prepare import PreparedSearch
from supremix.training import branch_epoch, get_method, make_config
from supremix.tuning.ledger.ledger import PROLONGED, Event, Ledger, conclusion
from supremix.tuning.ledger.records import TrialRecord, prolonged_trials, ranking, read_records

REDUCTION = 3.0
"""The best one in so many finished trials is prolonged, as at a rung of the halving."""

MOST = 16
"""Trials that are prolonged at most, the finalists aside: their checkpoints are kept."""


def as_prolonged(prepared: PreparedSearch, events: Iterable[Event]) -> PreparedSearch:
    """A prepared search whose trainings are as long as its trials by now."""
    longer = [event["epochs"] for event in events if event["event"] == PROLONGED]
    return prepared.with_epochs(longer[-1]) if longer else prepared


def keep_length(prepared: PreparedSearch) -> None:
    """Write the length of prolonged trials into `length.json`, if it is not there, and say it.

    Args:
        prepared: The search, its trials as long as they are by now.
    """
    kept, now = kept_length(prepared.run), dataclasses.asdict(prepared.length)
    if now["epochs"] == kept["epochs"]:
        return
    planned = {"planned_epochs": kept.get("planned_epochs", kept["epochs"])}
    final = {"final_epochs": prepared.final_training_epochs}
    write_json(prepared.run.length, kept | now | planned | final)
    words = f"the best trials are prolonged to {prepared.length}"
    prepared.listen(Progress(message=words, warning=True))


def branch_of(prepared: PreparedSearch, record: TrialRecord) -> int:
    """Epochs of a trial that are kept when it is prolonged; 0 where it cannot be."""
    method = get_method(prepared.spec.resolve_method())
    config, epochs = make_config(method, record.config), prepared.task.epochs
    return branch_epoch(method.stages(config, epochs=epochs, card=prepared.store.card))


def prolongable(prepared: PreparedSearch, records: Iterable[TrialRecord]) -> dict[str, int]:
    """The trials that deserve more epochs and can have them, with the epochs that are kept."""
    kept = {str(one.number): branch_of(prepared, one) for one in _deserving(records)}
    return {number: epochs for number, epochs in kept.items() if epochs}


def _deserving(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    return prolonged_trials(records, REDUCTION, MOST)


def prolong(ledger: Ledger, prepared: PreparedSearch, epochs: int) -> None:
    """Note in the ledger that the trials that deserve it are prolonged.

    Args:
        ledger: Ledger of a finished search.
        prepared: The search, its trials as long as they are by now.
        epochs: Epochs of a whole trial, from its start.

    Raises:
        SpecError: They cannot be: the search is not over, is as long already, or its best trial
            depends from the start on the length that it was planned for.
    """
    now = prepared.task.epochs
    if conclusion(ledger.events) is None:
        raise SpecError(
            "only the trials of a finished search can be prolonged. Finish this one first: resume "
            "it without epochs."
        )
    if epochs <= now:
        raise SpecError(f"its trials have {now} epochs; prolong them to more, found {epochs}.")
    records = read_records(ledger.events).values()
    trials, best = prolongable(prepared, records), next(iter(ranking(records)), None)
    if best is not None and str(best.number) not in trials:
        raise SpecError(
            f"each epoch of its best trial, {best.number}, depends on the {now} epochs that it was "
            "planned for: start a new search with more epochs."
        )
    ledger.append(PROLONGED, epochs=epochs, trials=trials)
