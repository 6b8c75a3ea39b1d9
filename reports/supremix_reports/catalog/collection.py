"""The tables of many runs as one, and what is wrong with any of them.

collected = collect(["runs/first", "s3://bucket/runs"])
collected.mae.filter(pl.col("metric") == "mae").collect()
for problem in collected.problems:
    print(problem.run, problem.what, problem.reason)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl

from supremix_reports.catalog.checks import checked, prediction_problems, trial_problems
from supremix_reports.catalog.discovery import Problem, RunLocation, find_runs
from supremix_reports.catalog.lazy_tables import Source, scan
from supremix_reports.catalog.run_folder import Loaded, load
from supremix_reports.errors import SchemaError, TableError
from supremix_reports.run_layout import ENVIRONMENT, SPACE
from supremix_reports.tables import schema, storage

if TYPE_CHECKING:
    import pandas as pd

TABLES: Final = ("trials", "curves", "predictions", "measures", "mae", "cohort")
"""The tables that runs have, and that are collected."""

PREDICTIONS: Final = "predictions"

_AS_WRITTEN: Final = ("trials", "curves", "measures")
"""Those that collecting changes nothing in."""

# A disk answers at once, and threads would only wait for each other; a server has to be waited for.
_THREADS_LOCAL, _THREADS_REMOTE = 2, 16


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """One run folder.

    Args:
        address: where it is: a local one absolute, a remote one as given.
        name: what its rows have as `run` in the collected tables; different for every run.
        kind: "search", or "joint" for a training on several datasets at once.
        dataset: name of its dataset; of a joint training those of all, with "+" between.
        method: name of its method.
        spec: what was asked for; empty where that cannot be read.
        space: what was searched, None where that is not known.
        environment: versions, hardware and the command, None where that is not known.
    """

    address: str
    name: str
    kind: Literal["search", "joint"]
    dataset: str
    method: str
    spec: Mapping[str, Any]
    space: Mapping[str, Any] | None
    environment: Mapping[str, Any] | None


@dataclass(frozen=True, eq=False, slots=True)
class Collection:
    """The tables of many runs. A frame is read when it is collected, and may be large.

    Args:
        addresses: what was collected, as given.
        runs: the runs found, whether they have results or not.
        problems: what is wrong with any of them; what cannot be used is in no table, all else is.
        trials: the table of that name, run by run, and so are the others.
        curves: likewise.
        predictions: likewise, without the splits of runs where a prediction is no number.
        measures: likewise.
        mae: likewise, as the runs wrote it, each row with the name of its run.
        cohort: likewise, who the patients of each run are.
        files: of tables that are files on a disk just as the schema has them, the paths.
        sources: by table and run where its rows lie, of the tables that nothing is changed in.
    """

    addresses: tuple[str, ...]
    runs: tuple[Run, ...]
    problems: tuple[Problem, ...]
    trials: pl.LazyFrame
    curves: pl.LazyFrame
    predictions: pl.LazyFrame
    measures: pl.LazyFrame
    mae: pl.LazyFrame
    cohort: pl.LazyFrame
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    sources: Mapping[str, Mapping[str, Source]] = field(
        default_factory=dict[str, Mapping[str, Source]]
    )

    def table(self, name: str) -> pl.LazyFrame:
        """Return a table by its name.

        Raises:
            SchemaError: when runs have no such table.
        """
        if name not in TABLES:
            raise SchemaError(f"Runs have no table {name!r}. Tables: {', '.join(TABLES)}.")
        return getattr(self, name)

    def table_of(self, run: str, name: str) -> pl.LazyFrame:
        """Return a table of one run; the files of the other runs are not opened for it.

        Args:
            run: name of the run.
            name: "trials", "curves" or "measures".

        Returns:
            Its rows as they are in the whole table; none where the run has no such table.

        Raises:
            SchemaError: for another table.
        """
        if name not in _AS_WRITTEN:
            raise SchemaError(
                f"The table of one run is one of {', '.join(_AS_WRITTEN)}; got {name!r}. Take "
                "another one from the whole table, filtered by the run."
            )
        source = self.sources.get(name, {}).get(run)
        return scan(name, []) if source is None else scan(name, [source], {source.address: run})


def collect(addresses: Iterable[str] | str, *, predictions: bool = True) -> Collection:
    """Collect the tables of all runs at some addresses.

    Only the ends of the files are read, the trials and the predictions, and every table of at most
    1 MiB, to know that it is whole. Runs may be at work meanwhile: what they have written so far is
    there.

    Args:
        addresses: paths or fsspec addresses of runs, of the folders of comparisons, benchmarks or
            searches on several datasets, or of folders (buckets) with any of these in them, at
            most four deep.
        predictions: whether to collect them; without, they are not checked either, and their frame
            is empty.

    Returns:
        The runs, their tables, and everything that is wrong: a search that is not over, a file that
        is damaged or of another schema, a run that is missed, predictions that are no numbers or
        all the same, a method with one seed only.

    Raises:
        TableError: when no address is given, when there is nothing at one of them, or it is out of
            reach.
    """
    given = (addresses,) if isinstance(addresses, str) else tuple(map(str, addresses))
    if not given:
        raise TableError("No address was given to collect runs from. Name a run or a folder.")
    locations, problems = find_runs(given)
    loaded = _loaded(locations, [n for n in TABLES if predictions or n != PREDICTIONS])
    names = _names(loaded)
    runs = tuple(
        Run(
            address=one.location.address,
            name=name,
            kind=one.kind,
            dataset=one.dataset,
            method=one.method,
            spec=one.spec,
            space=one.small.get(SPACE),
            environment=one.small.get(ENVIRONMENT),
        )
        for one, name in zip(loaded, names, strict=True)
    )
    for one, name in zip(loaded, names, strict=True):
        # That a run got another name is no fault of it.
        problems += [Problem(name, w, why, remark=w == "name") for w, why in one.problems]
    frames, sources = _frames(loaded, names, problems)
    files = _files(sources, _renamed(loaded, names))
    owned = {table: sources[table] for table in _AS_WRITTEN}
    return Collection(given, runs, tuple(problems), **frames, files=files, sources=owned)


def _loaded(locations: Sequence[RunLocation], tables: Sequence[str]) -> list[Loaded]:
    remote = any(not storage.is_local(location.address) for location in locations)
    with ThreadPoolExecutor(_THREADS_REMOTE if remote else _THREADS_LOCAL) as pool:
        return list(pool.map(lambda location: load(location, tables), locations))


def _frames(
    loaded: Sequence[Loaded], names: Sequence[str], problems: list[Problem]
) -> tuple[dict[str, pl.LazyFrame], dict[str, dict[str, Source]]]:
    """The tables by their names, and by run where each of them lies; adds to the problems."""
    owners = {s.address: n for o, n in zip(loaded, names, strict=True) for s in o.sources.values()}
    renamed = _renamed(loaded, names)
    frames: dict[str, pl.LazyFrame] = {}
    used: dict[str, dict[str, Source]] = {}
    for name in TABLES:
        own = [one.sources[name] for one in loaded if name in one.sources]
        sources, found = checked(name, own, owners)
        problems += found
        frames[name] = scan(name, sources, owners if name == "mae" else renamed)
        used[name] = {owners[source.address]: source for source in sources}
    problems += trial_problems(frames["trials"])
    seeds = {name: one.location.test_seeds for one, name in zip(loaded, names, strict=True)}
    untested = [n for one, n in zip(loaded, names, strict=True) if one.spec.get("test") is False]
    found, frames[PREDICTIONS] = prediction_problems(frames[PREDICTIONS], seeds, untested)
    problems += found
    return frames, used


def _files(
    sources: Mapping[str, Mapping[str, Source]], renamed: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Of the tables that are files just as they are collected, the paths."""
    return {
        name: tuple(storage.local_path(source.address) for source in sources[name].values())
        for name in _AS_WRITTEN
        if all(s.complete and s.address not in renamed for s in sources[name].values())
    }


