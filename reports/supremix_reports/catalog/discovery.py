"""Finding the run folders at an address: of one run, of a whole of several, or a store of many."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, cast

from supremix_reports.errors import TableError
from supremix_reports.run_layout import BENCHMARK, COMPARISON, FOLDS, MULTI_DATASET, SPEC
from supremix_reports.tables import storage

DEPTH: Final = 4
"""How many folders deep below an address runs are looked for."""


_SKIPPED = ("best", "checkpoints", "ledger", "logs", "predictions", "pretrained")
_LEDGERS = ("ledger.jsonl", "ledger")
_OF_RUNS = ("trials", "curves", "predictions")
# At a remote address each look waits for an answer.
_THREADS = 16


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a run, in plain words; it names no folder of a user's disk.

    Args:
        run: name of the run, or of the folder that it was looked for in.
        what: the file or table.
        reason: what was found, what that means for the results, and what can be done.
        remark: Whether nothing is wrong: the run is as it was asked for, and the remark says what
            limits its results, such as a single seed.
    """

    run: str
    what: str
    reason: str
    remark: bool = False


@dataclass(frozen=True, slots=True)
class RunLocation:
    """A run folder.

    Args:
        address: where it is; a local one is absolute.
        names: the names of the folders down to it, from the address it was found at.
        label: its name; of a part of a whole, after that of the whole.
        files: the sizes in bytes of its files.
        ledger: whether a search has begun in it.
        test_seeds: Number of seeds with which a benchmark retrains its best hyperparameters; None
            outside one.
    """

    address: str
    names: tuple[str, ...]
    label: str
    files: Mapping[str, int]
    ledger: bool
    test_seeds: int | None = None


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder still to look into, and what the whole around it says of it."""

    address: str
    names: tuple[str, ...]
    test_seeds: int | None = None
    whole: int | None = None

    @classmethod
    def at(cls, address: str) -> _Folder:
        location = storage.local_path(address) if storage.is_local(address) else address
        location = location.rstrip("/") or "/"
        # The last name alone: it tells no one where on a disk the folder lies.
        return cls(location, (location.rsplit("/", 1)[-1] or location,))

    @property
    def depth(self) -> int:
        return len(self.names) - 1

    @property
    def label(self) -> str:
        start = self.depth if self.whole is None else self.whole
        return "/".join(self.names[start:])

    def below(self, name: str, whole: bool, seeds: int | None) -> _Folder:
        top = self.depth if whole else self.whole
        return _Folder(storage.join(self.address, name), (*self.names, name), seeds, top)


@dataclass(slots=True)
class _Look:
    """What was found in one folder; `parts` are the runs of a whole, with what to say if absent."""

    location: RunLocation | None = None
    further: list[_Folder] = field(default_factory=list[_Folder])
    parts: dict[tuple[str, ...], Problem] = field(default_factory=dict[tuple[str, ...], "Problem"])
    problems: list[Problem] = field(default_factory=list[Problem])


def find_runs(addresses: Iterable[str]) -> tuple[list[RunLocation], list[Problem]]:
    """Find all run folders, each once.

    Args:
        addresses: paths or fsspec addresses of runs, of the folders of comparisons, benchmarks or
            searches on several datasets, or of folders (buckets) that hold any of these, at most
            `DEPTH` deep. Hidden folders, checkpoints, models and logs are passed over.

    Returns:
        The runs, those of an address in the order of their names, and what was not found.

    Raises:
        TableError: when there is nothing at an address, or it is out of reach.
    """
    locations: dict[str, RunLocation] = {}
    problems: list[Problem] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for address in addresses:
            found = _walk(str(address), pool, problems)
            locations |= {location.address: location for location in found}
            if not found:
                name = _Folder.at(str(address)).label
                problems.append(Problem(name, "folder", "There is no run in this folder."))
    return list(locations.values()), list(dict.fromkeys(problems))


def _walk(address: str, pool: ThreadPoolExecutor, problems: list[Problem]) -> list[RunLocation]:
    """Level by level, so that remote folders are looked into at the same time."""
    top = _Folder.at(address)
    level, looks, deep = [top], list[_Look](), 0
    while level:
        found = list(pool.map(_look, level))
        further = [folder for look in found for folder in look.further]
        level = [folder for folder in further if folder.depth <= DEPTH]
        deep += len(further) - len(level)
        looks += found
    locations = {look.location.names: look.location for look in looks if look.location is not None}
    for look in looks:
        problems += look.problems
        problems += [problem for names, problem in look.parts.items() if names not in locations]
    if deep:
        reason = (
            f"{deep} folders lie more than {DEPTH} deep and were not looked into; name a folder "
            "nearer to their runs."
        )
        problems.append(Problem(top.label, "folder", reason))
    return [locations[names] for names in sorted(locations)]


def _look(folder: _Folder) -> _Look:
    try:
        files, folders = storage.listing(folder.address)
    except OSError as error:
        if folder.depth == 0:
            raise TableError(
                f"There is no folder of runs at {folder.address!r}, or it is out of reach: "
                f"{type(error).__name__}. Name a run folder or a folder of runs."
            ) from error
        reason = f"The folder cannot be listed ({type(error).__name__}); what is in it is left out."
        return _Look(problems=[Problem(folder.label, "folder", reason)])
    whole = next((name for name in (BENCHMARK, COMPARISON, MULTI_DATASET) if name in files), None)
    if whole is None and _is_run(files):
        # A cross-validation has no ledger of its own: those of its folds are in their folders.
        ledger = FOLDS in files or any(name in files or name in folders for name in _LEDGERS)
        location = RunLocation(
            folder.address, folder.names, folder.label, files, ledger, folder.test_seeds
        )
        return _Look(location=location)
    return _below(folder, folders, whole)


def _is_run(files: Mapping[str, int]) -> bool:
    """Tables without the specification are what is left of a run, and worth a word.

    Not those that a report has as well: a folder with a report in it is no run.
    """
    return SPEC in files or any(f"{name}.parquet" in files for name in _OF_RUNS)


def _below(folder: _Folder, folders: Sequence[str], whole: str | None) -> _Look:
    look, seeds = _Look(), folder.test_seeds
    if whole is not None:
        try:
            content = _content(folder.address, whole)
            seeds = None if whole != BENCHMARK else int(content["test_seeds"])
            parts = [part for part in _parts(content, whole) if folder.depth + len(part) <= DEPTH]
            look.parts = {(*folder.names, *part): _missed(folder, part, whole) for part in parts}
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = (
                f"{whole} cannot be read ({type(error).__name__}); the runs in the folder are "
                "taken as they are, and none is missed."
            )
            look.problems.append(Problem(folder.label, whole, reason))
    for name in folders:
        if not name.startswith(".") and name not in _SKIPPED:
            look.further.append(folder.below(name, whole is not None, seeds))
    return look


def _content(address: str, name: str) -> dict[str, Any]:
    content = json.loads(storage.read_bytes(storage.join(address, name)))
    if not isinstance(content, dict):
        raise TypeError(name)
    return cast("dict[str, Any]", content)


def _parts(content: Mapping[str, Any], whole: str) -> list[tuple[str, ...]]:
    """The folders of runs that a whole says it has."""
    if whole == BENCHMARK:
        return [(str(d), str(m)) for d in content["datasets"] for m in content["methods"]]
    return [(str(name),) for name in content["methods" if whole == COMPARISON else "datasets"]]


def _missed(folder: _Folder, part: tuple[str, ...], whole: str) -> Problem:
    reason = (
        f"{whole} names {' with '.join(part)}, but there is no run in such a folder: it has not "
        "been searched yet, or was taken away. It is in no table."
    )
    return Problem("/".join((folder.label, *part)), "run", reason)
