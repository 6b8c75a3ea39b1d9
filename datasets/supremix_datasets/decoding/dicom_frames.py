# pydicom carries few types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""One DICOM file to its frames: grey values in the file's units, and each frame's position.

Compressed transfer syntaxes are decoded by pydicom through python-gdcm, Pillow or its own run
length decoder, whichever can. "JPEG Extended" with 12 bits is the one common kind that none of them
reads.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from supremix_datasets.decoding.reading import reading
from supremix_datasets.errors import DecodeError
from supremix_datasets.sources.guards import check_pixels, check_size

GROUP_LENGTH = b"\x02\0\0\0UL\x04\0"
"""Begins the element that says how long a file's meta group is, its first one by the standard."""

NO_PICTURES = frozenset(["SR", "PR", "KO", "DOC", "RTSTRUCT", "RTPLAN", "AU", "ECG", "REG", "SEG"])
"""Modalities of files that go with images and are none."""

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in a grey value, ITU-R BT.601, as for other pictures."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One plane of grey values.

    Args:
        pixels: ``(H, W)``; uint8 for 8-bit pictures without rescale, else float32.
        position: ``(3,)`` centre of the first pixel in mm, axes left, posterior, superior.
        axes: ``(2, 3)`` unit vectors along which the columns' and the rows' index grow: the first
            points along a row, the second down a column.
        spacing: Distance in mm from row to row and from column to column.
        time: Values that distinguish the time frames of a dynamic series.
        duration: Length of the time frame in ms; None where the file does not say.
        modality: Short name of what made the image, such as PT or MR; may be empty.
        series: SeriesInstanceUID, to compare, never to show.
        instance: SOPInstanceUID and frame number, to compare, never to show.
        kind: Image type, echo time, b-value, sequence, units and type of rescale.
        slices: Number of slices of one time frame of the series, as the file says.
        times: Number of time frames of the series, as the file says.
    """

    pixels: NDArray[Any]
    position: NDArray[np.float64] | None
    axes: NDArray[np.float64] | None
    spacing: tuple[float, float] | None
    time: tuple[str, ...]
    duration: float | None
    modality: str
    series: str
    instance: str
    kind: tuple[str, ...]
    slices: int | None
    times: int | None


def read_frames(data: bytes, *, quantities: bool = False) -> list[Frame]:
    """All the frames of a file, in the file's order.

    Rescale slope and intercept (of the frame, where they differ) and a modality look-up table are
    applied. Colours become grey, 0 to 255.

    Args:
        data: Content of the whole file.
        quantities: Keep MONOCHROME1 as it is. It is inverted otherwise, except in a multi-frame
            file that :func:`stands_in_space`.

    Raises:
        DecodeError: the bytes are no DICOM image, or a damaged one.
    """
    # pydicom warns of every departure from the standard that it can live with; it raises of those
    # that it cannot. Its check of values is off because it logs them: names of patients.
    with reading("DICOM image"), warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        dataset = _open(data)
        planes = _planes(dataset, quantities or stands_in_space(dataset))
        return [_frame(dataset, planes[k], k) for k in range(len(planes))]


def is_picture(data: bytes) -> bool:
    """Whether a whole file without a DICOM name is meant as an image; reports and notes are not."""
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            head = dcmread(io.BytesIO(data), force=True, stop_before_pixels=False)
            named = data[128:132] == b"DICM" or "SOPClassUID" in head
            other = str(head.get("Modality") or "") in NO_PICTURES and "PixelData" not in head
            # A file that breaks off in its header still says in its first lines what it is.
            kind = head.get("SOPClassUID") or head.file_meta.get("MediaStorageSOPClassUID", "")
            image = "Rows" in head or "PixelData" in head or "Image Storage" in UID(kind).name
            return named and not other and image
    except Exception:  # noqa: BLE001 what begins as DICOM and breaks off is a damaged image
        return data[128:132] == b"DICM"


def stands_in_space(dataset: Dataset) -> bool:
    """Whether each frame of a multi-frame file has its own position: a volume, not a film."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    return bool(per_frame) and "PlanePositionSequence" in per_frame[0]


