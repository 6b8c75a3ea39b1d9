"""A small, whole folder of every dataset in its official layout, and ways to spoil it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image
from pydicom import dcmread

from supremix_datasets import get
from supremix_datasets.decoding.video import encode_mjpg_avi
from supremix_datasets.sources.files import folder_files

COUNT = 12
Row = dict[str, str]


@dataclass(frozen=True)
class Layout:
    """One dataset's folder.

    ``table`` is the table with the labels, ``label`` its column, ``expects`` what the message
    about a wrong folder has to name. ``write`` makes the folder; without it the phantoms do.
    ``has_label`` tells the rows that carry a label.
    """

    table: str
    label: str
    expects: str
    write: Callable[[Path], None] | None = None
    has_label: Callable[[Row], bool] = lambda row: True
    shape: tuple[int, ...] | None = None
    spacing: tuple[float, ...] | None = None

    def make(self, name: str, folder: Path) -> None:
        folder.mkdir()
        if self.write is not None:
            self.write(folder)
            return
        phantom = get(name).phantom
        assert phantom is not None
        phantom.write(folder, COUNT, 0, (0, 1))

    def grid(self, name: str) -> dict[str, tuple[float, ...] | None]:
        phantom = get(name).phantom
        source = self if phantom is None else phantom
        return {"shape": source.shape, "spacing": source.spacing}

    def edit(self, folder: Path, change: Callable[[list[Row]], Sequence[Row]]) -> None:
        """Rewrite the table: ``change`` gets the rows with labels; all others stay in front."""
        path = next(folder.glob(self.table))
        dialect = "excel" if path.suffix == ".csv" else "excel-tab"
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file, dialect=dialect))
        plain = [row for row in rows if not self.has_label(row)]
        labelled = change([row for row in rows if self.has_label(row)])
        with path.open("w", newline="") as file:
            names = list((labelled[0] if labelled else rows[0]).keys())
            writer = csv.DictWriter(file, names, dialect=dialect, extrasaction="ignore")
            writer.writeheader()
            writer.writerows([*plain, *labelled])


def head(shape: tuple[int, ...] = (20, 24, 20), seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(1, 900, shape).astype(np.int16)
    return gzip.compress(nib.Nifti1Image(pixels, np.diag([8.0, 8, 8, 1])).to_bytes(), 1)


def picture(size: tuple[int, int], seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, "excel" if path.suffix == ".csv" else "excel-tab").writerows(
            [header, *rows]
        )


def write_hc18(folder: Path) -> None:
    header = ("filename", "pixel size(mm)", "head circumference (mm)")
    rows = [(f"{n:03d}_HC.png", 0.1 + 0.01 * n, 100 + 10 * n) for n in range(COUNT)]
    write_rows(folder / "training_set_pixel_size_and_HC.csv", header, rows)
    for number, row in enumerate(rows):
        put(folder / "training_set" / row[0], picture((54, 80), number))


def write_ixi(folder: Path) -> None:
    rows = [(f"IXI{n:03d}-Guys-{n:04d}", "1", 20.5 + n) for n in range(1, COUNT + 1)]
    write_rows(folder / "IXI.csv", ("MRID", "Sex", "Age"), rows)
    for number, row in enumerate(rows):
        put(folder / f"{row[0]}-T1.nii.gz", head(seed=number))


def write_openbhb(folder: Path) -> None:
    rows = [(f"{100 + n}", "female", 20.5 + n, "1") for n in range(8)]
    write_rows(folder / "participants.tsv", ("participant_id", "sex", "age", "site"), rows)
    for number, row in enumerate(rows):
        pixels = np.random.default_rng(number).integers(0, 200, (1, 1, 121, 145, 121), np.uint8)
        name = f"sub-{row[0]}_preproc-cat12vbm_desc-gm_T1w.npy"
        put(folder / f"sub-{row[0]}" / "ses-1" / name, npy(pixels))


def write_oasis(folder: Path) -> None:
    header = ("subject_id", "oasis_session_id", "tracer", "Centiloid_fSUVR_TOT_CORTMEAN")
    people = [f"OAS3{n:04d}" for n in range(1, COUNT + 1)]
    rows = [(p, f"{p}_AV45_PUPTIMECOURSE_d0010", "AV45", 5 + k) for k, p in enumerate(people)]
    write_rows(folder / "OASIS3_amyloid_centiloid.csv", header, rows)
    for number, person in enumerate(people):
        name = f"sub-{person}_ses-d0010_acq-AV45_pet.nii.gz"
        put(folder / f"{person}_AV45_d0010" / "pet1" / name, head(seed=number))


def write_table(folder: Path) -> None:
    rows = [(f"images/{n}.png", 10 + n, f"p{n // 2}") for n in range(COUNT)]
    write_rows(folder / "labels.csv", ("file", "target", "group"), rows)
    (folder / "dataset.toml").write_text('table = "labels.csv"\nlabel_range = [0, 100]\n')
    for number, row in enumerate(rows):
        put(folder / row[0], picture((60, 60), number))


SMALL = {"shape": (16, 16, 16), "spacing": (12.0, 12.0, 12.0)}
LAYOUTS: Mapping[str, Layout] = {
    "a4-amyloid": Layout(
        "imaging_SUVR_amyloid.csv",
        "suvr_cer",
        "B10012345|A4_PETSUVR_PRV2",
        has_label=lambda row: row["brain_region"] == "Composite_Summary",
    ),
    "adni-amyloid": Layout(
        "UCBERKELEY*.csv",
        "SUMMARY_SUVR",
        "002_S_0413|UCBERKELEY",
        has_label=lambda row: row["IMAGE_RESOLUTION"] == "6MM",
    ),
    "echonet-dynamic": Layout("FileList.csv", "EF", "FileList.csv"),
    "hc18": Layout(
        "*.csv", "head circumference (mm)", "training_set_pixel_size_and_HC.csv", write_hc18
    ),
    "hcp-aging": Layout(
        "ndar_subject01.txt",
        "interview_age",
        "HCA6002236_V1_MR",
        has_label=lambda row: row["visit"] in ("V1", "V2"),
    ),
    "ixi": Layout("IXI.csv", "Age", "IXI002-Guys-0828-T1.nii.gz|IXI.xls", write_ixi, **SMALL),
    "oasis3-amyloid": Layout(
        "*.csv",
        "Centiloid_fSUVR_TOT_CORTMEAN",
        "OAS30001_AV45|OASIS3_amyloid_centiloid.csv",
        write_oasis,
        **SMALL,
    ),
    "openbhb": Layout(
        "participants.tsv", "age", "sub-100053248969_preproc", write_openbhb, **SMALL
    ),
    "rsna-bone-age": Layout("boneage-training*.csv", "boneage", "boneage-training-dataset"),
    "table": Layout(
        "labels.csv", "target", "'file'|'target'|dataset.toml", write_table, shape=(32, 32)
    ),
    "ukb-t1": Layout("ukb_phantom.csv", "21003-2.0", "1000017_20252_2_0.zip"),
}


def spoil(address: str, change: Callable[[str, bytes], bytes]) -> None:
    """Change the file of an address: plain, a member of a zip, or one of a folder's slices."""
    if address.endswith("/"):
        address = folder_files(address)[0]
    member, _, outer = address.rpartition("::")
    path = Path(outer.removeprefix("file://"))
    if not member:
        path.write_bytes(change(path.name, path.read_bytes()))
        return
    wanted = member.removeprefix("zip://")
    with zipfile.ZipFile(path) as archive:
        held = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in held.items():
            archive.writestr(name, change(name, data) if name == wanted else data)


def of_another_kind(name: str, data: bytes) -> bytes:
    """A sound file of the same format that cannot be an image of the dataset."""
    if name.endswith(".nii.gz"):
        return head((20, 24))  # a slice, not a volume
    if name.endswith(".npy"):
        return npy(np.ones((121, 145), np.uint8))
    if name.endswith(".png"):
        return picture((4, 4))
    if name.endswith(".avi"):
        return encode_mjpg_avi(np.zeros((3, 4, 4), np.uint8), 30)
    slice_ = dcmread(io.BytesIO(data))
    slice_.PixelData = slice_.PixelData[: len(slice_.PixelData) // slice_.Rows * 8]
    slice_.Rows = 8
    file = io.BytesIO()
    slice_.save_as(file)
    return file.getvalue()


SPOILED: Mapping[str, Callable[[str, bytes], bytes]] = {
    "empty": lambda name, data: b"",
    "truncated": lambda name, data: data[: len(data) // 2],
    "text": lambda name, data: b"<html>Please log in to download</html>",
    "of another kind": of_another_kind,
}


def contents(folder: Path) -> dict[str, str]:
    """Every path below a folder with a hash of what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in folder.rglob("*")
    }
