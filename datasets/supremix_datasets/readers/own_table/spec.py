"""What ``dataset.toml`` says of a user's own dataset: read, checked, nothing guessed.

See ``docs/datasets/own-data.md`` for the whole file. Every key may be left out; what then holds is
decided in :mod:`supremix_datasets.readers.own_table.card`.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.covariate import Covariate
from supremix_datasets.errors import CardError, DecodeError, SourceError, did_you_mean
from supremix_datasets.readers.own_table.bids import PATIENT, check_sequence
from supremix_datasets.sources.cells import UTF8
from supremix_datasets.sources.files import read_bytes
from supremix_datasets.sources.guards import leaves_folder

SPEC = "dataset.toml"
ROLES: dict[str, tuple[str, ...]] = {
    "file": ("file", "filename", "file_name", "path", "image"),
    "target": ("target", "label"),
    "group": ("group", "patient", "patient_id", "subject", "subject_id"),
    "id": ("image_id",),
    "split": ("split",),
    "site": ("site",),
    "fold": ("fold",),
}
"""What a column is for, and the names that are tried where ``[columns]`` does not give one; for the
target also the word that ``target`` says. A column ``id`` may as well be the patient's: never."""

COMPULSORY = ("target", "group")
PATTERN = re.compile(r"\{([^{}]+)\}")
"""A column in the pattern of a file, such as ``{ID}`` in ``{ID}_a.jpg``."""

COVARIATE_KEYS = ("column", "log", "per_pixel", "default", "doc", "values")

_NUMBER = (int, float)
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(
        (
            "name", "title", "modality", "unit", "target", "licence", "home", "table", "images",
            "intensity", "dtype", "target_transform", "encoding",
        ),
        (str,),
    ),
    **dict.fromkeys(("label_bin", "label_scale", "window", "fill", "offset", "gain"), _NUMBER),
    **dict.fromkeys(("channels", "period"), (int,)),
    **dict.fromkeys(("shape", "spacing", "label_range"), (list,)),
    **dict.fromkeys(("columns", "augmentation"), (dict,)),
    "covariates": (dict, list),
    "bids": (str, list),
}  # fmt: skip

CARD_KEYS = tuple(
    key
    for key in _KINDS
    if key not in ("table", "images", "encoding", "columns", "augmentation", "covariates", "bids")
)
"""Keys that go into the card as they are."""


@dataclass(frozen=True, slots=True)
class CovariateColumn:
    """A covariate and the column that holds it."""

    covariate: Covariate
    column: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TableSpec:
    """The contents of a ``dataset.toml``; everything empty for a folder that has none.

    Args:
        card: Values for the card, by the names of its fields.
        table: Path of the table, relative to the folder; None where it is not named.
        images: Folder that the table's files are relative to, relative to the folder.
        encoding: Encoding of the table, where it is text.
        columns: Role to column, see :data:`ROLES`; those of files are in ``files``.
        files: What names each file of an image: a column, or a pattern of columns.
        bids: Kinds of image of a BIDS folder, one for each channel, see
            :mod:`supremix_datasets.readers.own_table.bids`; empty for another folder.
        covariates: Covariates with their columns.
        augmentation: The policy, None where nothing is said.
    """

    card: Mapping[str, Any] = field(default_factory=dict[str, Any])
    table: str | None = None
    images: str = ""
    encoding: str = UTF8
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    files: tuple[str, ...] = ()
    bids: tuple[str, ...] = ()
    covariates: tuple[CovariateColumn, ...] = ()
    augmentation: Augmentation | None = None

    @property
    def file_names(self) -> tuple[tuple[str, ...], ...]:
        """For each file of an image the names that its column may have, or its pattern."""
        return tuple((one,) for one in self.files) or (ROLES["file"],)

    def column_names(self, role: str, *, bids: bool = False) -> list[str]:
        """Names that the column of a role may have, in a BIDS folder or another; not for files."""
        if role in self.columns:
            return [self.columns[role]]
        if role == "group" and bids:  # "group" in participants.tsv is mostly the diagnosis
            return [PATIENT]
        word = self.card.get("target") if role == "target" else None
        taken = self.columns.values() if role == "fold" else ()  # such as split = "fold"
        names = [name for name in ROLES[role] if name not in taken]
        return [*names, *([str(word)] if word else [])]