def _open(data: bytes) -> Dataset:
    if DeflatedExplicitVRLittleEndian.encode() in data:
        _check_deflated(data)
    try:
        dataset = dcmread(io.BytesIO(data))
    except InvalidDicomError:  # files of old archives lack the preamble
        dataset = dcmread(io.BytesIO(data), force=True)
    _complete_meta(dataset)
    missing = [name for name in ("Rows", "Columns", "PixelData") if name not in dataset]
    if missing:
        raise DecodeError(f"not a DICOM image, or a truncated one: it has no {missing[0]}")
    samples, frames = int(dataset.get("SamplesPerPixel") or 1), _count(dataset)
    if min(int(dataset.Rows), int(dataset.Columns), samples, frames) < 1:
        raise DecodeError("the file claims an image without pixels")
    check_pixels((frames, int(dataset.Rows), int(dataset.Columns), samples), 4)
    return dataset


def _complete_meta(dataset: Dataset) -> None:
    """Files of old archives have no meta group; how they are written is then seen from the text."""
    meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
    if "TransferSyntaxUID" not in meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
        dataset.file_meta = meta


def _check_bits(dataset: Dataset) -> None:
    """Refuse headers that contradict each other about which bits hold the value."""
    allocated, stored = int(dataset.BitsAllocated), int(dataset.get("BitsStored") or 0)
    high = int(dataset.get("HighBit", stored - 1))
    if not 0 < stored <= allocated or high != stored - 1:
        raise DecodeError(
            f"the file contradicts itself: {allocated} bits allocated, {stored} stored, the "
            f"highest is bit {high}, where {stored - 1} is expected"
        )


def _check_deflated(data: bytes) -> None:
    """Refuse a deflated file that grows beyond all measure, before pydicom inflates it at once."""
    if data[132:140] != GROUP_LENGTH:
        raise DecodeError("not a DICOM image: a deflated file whose head does not give its length")
    (length,) = struct.unpack_from("<I", data, 140)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    rest, total = data[144 + length :], 0
    while rest and not inflate.eof:
        total += len(inflate.decompress(rest, 2**24))
        rest = inflate.unconsumed_tail
        check_size(total)


def _count(dataset: Dataset) -> int:
    return int(dataset.get("NumberOfFrames") or 1)


