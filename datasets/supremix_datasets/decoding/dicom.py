"""DICOM to pixels: one file (a picture, a film or a volume), or the files of a series.

DICOM's axes point left, posterior and superior; volumes come out along right, anterior and
superior, as those of NIfTI do here. A series is put in order by the positions of its
slices, never by file name or instance number. What does not fit together is refused with a reason.

Source: DICOM PS3.3, C.7.6.2 (image plane), C.8.9.4 (PET image), C.7.6.16 (functional groups).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from supremix_datasets.cards.dataset import Decoded
from supremix_datasets.decoding.dicom_frames import Frame, read_frames
from supremix_datasets.decoding.geometry import upright
from supremix_datasets.errors import DecodeError

SAME_POSITION = 0.02
"""Two slices closer than this, in mm, are at the same position."""

UNEVEN = 0.1
"""Steps between slices may differ by this share of a step; headers are rounded."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def decode_dicom(data: bytes) -> Decoded:
    """One DICOM file.

    Args:
        data: Content of the whole file.

    Returns:
        ``(H, W)`` as it is shown, for a picture; ``(T, H, W)`` for a film, whose frames have no
        position in space; a volume in right, anterior, superior order for a multi-frame file whose
        frames have one. Rescale slope and intercept are applied, MONOCHROME1 pictures inverted
        (bright is dense in all of them), colours turned to grey. The spacing of a picture is its
        PixelSpacing, else its ImagerPixelSpacing; a film has none.

    Raises:
        DecodeError: the bytes are no DICOM image, or a damaged or contradictory one.
    """
    frames = read_frames(data)
    if len(frames) == 1:
        return Decoded(frames[0].pixels, frames[0].spacing)
    if frames[0].position is not None:
        return _volume(frames)
    return Decoded(np.stack([frame.pixels for frame in frames]))


def decode_dicom_series(datas: Sequence[bytes], *, modality: str | None = None) -> Decoded:
    """The files of one series as one volume.

    Every slice is rescaled with its own slope and intercept, as PET needs. MONOCHROME1 is not
    inverted: in a volume the values are quantities, and that tag only says how to show them.
    Where the same slices come several times at different times, the volume is the mean over time,
    weighted by the duration of the time frames where all files give it.

    Args:
        datas: The files, in any order; one file may hold several slices or all.
        modality: Modality that they must have, such as ``PT`` for PET; None for anything.

    Returns:
        ``(X, Y, Z)`` float32 in right, anterior, superior order, with the size of a voxel in mm.

    Raises:
        DecodeError: a file is damaged, a slice is missing or duplicated, a time frame is not whole,
            the files differ in series, size, orientation or pixel spacing, or they are of
            another modality.
    """
    if not datas:
        raise DecodeError("the series has no files")
    frames: list[Frame] = []
    for number, data in enumerate(datas, start=1):
        try:
            frames += read_frames(data, quantities=True)
        except DecodeError as error:
            raise DecodeError(f"file {number} of {len(datas)}: {error}") from error
    others = sorted({frame.modality for frame in frames} - {modality})
    if modality is not None and others:
        raise DecodeError(f"expected the modality {modality}, found {', '.join(others) or 'none'}")
    return _volume(frames)


def _volume(frames: Sequence[Frame]) -> Decoded:
    _check_alike(frames)
    axes, spacing = frames[0].axes, frames[0].spacing
    if axes is None or spacing is None:
        raise DecodeError("the slices do not say how they are turned, or how large a pixel is")
    normal = _normal(axes)
    slices = _slices(frames, normal)
    step = _step(slices, normal)
    _check_straight(slices, normal)
    pixels = np.stack([_mean_over_time(times) for times in slices])
    # The array's axes are slice, row, column: along the normal, down a column, along a row.
    directions = np.stack([normal, axes[1], axes[0]], axis=1)
    affine = np.eye(4)
    affine[:3, :3] = LPS_TO_RAS @ directions * np.asarray((step, *spacing))
    return upright(pixels, affine)


def _check_alike(frames: Sequence[Frame]) -> None:
    first = frames[0]
    if len({frame.series for frame in frames}) > 1:
        raise DecodeError("the files are of more than one series (SeriesInstanceUID)")
    if any(frame.position is None or frame.axes is None for frame in frames):
        raise DecodeError("a slice does not say where it is (position and orientation)")
    sizes = sorted({frame.pixels.shape for frame in frames})
    if len(sizes) > 1:
        raise DecodeError(f"the slices have different sizes: {sizes}")
    for name, shown, slack in (("axes", "orientation", 1e-3), ("spacing", "pixel spacing", 1e-3)):
        for frame in frames:
            one, other = getattr(first, name), getattr(frame, name)
            if (one is None) != (other is None) or (
                one is not None and not np.allclose(one, other, atol=slack)
            ):
                raise DecodeError(f"the slices differ in {shown}")


