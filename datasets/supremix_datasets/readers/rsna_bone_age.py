"""RSNA Pediatric Bone Age Challenge 2017: bone age in months from radiographs of the left hand.

Accepted layout: a folder with, at any depth,

    boneage-training-dataset/<id>.png       official training set; boneage-training-dataset.csv
    boneage-validation-dataset-1/<id>.png   official validation set, in two folders; also one
    boneage-validation-dataset-2/<id>.png       without a number; Validation Dataset.csv
    boneage-test-dataset/<id>.png           test set; boneage-test-dataset.csv, and the sheet with
                                                its labels (.csv or .xlsx), where it is known

A folder counts by the deepest part of its path that names it: "bone age" with train, valid or test
in it, or a name that begins like "Test Set Images", the folder in the zip of the test set. So the
mirror, which nests each folder in one of the same name and has no validation set, is read as it is.
What the columns are called is in :mod:`.rsna_tables`. Pictures are PNG or
JPEG, grey or RGB; where an id also has a DICOM file, the picture is read, for the two are twins.

Folders are the official splits. A test image without a label is excluded. Where a set is absent,
its split is taken out of the training set. There is one image a child.

Halabi et al.: "The RSNA Pediatric Bone Age Machine Learning Challenge", Radiology 290(2), 2019.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.covariate import SEX
from supremix_datasets.cards.dataset import Dataset, Decoded, Phantom
from supremix_datasets.cards.sample import Rejected, Sample, Scan, sample_or_rejected
from supremix_datasets.decoding.dicom import decode_dicom
from supremix_datasets.decoding.images import decode_picture
from supremix_datasets.decoding.radiographs import upright_grey
from supremix_datasets.errors import SourceError
from supremix_datasets.phantoms.rsna_bone_age import write_hand_phantoms
from supremix_datasets.readers.rsna_tables import BoneAgeRow, LabelTables, read_tables, split_of
from supremix_datasets.sources.files import list_files, read_bytes
from supremix_datasets.sources.tables import label_problem

FOLDER = re.compile(
    r"bone[ _-]?age.*(train|valid|test)|^(train|valid|test)[a-z]*[ _-]set\b", re.IGNORECASE
)
PICTURES = (".png", ".jpg", ".jpeg")

CARD = Card(
    name="rsna-bone-age",
    title="Bone age in hand radiographs (RSNA 2017)",
    modality="X-ray",
    target="bone age",
    unit="months",
    label_bin=1.0,
    # The losses' weights were made for ages in years, whose spread is about ten of them; bone
    # ages spread over 41 months, so four months are to them what a year is there. Half the spread
    # is the window, as it is there.
    label_scale=4.0,
    window=20.0,
    label_range=(0.0, 240.0),
    shape=(256, 256),
    covariates=(SEX,),
    intensity="range",
    gain=1 / 80,
    # Hands lie at any angle; a left hand mirrored is a right one, and as old.
    augmentation=Augmentation(
        rotation_deg=25.0,
        translate=0.06,
        scale=0.15,
        flip_axes=(1,),
        gain=0.2,
        gamma=0.3,
        noise=0.01,
    ),
    licence="RSNA's terms of use: research and education, not commercial",
    home="https://www.rsna.org/artificial-intelligence/ai-image-challenge/rsna-pediatric-bone-age-challenge-2017",
)


@dataclass(frozen=True)
class RsnaBoneAgeReader:
    """Reads the official folders and the mirror; see the module's text for what it accepts."""

    version: int = 3

    def scan(self, source: str) -> Scan:
        """Pair pictures with the rows of their set's tables; touches no pixel.

        Rows without a picture, pictures without a row or label, labels that cannot be, rows that
        contradict each other and second files of one id are excluded.

        Raises:
            SourceError: no such folder, no picture in folders of these names, or no table.
            LabelTableError: a table lacks its label, or holds a value that cannot be read.
        """
        listing = list_files(source)
        images = _images(listing)
        if not images:
            raise SourceError(_no_images(source, listing))
        tables = read_tables(listing)
        if not tables.addresses:
            raise SourceError(
                f"no table with bone ages in {source!r}, which has {len(images)} images. Put "
                "boneage-training-dataset.csv (id, boneage, male) into that folder, or give the "
                "folder above if the table is there."
            )
        return Scan.of(_pair(images, tables), *tables.addresses)

    def decode(self, address: str) -> Decoded:
        """One radiograph as grey values ``(H, W)``, bone bright on dark.

        RGB becomes grey; MONOCHROME1 is inverted, and so is any other picture with dark bones, see
        :func:`~supremix_datasets.decoding.radiographs.is_inverted`. A spacing, where a DICOM file
        gives one, is of no use to the card.

        Raises:
            DecodeError: the file is missing, truncated or no picture.
        """
        data = read_bytes(address)
        dicom = address.lower().endswith(".dcm")
        pixels = (decode_dicom(data) if dicom else decode_picture(data)).pixels
        return Decoded(upright_grey(pixels))