def read_spec(address: str) -> TableSpec:
    """Read a ``dataset.toml``.

    Raises:
        SourceError: the file cannot be read, or is no TOML.
        CardError: a key is not known or its value of another kind than expected.
    """
    try:
        data = tomllib.loads(read_bytes(address).decode("utf-8-sig"))
    except (DecodeError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceError(
            f"{address} cannot be read: {error}. Expected a TOML file that describes the dataset."
        ) from error
    return parse_spec(data, address)


def parse_spec(data: Mapping[str, Any], shown_as: str = SPEC) -> TableSpec:
    """The specification that the contents of a ``dataset.toml`` make.

    Args:
        data: Content of the TOML file.
        shown_as: Name of the file in messages.

    Raises:
        CardError: a key is not known or its value of another kind than expected.
    """
    _check_keys(data, tuple(_KINDS), shown_as)
    for key, value in data.items():
        if not isinstance(value, _KINDS[key]) or isinstance(value, bool):
            expected = " or ".join(kind.__name__ for kind in _KINDS[key])
            raise CardError(f"{shown_as}: {key} must be {expected}, found {value!r}")
    for key in ("table", "images"):
        if leaves_folder(str(data.get(key, ""))):
            raise CardError(
                f"{shown_as}: {key} must be a path below the folder of this file, found "
                f"{data[key]!r}. Move the files there, or this file above them."
            )
    columns: Mapping[str, Any] = data.get("columns", {})
    if "bids" in data and "file" in columns:
        raise CardError(
            f"{shown_as}: bids chooses the files by their names, and columns.file by the table. "
            "Leave out one of the two."
        )
    return TableSpec(
        card={key: _plain(data[key]) for key in CARD_KEYS if key in data},
        table=data.get("table"),
        images=str(data.get("images", "")).strip("/"),
        encoding=str(data.get("encoding", UTF8)),
        columns=_columns(columns, shown_as),
        files=_files(columns.get("file", []), shown_as),
        bids=_bids(data.get("bids", []), shown_as),
        covariates=_covariates(data.get("covariates", {}), shown_as),
        augmentation=_augmentation(data.get("augmentation"), shown_as),
    )


def _plain(value: Any) -> Any:
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


def _columns(given: Mapping[str, Any], shown_as: str) -> dict[str, str]:
    _check_keys(given, tuple(ROLES), f"{shown_as}, [columns]")
    named = {role: column for role, column in given.items() if role != "file"}
    for role, column in named.items():
        if not isinstance(column, str):
            raise CardError(f"{shown_as}: columns.{role} must be a name, found {column!r}")
    return named


def _files(given: Any, shown_as: str) -> tuple[str, ...]:
    names: Any = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CardError(
            f"{shown_as}: columns.file must be a name or a pattern, or a list of them where an "
            f"image has several files; found {given!r}"
        )
    for name in names:
        if re.search(r"[{}]", PATTERN.sub("", name)):
            raise CardError(
                f"{shown_as}: columns.file is the pattern {name!r} with a brace too many. Write "
                'each column in braces of its own, e.g. file = "{ID}_a.jpg".'
            )
    return tuple(map(str, names))


def _bids(given: Any, shown_as: str) -> tuple[str, ...]:
    kinds: list[Any] = [given] if isinstance(given, str) else given
    return tuple(check_sequence(kind, shown_as) for kind in kinds)


def _covariates(given: Any, shown_as: str) -> tuple[CovariateColumn, ...]:
    plain: dict[str, Any] = {name: {} for name in given} if isinstance(given, list) else given
    return tuple(_covariate(name, options, shown_as) for name, options in plain.items())


def _covariate(name: str, options: Any, shown_as: str) -> CovariateColumn:
    where = f"{shown_as}, [covariates.{name}]"
    if not isinstance(options, dict):
        raise CardError(f"{where}: expected a table of options, found {options!r}")
    chosen = cast("dict[str, Any]", options)
    _check_keys(chosen, COVARIATE_KEYS, where)
    words: Any = chosen.get("values", {})
    try:
        return CovariateColumn(
            covariate=Covariate(
                name=name,
                log=_flag(chosen, "log", where),
                per_pixel=_flag(chosen, "per_pixel", where),
                default=float(chosen["default"]) if "default" in chosen else None,
                doc=str(chosen.get("doc", "")),
                words=tuple(words.items()),
            ),
            column=str(chosen.get("column", name)),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise CardError(
            f"{where}: {error}. default must be a number, values a table of words and numbers, "
            "e.g. values = {F = 0, M = 1}."
        ) from error


def _flag(options: Mapping[str, Any], key: str, where: str) -> bool:
    value = options.get(key, False)
    if not isinstance(value, bool):
        raise CardError(f"{where}: {key} must be true or false, found {value!r}")
    return value


def _augmentation(given: Mapping[str, Any] | None, shown_as: str) -> Augmentation | None:
    if given is None:
        return None
    known = tuple(option.name for option in dataclasses.fields(Augmentation))
    _check_keys(given, known, f"{shown_as}, [augmentation]")
    try:
        return Augmentation.from_dict(dict(given))
    except TypeError as error:
        raise CardError(f"{shown_as}, [augmentation]: {error}. Expected numbers.") from error


def _check_keys(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in given:
        if key not in known:
            hint = did_you_mean(key, known)
            raise CardError(f"{where}: no key {key!r}.{hint} There are: {', '.join(known)}.")