def to_pandas(frame: pl.LazyFrame | pl.DataFrame) -> pd.DataFrame:
    """Return a table as pandas has it, reading it where it is lazy.

    Args:
        frame: a table of a collection, or what was made of one.
    """
    whole = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    return whole.to_pandas()


def _names(loaded: Sequence[Loaded]) -> list[str]:
    """Names of runs that tell them apart; who shares one is named by the folders around it too."""
    count = Counter(one.name for one in loaded)
    names: list[str] = []
    for one in loaded:
        name = one.name
        if count[name] > 1:
            name = "/".join(one.location.names)
        taken = 1
        while name in names or (name in count and name != one.name):
            taken += 1
            name = f"{'/'.join(one.location.names)} ({taken})"
        if name != one.name:
            reason = (
                f"{count[one.name]} runs are called {one.name!r}; in the tables this one is called "
                f"{name!r}."
            )
            one.problems.append(("name", reason))
        names.append(name)
    return names


def _renamed(loaded: Sequence[Loaded], names: Sequence[str]) -> dict[str, str]:
    """By address the name of the run, of files whose rows have another."""
    return {
        source.address: name
        for one, name in zip(loaded, names, strict=True)
        for source in one.sources.values()
        if source.rows and source.constants.get(schema.RUN) != name
    }