@dataclass(frozen=True)
class _Radiograph:
    split: str
    name: str
    address: str
    dicom: bool


def _images(listing: dict[str, Any]) -> list[_Radiograph]:
    """Every picture in a folder of one of the sets; what macOS adds to zips is none."""
    images: list[_Radiograph] = []
    for path, info in listing.items():
        *folders, file = path.split("/")
        stem, _, ending = file.rpartition(".")
        named = (split_of(name) for name in reversed(folders) if FOLDER.search(name))
        split = next(filter(None, named), None)
        ending = f".{ending.lower()}"
        if split is None or file.startswith(".") or ending not in (*PICTURES, ".dcm"):
            continue
        images.append(_Radiograph(split, stem, str(info["address"]), ending == ".dcm"))
    return images


def _pair(images: list[_Radiograph], tables: LabelTables) -> list[Sample | Rejected]:
    """A verdict on every image and on every row that has none."""
    found: list[Sample | Rejected] = []
    # the test set first: an id that training shares with it must not be trained on
    order = {"test": 0, "val": 1, "train": 2}
    ranked = sorted(images, key=lambda i: (order[i.split], i.name, i.dicom, i.address))
    taken: dict[str, _Radiograph] = {}
    for image in ranked:
        first = taken.setdefault(image.name, image)
        if first is image:
            row = tables.rows.get(image.split, {}).get(image.name)
            found.append(_sample(image, row))
        elif not (image.dicom and not first.dicom and image.split == first.split):
            where = "folder" if first.split == image.split else f"{first.split} set"
            reason = f"another file of this id is in the {where}"
            found.append(Rejected(id=image.name, reason=reason, address=image.address))
    for split, rows in tables.rows.items():
        missing = sorted(set(rows) - {image.name for image in images if image.split == split})
        found += [Rejected(id=name, reason="the file is missing") for name in missing]
    return found


def _sample(image: _Radiograph, row: BoneAgeRow | None) -> Sample | Rejected:
    months, male = (row.months, row.male) if row else (None, None)
    problem = label_problem(months, CARD.label_range, CARD.unit)
    if row is None:
        problem = "no row in the table of its set"
    elif row.doubtful:
        problem = "the tables list it more than once, with different values"
    return sample_or_rejected(
        problem,
        name=image.name,
        group=image.name,
        target=months,
        address=image.address,
        covariates={} if male is None else {"sex": male},
        split=image.split,
    )


def _no_images(source: str, listing: dict[str, Any]) -> str:
    names = [path.rsplit("/", 1)[-1].lower() for path in listing]
    hint = "Unpack the challenge's zips into it, each into a folder of its name."
    if any(name.endswith((*PICTURES, ".dcm")) for name in names):
        hint = "There are pictures, but in folders of other names: give the folder that holds them."
    return (
        f"no radiograph in {source!r}: expected folders boneage-training-dataset (and "
        f"-validation-dataset-1, -2, -test-dataset) with <id>.png in them. {hint}"
    )


DATASET = Dataset(
    card=CARD,
    reader=RsnaBoneAgeReader(),
    phantom=Phantom(write=write_hand_phantoms, version=2, samples=256, shape=(80, 80)),
)