def _planes(dataset: Dataset, quantities: bool) -> NDArray[Any]:
    """``(N, H, W)`` grey values before any rescale."""
    _check_bits(dataset)
    values: NDArray[Any] = pixel_array(dataset)
    kind = str(dataset.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        values = _grey(values, 8 * values.dtype.itemsize)
    elif int(dataset.get("SamplesPerPixel") or 1) > 1:
        values = _grey(values, int(dataset.BitsStored))
    elif "ModalityLUTSequence" in dataset:
        values = apply_modality_lut(values, dataset)
    planes = values.reshape(_count(dataset), int(dataset.Rows), int(dataset.Columns))
    planes = _without_padding(planes, dataset, bright=kind == "MONOCHROME1" and not quantities)
    if kind == "MONOCHROME1" and not quantities:
        return _inverted(planes, dataset)
    return planes


def _without_padding(planes: NDArray[Any], dataset: Dataset, *, bright: bool) -> NDArray[Any]:
    """Padding as the darkest value that is none: it is no grey value, and has no say in any.

    Source: DICOM PS3.3, C.7.5.1.1.2 (PixelPaddingValue, PixelPaddingRangeLimit).
    """
    ends = [dataset.get(f"PixelPadding{name}") for name in ("Value", "RangeLimit")]
    if ends[0] is None or int(dataset.get("SamplesPerPixel") or 1) > 1:
        return planes
    span = 2 ** (8 * planes.dtype.itemsize)
    numbers = [int(end) for end in ends if end is not None]
    if planes.dtype.kind == "i":  # the tag may be written as unsigned
        numbers = [n - span if n >= span // 2 else n for n in numbers]
    padding = (planes >= min(numbers)) & (planes <= max(numbers))
    if not padding.any() or padding.all():
        return planes
    valid = planes[~padding]
    return np.where(padding, valid.max() if bright else valid.min(), planes)


def _kind(dataset: Dataset, number: int) -> tuple[str, ...]:
    """What frames have to agree in to be one picture at several times."""
    names = ("ImageType", "EchoTime", "DiffusionBValue", "SequenceName", "Units", "RescaleType")
    groups = ("MREchoSequence", "MRDiffusionSequence")
    places = [dataset, *(_group(dataset, number, group) for group in groups)]
    return tuple(
        str(next((one.get(name) for one in places if one.get(name) is not None), ""))
        for name in names
    )


def _grey(values: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Luma of ``(..., 3)``, brought to 8 bits: colours are for the eye and have no unit."""
    luma = values.astype(np.float32) @ LUMA
    return np.rint(luma * (255 / (2**bits - 1))).astype(np.uint8)


def _inverted(planes: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Highest to lowest within the bits stored; a wider type keeps the sum from overflowing."""
    bits, signed = int(dataset.BitsStored), int(dataset.get("PixelRepresentation") or 0)
    ends = -1 if signed else 2**bits - 1
    return (ends - planes.astype(np.int64)).astype(planes.dtype)


def _frame(dataset: Dataset, plane: NDArray[Any], number: int) -> Frame:
    plane_position = _group(dataset, number, "PlanePositionSequence")
    turn = _group(dataset, number, "PlaneOrientationSequence")
    size = _group(dataset, number, "PixelMeasuresSequence")
    position = _numbers(plane_position, "ImagePositionPatient", 3)
    axes = _numbers(turn, "ImageOrientationPatient", 6)
    if _count(dataset) > 1 and not stands_in_space(dataset):
        position = None  # the file's one position is that of its first frame
    return Frame(
        pixels=_rescaled(dataset, plane, number),
        position=position,
        axes=None if axes is None else axes.reshape(2, 3),
        spacing=_spacing(size) or _spacing(dataset),
        time=_time(dataset, number),
        duration=_duration(dataset, number),
        modality=str(dataset.get("Modality") or ""),
        series=str(dataset.get("SeriesInstanceUID", "")),
        instance=f"{dataset.get('SOPInstanceUID', '')}:{number}",
        kind=_kind(dataset, number),
        slices=_whole(dataset, "NumberOfSlices"),
        times=_whole(dataset, "NumberOfTimeSlices"),
    )


def _group(dataset: Dataset, number: int, sequence: str) -> Dataset:
    """What holds for one frame: its own functional group, the shared one, else the file's head."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for group in [*per_frame[number : number + 1], *shared[:1]]:
        items = group.get(sequence)
        if items:
            found: Dataset = items[0]
            return found
    return dataset


def _rescaled(dataset: Dataset, plane: NDArray[Any], number: int) -> NDArray[Any]:
    holder = _group(dataset, number, "PixelValueTransformationSequence")
    slope, intercept = holder.get("RescaleSlope"), holder.get("RescaleIntercept")
    if "ModalityLUTSequence" in dataset or (slope is None and intercept is None):
        return plane if plane.dtype == np.uint8 else plane.astype(np.float32)
    slope = 1.0 if slope is None else float(slope)
    intercept = 0.0 if intercept is None else float(intercept)
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise DecodeError(f"impossible rescale: slope {slope:g}, intercept {intercept:g}")
    if plane.dtype == np.uint8 and (slope, intercept) == (1.0, 0.0):
        return plane
    return (plane * np.float64(slope) + intercept).astype(np.float32)


def _numbers(dataset: Dataset, name: str, count: int) -> NDArray[np.float64] | None:
    values = dataset.get(name)
    if values is None or len(values) != count:
        return None
    numbers = np.array([float(value) for value in values])
    return numbers if np.isfinite(numbers).all() else None


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Pixel spacing in the patient, else (a projection) that on the detector."""
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        numbers = _numbers(dataset, name, 2)
        if numbers is not None and numbers.min() > 0:
            return float(numbers[0]), float(numbers[1])
    return None


def _time(dataset: Dataset, number: int) -> tuple[str, ...]:
    content = _group(dataset, number, "FrameContentSequence")
    names = ("TemporalPositionIndex", "FrameReferenceDateTime", "FrameAcquisitionDateTime")
    if content is not dataset:
        return tuple(str(content.get(name, "")) for name in names)
    names = ("TemporalPositionIdentifier", "FrameReferenceTime", "AcquisitionDate")
    more = ("AcquisitionTime", "AcquisitionDateTime", "AcquisitionNumber")
    return tuple(str(dataset.get(name, "")) for name in (*names, *more))


def _duration(dataset: Dataset, number: int) -> float | None:
    content = _group(dataset, number, "FrameContentSequence")
    name = "ActualFrameDuration" if content is dataset else "FrameAcquisitionDuration"
    value = content.get(name)
    return None if value is None or not float(value) > 0 else float(value)


def _whole(dataset: Dataset, name: str) -> int | None:
    value = dataset.get(name)
    return None if value is None else int(value)
