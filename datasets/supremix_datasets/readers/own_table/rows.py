"""From the rows of a user's table to samples: every row is one, or is excluded with its reason."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from supremix_datasets.cards.sample import Rejected, Sample, Scan
from supremix_datasets.errors import CovariateError, LabelTableError
from supremix_datasets.readers.own_table.bids import BidsTable, Listing
from supremix_datasets.readers.own_table.layout import Layout
from supremix_datasets.readers.own_table.spec import CovariateColumn
from supremix_datasets.sources.files import PART, filesystem, is_local
from supremix_datasets.sources.guards import leaves_folder
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import LINE, label_problem, lines

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
AMBIGUOUS = ""
"""Address of a path that several files have, in different Unicode forms."""

MISSING = "the file is missing"
OUTSIDE = "the table names a file outside the dataset's folder"


def read_rows(
    found: BidsTable,
    listing: Listing,
    layout: Layout,
    root: str,
) -> Scan:
    """The samples of a table, and the rows that are excluded.

    Args:
        found: Columns by role as text, and ``covariate <name>``.
        listing: Files below the root, by their path.
        layout: Meaning of the columns.
        root: Address of the folder.

    Raises:
        LabelTableError: a split or a covariate holds a word that is not known.
    """
    rows = [_TableRow.of(row, layout) for row in found.frame.iter_rows(named=True)]
    table = found.tables[0]
    splits = _splits(found.frame, table)
    numbers = {c.covariate.name: _numbers(found.frame, c, table) for c in layout.covariates}
    finder = FileFinder.of(listing, root)
    duplicated = _duplicated(rows)
    listed: list[Sample | Rejected] = []
    missing: list[str] = []
    for index, row in enumerate(rows):
        address, problem, absent = finder.find_all(row.paths)
        missing += absent
        given = {name: column[index] for name, column in numbers.items()}
        problem = (
            row.problem
            or duplicated.get(index)
            or problem
            or label_problem(row.target, layout.label_range, layout.unit)
            or ("no group in the table" if row.group is None else None)
            or _covariate_problem(layout, given)
        )
        if problem is not None or row.target is None or row.group is None:
            reason = problem or "no label in the table"
            listed.append(Rejected(id=row.id, reason=reason, address=address))
            continue
        listed.append(
            Sample(
                id=row.id,
                group=row.group,
                target=row.target,
                address=address,
                covariates={name: v for name, v in given.items() if v is not None},
                split=splits[index],
                site=row.site,
                fold=row.fold,
            )
        )
    return Scan.of(listed, *found.tables, warnings=_missing(missing, listing, finder))


@dataclass(frozen=True, slots=True)
class _TableRow:
    id: str
    paths: tuple[str, ...]
    target: float | None
    group: str | None
    site: str | None
    fold: str | None
    contents: tuple[str | None, ...]
    problem: str | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any], layout: Layout) -> _TableRow:
        name, paths = layout.name_and_paths(row)
        return cls(
            id=row["id"] or name,
            paths=paths,
            target=to_number(row["target"]),
            group=row["group"],
            site=row["site"],
            fold=row["fold"],
            contents=tuple(cell for name, cell in row.items() if name != LINE),
            problem=row.get("problem"),
        )


def _splits(frame: pl.DataFrame, table: str) -> list[str | None]:
    words = frame["split"].to_list()
    unknown = sorted({w for w in words if w is not None and w.lower() not in SPLIT_WORDS})
    if unknown:
        raise LabelTableError(
            f"the column of the split in {table} holds {unknown[:3]}; expected "
            f"{', '.join(SPLIT_WORDS)}, or nothing where it is to be drawn. Rename them."
        )
    return [None if word is None else SPLIT_WORDS[word.lower()] for word in words]


def _numbers(frame: pl.DataFrame, column: CovariateColumn, table: str) -> list[float | None]:
    cells: list[str | None] = frame[f"covariate {column.covariate.name}"].to_list()
    values: list[float | None] = []
    bad: list[str] = []
    for line, text in zip(lines(frame), cells, strict=True):
        try:
            values.append(None if text is None else column.covariate.number(text))
        except CovariateError:
            bad.append(f"line {line}: {text!r}")
    if bad:
        raise LabelTableError(
            f"{len(bad)} of {frame.height} values of the column {column.column!r} in {table} are "
            f"not {column.covariate.expected} ({'; '.join(bad[:3])}). Give each word its number in "
            f"dataset.toml, e.g. [covariates.{column.covariate.name}] values = {{F = 0, M = 1}}, "
            "or correct the table."
        )
    return values


def _covariate_problem(layout: Layout, found: Mapping[str, float | None]) -> str | None:
    for column in layout.covariates:
        covariate, value = column.covariate, found[column.covariate.name]
        if value is None and covariate.default is None:
            return f"no {covariate.name} in the table"
        if value is not None and not covariate.allows(value):
            return f"{covariate.name} must be {covariate.expected}, found {value:g}"
    return None


def _duplicated(rows: Sequence[_TableRow]) -> dict[int, str]:
    """Rows of an id or a file that comes more than once.

    Of rows that agree in everything the first stays. Where they do not, it is not known which is
    right, and all are excluded.
    """
    problems: dict[int, str] = {}
    named = [index for index, row in enumerate(rows) if any(row.paths)]
    for what in ("id", "file"):
        indices: defaultdict[str | tuple[str, ...], list[int]] = defaultdict(list)
        for index in named:
            indices[rows[index].id if what == "id" else rows[index].paths].append(index)
        for same in indices.values():
            contents = Counter(rows[index].contents for index in same)
            if len(contents) > 1:
                reason = f"the table lists this {what} {len(same)} times with different values"
                problems.update(dict.fromkeys(same, reason))
            elif len(same) > 1:
                for index in same[1:]:
                    problems.setdefault(index, "the table lists it more than once")
    return problems


def _missing(
    paths: Sequence[str], listing: Mapping[str, Any], finder: FileFinder
) -> tuple[str, ...]:
    """A sentence on the files that are missing: where they were looked for, and what is there."""
    if not paths:
        return ()
    name = PurePosixPath(paths[0]).name
    like = next((p for p in listing if name in (PurePosixPath(p).name, PurePosixPath(p).stem)), "")
    found = f" The folder has {like!r}." if like else ""
    looked = ", ".join(map(finder.address, paths[:3])) + (", …" if len(paths) > 3 else "")
    return (
        f"missing files of the table: {len(paths)}. Looked for {looked}.{found} In dataset.toml, "
        'images = "FOLDER" names the folder below which the files are, and [columns] file = '
        '"{COLUMN}.png" makes their names of the cells of a column.',
    )


@dataclass(frozen=True, slots=True)
class FileFinder:
    """Finds the address of a path of the table, and refuses what is not below the root."""

    files: Mapping[str, str]
    folders: Mapping[str, str]
    home: str | None
    root: str

    @classmethod
    def of(cls, listing: Mapping[str, Mapping[str, Any]], root: str) -> FileFinder:
        """The finder of a folder's files, listed by their path, at its address."""
        home = os.path.realpath(filesystem(root)[1]) if is_local(root) else None
        files: dict[str, str] = {}
        folders: dict[str, str] = {}
        for file, info in listing.items():
            address, path = str(info["address"]), _one_form(file)
            files[path] = AMBIGUOUS if path in files else address
            folders.setdefault(str(PurePosixPath(path).parent), address.rsplit("/", 1)[0] + "/")
        fs, path = filesystem(root)
        return cls(files, folders, home, str(fs.unstrip_protocol(path)).rstrip("/"))

    def address(self, path: str) -> str:
        """The address at which a path of the table is looked for."""
        return f"{self.root}/{PurePosixPath(path)}"

    def find_all(self, paths: Sequence[str]) -> tuple[str, str | None, list[str]]:
        """The address of an image of several files, what is wrong, and the files that are missing.

        Where a file is missing, the address is that at which it is looked for.
        """
        found = [self.find(path) for path in paths]
        missing = [p for p, (_, why) in zip(paths, found, strict=True) if why == MISSING]
        problem = next((why for _, why in found if why), None)
        addresses = [address for address, _ in found if address]
        if missing:
            addresses = [self.address(path) for path in missing]
        elif problem:
            addresses = []
        return PART.join(addresses), problem, missing

    def find(self, path: str) -> tuple[str, str | None]:
        """The address of a path (empty if there is none), and what is wrong with it."""
        if not path:
            return "", "no file in the table"
        if leaves_folder(path):
            return "", OUTSIDE
        plain = _one_form(str(PurePosixPath(path)))
        real = plain if self.home is None else os.path.relpath(self._target(plain), self.home)
        if PurePosixPath(real).parts[:1] == ("..",):
            return "", "the file is a link that leads out of the dataset's folder"
        for name in (plain, _one_form(real)):  # a folder on the way may be a link within
            if self.files.get(name) == AMBIGUOUS:
                return "", "several files have this name, in different Unicode forms"
            if name in self.files:
                return self.files[name], None
            if name in self.folders and name != ".":
                return self.folders[name], None
        return "", MISSING

    def _target(self, plain: str) -> str:
        """The path that a path of the table leads to, links followed."""
        address = self.files.get(plain)
        path = f"{self.home}/{plain}" if not address else filesystem(address)[1]
        return os.path.realpath(path)


def _one_form(path: str) -> str:
    """A path in the Unicode form of the tables; some systems store letters and accents apart."""
    return unicodedata.normalize("NFC", path)
