"""The earlier searches in the same results store, from which a new one can start warm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supremix.errors import DatasetError, RunFolderError, SpaceError
from supremix.runs.folder import RunFolder, read_json
from supremix.storage.paths import Address, children, to_path
from supremix.tuning.ledger.ledger import read_events
from supremix.tuning.ledger.records import TrialRecord, best_record, ranking, read_records
from supremix.tuning.study.warm_start import WarmStart, WarmStartTrial, transfer_config
from supremix_datasets import Card, get
from supremix_spaces import Space

POINTS = 3
"""Configurations of earlier searches that are tried first."""

TRIALS = 8
"""Trials of each earlier search that the sampler may be shown."""


@dataclass(frozen=True, kw_only=True)
class EarlierSearch:
    """An earlier search of the same method, as far as its trials have ended.

    Args:
        run: Name of its run.
        card: Card of its dataset.
        space: Space that it searched.
        trials: Its finished trials, best first; the best configuration before all others.
        defaults: Error of its trial 0.
    """

    run: str
    card: Card
    space: Space
    trials: tuple[TrialRecord, ...]
    defaults: float


def find_earlier_searches(store: Address, method: str, *, excluded: Address) -> list[EarlierSearch]:
    """The searches of a method in a results store: its run folders, and those in folders of runs.

    Folders that are no runs, cannot be read or have no finished defaults are passed over.

    Args:
        store: Folder or fsspec address with run folders in it.
        method: Name of the method.
        excluded: A run folder, or a folder of them, that is passed over.
    """
    found: list[EarlierSearch] = []
    for folder in _folders(store, depth=3):
        if str(folder) == str(to_path(excluded)) or str(folder).startswith(f"{to_path(excluded)}/"):
            continue
        earlier = read_earlier_search(folder, method)
        if earlier is not None:
            found.append(earlier)
    return found


def _folders(store: Address, depth: int) -> Iterable[Address]:
    """Folders that may be runs: those in the store, and in the folder of a benchmark three deep."""
    for folder in sorted(children(to_path(store)), key=str):
        if folder.is_dir():
            yield folder
            if depth > 1 and not (folder / "spec.json").is_file():
                yield from _folders(folder, depth - 1)


def read_earlier_search(folder: Address, method: str) -> EarlierSearch | None:
    """Read one earlier search; None where the folder has none of that method to start from."""
    run = RunFolder(folder)
    try:
        if not (run.spec.is_file() and run.space.is_file()):
            return None
        spec = read_json(run.spec)
        if spec.get("method") != method or not isinstance(spec.get("dataset"), str):
            return None
        records = read_records(read_events(run.ledger))
        space = Space.from_dict(read_json(run.space))
        card = get(spec["dataset"]).card
        return earlier_search(run.path.name, card, space, records.values())
    except (RunFolderError, SpaceError, DatasetError):
        return None


def earlier_search(
    run: str, card: Card, space: Space, records: Iterable[TrialRecord]
) -> EarlierSearch | None:
    """A search as others may start from it; None before its defaults are finished."""
    known = list(records)
    finished = ranking(known)
    defaults = next((r.error for r in finished if r.number == 0), None)
    best = best_record(known)
    if best is None or defaults is None or not (math.isfinite(defaults) and defaults > 0):
        return None
    others = [record for record in finished if record is not best]
    return EarlierSearch(run=run, card=card, space=space, trials=(best, *others), defaults=defaults)


def warm_start_from(card: Card, space: Space, earlier: Sequence[EarlierSearch]) -> WarmStart:
    """The warm start of a study from earlier searches, those on similar datasets first."""
    nearest = sorted(earlier, key=lambda one: (_distance(card, one.card), one.run))
    points: list[dict[str, Any]] = [space.defaults()]
    for one in nearest:
        point = transfer_config(one.trials[0].config, one.space, space)
        if not any(_same(point, known) for known in points) and len(points) <= POINTS:
            points.append(point)
    trials = [learned for one in nearest for learned in _transferred(one, space)]
    return WarmStart(points=tuple(points[1:]), trials=tuple(trials))


def _same(point: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two points are one, but for the rounding of being carried over."""
    return point.keys() == other.keys() and all(
        math.isclose(value, other[name], rel_tol=1e-6)
        if isinstance(value, float) and isinstance(other[name], float)
        else value == other[name]
        for name, value in point.items()
    )


def _transferred(one: EarlierSearch, space: Space) -> list[WarmStartTrial]:
    return [
        WarmStartTrial(
            config=transfer_config(record.config, one.space, space),
            score=(record.error or math.inf) / one.defaults,
            dataset=one.card.name,
            run=one.run,
        )
        for record in one.trials[:TRIALS]
        if record.error is not None and math.isfinite(record.error)
    ]


def _distance(card: Card, other: Card) -> tuple[bool, bool, bool, float]:
    """How little two datasets have in common: themselves, modality, dimensions, size of image."""
    sizes = math.log(math.prod(card.shape) / math.prod(other.shape))
    return (
        card.name != other.name,
        card.modality != other.modality,
        len(card.shape) != len(other.shape),
        abs(sizes),
    )
