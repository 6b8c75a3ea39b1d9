"""Amyloid PET as the archives hand it out: folders of DICOM slices, NIfTI files, time frames."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Decoded
from supremix_datasets.decoding.dicom import decode_dicom_series
from supremix_datasets.decoding.images import VOLUMES, decode_nifti
from supremix_datasets.errors import DecodeError
from supremix_datasets.sources.files import filesystem, folder_files, is_hidden, read_bytes

SLICES = (".dcm", ".ima")
PET = re.compile(
    r"(?<![a-z0-9])(pet|fbp|fbb|nav|florbeta\w*|av45|pib|amyloid)(?![a-z0-9])", re.IGNORECASE
)
MRI = re.compile(
    r"(?<![a-z0-9])(mri?|m?t1w?|t2w?|mp-?rage|ir-?spgr|flair|dwi|dti|fmri|bold|asl|localizer)"
    r"(?![a-z0-9])",
    re.IGNORECASE,
)
OTHER_TRACER = re.compile(
    r"(?<![a-z0-9])(tau|ftp|av1451|flortaucipir|mk6240|pi2620|fdg)(?![a-z0-9])", re.IGNORECASE
)

amyloid_card = functools.partial(
    Card,
    modality="PET",
    target="SUVR",
    unit="SUVR",
    label_bin=0.05,
    label_scale=0.05,
    window=0.25,
    label_range=(0.3, 3.5),
    shape=(64, 76, 64),
    spacing=(3.0, 3.0, 3.0),
    # Counts depend on dose and time and have no scale of their own; the label is a ratio.
    intensity="foreground",
    gain=1 / 80,
    augmentation=Augmentation(
        rotation_deg=8.0, translate=0.05, scale=0.05, flip_axes=(0,), gain=0.1, noise=0.02
    ),
)
"""Makes the card of a dataset of amyloid PET; other values are given by keyword."""


class PetReader:
    """Decoding of a reader whose images are PET."""

    def decode(self, address: str) -> Decoded:
        """One volume ``(X, Y, Z)`` in right, anterior, superior order, mean over its time frames.

        Args:
            address: A NIfTI file, or a folder of DICOM slices (ending in "/").

        Raises:
            DecodeError: a file is missing or damaged, or the slices make no volume.
        """
        return decode_pet(address)


@dataclass(frozen=True, slots=True)
class PetImage:
    """One image in a folder, not opened.

    Args:
        path: Path below the source: of the file, or of the folder of slices, without a final "/".
        address: Address of the file, or of the folder with a final "/".
    """

    path: str
    address: str


def pet_images(listing: Mapping[str, Mapping[str, Any]]) -> list[PetImage]:
    """Every NIfTI file, and every folder that holds DICOM files, sorted by path.

    Args:
        listing: Files as :func:`supremix_datasets.sources.files.list_files` gives them.
    """
    found: dict[str, str] = {}
    for path, info in listing.items():
        address = str(info["address"])
        if path.lower().endswith(VOLUMES):
            found[path] = address
        elif path.lower().endswith(SLICES):
            found[path.rpartition("/")[0]] = address.rpartition("/")[0] + "/"
    return [PetImage(path, found[path]) for path in sorted(found)]


def other_kind(path: str) -> str | None:
    """The word in a path that says that the image is no amyloid PET, or None.

    Another tracer's name always says so, a kind of MRI only where nothing names PET as well:
    folders may be called "MRI and PET".
    """
    other = OTHER_TRACER.search(path)
    if other is None and not PET.search(path):
        other = MRI.search(path)
    return other[1] if other else None


def decode_pet(address: str) -> Decoded:
    """One PET volume ``(X, Y, Z)`` in right, anterior, superior order, mean over its time frames.

    Args:
        address: A folder of DICOM slices (with a final "/"; a single file in it may hold all
            slices), a DICOM file that holds all slices, or a NIfTI file with 3 or 4 axes. The time
            frames of a NIfTI file are weighted by the ``FrameDuration`` of a BIDS sidecar (the
            same name, ending in ``.json``) where there is one, else equally.

    Raises:
        DecodeError: a file is missing or damaged, the slices make no volume, or are no PET.
    """
    if address.endswith("/"):
        slices = [
            p for p in folder_files(address) if p.lower().endswith(SLICES) and not is_hidden(p)
        ]
        return decode_dicom_series([read_bytes(path) for path in slices], modality="PT")
    if address.lower().endswith(SLICES):
        return decode_dicom_series([read_bytes(address)], modality="PT")
    if address.lower().endswith(VOLUMES):
        return decode_nifti(
            read_bytes(address), time_weights=functools.partial(_durations, address)
        )
    raise DecodeError(
        f"expected a folder of DICOM files or a file ending in one of {VOLUMES + SLICES}, "
        f"found {address.rsplit('/', 1)[-1]!r}"
    )


def _durations(address: str, frames: int) -> Sequence[float] | None:
    """Duration of each time frame in s, from the sidecar; None where it gives none."""
    stem = address[: -len(".nii.gz")] if address.lower().endswith(".gz") else address[:-4]
    fs, path = filesystem(f"{stem}.json")
    if not fs.exists(path):
        return None
    try:
        found = json.loads(read_bytes(f"{stem}.json")).get("FrameDuration")
    except (ValueError, AttributeError) as error:
        raise DecodeError(f"the sidecar of the image is no JSON object: {error}") from error
    if not isinstance(found, list):
        return None
    durations = [float(value) for value in found]
    if len(durations) != frames or min(durations) <= 0:
        raise DecodeError(
            f"the sidecar gives {len(durations)} durations for the image's {frames} time frames"
        )
    return durations
