"""A BIDS folder as a table: its participants and sessions with the images of each, found by name.

``participants.tsv`` has a row per patient, ``sessions.tsv`` (at the top, or one in the folder of
each patient) a row per session, whose cells count before those of the patient. An image is chosen
by what its name says: ``T1w`` is every file with that suffix, ``acq-mprage_T1w`` every one that
also has that entity.

Source: Brain Imaging Data Structure, https://bids-specification.readthedocs.io.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from supremix_datasets.decoding.images import ending_of
from supremix_datasets.errors import CardError, LabelTableError, SourceError
from supremix_datasets.sources.cells import UTF8, Cells, Row, read_cells
from supremix_datasets.sources.tables import is_known, select_columns

PARTICIPANTS = "participants.tsv"
PATIENT, SESSION = "participant_id", "session_id"
_SESSIONS = re.compile(r"(?:sub-[^/]+/)?(?:(sub-[^/_]+)_)?sessions\.tsv")
_NAME = re.compile(r"(?:[A-Za-z0-9]+-[A-Za-z0-9+]+_)*[A-Za-z0-9]+")

Listing = Mapping[str, Mapping[str, Any]]
Key = tuple[str, str]
"""Patient and session without "sub-" and "ses-"; no session is empty."""


@dataclass(frozen=True, slots=True)
class BidsName:
    """What the name of a file in a BIDS folder says.

    Args:
        suffix: Kind of image, such as ``T1w``.
        entities: What distinguishes it from others of the kind, by key: ``sub``, ``ses``, ``acq``.
    """

    suffix: str
    entities: Mapping[str, str]

    @classmethod
    def of(cls, stem: str) -> BidsName | None:
        """The parts of a name without its ending; None where it is no such name."""
        if not _NAME.fullmatch(stem):
            return None
        *entities, suffix = stem.split("_")
        return cls(suffix, dict(one.split("-", 1) for one in entities))

    def matches(self, wanted: BidsName) -> bool:
        """Whether it has the suffix and all entities of another."""
        return self.suffix == wanted.suffix and wanted.entities.items() <= self.entities.items()

    @property
    def key(self) -> Key:
        """Patient and session."""
        return self.entities.get("sub", ""), self.entities.get("ses", "")


@dataclass(frozen=True, slots=True)
class BidsTable:
    """A BIDS folder as a table.

    Args:
        frame: A row per image: the columns that were asked for, ``file 0`` and so on, ``id``, and
            ``problem``, why an image lacks a file.
        tables: Addresses of the files that the cells are from.
    """

    frame: pl.DataFrame
    tables: tuple[str, ...]


def is_bids(listing: Listing) -> bool:
    """Whether a folder has the participants' table and their folders."""
    return PARTICIPANTS in listing and any(re.match(r"sub-[^/]+/", path) for path in listing)


def chosen_sequences(listing: Listing, folder: str) -> tuple[str, ...]:
    """The one kind of image that a BIDS folder has.

    Raises:
        SourceError: it has none, or several.
    """
    kinds = Counter(name.suffix for _, name in _images(listing, folder))
    if len(kinds) == 1:
        return tuple(kinds)
    found = ", ".join(f"{kind} ({count} files)" for kind, count in kinds.most_common(8))
    raise SourceError(
        f"the BIDS folder has images of the kinds {found or 'none'}, where one is expected. Write "
        'into dataset.toml, above all tables, which to take: bids = "T1w", or several as the '
        'channels of one image: bids = ["T1w", "FLAIR"]; an entity narrows it: "acq-mprage_T1w".'
    )


def check_sequence(text: Any, shown_as: str) -> str:
    """The suffix, with entities or without, by which images are chosen.

    Raises:
        CardError: it is none.
    """
    if isinstance(text, str) and BidsName.of(text) is not None:
        return text
    raise CardError(
        f"{shown_as}: bids must be a suffix such as T1w, perhaps with entities as in "
        f"acq-mprage_T1w, or a list of them; found {text!r}"
    )


