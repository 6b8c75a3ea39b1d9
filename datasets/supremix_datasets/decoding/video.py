"""Bytes to video and back: AVI and MP4 as grey frames. Nothing here knows a dataset."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError
from av.stream import Disposition
from numpy.typing import NDArray

from supremix_datasets.cards.dataset import Decoded
from supremix_datasets.decoding.reading import reading
from supremix_datasets.errors import DatasetError, DecodeError

MAX_FRAME_PIXELS = 4096 * 4096
MAX_PIXELS = 2**29
"""Most pixels of one decoded video, hence bytes of memory: 43 times the longest echo of 1000
frames of 112 x 112."""

FORMATS = "avi,mov,mp4,m4a,3gp,3g2,mj2"
"""Only these are probed: a playlist that is called ``.avi`` would open the files it lists."""

LUMA_PLANES = frozenset(
    ["gray"] + [f"yuv{full}{kind}p" for full in ("", "j") for kind in (420, 422, 444)]
)
FULL_RANGE = 2
ONE = 65536
"""The number 1 in a display matrix."""

_UPRIGHT = (1, 0, 0, 1)
WHOLE = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
"""Luma of broadcast range, 16 to 235, as grey values from 0 to 255."""

Frames = NDArray[np.uint8]


def decode_video(data: bytes) -> Decoded:
    """All frames of a video as grey values.

    The luma of a colour video is its grey value. The number of frames that decode is compared with
    the number that the container claims: a truncated AVI still claims all of them. Frames that a
    recorder dropped (empty chunks of an AVI) count as missing too.

    Args:
        data: The whole file, AVI or MP4 (or MOV).

    Returns:
        ``(T, H, W)`` uint8, ``T >= 1``, without a spacing.

    Raises:
        DecodeError: no video, a damaged or truncated one, one that does not say how many frames it
            holds, whose frames differ in size, or that is larger than :data:`MAX_PIXELS`.
    """
    if not data:
        raise DecodeError("the file is empty")
    with reading("video"):
        try:
            with av.open(io.BytesIO(data), "r", options={"format_whitelist": FORMATS}) as container:
                return Decoded(_frames(container))
        except FFmpegError as error:  # whose text ends in a log of other files
            raise DecodeError(
                f"not a readable video: {str(error).split('; last error log', 1)[0]}"
            ) from error


def encode_mjpg_avi(frames: Frames, fps: float) -> bytes:
    """Write grey frames as motion JPEG in an AVI, the format of the EchoNet videos.

    Args:
        frames: ``(T, H, W)`` uint8, ``T >= 1``.
        fps: Frames a second, ``> 0``.

    Returns:
        The file; the same frames give the same bytes with the same version of PyAV.

    Raises:
        DatasetError: the frames are not of that kind, or ``fps`` is not positive.
    """
    if frames.ndim != 3 or frames.dtype != np.uint8 or frames.size == 0 or not fps > 0:
        raise DatasetError(
            "expected frames (T, H, W) of uint8 and fps > 0, found "
            f"{frames.dtype} {frames.shape} and fps {fps}"
        )
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avi", options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream("mjpeg", rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt = "yuvj420p"
        codec = stream.codec_context
        codec.thread_count = 1
        codec.qmin = codec.qmax = 3
        codec.flags |= Flags.bitexact
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="gray")
            frame = frame.reformat(format="yuvj420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _frames(container: Any) -> Frames:
    stream = _video_stream(container)
    claimed = int(stream.frames)
    shape = (int(stream.codec_context.height), int(stream.codec_context.width))
    if claimed < 1:
        raise DecodeError(
            "the container does not say how many frames it holds, so it cannot be checked that all "
            "are there. Write it again, for instance with 'ffmpeg -i OLD -c copy NEW'."
        )
    _check_size(claimed, shape)
    codec = stream.codec_context
    codec.thread_count = 1  # preparing runs a process per core
    codec.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
    if codec.name == "mjpeg":  # which would otherwise paint over what is damaged
        codec.options = {**codec.options, "err_detect": "explode"}
    frames: list[Frames] = []
    turn = _UPRIGHT
    hidden = 0  # frames that an MP4's edit list cuts away
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise DecodeError(
                f"the video is truncated or damaged after {len(frames)} of {claimed} frames"
            )
        hidden += bool(packet.is_discard)
        for frame in packet.decode():
            _check_frame(frame, len(frames) + 1, shape)
            frames.append(_grey(frame))
            if (matrix := _matrix(frame)) != turn and len(frames) > 1:
                raise DecodeError(f"frame {len(frames)} is turned otherwise than the ones before")
            turn = matrix
    if len(frames) < max(1, claimed - hidden):
        raise DecodeError(f"the video claims {claimed} frames, but {len(frames)} could be decoded")
    return _turned(np.stack(frames), turn)


def _video_stream(container: Any) -> Any:
    """The first stream that is a video, not the picture on an album's cover."""
    found = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not found:
        raise DecodeError("the file holds no video, only sound or data")
    if found[0].codec_context is None:
        raise DecodeError("the video is compressed in a way that is not known here")
    return found[0]