def _normal(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths, angle = np.linalg.norm(axes, axis=1), float(axes[0] @ axes[1])
    if not np.allclose(lengths, 1, atol=0.01) or abs(angle) > 0.01:
        raise DecodeError(f"the image orientation is impossible: {axes.ravel().tolist()}")
    return np.cross(axes[0], axes[1])


def _position(frame: Frame) -> NDArray[np.float64]:
    return np.zeros(3) if frame.position is None else frame.position


def _slices(frames: Sequence[Frame], normal: NDArray[np.float64]) -> list[list[Frame]]:
    """The frames by slice, from the first one along the normal to the last, each by time."""
    ordered = sorted(frames, key=lambda frame: float(_position(frame) @ normal))
    slices: list[list[Frame]] = [[ordered[0]]]
    for frame in ordered[1:]:
        gap = float((_position(frame) - _position(slices[-1][0])) @ normal)
        if gap < SAME_POSITION:
            slices[-1].append(frame)
        else:
            slices.append([frame])
    slices = [sorted(times, key=lambda frame: (frame.time, frame.instance)) for times in slices]
    _check_times(slices)
    _check_count(slices)
    return slices


def _check_times(slices: Sequence[Sequence[Frame]]) -> None:
    """Every slice once per time frame of PET; what differs in more than time is no time frame."""
    if any(len(times) > 1 for times in slices):
        kinds = {frame.kind for times in slices for frame in times}
        if len(kinds) > 1:
            raise DecodeError(
                f"there are {len(kinds)} kinds of picture at one position (image type, echo time, "
                "b-value, sequence or units differ). Put each kind into a folder of its own."
            )
    twice = sum(len({frame.time for frame in times}) < len(times) for times in slices)
    if twice:
        raise DecodeError(f"{twice} of {len(slices)} slices are there more than once")
    modalities = {frame.modality for times in slices for frame in times}
    if any(len(times) > 1 for times in slices) and modalities != {"PT"}:
        raise DecodeError(
            f"there are several images at one position, and they are no PET over time "
            f"({', '.join(sorted(modalities)) or 'no modality'}). Leave one image a slice."
        )
    counts = sorted({len(times) for times in slices})
    if len(counts) > 1:
        raise DecodeError(
            f"slices are missing or duplicated: there are {counts[0]} to {counts[-1]} "
            "images of each"
        )


def _check_count(slices: Sequence[Sequence[Frame]]) -> None:
    """What the files themselves say of their number, where they do (PET)."""
    claimed, times = slices[0][0].slices, slices[0][0].times
    if claimed and claimed != len(slices):
        raise DecodeError(f"slices are missing: the files say {claimed}, found {len(slices)}")
    if times and times != len(slices[0]):
        raise DecodeError(f"time frames are missing: the files say {times}, found {len(slices[0])}")


def _step(slices: Sequence[Sequence[Frame]], normal: NDArray[np.float64]) -> float:
    """Distance from slice to slice in mm, of their positions: the thickness may be another."""
    if len(slices) < 2:
        raise DecodeError("expected a stack of slices, found one")
    along = np.array([float(_position(times[0]) @ normal) for times in slices])
    steps = np.diff(along)
    step = float(np.median(steps))
    missing = int(np.rint(steps / step - 1).clip(0).sum())
    if missing:
        raise DecodeError(f"{missing} slices are missing between the first and the last")
    if np.abs(steps - step).max() > UNEVEN * step:
        raise DecodeError(f"the slices lie {steps.min():.3g} to {steps.max():.3g} mm apart")
    return float((along[-1] - along[0]) / (len(slices) - 1))


def _check_straight(slices: Sequence[Sequence[Frame]], normal: NDArray[np.float64]) -> None:
    """A tilted gantry shears the stack, which no axis swap can undo."""
    positions = np.array([_position(times[0]) for times in slices])
    aside = positions - positions[0]
    aside -= np.outer(aside @ normal, normal)
    if np.linalg.norm(aside, axis=1).max() > 0.5:
        raise DecodeError("the slices are shifted against each other (a tilted gantry?)")


def _mean_over_time(times: Sequence[Frame]) -> NDArray[np.float32]:
    durations = [frame.duration for frame in times]
    weights = [1.0 if duration is None else duration for duration in durations]
    if None in durations:
        weights = [1.0] * len(times)
    pixels = np.stack([frame.pixels for frame in times])
    return np.average(pixels, axis=0, weights=weights).astype(np.float32)
