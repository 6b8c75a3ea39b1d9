"""What a reader finds in a folder, before any pixel is touched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from supremix_datasets.errors import SourceError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One labelled image of a dataset.

    Args:
        id: Name of the image within the dataset, unique; a string, leading zeros kept.
        group: The patient, or another unit that must not span two splits.
        target: The label in the card's unit.
        address: fsspec URL of the file; a member of a zip is ``zip://member::file:///a.zip``. Those
            of an image with several files are joined by `sources.files.PART`.
        covariates: Numbers by name, raw (no logarithm), as the table gives them for the file.
        split: Official split (``train``, ``val``, ``test``), or None.
        site: Where the image was taken, if known.
        fold: Fold of a cross-validation that the dataset itself has, or None.
    """

    id: str
    group: str
    target: float
    address: str
    covariates: Mapping[str, float] = field(default_factory=dict[str, float])
    split: str | None = None
    site: str | None = None
    fold: str | None = None


def check_sample(sample: Any, dataset: str) -> None:
    """Check what a reader gives as a sample, which may be the user's own.

    Raises:
        SourceError: it is no sample, or a value of it is of another type.
    """
    said = f"the reader of dataset {dataset!r} gave"
    if not isinstance(sample, Sample):
        raise SourceError(f"{said} {sample!r}, expected a Sample")
    texts: dict[str, Any] = {name: getattr(sample, name) for name in ("id", "group", "address")}
    for name, value in texts.items():
        if not isinstance(value, str) or not value:
            raise SourceError(f"{said} a sample with {name}={value!r}, expected a text")
    target: Any = sample.target
    if not isinstance(target, Real) or not math.isfinite(target):
        raise SourceError(
            f"{said} image {sample.id!r} the target {target!r}, expected a finite number; give a "
            "Rejected with the reason for an image without a label"
        )
    if sample.split not in (None, *SPLITS):
        raise SourceError(
            f"{said} image {sample.id!r} the split {sample.split!r}, expected one of "
            f"{', '.join(SPLITS)}, or None"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """One image that is excluded, and why."""

    id: str
    reason: str
    address: str = ""


def sample_or_rejected(
    problem: str | None,
    *,
    name: str,
    group: str,
    target: float | None,
    address: str,
    covariates: Mapping[str, float] | None = None,
    split: str | None = None,
    site: str | None = None,
) -> Sample | Rejected:
    """The sample, or, where there is a problem or no label, the image with its reason.

    Args:
        problem: Why the image cannot be used, None where it can.
        name: Name of the image within the dataset.
        group: The patient.
        target: The label, None where there is none.
        address: fsspec URL of the file; empty where there is none.
        covariates: Numbers by name; None for no number.
        split: Official split, or None.
        site: Where the image was taken, if known.
    """
    if problem or target is None:
        return Rejected(id=name, reason=problem or "no label in the table", address=address)
    return Sample(
        id=name,
        group=group,
        target=target,
        address=address,
        covariates=covariates or {},
        split=split,
        site=site,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """All that a reader found in a folder: samples to decode and images already excluded."""

    samples: tuple[Sample, ...]
    rejected: tuple[Rejected, ...] = ()
    tables: tuple[str, ...] = ()
    """Addresses of the tables that labels were read from (for the record)."""

    warnings: tuple[str, ...] = ()
    """What makes the samples as a whole less than they seem, in sentences; `check` shows them."""

    @classmethod
    def of(
        cls, found: Iterable[Sample | Rejected], *tables: str, warnings: Iterable[str] = ()
    ) -> Scan:
        """What was found of each image, in that order, and the addresses of the tables."""
        listed = tuple(found)
        return cls(
            samples=tuple(item for item in listed if isinstance(item, Sample)),
            rejected=tuple(item for item in listed if isinstance(item, Rejected)),
            tables=tables,
            warnings=tuple(warnings),
        )