def _check_size(count: int, shape: tuple[int, int]) -> None:
    if min(shape) < 1:
        raise DecodeError(f"the video says that its frames have {shape[0]} x {shape[1]} pixels")
    if shape[0] * shape[1] > MAX_FRAME_PIXELS or count * shape[0] * shape[1] > MAX_PIXELS:
        raise DecodeError(
            f"the video is too large: {count} frames of {shape[0]} x {shape[1]} pixels, and at "
            f"most {MAX_PIXELS} pixels are decoded. Cut it or make its frames smaller."
        )


def _check_frame(frame: Any, count: int, shape: tuple[int, int]) -> None:
    if (frame.height, frame.width) != shape:
        raise DecodeError(
            f"frame {count} has {frame.height} x {frame.width} pixels, "
            f"the ones before {shape[0]} x {shape[1]}"
        )
    if frame.is_corrupt:
        raise DecodeError(f"frame {count} is damaged")
    bits = max(component.bits for component in frame.format.components)
    if bits > 8:
        raise DecodeError(f"the video has {bits} bits a sample, and 8 are read. Write it as 8 bits")
    _check_size(count, shape)  # the container may hold more than it claims


def _matrix(frame: Any) -> tuple[int, ...]:
    """How a frame is turned when it is shown: x to x, x to y, y to x, y to y, of 1, 0 and -1."""
    data = next((one for one in frame.side_data if one.type.name == "DISPLAYMATRIX"), None)
    if data is None:
        return _UPRIGHT
    numbers = np.frombuffer(bytes(data), np.int32).reshape(3, 3) / ONE
    turn = tuple(float(number) for number in numbers[:2, :2].ravel())
    if sorted(map(abs, turn)) != [0, 0, 1, 1] or abs(turn[0]) != abs(turn[3]):
        raise DecodeError("the video is turned or stretched by other than a quarter turn")
    return tuple(int(number) for number in turn)


def _turned(frames: Frames, turn: tuple[int, ...]) -> Frames:
    """Frames ``(T, H, W)`` as they are shown: transposed and mirrored."""
    right, x_to_y, y_to_x, down = turn
    if x_to_y:
        frames, right, down = frames.transpose(0, 2, 1), y_to_x, x_to_y
    return np.ascontiguousarray(frames[:, :: -1 if down < 0 else 1, :: -1 if right < 0 else 1])


def _grey(frame: Any) -> Frames:
    """``(H, W)``: the luma plane where there is one, else what the library makes of the colours."""
    name = str(frame.format.name)
    if name not in LUMA_PLANES:
        return np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8)
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    luma = rows[: frame.height, : frame.width]
    whole = name == "gray" or name.startswith("yuvj") or int(frame.color_range) == FULL_RANGE
    return luma.copy() if whole else WHOLE[luma]