def read_bids(
    listing: Listing,
    sequences: Sequence[str],
    folder: str,
    columns: Mapping[str, Sequence[str]],
    *,
    encoding: str = UTF8,
    remedy: Callable[[str], str],
) -> BidsTable:
    """Pair the images of a BIDS folder with the rows of its tables.

    Args:
        listing: Files below the root, by their path.
        sequences: Kinds of image, one for each channel.
        folder: Folder below the root that holds the patients' folders; empty for the root itself.
        columns: Columns to take, see :func:`supremix_datasets.sources.tables.read_columns`.
        encoding: Encoding of the tables.
        remedy: Gives what to do about an absent column.

    Raises:
        LabelTableError: a table lacks its key, or a column is in none of them.
    """
    patients = _table(listing, PARTICIPANTS, encoding)
    sessions = [_table(listing, path, encoding) for path in listing if _SESSIONS.fullmatch(path)]
    of_session = {key: cells for one in sessions for key, cells in one.cells.items()}
    of_patient: defaultdict[str, list[_Image]] = defaultdict(list)
    for image in _grouped(listing, sequences, folder):
        of_patient[image.key[0]].append(image)
    names = [PATIENT, SESSION, *(name for one in (patients, *sessions) for name in one.header)]
    header = list(dict.fromkeys(names))
    images: list[_Image] = []
    rows: list[Row] = []
    listed = [patient for patient, _ in patients.cells]
    for patient in dict.fromkeys([*listed, *sorted(of_patient)]):
        whole = (patient, "")
        absent = _Image(f"sub-{patient}", whole, (), _lacking(sequences))
        for image in of_patient.get(patient, [absent]):
            own = {k: cell for k, cell in of_session.get(image.key, {}).items() if is_known(cell)}
            cells = {**patients.cells.get(whole, {}), **own, PATIENT: f"sub-{patient}"}
            images.append(image)
            rows.append((patients.lines.get(whole, 0), [cells.get(name) for name in header]))
    shown_as = " with ".join([PARTICIPANTS, *(["sessions.tsv"] if sessions else [])])
    made = {
        **{
            f"file {k}": [image.files[k] if image.files else None for image in images]
            for k in range(len(sequences))
        },
        "id": [image.id for image in images],
        "problem": [image.problem for image in images],
    }
    frame = select_columns(Cells(header, iter(rows)), columns, shown_as, remedy=remedy)
    return BidsTable(
        frame.with_columns(pl.Series(name, cells, pl.String) for name, cells in made.items()),
        tuple(one.address for one in (patients, *sessions) if one.address),
    )


@dataclass(frozen=True, slots=True)
class _Image:
    """One image: its name, patient and session, its files (none where one lacks), what is wrong."""

    id: str
    key: Key
    files: tuple[str, ...]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the folder: its columns, and the cells and the line of each key."""

    address: str
    header: list[str]
    cells: dict[Key, dict[str, str | None]]
    lines: dict[Key, int]


def _table(listing: Listing, path: str, encoding: str) -> _Table:
    """A table by patient and session; empty where there is none."""
    found = _Table(str(listing.get(path, {}).get("address", "")), [], {}, {})
    if not found.address:
        return found
    table = read_cells(found.address, encoding)
    found.header.extend(table.header)
    match = _SESSIONS.fullmatch(path)
    patient = match[1] if match else None
    keys = [PATIENT] * (patient is None) + [SESSION] * (match is not None)
    for column in keys:
        if column not in table.header:
            raise LabelTableError(
                f"the table {found.address} has no column {column!r}, by which its rows are found. "
                f"Its columns are {', '.join(table.header)}. Rename the one that holds it."
            )
    for line, row in table.rows:
        cells = dict(zip(table.header, row, strict=True))
        name = patient or cells.get(PATIENT) or ""
        session = (cells.get(SESSION) or "") if match else ""
        key = name.removeprefix("sub-"), session.removeprefix("ses-")
        if key in found.cells:
            raise LabelTableError(
                f"the table {found.address}, line {line}: {' '.join(filter(None, key))!r} has a "
                f"row already, in line {found.lines[key]}. Leave one row for each."
            )
        found.cells[key] = cells
        found.lines[key] = line
    return found


def _images(listing: Listing, folder: str) -> Iterator[tuple[str, BidsName]]:
    """Every image in a patient's folder: its path below the folder of images, and its name."""
    start = f"{folder}/" if folder else ""
    for path in listing:
        below = path.removeprefix(start)
        ending = ending_of(path)
        if not (path.startswith(start) and below.startswith("sub-") and "/" in below and ending):
            continue
        name = BidsName.of(PurePosixPath(below).name[: -len(ending)])
        if name is not None and name.key[0]:
            yield below, name


def _grouped(listing: Listing, sequences: Sequence[str], folder: str) -> list[_Image]:
    """The images: of one sequence each file, of several the files of a session together."""
    wanted = [name for one in sequences if (name := BidsName.of(one)) is not None]
    of_key: defaultdict[Key, list[list[str]]] = defaultdict(lambda: [[] for _ in wanted])
    for path, name in _images(listing, folder):
        for k, one in enumerate(wanted):
            if name.matches(one):
                of_key[name.key][k].append(path)
    if len(wanted) == 1:
        return [_Image(_stem(p), key, (p,)) for key, (paths,) in of_key.items() for p in paths]
    return [_several(key, sequences, paths) for key, paths in of_key.items()]


def _several(key: Key, sequences: Sequence[str], paths: Sequence[Sequence[str]]) -> _Image:
    name = f"sub-{key[0]}" + (f"_ses-{key[1]}" if key[1] else "")
    for sequence, found in zip(sequences, paths, strict=True):
        if len(found) > 1:
            shown = ", ".join(PurePosixPath(path).name for path in found[:3])
            why = f"{len(found)} files are {sequence} ({shown}): name an entity that only one has"
            return _Image(name, key, (), why)
    lacking = [one for one, found in zip(sequences, paths, strict=True) if not found]
    if lacking:
        return _Image(name, key, (), _lacking(lacking))
    return _Image(name, key, tuple(found[0] for found in paths))


def _lacking(sequences: Sequence[str]) -> str:
    return f"no {' and no '.join(sequences)} image"


def _stem(path: str) -> str:
    return PurePosixPath(path).name[: -len(ending_of(path))]
