"""EchoNet-Dynamic: ejection fraction from apical four-chamber ultrasound videos.

Accepted layout, given by the folder EchoNet-Dynamic or the one that holds it::

    EchoNet-Dynamic/FileList.csv          FileName, EF, ESV, EDV, FrameHeight, FrameWidth, FPS,
                                          NumberOfFrames, Split
    EchoNet-Dynamic/VolumeTracings.csv    may be absent: labels do not come from it
    EchoNet-Dynamic/Videos/<name>.avi     motion JPEG, 112 x 112

``FileName`` may end in ``.avi`` or not; of the table only ``FileName``, ``EF`` and ``Split`` are
needed. Each video is another patient, so each is a group of its own. The splits are the official
ones. All labelled videos are kept, also those without tracings, which the authors' own loader
drops: their count differs by these. Files whose name starts with a dot are not looked at.

Ouyang et al.: "Video-based AI for beat-to-beat assessment of cardiac function", Nature 580, 2020.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Dataset, Decoded, Phantom
from supremix_datasets.cards.sample import Rejected, Sample, Scan, sample_or_rejected
from supremix_datasets.decoding.video import decode_video
from supremix_datasets.errors import SourceError
from supremix_datasets.phantoms.echonet import write_echo_phantoms
from supremix_datasets.sources.files import list_files, read_bytes
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import check_numbers, label_problem, read_columns

TABLE = "FileList.csv"
FOLDER = "Videos"
NAME = re.compile(r"^[^/\\]+$")
SPLITS = {"TRAIN": "train", "VAL": "val", "TEST": "test"}
COLUMNS = {"file": ["FileName"], "target": ["EF"], "split": ["Split"]}
Row = dict[str, str | None]

CARD = Card(
    name="echonet-dynamic",
    title="Ejection fraction in apical echocardiograms, percent (EchoNet-Dynamic)",
    modality="ultrasound video",
    target="ejection fraction",
    unit="points",
    label_bin=1.0,
    label_scale=1.0,
    window=10.0,
    label_range=(0.0, 100.0),
    shape=(32, 112, 112),
    period=2,
    gain=1 / 50,
    # The fraction does not change with size, position or brightness. Mirrored, the left ventricle
    # would lie where the right one belongs, so nothing is flipped.
    augmentation=Augmentation(
        rotation_deg=10.0, translate=0.08, scale=0.1, gain=0.2, gamma=0.2, speckle=0.1
    ),
    licence="Stanford University Dataset Research Use Agreement: not for commercial use, "
    "not to be passed on",
    home="https://echonet.github.io/dynamic/",
)


@dataclass(frozen=True)
class EchonetReader:
    """Reads the official folder; see the module's text for what it accepts."""

    version: int = 2

    def scan(self, source: str) -> Scan:
        """Pair the rows of the table with the videos; touches no pixel.

        Excluded are rows without a video, videos without a row, labels that cannot be, splits
        that are not official, names that lead out of the folder, and names that occur more than
        once (of rows that say the same the first is kept).

        Raises:
            SourceError: no such folder, or not this layout.
            LabelTableError: a column is missing, or an EF is not a number.
        """
        listing = list_files(source)
        path = _table_path(source, listing)
        videos = _videos(listing, posixpath.dirname(path))
        table = str(listing[path]["address"])
        frame = read_columns(table, COLUMNS)
        check_numbers(frame, "target", COLUMNS["target"][0], table)
        found: list[Sample | Rejected] = []
        rows: dict[str, list[Row]] = defaultdict(list)
        for row in frame.iter_rows(named=True):
            rows[_stem(row["file"] or "")].append(row)
        for name, same in rows.items():
            found += _of_name(name, same, videos.get(name, []))
        found += [
            Rejected(id=name, reason="no row in the table", address=address)
            for name in sorted(set(videos) - set(rows))
            for address in videos[name]
        ]
        return Scan.of(found, table)

    def decode(self, address: str) -> Decoded:
        """All frames of one video as grey values ``(T, H, W)``, 8 bits.

        Raises:
            DecodeError: the file is missing, truncated or no video.
        """
        return decode_video(read_bytes(address))


def _table_path(source: str, listing: dict[str, Any]) -> str:
    """Path of the one table that is least deep."""
    tables = [path for path in listing if path.rsplit("/", 1)[-1] == TABLE]
    depth = min((path.count("/") for path in tables), default=0)
    top = [path for path in tables if path.count("/") == depth]
    if len(top) == 1:
        return top[0]
    if top:
        raise SourceError(
            f"{len(top)} tables {TABLE} in {source!r} ({', '.join(top[:3])}). Give the folder of "
            "one of them."
        )
    hint = (
        f"It is next to the folder {FOLDER}: give the folder that holds both."
        if any(path.lower().endswith(".avi") for path in listing)
        else f"Expected EchoNet-Dynamic/{TABLE} and EchoNet-Dynamic/{FOLDER}/*.avi, as they are "
        f"after unpacking the download from {CARD.home}."
    )
    raise SourceError(f"no {TABLE} in {source!r}. {hint}")


def _videos(listing: dict[str, Any], root: str) -> dict[str, list[str]]:
    """Name without ending to the addresses of the videos of that name."""
    videos: dict[str, list[str]] = defaultdict(list)
    folder = posixpath.join(root, FOLDER)
    for path, info in listing.items():
        where, name = posixpath.split(path)
        # a dot is what an unpacking Mac puts before the files of its own
        if where == folder and name.lower().endswith(".avi") and not name.startswith("."):
            videos[_stem(name)].append(str(info["address"]))
    return videos


def _of_name(name: str, rows: list[Row], videos: list[str]) -> list[Sample | Rejected]:
    """The sample of one name, or why there is none; every row and every video is in it."""
    address = videos[0] if videos else ""
    if len(videos) > 1:
        return [
            Rejected(id=name, reason=f"{len(videos)} videos have this name", address=video)
            for video in videos
        ]
    pairs = {(to_number(row["target"]), row["split"]) for row in rows}
    if len(pairs) > 1:
        reason = "the table lists it more than once, with different labels or splits"
        return [Rejected(id=name, reason=reason, address=address) for _ in rows]
    again = Rejected(id=name, reason="the table lists it more than once", address=address)
    return [_sample(name, rows[0], address), *[again] * (len(rows) - 1)]


def _sample(name: str, row: Row, address: str) -> Sample | Rejected:
    target, split = to_number(row["target"]), SPLITS.get((row["split"] or "").upper())
    problem = label_problem(target, CARD.label_range, CARD.unit)
    if not NAME.match(name) or name == "..":
        problem = f"expected the name of a file in {FOLDER}, found {row['file']!r}"
    elif split is None:
        problem = f"the split must be TRAIN, VAL or TEST, found {row['split']!r}"
    elif not address:
        problem = "the file is missing"
    return sample_or_rejected(
        problem, name=name, group=name, target=target, address=address, split=split
    )


def _stem(name: str) -> str:
    return name[:-4] if name.lower().endswith(".avi") else name


DATASET = Dataset(
    card=CARD,
    reader=EchonetReader(),
    phantom=Phantom(write=write_echo_phantoms, samples=192, shape=(16, 56, 56)),
)
